"""`python -m receiver`: the front door as a service of its own; see `receiver.front`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from flask import Flask

from infra import health, http_server, logging, required, settings, wiring
from infra.hidden import hide
from infra.listening import bound
from infra.settings import Settings, SettingsError
from receiver import front, haproxy
from receiver.main import RESTS_ON, create_app


def main() -> NoReturn:
    """Serve until SIGTERM and exit with status 0; with another if a process ended before."""
    os.umask(0o077)
    hide()
    try:
        chosen = settings.load()
        required.check_secret(chosen, "internal_service_key")
        if chosen.has_links:
            required.check_secret(chosen, "webhook_secret")
        logging.configure(
            style=chosen.log_format,
            level=chosen.log_level,
            cloud_project=chosen.google_cloud_project or None,
        )
        program = front.find_haproxy()
        with bound(chosen) as listener:
            front.Front(
                haproxy=program,
                listener=listener,
                serve=partial(_serve, chosen),
                configuration=partial(_configuration, chosen, listener.fileno()),
                log=logging.StructuredLog(),
            ).run()
    except (SettingsError, front.Ended) as error:
        sys.exit(f"receiver: {error}")
    sys.exit(0)


def _serve(chosen: Settings, path: Path, on_ready: Callable[[], None]) -> None:
    http_server.serve_built(
        partial(_build, chosen),
        bind=f"unix:{path}",
        threads=chosen.receiver_threads,
        grace_s=front.STOP_S + front.APP_STOP_S,  # HAProxy cuts off, and the app cleans up
        on_ready=on_ready,
        unbegun_max=max((chosen.receiver_threads - chosen.max_uploads_at_once) // 2, 1),
    )


def _build(chosen: Settings) -> Flask:
    """Connect in the worker's process: gRPC's clients survive no fork."""
    parts = wiring.connect(chosen)
    return create_app(parts, checks=health.some(parts.checks, RESTS_ON), own_proxies=1)


def _configuration(chosen: Settings, handle: int, app: Path) -> str:
    return haproxy.configuration(
        haproxy.Layout(
            handle=handle,
            app=app,
            threads=chosen.receiver_threads,
            stop_s=front.STOP_S,
        )
    )


if __name__ == "__main__":
    main()
