"""MP4 files taken apart into boxes and put together again, however wrong."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

_FOLDERS: Final = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"moof", b"traf", b"mvex"}
)
MAX: Final = 2**32 - 1


@dataclass(slots=True)
class Box:
    """One box: either other boxes, or a body."""

    kind: bytes
    body: bytes = b""
    inner: list[Box] = field(default_factory=list)

    def __bytes__(self) -> bytes:
        """Return it as it stands in a file."""
        body = self.body + b"".join(map(bytes, self.inner))
        return struct.pack(">I4s", 8 + len(body), self.kind) + body

    def all(self, *path: bytes) -> Iterator[Box]:
        """Yield every box at the end of a path of kinds."""
        if not path:
            yield self
            return
        for box in self.inner:
            if box.kind == path[0]:
                yield from box.all(*path[1:])

    def first(self, *path: bytes) -> Box:
        """Return the first of them."""
        return next(self.all(*path))


def read(data: bytes) -> Box:
    """Return a whole file as the boxes of one without a kind."""
    return Box(b"", inner=list(_boxes(data)))


def _boxes(data: bytes) -> Iterator[Box]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + max(size, 8)]
        yield Box(kind, inner=list(_boxes(body))) if kind in _FOLDERS else Box(kind, body)
        at += max(size, 8)


def whole(file: Box) -> bytes:
    """Return the bytes of what `read` gave."""
    return b"".join(map(bytes, file.inner))


def box(kind: bytes, *parts: bytes) -> bytes:
    """Return a box around some bytes."""
    return bytes(Box(kind, b"".join(parts)))


def lying(kind: bytes, size: int, body: bytes = b"") -> bytes:
    """Return a box that claims another size than it has."""
    if size > MAX:
        return struct.pack(">I4sQ", 1, kind, size) + body
    return struct.pack(">I4s", size, kind) + body


def changed(data: bytes, change: Callable[[Box], None]) -> bytes:
    """Return the file after a change of its index, which lies behind its media."""
    file = read(data)
    change(file.first(b"moov"))
    return whole(file)


def table(*path: bytes, body: bytes, handler: bytes | None = None) -> Callable[[Box], None]:
    """Return a change that gives each track's box at `path` another body."""

    def change(moov: Box) -> None:
        for track in moov.all(b"trak"):
            if handler and track.first(b"mdia", b"hdlr").body[8:12] != handler:
                continue
            for found in track.all(*path):
                found.body = body

    return change


SAMPLES: Final = (b"mdia", b"minf", b"stbl")
"""Where a track's tables lie."""


def patched(*path: bytes, at: int, value: bytes) -> Callable[[Box], None]:
    """Return a change that overwrites some bytes in each box at `path` of the movie."""

    def change(moov: Box) -> None:
        for found in moov.all(*path):
            found.body = found.body[:at] + value + found.body[at + len(value) :]

    return change
