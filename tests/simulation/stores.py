"""An object store, sessions and a job store in memory, with a door before and after each call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from core.declarations import token_digest
from core.errors import (
    AlreadyExists,
    InvalidField,
    MissingObject,
    StoreFull,
    TooLarge,
    Unavailable,
)
from core.job import Job, State, run_of
from core.ports import ObjectInfo, Session
from tests.simulation.promises import Promises
from tests.simulation.trouble import Trouble

_ASKED_AGAIN = 0.03
"""Share of updates whose answer an adapter has not heard, so that it tries them again."""
_CONTENDED = 0.15
"""Share of updates between whose reading and writing others get a turn."""


class _Writer:
    __slots__ = ("_data", "_key", "_store")

    def __init__(self, store: SimObjects, key: str) -> None:
        self._store = store
        self._key = key
        self._data = bytearray()

    def __enter__(self) -> Self:
        self._store.partials[self] = self._store.trouble.hub.now
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._store.trouble.dies():
            self._store.partials.pop(self, None)

    def write(self, data: bytes | memoryview) -> None:
        self._store.trouble.enter("objects", "write")
        self._data += data
        if self in self._store.partials:
            self._store.partials[self] = self._store.trouble.hub.now

    def commit(self) -> ObjectInfo:
        self._store.trouble.enter("objects", "commit")
        if self not in self._store.partials:
            raise Unavailable(f"{self._key} was discarded unfinished; write it again")
        info = self._store.keep(self._key, bytes(self._data))
        self._store.trouble.leave("objects", "commit")
        return info


class _Reader:
    __slots__ = ("_at", "_data", "_trouble", "size")

    def __init__(self, data: bytes, start: int, trouble: Trouble) -> None:
        self.size = len(data)
        self._data = data
        self._at = start
        self._trouble = trouble

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def read(self, count: int = -1, /) -> bytes:
        if self._at >= self.size:
            return b""
        self._trouble.enter("objects", "read")
        end = self.size if count < 0 else min(self._at + count, self.size)
        data = self._data[self._at : end]
        self._at = end
        return data


class SimObjects:
    """An ObjectStore."""

    def __init__(self, trouble: Trouble, promises: Promises) -> None:
        self.trouble = trouble
        self.held: dict[str, tuple[bytes, ObjectInfo]] = {}
        self.partials: dict[_Writer, float] = {}
        self.sessions: dict[str, SimSession] = {}
        self._promises = promises

    def create(self, key: str, *, expected_bytes: int | None = None) -> _Writer:
        """Begin an object."""
        del expected_bytes
        self.trouble.enter("objects", "create")
        return _Writer(self, key)

    def open(self, key: str, *, start: int = 0) -> _Reader:
        """Read an object."""
        self.trouble.enter("objects", "open")
        return _Reader(self._data(key), start, self.trouble)

    def fetch(self, key: str, to: Any) -> None:
        """Copy an object into a private folder."""
        self.trouble.enter("objects", "fetch")
        data = self._data(key)
        try:
            to.write_bytes(data)
        except FileNotFoundError as error:
            raise Unavailable("the folder has vanished") from error
        self.trouble.leave("objects", "fetch")

    def upload(self, key: str, path: Any) -> ObjectInfo:
        """Commit a file of a private folder."""
        self.trouble.enter("objects", "upload")
        if self.trouble.happens("full"):
            self.trouble.coverage["store", "full"] += 1
            raise StoreFull(f"there is no room for {key}")
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise Unavailable("the file has vanished") from error
        info = self.keep(key, data)
        self.trouble.leave("objects", "upload")
        return info

    def delete(self, *keys: str) -> None:
        """Remove objects, one after the other."""
        for key in keys:
            self.trouble.enter("objects", "delete")
            if key in self.held:
                self.trouble.say(f"    deletes {key}")
                self._promises.deleted(key)
                del self.held[key]
            self.trouble.leave("objects", "delete")

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Return what is there now."""
        self.trouble.enter("objects", "list")
        return iter([info for key, (_, info) in self.held.items() if key.startswith(prefix)])

    def discard_partials(self, *, before: float) -> int:
        """Drop what was left unfinished, and sessions whose time is over."""
        self.trouble.enter("objects", "discard_partials")
        stale = [writer for writer, at in self.partials.items() if at < before]
        for writer in stale:
            del self.partials[writer]
        over = [key for key, session in self.sessions.items() if session.expires_at < before]
        for key in over:
            del self.sessions[key]
        return len(stale) + len(over)

    def keep(self, key: str, data: bytes) -> ObjectInfo:
        """Make `data` the object, unless there is one."""
        if key in self.held:
            raise AlreadyExists(key)
        info = ObjectInfo(key=key, size=len(data), committed_at=self.trouble.hub.now)
        self.held[key] = data, info
        self.trouble.say(f"    commits {key}")
        self._promises.committed(key, data)
        return info

    def _data(self, key: str) -> bytes:
        held = self.held.get(key)
        if held is None:
            raise MissingObject(f"there is no object {key}")
        return held[0]


class SimSession:
    """The bytes of a direct upload so far."""

    __slots__ = ("committed", "data", "expires_at", "size")

    def __init__(self, size: int, expires_at: float) -> None:
        self.size = size
        self.expires_at = expires_at
        self.data = b""
        self.committed = False


class SimSessions:
    """DirectUploads and UploadInlet; the bytes lie in the object store."""

    def __init__(self, objects: SimObjects) -> None:
        self._objects = objects
        self._trouble = objects.trouble

    def begin(self, key: str, *, size: int, content_type: str, expires_at: float) -> Session:
        """Open a session."""
        del content_type
        self._trouble.enter("sessions", "begin")
        if key in self._objects.sessions or key in self._objects.held:
            raise AlreadyExists(key)
        if len(self._objects.sessions) >= 4:
            raise StoreFull("too many sessions are open")
        self._objects.sessions[key] = SimSession(size, expires_at)
        self._trouble.leave("sessions", "begin")
        return Session(url=f"/uploads/{run_of(key)}/content", handle=token_digest(key))

    def persisted(self, key: str, handle: str) -> int | None:
        """Say how much is here."""
        del handle
        self._trouble.enter("sessions", "persisted")
        if key in self._objects.held:
            return self._objects.held[key][1].size
        session = self._objects.sessions.get(key)
        return len(session.data) if session is not None and not session.committed else None

    def cancel(self, key: str, handle: str) -> None:
        """Drop the session."""
        del handle
        self._trouble.enter("sessions", "cancel")
        self._objects.sessions.pop(key, None)
        self._trouble.leave("sessions", "cancel")

    def release(self, key: str) -> None:
        """Drop what is kept of a session that is over."""
        self._trouble.enter("sessions", "release")
        self._objects.sessions.pop(key, None)
        self._trouble.leave("sessions", "release")

    def append(self, key: str, *, start: int, read: Callable[[int], bytes]) -> int:
        """Take the bytes that are new; with the last one there is an object."""
        self._trouble.enter("sessions", "append")
        session = self._objects.sessions.get(key)
        if session is None:
            raise MissingObject(key)
        if session.committed:
            return session.size
        if start > len(session.data):
            raise InvalidField("a gap")
        data = read(session.size)
        if start + len(data) > session.size:
            raise TooLarge("more than was announced")
        session.data += data[len(session.data) - start :]
        if len(session.data) == session.size:
            session.committed = True
            self._objects.keep(key, session.data)
        self._trouble.leave("sessions", "append")
        return len(session.data)


class SimJobs:
    """A JobStore whose writers race: the loser's change is made anew."""

    def __init__(self, trouble: Trouble, promises: Promises, roll: Callable[[], float]) -> None:
        self.held: dict[str, Job] = {}
        self._trouble = trouble
        self._promises = promises
        self._roll = roll

    def get(self, job_id: str) -> Job | None:
        """Return the job."""
        self._trouble.enter("jobs", "get")
        return self.held.get(job_id)

    def update(self, job_id: str, change: Callable[[Job | None], Job]) -> Job:
        """Replace the job."""
        trouble = self._trouble
        trouble.enter("jobs", "update")
        while True:
            before = self.held.get(job_id)
            after = change(before)
            if after is before:
                return after
            if trouble.hub.current is not None and self._roll() < _CONTENDED:
                trouble.hub.pause(trouble.hub.now)
                if self.held.get(job_id) is not before:
                    trouble.coverage["contended"] += 1
                    continue
            break
        if trouble.trace is not None:
            trouble.say(_told(before, after))
        self._promises.recorded(before, after)
        self.held[job_id] = after
        try:
            trouble.leave("jobs", "update")
        except Unavailable:
            if self._roll() < 0.5:
                raise
            return self._asked_again(job_id, change)
        if trouble.hub.current is not None and self._roll() < _ASKED_AGAIN:
            return self._asked_again(job_id, change)
        return after

    def _asked_again(self, job_id: str, change: Callable[[Job | None], Job]) -> Job:
        """Do as an adapter that tries an update again whose answer was lost, though it stands."""
        self._trouble.coverage["update", "tried again"] += 1
        task = self._trouble.hub.current
        if task is not None:
            task.process.asked_again = True
        self._trouble.say("    the update is tried again")
        before = self.held.get(job_id)
        after = change(before)
        if after is not before:
            self._promises.recorded(before, after)
            self.held[job_id] = after
        return after

    def due(self, now: float, *, limit: int) -> list[Job]:
        """Return jobs whose time has come."""
        self._trouble.enter("jobs", "due")
        ready = [job for job in self.held.values() if job.wake_at <= now]
        ready.sort(key=lambda job: job.wake_at)
        return ready[:limit]

    def recent(self, *, limit: int, state: State | None = None) -> list[Job]:
        """Return jobs."""
        self._trouble.enter("jobs", "recent")
        return [job for job in self.held.values() if state in (None, job.state)][:limit]

    def owner(self, run: str) -> str | None:
        """Return the job of a run."""
        self._trouble.enter("jobs", "owner")
        return next((job.job_id for job in self.held.values() if job.run == run), None)

    def counts(self) -> Mapping[State, int]:
        """Return how many there are."""
        self._trouble.enter("jobs", "counts")
        return Counter(job.state for job in self.held.values())

    def forget(self, job_id: str, run: str) -> None:
        """Delete the record of that run."""
        self._trouble.enter("jobs", "forget")
        job = self.held.get(job_id)
        if job is not None and job.run == run:
            self._promises.forgotten(job)
            del self.held[job_id]
        self._trouble.leave("jobs", "forget")


def _told(before: Job | None, after: Job) -> str:
    known = before.history[-1:] if before is not None else ()
    event = after.history[-1].event if after.history[-1:] != known else "-"
    was = before.state.value if before is not None else "nothing"
    return (
        f"    {after.job_id}/{after.run}: {was} -> {after.state.value} ({event}) fence "
        f"{after.fence} claims {after.claims} wake {after.wake_at - 1_800_000_000:.1f}"
    )
