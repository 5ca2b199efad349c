"""Give a sandboxed child the bytes that it asks for, and no more.

The child has one end of a pair of sockets and no other way to the source. A question is where to
begin and how many bytes (`QUESTION`), an answer its length (`ANSWER`) and the bytes.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, Self

from core import limits
from core.errors import EncoderStalled

QUESTION: Final = struct.Struct("<QI")
ANSWER: Final = struct.Struct("<I")
QUESTION_BYTES_MAX: Final = limits.MIB
"""Bytes of one answer; FFmpeg reads far less at once."""
_PATIENCE_S: Final = 10.0
"""Seconds for a child to take an answer that it has asked for."""
_BLOCK_BYTES: Final = limits.MIB
"""Bytes read from the source at once: each read of an object store costs some 30 ms."""
_BLOCKS: Final = 16
"""Blocks that are kept: a file's index is read in small steps, sound and picture in turns."""


class Ranges(Protocol):
    """A source that any part can be read of."""

    @property
    def size(self) -> int:
        """Return its bytes in all."""
        ...

    def read(self, start: int, count: int) -> bytes:
        """Return `count` bytes from `start` on, fewer only at the end."""
        ...


class FileRanges:
    """A local file as Ranges."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = path.stat().st_size

    def read(self, start: int, count: int) -> bytes:
        """Return what the file holds there."""
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(count)


@dataclass(slots=True)
class Blocks:
    """Ranges that are read from another in blocks, the last few of which are kept.

    `fetched` counts the bytes that were read from there.
    """

    source: Ranges
    block_bytes: int = _BLOCK_BYTES
    fetched: int = 0
    size: int = field(init=False)
    _kept: OrderedDict[int, bytes] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.size = self.source.size

    def read(self, start: int, count: int) -> bytes:
        """Return what the source holds there."""
        end = min(start + count, self.size)
        data = bytearray()
        while start < end:
            number, offset = divmod(start, self.block_bytes)
            part = self._block(number)[offset : offset + end - start]
            if not part:
                break
            data += part
            start += len(part)
        return bytes(data)

    def _block(self, number: int) -> bytes:
        block = self._kept.get(number)
        if block is None:
            block = self.source.read(number * self.block_bytes, self.block_bytes)
            self.fetched += len(block)
            self._kept[number] = block
            if len(self._kept) > _BLOCKS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return block


class Desk:
    """Answers one child's questions; what the source raises is raised in `feed`."""

    def __init__(self, source: Ranges) -> None:
        self._source = source
        self._questions = b""
        self._ours, self._theirs = socket.socketpair()
        self._ours.settimeout(_PATIENCE_S)
        self.inherited = self._theirs.fileno()

    def fileno(self) -> int:
        """Return the end that questions come from."""
        return self._ours.fileno()

    def started(self) -> None:
        """Close the child's end on this side, so that its death is seen."""
        self._theirs.close()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of questions and answer those that are whole."""
        self._questions += data
        while len(self._questions) >= QUESTION.size:
            start, count = QUESTION.unpack_from(self._questions)
            self._questions = self._questions[QUESTION.size :]
            self._answer(self._source.read(start, min(count, QUESTION_BYTES_MAX)))

    def _answer(self, data: bytes) -> None:
        """Send; a child that has gone needs no answer, and how it went is seen elsewhere."""
        try:
            self._ours.sendall(ANSWER.pack(len(data)) + data)
        except TimeoutError:
            raise EncoderStalled("a program asked for bytes and did not take them") from None
        except OSError:
            self._questions = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._ours, self._theirs):
            with contextlib.suppress(OSError):
                end.close()
