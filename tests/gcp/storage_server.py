"""Cloud Storage's JSON API in memory, as strict as the real one where promises rest on it.

Generations and `ifGenerationMatch` (when a session begins and when it ends), resumable
sessions, ranges, checksums, pages. It breaks on command: see `break_next`. It knows no keys.
PyPI's gcp-storage-emulator ignores preconditions, which is why this is here.
"""

from __future__ import annotations

import base64
import re
import threading
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import google_crc32c

CHUNK_MULTIPLE: Final = 256 * 1024
_CONTENT_RANGE: Final = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Instead of doing anything, answer with this status."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Read this many bytes of the body, keep what a server would, and hang up."""

    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseAnswer:
    """Do what is asked and hang up without a word."""


Fault = Answer | Cut | LoseAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One generation of an object."""

    name: str
    data: bytes
    generation: int
    created: float
    content_type: str
    metadata: Mapping[str, str]

    @property
    def crc32c(self) -> str:
        """Return the checksum as the API writes it."""
        return crc32c_of(self.data)

    def resource(self) -> dict[str, Any]:
        """Return the object's metadata in the API's terms."""
        created = datetime.fromtimestamp(self.created, UTC).isoformat(timespec="milliseconds")
        return {
            "kind": "storage#object",
            "name": self.name,
            "size": str(len(self.data)),
            "generation": str(self.generation),
            "metageneration": "1",
            "crc32c": self.crc32c,
            "contentType": self.content_type,
            "timeCreated": created.replace("+00:00", "Z"),
            "metadata": dict(self.metadata),
        }


@dataclass(slots=True, kw_only=True)
class Session:
    """A resumable upload on its way."""

    name: str
    content_type: str
    metadata: Mapping[str, str]
    generation_match: int | None
    announced: int | None = None
    origin: str | None = None
    data: bytearray = field(default_factory=bytearray)
    finished: Stored | None = None


class Refusal(Exception):
    """A request that is answered with an error's status."""

    def __init__(self, status: HTTPStatus | int, reason: str = "") -> None:
        super().__init__(reason)
        self.status = int(status)


class Bucket:
    """The objects and sessions, and what shall go wrong with them.

    `enforces` = False makes it forget preconditions, as the emulator on PyPI does;
    `checks_hashes` = False makes it take any bytes; `spoils` bends them on their way in.
    `on_finalized` hears of each object that was made; it must return at once.
    """

    def __init__(self, now: Callable[[], float], *, page_size: int = 1000) -> None:
        self.enforces = True
        self.checks_hashes = True
        self.spoils = False
        self.on_finalized: Callable[[Stored], object] = lambda _stored: None
        self.page_size = page_size
        self.objects: dict[str, Stored] = {}
        self.sessions: dict[str, Session] = {}
        self.seen: list[tuple[str, int]] = []
        self._now = now
        self._lock = threading.RLock()
        self._generation = 1_700_000_000_000_000
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def break_next(self, kind: str, *faults: Fault) -> None:
        """Have the next requests of `kind` go wrong, one after the other.

        Kinds: begin, put, finish, query, cancel, stat, read, list, delete, and direct for bytes of
        a session whose size was announced.
        """
        self._faults[kind].extend(faults)

    def fault(self, kind: str, size: int) -> Fault | None:
        """Note a request with a body of `size` bytes; return what shall go wrong with it."""
        with self._lock:
            self.seen.append((kind, size))
            waiting = self._faults[kind]
            return waiting.popleft() if waiting else None

    def kinds(self) -> list[str]:
        """Return the kinds of the requests so far, in order."""
        return [kind for kind, _ in self.seen]

    def begin(self, session: Session) -> str:
        """Open a session and return its id."""
        with self._lock:
            self._check(session.name, session.generation_match)
            number = uuid.uuid4().hex
            self.sessions[number] = session
            return number

    def is_announced(self, number: str) -> bool:
        """Tell whether the session is one that holds its sender to a size."""
        with self._lock:
            session = self.sessions.get(number)
            return session is not None and session.announced is not None

    def expire_sessions(self) -> None:
        """Forget all unfinished uploads, as after a week."""
        with self._lock:
            self.sessions = {}

    def cancel(self, number: str) -> None:
        """Drop a session."""
        with self._lock:
            if self.sessions.pop(number, None) is None:
                raise Refusal(HTTPStatus.NOT_FOUND)

    def take(
        self, number: str, content_range: str, body: bytes, *, goog_hash: str | None, whole: bool
    ) -> Stored | Session:
        """Add a chunk to a session; return the object if that was the last one.

        A body that was cut short (`whole` is False) is kept in multiples of 256 KiB.
        """
        match = _CONTENT_RANGE.fullmatch(content_range)
        if match is None:
            raise Refusal(HTTPStatus.BAD_REQUEST, "Content-Range")
        start, _, total = match.groups()
        with self._lock:
            session = self._session(number)
            if session.finished is not None:
                return session.finished
            if session.announced is not None and total not in {"*", str(session.announced)}:
                raise Refusal(HTTPStatus.BAD_REQUEST, "not as many bytes as were announced")
            if start is not None:
                self._append(session, int(start), body, whole=whole, last=total != "*")
            if whole and total != "*" and len(session.data) == int(total):
                session.finished = self._finish(session, goog_hash)
                return session.finished
            return session

    def get(self, name: str, query: Mapping[str, str]) -> Stored:
        """Return an object, in the generation that the query asks for."""
        with self._lock:
            stored = self.objects.get(name)
            wanted = query.get("generation")
            if stored is None or (wanted and int(wanted) != stored.generation):
                raise Refusal(HTTPStatus.NOT_FOUND)
            self._check(name, _number(query.get("ifGenerationMatch")))
            return stored

    def delete(self, name: str, query: Mapping[str, str]) -> None:
        """Remove an object."""
        with self._lock:
            self.get(name, query)
            del self.objects[name]

    def page(self, prefix: str, after: str, start: str) -> tuple[list[Stored], str | None]:
        """Return the next objects by name, and the token for those that follow."""
        with self._lock:
            names = sorted(
                n for n in self.objects if n.startswith(prefix) and n > after and n >= start
            )
            page = names[: self.page_size]
            token = page[-1] if len(names) > len(page) else None
            return [self.objects[name] for name in page], token

    def _session(self, number: str) -> Session:
        if number not in self.sessions:
            raise Refusal(HTTPStatus.GONE)
        return self.sessions[number]

    def _append(
        self, session: Session, start: int, body: bytes, *, whole: bool, last: bool
    ) -> None:
        held = len(session.data)
        if start > held:
            raise Refusal(HTTPStatus.BAD_REQUEST, "a gap")
        fresh = body[held - start :]
        if not whole:
            fresh = fresh[: len(fresh) - (held + len(fresh)) % CHUNK_MULTIPLE]
        elif not last and (held + len(fresh)) % CHUNK_MULTIPLE:
            raise Refusal(HTTPStatus.BAD_REQUEST, "not a multiple of 256 KiB")
        session.data += fresh

    def _finish(self, session: Session, goog_hash: str | None) -> Stored:
        self._check(session.name, session.generation_match)
        data = bytes(session.data)
        if self.spoils:
            data = bytes([data[0] ^ 1]) + data[1:]
        if self.checks_hashes and goog_hash and goog_hash != f"crc32c={crc32c_of(data)}":
            raise Refusal(HTTPStatus.BAD_REQUEST, "crc32c")
        self._generation += 1
        stored = Stored(
            name=session.name,
            data=data,
            generation=self._generation,
            created=self._now(),
            content_type=session.content_type,
            metadata=session.metadata,
        )
        self.objects[session.name] = stored
        self.on_finalized(stored)
        return stored

    def _check(self, name: str, generation_match: int | None) -> None:
        stored = self.objects.get(name)
        present = stored.generation if stored else 0
        if self.enforces and generation_match not in {None, present}:
            raise Refusal(HTTPStatus.PRECONDITION_FAILED)


def crc32c_of(data: bytes) -> str:
    """Return the checksum as Cloud Storage writes it."""
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
