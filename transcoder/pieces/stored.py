"""A stored object of which any part can be read."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from core.ports import ObjectReader, ObjectStore


@dataclass(slots=True)
class StoredRanges:
    """Ranges of the object `key`; one that follows on the last is read on.

    To be used in a `with` statement. Raises what the store raises.
    """

    objects: ObjectStore
    key: str
    size: int = 0
    _at: int = 0
    _reader: ObjectReader | None = None
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        self.size = self._opened(0).size
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def read(self, start: int, count: int) -> bytes:
        """Return `count` bytes from `start` on, fewer only at the end."""
        reader = self._reader if self._reader and self._at == start else self._opened(start)
        data = bytearray()
        while len(data) < count and (part := reader.read(count - len(data))):
            data += part
        self._at = start + len(data)
        return bytes(data)

    def _opened(self, start: int) -> ObjectReader:
        self._open.close()
        opening: AbstractContextManager[ObjectReader] = self.objects.open(self.key, start=start)
        self._reader, self._at = self._open.enter_context(opening), start
        return self._reader
