"""`lectern demo`: the whole handshake before your eyes, on a service started for it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import requests
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from core import limits
from infra import wiring
from infra.links import ADDRESS_FILE
from infra.settings import load
from lectern.client import JobEnded, LecternClient, LecternRefused, LecternUnreachable
from lectern.demo_lecture import LECTURE
from lectern.example_lms import ExampleLms
from lectern.show import size

_ID: Final = "demo-lecture"
_START_S: Final = 30.0
_END_S: Final = 24 * 3600.0
_KEPT: Final = Path("var") / "demo"
_LOG_LINES: Final = 20
_OBJECT_FOLDERS: Final = ("objects", "partial", "scratch")


class DemoFailed(Exception):
    """The demo cannot go on; the message says why."""


def run(file: Path | None) -> int:
    """Run the handshake on `file` or the shipped lecture; return the exit status."""
    source = (file or LECTURE).absolute()
    console = Console()
    try:
        with tempfile.TemporaryDirectory(prefix="lectern-demo-") as name:
            _play(source, Path(name) / "service", console)
    except JobEnded as error:
        console.print(f"[red]{error}[/]")
    except (DemoFailed, LecternRefused, LecternUnreachable, requests.RequestException) as error:
        console.print(f"[red]{error}[/]")
    except KeyboardInterrupt:
        console.print("Stopped.")
    else:
        return 0
    return 1


def _play(source: Path, folder: Path, console: Console) -> None:
    """Start an LMS and a service on `folder`, run the handshake, and show what came of it."""
    secret = wiring.webhook_secrets(load({"lectern_data_dir": folder}))[0]

    def confirm(video_id: str, sha256: str) -> None:
        with _client(folder) as client:
            client.confirm(video_id, sha256=sha256)

    with ExampleLms(secret=secret, folder=_KEPT, confirm=confirm) as lms:
        environment = {
            **os.environ,
            "HOST": "127.0.0.1",
            "PORT": "0",
            "LECTERN_DATA_DIR": str(folder),
            "LMS_STORE_URL": lms.url,
            "LOG_FORMAT": "json",
        }
        with _service(environment, folder) as url, _client(folder) as client:
            console.print(f"Lectern is on {url}; the example LMS takes deliveries at {lms.url}.")
            began = time.monotonic()
            _handshake(client, source, console)
            status = client.status(_ID)
            took_s = time.monotonic() - began
        _show(console, source, status, took_s)
        _prove(console, folder, lms.path_of(_ID))


@contextlib.contextmanager
def _service(environment: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Run `lectern up` and give its URL; end it, as Ctrl-C would, at the end."""
    log_path = folder.with_name("log")
    argv = [sys.executable, "-m", "lectern", "up"]
    with log_path.open("wb") as log:
        process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
    try:
        url = _address(process, folder, log_path)
        requests.get(f"{url}/health", timeout=_START_S).raise_for_status()
        yield url
    finally:
        process.terminate()
        process.wait(limits.STOP_S * 2)


def _address(process: subprocess.Popen[bytes], folder: Path, log: Path) -> str:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            return (folder / ADDRESS_FILE).read_text()
        time.sleep(limits.POLL_S)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
    raise DemoFailed(f"the service did not start:\n{tail}")


def _client(folder: Path) -> LecternClient:
    settings = load({"lectern_data_dir": folder})
    return LecternClient((folder / ADDRESS_FILE).read_text(), wiring.service_keys(settings)[0])


def _handshake(client: LecternClient, source: Path, console: Console) -> None:
    """Send the recording and watch it until the LMS has confirmed it."""
    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        upload, encode, store = (
            progress.add_task(name, total=100, start=False, note="")
            for name in ("1 receive", "  encode", "2 store")
        )
        progress.start_task(upload)
        client.receive(
            source,
            video_id=_ID,
            organization_id="demo",
            on_progress=lambda sent, total: progress.update(upload, completed=100 * sent / total),
        )
        progress.update(upload, note="200 queued: from here on it cannot get lost")
        progress.start_task(encode)
        client.wait(
            _ID,
            until={"completed"},
            timeout_s=_END_S,
            on_status=lambda status: _advance(progress, encode, store, status),
        )
    console.print("3 confirm   the LMS verified signature and digest, and confirmed")


def _advance(progress: Progress, encode: TaskID, store: TaskID, status: dict[str, Any]) -> None:
    progress.update(encode, completed=status["progress"], note=status["state"])
    delivery = status["delivery"]
    if delivery is None:
        return
    progress.start_task(store)
    taken = status["state"] in {"stored", "completed"}
    note = delivery["last_outcome"] or f"attempt {delivery['attempts']}"
    progress.update(store, completed=100 if taken else 0, note=note)


def _show(console: Console, source: Path, status: dict[str, Any], took_s: float) -> None:
    before, after = status["source"], status["output"]
    table = Table("", "before", "after", title=source.name)
    table.add_row("resolution", *(f"{side['width']}x{side['height']}" for side in (before, after)))
    table.add_row("codecs", *(_codecs(side) for side in (before, after)))
    table.add_row("duration", *(f"{side['duration_s']:.2f} s" for side in (before, after)))
    table.add_row("size", *(f"{size(side['bytes'])}" for side in (before, after)))
    table.add_row("saved", "", f"{after['saved_percent']} % ({after['action']})")
    speed = after["duration_s"] / max(after["work_s"], 0.001)
    table.add_row("encode", "", f"{after['work_s']:.1f} s, {speed:.1f} x realtime")
    table.add_row("handshake", "", f"{took_s:.1f} s")
    console.print(table)
    steps = Table("time (UTC)", "event", "state", "note", title="History")
    for change in status["history"]:
        steps.add_row(change["at"][11:23], change["event"], change["state"], change["note"])
    console.print(steps)
    for warning in status["warnings"]:
        console.print(f"[yellow]warning: {warning}[/]")


def _codecs(side: Mapping[str, Any]) -> str:
    return f"{side['video_codec']} + {side['audio_codec'] or 'no sound'}"


def _prove(console: Console, folder: Path, kept: Path) -> None:
    """Count what is left in the service's folders; raises DemoFailed if it is not nothing."""
    table = Table("folder of the service", "files left", title="Nothing temporary is left")
    left = 0
    for name in _OBJECT_FOLDERS:
        files = [path for path in (folder / name).rglob("*") if path.is_file()]
        table.add_row(name, str(len(files)))
        left += len(files)
    if left:
        raise DemoFailed(f"{left} temporary files are left in {folder}")
    console.print(table)
    console.print(f"The LMS keeps the small lecture: {kept}")
