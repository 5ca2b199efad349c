"""The front door behind a real gunicorn, and bytes to throw at it."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests import planted
from tests.http import forms
from tests.http.door import KEY, KEYS
from tests.http.forms import Lecture

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running service on a port of this machine; its objects lie in `folder`."""

    port: int
    folder: Path

    @property
    def url(self) -> str:
        """Return the address of the service."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def get(self, path: str) -> requests.Response:
        """GET with a key, on a connection of its own."""
        return requests.get(self.url + path, headers=KEYS, timeout=PATIENCE_S)

    def upload(self, lecture: Lecture | None = None) -> requests.Response:
        """Send a small recording, by default under an id of its own."""
        sent = lecture or a_lecture()
        return requests.post(
            f"{self.url}/video/receive",
            data=sent.body(),
            headers={**KEYS, "Content-Type": forms.CONTENT_TYPE},
            timeout=PATIENCE_S,
        )

    def unfinished(self) -> list[Path]:
        """Return the objects that are being written."""
        return list((self.folder / "partial").iterdir())

    def is_well(self) -> bool:
        """Tell whether it takes a recording and knows it afterwards."""
        lecture = a_lecture()
        taken = self.upload(lecture).status_code == 200
        return taken and self.get(f"/status/{lecture.video_id}").status_code == 200

    def say(self, *pieces: bytes, end: bool = True) -> list[tuple[int, Any]]:
        """Send bytes on one connection and return each answer that comes until it is closed."""
        with self.connect() as connection:
            with contextlib.suppress(OSError):  # refused before all was sent
                for piece in pieces:
                    connection.sendall(piece)
                if end:
                    connection.shutdown(socket.SHUT_WR)
            return answers(connection)


@contextlib.contextmanager
def serving(folder: Path, *deadlines: str) -> Iterator[Served]:
    """Run the service; `deadlines` are those of `tests.http.serve`."""
    with socket.create_server(("127.0.0.1", 0), backlog=2000) as listener:
        handle, port = listener.fileno(), listener.getsockname()[1]
        command = [sys.executable, "-m", "tests.http.serve", str(handle), str(folder), *deadlines]
        log = folder.with_name(f"{folder.name}.log")
        with log.open("ab") as told:
            child = subprocess.Popen(command, cwd=ROOT, pass_fds=[handle], stdout=told, stderr=told)
    served = Served(port=port, folder=folder)
    try:
        assert served.get("/health").status_code == 200
        yield served
    finally:
        child.terminate()
        try:
            child.wait(PATIENCE_S)
        finally:
            child.kill()
            child.wait()
        planted.assert_hidden(log)


def a_lecture(data: bytes = forms.recording()) -> Lecture:
    """Return a recording under an id of its own."""
    return Lecture(video_id=uuid.uuid4().hex, data=data)


def head(
    *headers: str, path: str = "/video/receive", method: str = "POST", key: str = KEY
) -> bytes:
    """Return a request's head, with a key and a form's type, and `headers` besides."""
    lines = (
        f"{method} {path} HTTP/1.1",
        "Host: lectern",
        f"X-API-Key: {key}",
        f"Content-Type: {forms.CONTENT_TYPE}",
        *headers,
        "",
        "",
    )
    return "\r\n".join(lines).encode("latin-1")


def answers(connection: socket.socket) -> list[tuple[int, Any]]:
    """Return status and JSON body of each answer that comes until the other side closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            received += data
    found = []
    while received.startswith(b"HTTP/1.1 "):
        top, _, rest = received.partition(b"\r\n\r\n")
        status = int(top[9:12])
        length = 0
        for line in top.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if status >= 200:
            found.append((status, _json(rest[:length])))
        received = rest[length:] if status >= 200 else rest
    return found


def wait_until(condition: Callable[[], bool], *, seconds: float = PATIENCE_S) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body
