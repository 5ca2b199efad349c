"""`lectern up`: the embedded service as one process tree, and what it says to a newcomer."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from core import limits
from core.messages import Topic
from infra import ffmpeg, wiring
from infra.links import ADDRESS_FILE
from infra.settings import Settings, SettingsError
from lectern.demo_lecture import LECTURE
from lectern.supervisor import Program, Supervisor
from transcoder.main import clear_scratch
from transcoder.stopping import StopSignal

PID_FILE = "pid"
"""In the data folder: the process id of its supervisor."""


def up(settings: Settings) -> None:
    """Run the service until SIGINT or SIGTERM; raises SettingsError or FfmpegMissing."""
    if settings.lectern_backend != "embedded":
        raise SettingsError("LECTERN_BACKEND: `lectern up` runs the embedded backend only")
    ffmpeg.find(settings.lectern_ffmpeg)
    _check_delivery(settings)
    folder = settings.lectern_data_dir
    first_time = not (folder / "service-key").exists() and not settings.internal_service_key
    os.umask(0o077)
    stop = StopSignal()
    stop.install()
    with _alone(folder, stop) as lock, _listening(settings) as listener:
        parts = wiring.connect(settings)
        clear_scratch(parts)
        url = _url(settings.host, listener.getsockname()[1])
        with _announced(folder / ADDRESS_FILE, url):
            print(_welcome(settings, url) if first_time else _greeting(settings, url), flush=True)
            programs = _programs(settings, listener.fileno(), lock)
            Supervisor(programs=programs, stop=stop, log=parts.log).run()
    print("Stopped; unfinished work goes on at the next start.", flush=True)


def _check_delivery(settings: Settings) -> None:
    """Find out now what every worker that delivers would die of; raises SettingsError."""
    if settings.has_sftp:
        wiring.depot(settings)
        wiring.announcer(settings)


def _programs(settings: Settings, handle: int, lock: int) -> list[Program]:
    """Return the tree; each process holds the lock too, so it is free when the last has ended."""
    run = (sys.executable, "-m", "lectern", "run")
    workers = [
        Program(name=f"{topic}-{number}", argv=(*run, topic), pass_fds=(lock,))
        for topic, count in (
            (Topic.TRANSCODE, settings.max_concurrent_jobs),
            (Topic.DELIVER, settings.delivery_workers),
        )
        for number in range(1, count + 1)
    ]
    serve = (*run, "http", "--handle", str(handle))
    return [
        Program(name="http", argv=serve, pass_fds=(handle, lock)),
        *workers,
        Program(name="clock", argv=(*run, "clock"), pass_fds=(lock,)),
    ]


@contextlib.contextmanager
def _alone(folder: Path, stop: StopSignal) -> Iterator[int]:
    """Hold the folder's lock: two services on one folder would remove each other's scratch.

    The processes of a supervisor that was killed end by themselves within `STOP_S`: wait for
    them. Where it is alive, refuse at once.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("a+") as lock:
        deadline = time.monotonic() + limits.STOP_S
        while not _locked(lock):
            if _holder_lives(folder) or stop() or time.monotonic() >= deadline:
                raise SettingsError(
                    f"LECTERN_DATA_DIR: another Lectern is running on {folder}; "
                    "stop it or choose another folder"
                )
            time.sleep(limits.POLL_S)
        (folder / PID_FILE).write_text(str(os.getpid()))
        yield lock.fileno()


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder_lives(folder: Path) -> bool:
    try:
        os.kill(int((folder / PID_FILE).read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Hold the port from the start: while the server restarts, callers wait instead of failing."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingsError(
                f"PORT: cannot listen on {settings.host}:{settings.port}: {error.strerror}"
            ) from None
        listener.listen(socket.SOMAXCONN)
        yield listener


@contextlib.contextmanager
def _announced(file: Path, url: str) -> Iterator[None]:
    draft = file.with_name(f".{file.name}")
    draft.write_text(url)
    draft.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _url(host: str, port: int) -> str:
    named = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host)  # noqa: S104 - compared, not bound
    return f"http://{named or (f'[{host}]' if ':' in host else host)}:{port}"


def _greeting(settings: Settings, url: str) -> str:
    key = "INTERNAL_SERVICE_KEY" if settings.internal_service_key else _key_file(settings)
    return f"Lectern is on {url} (data in {settings.lectern_data_dir}, key in {key})."


def _key_file(settings: Settings) -> Path:
    return settings.lectern_data_dir / "service-key"


def _welcome(settings: Settings, url: str) -> str:
    key = wiring.service_keys(settings)[0]
    header = f'-H "X-Internal-Service-Key: {key}"'
    sample = os.path.relpath(LECTURE)
    command = os.path.relpath(Path(sys.executable).with_name("lectern"))
    return f"""Lectern is on {url} (data in {settings.lectern_data_dir}).

Your service key, made for this first start and kept in {_key_file(settings)}:
    {key}

Try the handshake from a second terminal.

0. Start a small LMS that takes deliveries at {settings.lms_store_url}:
    {command} lms --no-confirm

1. Receive: send a recording. The answer is 200 as soon as it is safe.
    curl {header} \\
        -F video_id=lecture-1 -F organization_id=demo -F file=@{sample} {url}/video/receive

2. Store: Lectern posts the small file to the LMS. Watch it:
    curl {header} {url}/status/lecture-1

3. Confirm: the LMS has it safe, and every temporary is deleted.
    curl {header} -d video_id=lecture-1 {url}/video/confirm
"""
