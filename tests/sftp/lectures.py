"""What is delivered: sources of bytes, and depots that deliver them."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from core import limits
from core.placement import PlaceOutcome
from infra.sftp import SftpDepot
from infra.sftp_upload import WINDOW_BYTES
from tests.sftp.servers import Server

NAME = "0b6e3f1c-5a0e-4a2b-9d52-0a8f4c1f7e11.mp4"
LONG = random.Random(4).randbytes(3 * WINDOW_BYTES + 12_345)  # noqa: S311 - any bytes will do
"""More than is ever under way."""
VIDEO = LONG[:300_000]
"""Two requests of OpenSSH's size."""
LOGIN_REFUSED = (
    "the server refused the login: check SFTP_USER and SFTP_PASSWORD or SFTP_PRIVATE_KEY; "
    "nothing was sent"
)
SHORT_S = 0.4
LONG_S = 30.0


def nothing(_at: int) -> None:
    """Do nothing."""


class Lecture:
    """A stored object; `asked` has the bytes from which it was read, `given` counts them.

    `before(at)` is called before each read from byte `at` on.
    """

    def __init__(
        self,
        data: bytes = VIDEO,
        *,
        size: int | None = None,
        before: Callable[[int], object] = nothing,
    ) -> None:
        self.size = len(data) if size is None else size
        self.asked: list[int] = []
        self.given = 0
        self._data = data
        self._at = 0
        self._before = before

    @contextlib.contextmanager
    def opened(self, start: int) -> Iterator[Lecture]:
        """Open it at byte `start`."""
        self.asked.append(start)
        self._at = start
        yield self

    def read(self, count: int = -1, /) -> bytes:
        """Return the next bytes."""
        self._before(self._at)
        data = self._data[self._at :] if count < 0 else self._data[self._at : self._at + count]
        self._at += len(data)
        self.given += len(data)
        return data


class Zeros:
    """A stored object of any size that takes no memory, and watches that of this process."""

    def __init__(self, size: int, *, pause_s: float = 0.0) -> None:
        self.size = size
        self.given = 0
        self.peak_rss = 0
        self._pause_s = pause_s

    @contextlib.contextmanager
    def opened(self, start: int) -> Iterator[Zeros]:
        """Open it at byte `start`."""
        self.given = start
        yield self

    def read(self, count: int = -1, /) -> bytes:
        """Return the next zeros, after a pause."""
        time.sleep(self._pause_s)
        data = bytes(min(count, self.size - self.given, limits.MIB))
        self.given += len(data)
        self.peak_rss = max(self.peak_rss, psutil.Process().memory_info().rss)
        return data


def depot_at(server: Server, **options: Any) -> SftpDepot:
    """Return a depot at `server` with its key and known hosts, or what `options` say."""
    usual: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": server.user,
        "private_key": str(server.user_key.path),
        "known_hosts": server.known_hosts(),
        "connect_timeout_s": LONG_S,
        "stall_timeout_s": LONG_S,
        "total_timeout_s": LONG_S,
    }
    port = options.get("port", server.port)
    if port != server.port:
        usual["known_hosts"] = server.known_hosts().replace(f":{server.port} ", f":{port} ")
    return SftpDepot(**{**usual, **options})


def place(server: Server, lecture: Lecture | Zeros | None = None, **options: Any) -> PlaceOutcome:
    """Put a lecture into the server's folder."""
    lecture = Lecture() if lecture is None else lecture
    depot = depot_at(server, **options)
    return depot.place(str(path_at(server)), lecture.opened, size=lecture.size)


def path_at(server: Server) -> Path:
    """Return where the lecture is to stand."""
    return server.folder / NAME


def partial_at(server: Server) -> Path:
    """Return where it stands until it is whole."""
    return server.folder / f".{NAME}.part"


def names_in(folder: Path) -> list[str]:
    """Return the names of the files there, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())
