"""Google's emulators: found by their environment variables, or started from the Cloud CLI."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import pytest

START_S: Final = 60.0
TRIES: Final = 3
_JAVA: Final = "-Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """One of Google's emulators: how clients find it, and its program in the Cloud CLI."""

    name: str
    variable: str
    program: tuple[str, ...]


FIRESTORE: Final = Emulator(
    name="firestore",
    variable="FIRESTORE_EMULATOR_HOST",
    program=("platform/cloud-firestore-emulator/cloud_firestore_emulator", "start"),
)
PUBSUB: Final = Emulator(
    name="pubsub",
    variable="PUBSUB_EMULATOR_HOST",
    program=("platform/pubsub-emulator/bin/cloud-pubsub-emulator",),
)


@contextlib.contextmanager
def running(emulator: Emulator, folder: Path) -> Iterator[str]:
    """Give `host:port` of the emulator; all who name the same `folder` share one.

    Skips the test where there is none, or fails it if LECTERN_REQUIRE_EMULATORS is set.
    """
    if given := os.environ.get(emulator.variable):
        yield given
        return
    argv = _installed(emulator)
    if argv is None:
        _give_up(f"no {emulator.name} emulator: set {emulator.variable} or install the Cloud CLI's")
    with (folder / f"{emulator.name}.users").open("ab") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # the keeper ends the emulator when nobody has it
        yield _host(emulator, folder, argv)


def _installed(emulator: Emulator) -> list[str] | None:
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        return None
    program = Path(gcloud).resolve().parents[1] / emulator.program[0]
    return [str(program), *emulator.program[1:]] if program.exists() else None


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("LECTERN_REQUIRE_EMULATORS"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _host(emulator: Emulator, folder: Path, argv: list[str]) -> str:
    """Return where the shared emulator listens; whoever comes first starts it."""
    state = folder / f"{emulator.name}.host"
    with (folder / f"{emulator.name}.start").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not state.exists():
            state.write_text(_started(emulator, folder, argv, state))
        return state.read_text()


def _started(emulator: Emulator, folder: Path, argv: list[str], state: Path) -> str:
    for _ in range(TRIES):  # another program may take the free port first
        host = f"127.0.0.1:{free_port()}"
        place = [f"--host={host.partition(':')[0]}", f"--port={host.partition(':')[2]}"]
        files = [folder / f"{emulator.name}.users", state, folder / f"{emulator.name}.log"]
        keeper = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("keeper.py"), *files, *argv, *place],
            env={**os.environ, "JAVA_TOOL_OPTIONS": _JAVA},
            start_new_session=True,
        )
        keeper.returncode = 0  # it outlives this process: not ours to wait for
        if _answers(host):
            return host
    return pytest.fail(f"the {emulator.name} emulator does not start; see {files[-1]}")


def _answers(host: str) -> bool:
    end = time.monotonic() + START_S / TRIES
    while time.monotonic() < end:
        connection = http.client.HTTPConnection(host, timeout=1)
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(connection),
        ):
            connection.request("GET", "/")
            return connection.getresponse().read().strip() == b"Ok"
        time.sleep(0.1)
    return False


def free_port() -> int:
    """Return a port where nothing listens for now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
