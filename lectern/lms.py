"""`lectern lms`: the example LMS as a process of its own, for a newcomer to watch."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

from core import limits
from infra import wiring
from infra.links import ADDRESS_FILE
from infra.settings import EXAMPLE_LMS_PORT, Settings
from lectern.client import LecternClient, LecternRefused, LecternUnreachable
from lectern.example_lms import Delivery, ExampleLms
from lectern.show import size
from transcoder.stopping import StopSignal


def run(
    settings: Settings,
    *,
    host: str,
    port: int | None,
    folder: Path,
    confirm: bool,
    confirm_at: str | None = None,
) -> None:
    """Take deliveries until SIGINT or SIGTERM; confirm at the URL `confirm_at`, if given."""
    stop = StopSignal()
    stop.install()

    def confirm_stored(video_id: str, sha256: str) -> None:
        key = wiring.service_keys(settings)[0]
        try:
            with LecternClient(confirm_at or _service_url(settings), key) as client:
                client.confirm(video_id, sha256=sha256)
        except (LecternRefused, LecternUnreachable) as error:
            print(f"could not confirm {video_id}: {error}", flush=True)
        else:
            print(f"confirmed {video_id}", flush=True)

    lms = ExampleLms(
        secret=wiring.webhook_secrets(settings)[0],
        folder=folder,
        confirm=confirm_stored if confirm else None,
        on_stored=_print_delivery,
        host=host,
        port=_delivery_port(settings) if port is None else port,
    )
    with lms:
        print(f"An example LMS takes deliveries at {lms.url} and stores them in {folder}/.",
              flush=True)  # fmt: skip
        if not confirm:
            print("It does not confirm; do that yourself: see step 3 of the curl lines.")
        while not stop():
            time.sleep(limits.POLL_S)


def _delivery_port(settings: Settings) -> int:
    """Return where the service delivers, or the usual port where its URL names none."""
    return urlsplit(settings.lms_store_url).port or EXAMPLE_LMS_PORT


def _print_delivery(delivery: Delivery) -> None:
    print(f"stored {delivery.video_id}: {size(delivery.size)}, signature and digest are right",
          flush=True)  # fmt: skip


def _service_url(settings: Settings) -> str:
    """Return the URL of the service on this data folder, or where it would be by its settings."""
    try:
        return (settings.lectern_data_dir / ADDRESS_FILE).read_text()
    except FileNotFoundError:
        return f"http://127.0.0.1:{settings.port}"
