"""Direct uploads in memory, with the promises of their ports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from core.declarations import token_digest
from core.errors import AlreadyExists, InvalidField, MissingObject, StoreFull, TooLarge, Unavailable
from core.job import run_of
from core.ports import Session
from tests.fakes import MemoryObjectStore, put


@dataclass(slots=True)
class _Open:
    size: int
    data: bytearray = field(default_factory=bytearray)


class MemorySessions:
    """DirectUploads and UploadInlet on a MemoryObjectStore; `broken` raises Unavailable."""

    def __init__(self, objects: MemoryObjectStore, *, open_max: int = 100) -> None:
        self.broken = False
        self.opened: dict[str, _Open] = {}
        self._objects = objects
        self._open_max = open_max

    def begin(self, key: str, *, size: int, content_type: str, expires_at: float) -> Session:
        """Open a session; its token is its key turned around."""
        del content_type, expires_at
        self._check()
        if key in self.opened or key in self._objects.keys():  # noqa: SIM118 - a method
            raise AlreadyExists(key)
        if len(self.opened) >= self._open_max:
            raise StoreFull("too many sessions")
        with self._objects.create(key, expected_bytes=size):
            self.opened[key] = _Open(size)
        token = f"token-of-{run_of(key)}"
        return Session(
            url=f"/uploads/{run_of(key)}/content?token={token}", handle=token_digest(token)
        )

    def persisted(self, key: str, handle: str) -> int | None:
        """Return how many bytes are here."""
        del handle
        self._check()
        if key in self.opened:
            return len(self.opened[key].data)
        return next((item.size for item in self._objects.list(key) if item.key == key), None)

    def cancel(self, key: str, handle: str) -> None:
        """Forget the session."""
        del handle
        self._check()
        self.opened.pop(key, None)

    def release(self, key: str) -> None:
        """Forget the session."""
        self.opened.pop(key, None)

    def append(self, key: str, *, start: int, read: Callable[[int], bytes]) -> int:
        """Take the bytes that are new."""
        if key not in self.opened:
            raise MissingObject(key)
        session = self.opened[key]
        if start > len(session.data):
            raise InvalidField("a gap")
        at = start
        while piece := read(session.size - at + 1):
            if at + len(piece) > session.size:
                raise TooLarge("more than was announced")
            session.data += piece[max(len(session.data) - at, 0) :]
            at += len(piece)
        if len(session.data) == session.size:
            put(self._objects, key, bytes(session.data))
            self.release(key)
        return len(session.data) if key in self.opened else session.size

    def _check(self) -> None:
        if self.broken:
            raise Unavailable("no sessions can be reached")
