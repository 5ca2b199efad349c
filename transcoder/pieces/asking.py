"""A child's way to the source: files whose bytes the parent answers with. Standard library only."""

from __future__ import annotations

import io
import os
import struct

QUESTION = struct.Struct("<QI")
ANSWER = struct.Struct("<I")
"""As in `ranged`, which children do not import."""
COUNT_MAX = 1 << 20


class Asked:
    """A seekable file of `size` bytes behind the descriptor `fd`."""

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size
        self.at = 0

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes, b"" at the end."""
        left = self.size - self.at
        count = min(left if count < 0 else count, left, COUNT_MAX)
        if count <= 0:
            return b""
        data = self.fetch(self.at, count)
        self.at += len(data)
        return data

    def fetch(self, start: int, count: int) -> bytes:
        """Ask for `count` bytes from `start` on."""
        os.write(self.fd, QUESTION.pack(start, count))
        (length,) = ANSWER.unpack(self._exactly(ANSWER.size))
        return self._exactly(length)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        self.at = max(base + offset, 0)
        return self.at

    def tell(self) -> int:
        """Return the next byte's position."""
        return self.at

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = os.read(self.fd, count - len(data))
            if not part:
                raise OSError("the source's bytes do not come any more")
            data += part
        return bytes(data)


class Spliced:
    """The source's first `head` bytes and, as if they followed, those from `body` on.

    It cannot be sought in: clusters and fragments know their own times, and an index would lead
    to the wrong places.
    """

    def __init__(self, source: Asked, head: int, body: int) -> None:
        self.source = source
        self.head = head
        self.body = body
        self.at = 0

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes, b"" at the end."""
        count = COUNT_MAX if count < 0 else min(count, COUNT_MAX)
        if self.at < self.head:
            self.source.seek(self.at)
            count = min(count, self.head - self.at)
        else:
            self.source.seek(self.body + self.at - self.head)
        data = self.source.read(count)
        self.at += len(data)
        return data
