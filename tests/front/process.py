"""Starts a service with `python -m NAME`, kills and watches it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests import planted
from tests.service.harness import KEY, ROOT, kill_session, session_members, until

KEYS = {"X-Internal-Service-Key": KEY}
THREADS = 6
STOPPED_S = 10.0
"""From SIGTERM until Cloud Run kills."""


@dataclass(slots=True, kw_only=True)
class Served:
    """A running service in a session of its own, with a folder of the embedded backend."""

    folder: Path
    log: Path
    process: subprocess.Popen[bytes]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of this name that were written so far."""
        found = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):  # words of HAProxy, or a line half written
                event = json.loads(line)
                if isinstance(event, dict) and event.get("event") == name:
                    found.append(event)
        return found

    @property
    def port(self) -> int:
        """Return the port of the service that listens."""
        (listening,) = until(self._listening, "the service")
        return int(listening["port"])

    @property
    def url(self) -> str:
        """Return the address of the service."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def get(self, path: str) -> requests.Response:
        """GET with the service key."""
        return requests.get(self.url + path, headers=KEYS, timeout=30)

    def members(self) -> dict[int, str]:
        """Return the processes of the service: pid to command line."""
        return session_members(self.process.pid)

    def child(self, name: str) -> int:
        """Return the pid of `haproxy`, or of the `app`, which is gunicorn's arbiter."""
        others = sorted(pid for pid in self.members() if pid != self.process.pid)
        proxies = [pid for pid in others if "haproxy" in self.members()[pid]]
        return proxies[0] if name == "haproxy" else min(set(others) - set(proxies))

    def objects(self) -> list[bytes]:
        """Return the content of every object."""
        files = [path for path in (self.folder / "objects").rglob("*") if path.is_file()]
        return [path.read_bytes() for path in files]

    def partials(self) -> list[Path]:
        """Return the files of uploads on their way."""
        return list((self.folder / "partial").iterdir())

    def stop(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Return the exit status of a service that ends."""
        return self.process.wait(STOPPED_S)

    def _listening(self) -> list[dict[str, Any]]:
        assert self.process.poll() is None, self.log.read_text()
        return self.events("service.listening")


def start(name: str, folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start a service whose output goes to `folder`.log."""
    with folder.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", name],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "TMPDIR": str(folder.parent),
                "HOST": "127.0.0.1",
                "PORT": "0",
                "LECTERN_DATA_DIR": str(folder),
                "INTERNAL_SERVICE_KEY": KEY,
                "MIN_FREE_BYTES": "0",
                "RECEIVER_THREADS": str(THREADS),
                "MAX_UPLOADS_AT_ONCE": str(THREADS - 2),
                "LOG_FORMAT": "json",
                **environment,
            },
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


@contextlib.contextmanager
def served(name: str, folder: Path, **environment: str) -> Iterator[Served]:
    """Give a service that listens; it is killed at the end, whatever happens."""
    process = start(name, folder, **environment)
    try:
        service = Served(folder=folder, log=folder.with_suffix(".log"), process=process)
        assert service.port
        yield service
    finally:
        kill_session(process.pid)
        process.wait(5)
        planted.assert_hidden(folder.with_suffix(".log"))
