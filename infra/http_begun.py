"""The beginning of a request as it comes in, and what its head says of the rest."""

from __future__ import annotations

import re
from typing import Final

from core import limits

ENVIRON: Final = "lectern.begun"
"""Where a WSGI environment has the request's Begun, under a worker that takes requests back."""
_HEAD_BYTES_MAX: Final = 64 * limits.KIB
"""A head without an end: gunicorn refuses it by its own limits."""
_SHORT_BYTES: Final = max(limits.CONFIRM_BYTES_MAX, limits.ANNOUNCEMENT_BYTES_MAX)
"""A body that is read as a whole; one that says so in its head is gathered before all else."""
_BEGIN_BYTES: Final = _SHORT_BYTES + 1
"""Bytes of a body that must be there before a thread waits for more: by then a short one is whole,
or known to be too long."""
_CHUNKED_BYTES_MAX: Final = 3 * _BEGIN_BYTES
"""The same in chunks, each of which adds five bytes or more; gunicorn copies all that it has for
each, so many small ones cost time."""
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*(?=\r\n)", re.IGNORECASE)
_DIGITS_MAX: Final = 18
_CODING: Final = re.compile(rb"\r\ntransfer-encoding[ \t]*:([^\r\n]*)", re.IGNORECASE)
_EXPECT: Final = re.compile(rb"\r\nexpect[ \t]*:", re.IGNORECASE)


class Unbegun(BaseException):
    """The request is not answered yet: its body shall have begun when it is looked at again.

    Raised by the first read of a body, before anything was done that cannot be done twice. No
    error of the service, so nothing between that read and the worker may take it for one.
    """


class Begun:
    """What has come of a request.

    A thread gets it at once, to refuse it before its body is sent; only a short body that is
    announced is gathered before. A thread that would have to wait for the first bytes of a body
    gives the request back (`park`), and gets it again when they are there.
    """

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray()
        self.is_parked = False
        self._is_over = False
        self._body_at = 0
        self._length = 0
        self._asks = False
        self._chunks: _Chunks | None = None
        self.take(data)

    def take(self, data: bytes) -> None:
        """Add what has come."""
        self.data += data
        if not self._body_at:
            self._read_head()
        if self._chunks is not None:
            self._chunks.walk(self.data)

    def end(self) -> None:
        """Take note that nothing more is awaited, and drop what is not worth reading."""
        if self.is_padded:
            del self.data[self._body_at :]
        self._is_over = True

    def park(self) -> None:
        """Take note that a thread gave the request back."""
        self.is_parked = True

    @property
    def has_head(self) -> bool:
        """Whether the head is whole."""
        return self._body_at > 0

    @property
    def is_servable(self) -> bool:
        """Whether a thread can do something for the request without waiting."""
        if not self.has_head:
            return len(self.data) > _HEAD_BYTES_MAX
        if self.is_parked or self._is_short:
            return self.has_begun
        return True

    @property
    def has_begun(self) -> bool:
        """Whether a thread may wait for the rest of the body, or there is none to wait for."""
        if self._is_over:
            return True
        if self._chunks is not None:
            return self._chunks.is_whole or self._chunks.count >= _BEGIN_BYTES
        return len(self.data) - self._body_at >= min(self._length, _BEGIN_BYTES)

    @property
    def _is_short(self) -> bool:
        """Whether the head says so, and the client does not wait to be asked."""
        return self._chunks is None and not self._asks and self._length <= _SHORT_BYTES

    @property
    def is_padded(self) -> bool:
        """Whether so much has come for so little that more of it is not worth waiting for."""
        return self.is_parked and len(self.data) - self._body_at > _CHUNKED_BYTES_MAX

    def _read_head(self) -> None:
        leading = len(self.data) - len(self.data.lstrip(b"\r\n"))
        at = self.data.find(b"\r\n\r\n", leading)
        if at < 0:
            return
        self._body_at = at + 4
        head = bytes(self.data[: at + 2])
        self._asks = _EXPECT.search(head) is not None
        lengths, codings = _LENGTH.findall(head), _CODING.findall(head)
        if any(b"chunked" in coding.lower() for coding in codings):
            if not lengths:  # with both gunicorn refuses it
                self._chunks = _Chunks(self._body_at)
        elif len(lengths) == 1:
            self._length = int(lengths[0].lstrip(b"0")[:_DIGITS_MAX] or b"0")


class _Chunks:
    """Walks through a chunked body: how many bytes it has, and whether it is whole or broken."""

    def __init__(self, at: int) -> None:
        self.count = 0
        self.is_whole = False
        self._at = at
        self._before = 0

    def walk(self, data: bytearray) -> None:
        """Go on to the end of `data`, the request so far."""
        while not self.is_whole:
            line_end = data.find(b"\r\n", self._at)
            if line_end < 0:
                return
            size = _size(data[self._at : line_end])
            if size <= 0:
                self.is_whole = size < 0 or _trailer_ends(data, line_end)
                return
            start, end = line_end + 2, line_end + 2 + size
            self.count = self._before + min(size, len(data) - start)
            if len(data) < end + 2:
                return
            self.is_whole = data[end : end + 2] != b"\r\n"
            self._at, self._before = end + 2, self._before + size


def _size(line: bytearray) -> int:
    """Return a chunk's bytes, below 0 for what no server takes."""
    try:
        return int(bytes(line.partition(b";")[0]), 16)
    except ValueError:
        return -1


def _trailer_ends(data: bytearray, line_end: int) -> bool:
    """Tell whether the trailer after the last chunk's line is whole; mostly it is empty."""
    return data.find(b"\r\n\r\n", line_end) >= 0
