"""In-memory adapters that keep the promises of `core.ports`, and sample values."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from core.delivery import Answered, Outcome, Parcel
from core.errors import (
    AlreadyExists,
    MissingObject,
    StoreFull,
    Unavailable,
    UnreadableRecord,
)
from core.events import Encoded
from core.job import (
    Failure,
    Job,
    MediaSummary,
    Policy,
    Rendition,
    Source,
    State,
    output_key,
    source_key,
)
from core.ledger import Ledger
from core.messages import Message, Topic
from core.ports import Clock, Handout, ObjectInfo, ObjectReader, ObjectStore, Unreadable
from core.submission import Upload
from tests import planted

START = 1_800_000_000.0
_CAPACITY_BYTES = 4 * 1024**3
_UPDATE_TRIES_MAX = 100_000
_READ_BYTES = 64 * 1024


class FakeClock:
    """A clock that moves only when it is told to."""

    def __init__(self, start: float = START) -> None:
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return the present, in seconds since the epoch."""
        with self._lock:
            return self._now

    def advance(self, s: float) -> None:
        """Let `s` seconds pass."""
        with self._lock:
            self._now += s


@dataclass(slots=True)
class _Partial:
    key: str
    written_at: float
    data: bytearray = field(default_factory=bytearray)


class _MemoryReader:
    def __init__(self, data: bytes, start: int) -> None:
        self.size = len(data)
        self._body = BytesIO(data)
        self._body.seek(start)

    def read(self, count: int = -1, /) -> bytes:
        return self._body.read(count)


class _MemoryWriter:
    def __init__(self, store: MemoryObjectStore, partial: _Partial) -> None:
        self._store = store
        self._partial = partial

    def write(self, data: bytes | memoryview) -> None:
        self._store._append(self._partial, bytes(data))

    def commit(self) -> ObjectInfo:
        return self._store._commit(self._partial)


class MemoryObjectStore:
    """An ObjectStore of at most `capacity_bytes`; `broken` makes every call raise Unavailable."""

    def __init__(self, clock: Clock, *, capacity_bytes: int = _CAPACITY_BYTES) -> None:
        self.broken = False
        self._clock = clock
        self._capacity_bytes = capacity_bytes
        self._lock = threading.RLock()
        self._objects: dict[str, tuple[bytes, float]] = {}
        self._partials: list[_Partial] = []

    @contextmanager
    def create(self, key: str, *, expected_bytes: int | None = None) -> Iterator[_MemoryWriter]:
        """Begin an object; it is dropped unless it is committed."""
        self._check()
        partial = _Partial(key=key, written_at=self._clock.now())
        with self._lock:
            self._make_room(expected_bytes or 0)
            self._partials.append(partial)
        try:
            yield _MemoryWriter(self, partial)
        finally:
            self._drop(partial)

    @contextmanager
    def open(self, key: str, *, start: int = 0) -> Iterator[ObjectReader]:
        """Read a committed object from byte `start`."""
        yield _MemoryReader(self._data(key), start)

    def fetch(self, key: str, to: Path) -> None:
        """Write a committed object to `to`."""
        to.write_bytes(self._data(key))

    def upload(self, key: str, path: Path) -> ObjectInfo:
        """Commit the file at `path`."""
        with self.create(key, expected_bytes=path.stat().st_size) as writer:
            writer.write(path.read_bytes())
            return writer.commit()

    def delete(self, *keys: str) -> None:
        """Remove the objects that are there."""
        self._check()
        with self._lock:
            for key in keys:
                self._objects.pop(key, None)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the committed objects under `prefix`, as they are now."""
        self._check()
        with self._lock:
            found = [_info(key, *held) for key, held in self._objects.items()]
        return (info for info in found if info.key.startswith(prefix))

    def list_from(self, prefix: str, start: str) -> Iterator[ObjectInfo]:
        """Yield them in the order of their keys, from one on."""
        found = sorted(self.list(prefix), key=lambda item: item.key)
        return (item for item in found if item.key >= start)

    def discard_partials(self, *, before: float) -> int:
        """Drop unfinished objects that were last written to before that time."""
        self._check()
        with self._lock:
            stale = [partial for partial in self._partials if partial.written_at < before]
            for partial in stale:
                self._drop(partial)
            return len(stale)

    def keys(self) -> set[str]:
        """Return the keys of all committed objects."""
        with self._lock:
            return set(self._objects)

    def _data(self, key: str) -> bytes:
        self._check()
        with self._lock:
            if key not in self._objects:
                raise MissingObject(f"there is no object {key}")
            return self._objects[key][0]

    def _append(self, partial: _Partial, data: bytes) -> None:
        self._check()
        with self._lock:
            self._make_room(len(data))
            partial.data += data
            partial.written_at = self._clock.now()

    def _commit(self, partial: _Partial) -> ObjectInfo:
        self._check()
        with self._lock:
            if partial.key in self._objects:
                raise AlreadyExists(f"{partial.key} was committed before")
            if not any(partial is other for other in self._partials):
                raise Unavailable(f"{partial.key} was discarded unfinished; write it again")
            held = bytes(partial.data), self._clock.now()
            self._objects[partial.key] = held
            self._drop(partial)
            return _info(partial.key, *held)

    def _drop(self, partial: _Partial) -> None:
        with self._lock:
            self._partials = [other for other in self._partials if other is not partial]

    def _make_room(self, count: int) -> None:
        used = sum(len(data) for data, _ in self._objects.values())
        used += sum(len(partial.data) for partial in self._partials)
        if used + count > self._capacity_bytes:
            raise StoreFull(f"no room for {count} bytes")

    def _check(self) -> None:
        if self.broken:
            raise Unavailable("the object store does not answer")


class MemoryJobStore:
    """A JobStore that lets writers race and has the loser try again, as remote stores do.

    `broken` makes every call raise Unavailable; the records of jobs in `spoiled` cannot be read;
    `loses_answer` has the next update that writes
    raise it after the write, as when a process dies between a record and what follows from it.
    """

    def __init__(self) -> None:
        self.broken = False
        self.loses_answer = False
        self.spoiled: set[str] = set()
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._turns: dict[str, int] = {}
        self._turn = itertools.count()

    def get(self, job_id: str) -> Job | None:
        """Return the job as it was last written, or None."""
        self._check()
        if job_id in self.spoiled:
            raise UnreadableRecord(f"the record of job {job_id} cannot be read")
        with self._lock:
            return self._jobs.get(job_id)

    def update(self, job_id: str, change: Callable[[Job | None], Job]) -> Job:
        """Replace the job by `change(job)`, called again when another write came between."""
        for _ in range(_UPDATE_TRIES_MAX):
            before = self.get(job_id)
            after = change(before)
            if after is before:
                return after
            if self._swap(job_id, before, after):
                return self._answer(after)
        raise Unavailable(f"too many writers want job {job_id}; try again")

    def due(self, now: float, *, limit: int) -> Sequence[Job | Unreadable]:
        """Return at most `limit` jobs whose `wake_at` has come, oldest first."""
        ready = (job for job in self.all() if job.wake_at <= now)
        return [
            Unreadable(job_id=job.job_id, reason="spoiled") if job.job_id in self.spoiled else job
            for job in sorted(ready, key=lambda job: job.wake_at)[:limit]
        ]

    def recent(self, *, limit: int, state: State | None = None) -> list[Job]:
        """Return at most `limit` jobs, those written to last first."""
        jobs = sorted(self.all(), key=lambda job: self._turns.get(job.job_id, -1), reverse=True)
        found = [job for job in jobs if state in (None, job.state)][:limit]
        return [job for job in found if job.job_id not in self.spoiled]

    def owner(self, run: str) -> str | None:
        """Return the id of the job whose present run this is, or None."""
        return next((job.job_id for job in self.all() if job.run == run), None)

    def counts(self) -> Mapping[State, int]:
        """Return how many jobs there are in each state."""
        return Counter(job.state for job in self.all())

    def forget(self, job_id: str, run: str) -> None:
        """Delete the record if its run is `run`."""
        self._check()
        with self._lock:
            job = self._jobs.get(job_id)
            if job is not None and job.run == run:
                del self._jobs[job_id]

    def all(self) -> list[Job]:
        """Return every job."""
        self._check()
        with self._lock:
            return list(self._jobs.values())

    def _answer(self, after: Job) -> Job:
        if self.loses_answer:
            self.loses_answer = False
            raise Unavailable("the answer was lost")
        return after

    def _swap(self, job_id: str, before: Job | None, after: Job) -> bool:
        with self._lock:
            if self._jobs.get(job_id) is not before:
                return False
            self._jobs[job_id] = after
            self._turns[job_id] = next(self._turn)
            return True

    def _check(self) -> None:
        if self.broken:
            raise Unavailable("the job store does not answer")


@dataclass(slots=True)
class _Letter:
    message: Message
    visible_at: float
    deliveries: int = 0
    receipt: str | None = None
    again_at: float | None = None


class MemoryBus:
    """A MessageBus that merges equal messages. `broken` makes every call raise Unavailable.

    `dead` holds what was buried, with the reason; `published` every message with its delay;
    `asked` counts the calls of `publish`, those that failed too.
    """

    def __init__(self, clock: Clock) -> None:
        self.broken = False
        self.asked = 0
        self.dead: list[tuple[Message, str]] = []
        self.published: list[tuple[Message, float]] = []
        self._clock = clock
        self._lock = threading.Lock()
        self._letters: dict[Message, _Letter] = {}
        self._receipts = itertools.count(1)

    def publish(self, message: Message, *, delay_s: float = 0.0) -> None:
        """Have `message` handed out once `delay_s` has passed."""
        self.asked += 1
        self._check()
        due_at = self._clock.now() + delay_s
        with self._lock:
            self.published.append((message, delay_s))
            letter = self._letters.get(message)
            if letter is None:
                self._letters[message] = _Letter(message=message, visible_at=due_at)
            elif letter.receipt is None:
                letter.visible_at = min(letter.visible_at, due_at)
            else:
                letter.again_at = _sooner(letter.again_at, due_at)

    def receive(self, topic: Topic, *, lease_s: float) -> Handout | None:
        """Return a message that is due, or None."""
        self._check()
        now = self._clock.now()
        with self._lock:
            due = (
                letter
                for letter in self._letters.values()
                if letter.message.topic is topic and letter.visible_at <= now
            )
            letter = min(due, key=lambda letter: letter.visible_at, default=None)
            if letter is None:
                return None
            letter.deliveries += 1
            letter.visible_at = now + lease_s
            letter.receipt = str(next(self._receipts))
            return Handout(
                message=letter.message, receipt=letter.receipt, deliveries=letter.deliveries
            )

    def ack(self, handout: Handout) -> None:
        """Drop the message, unless the lease went to another since."""
        self._check()
        with self._lock:
            if letter := self._held(handout):
                self._finish(letter)

    def nack(self, handout: Handout, *, delay_s: float) -> None:
        """Give the message back, to be handed out again after `delay_s`."""
        self._check()
        with self._lock:
            if letter := self._held(handout):
                letter.visible_at = _sooner(letter.again_at, self._clock.now() + delay_s)
                letter.receipt = letter.again_at = None

    def bury(self, handout: Handout, reason: str) -> None:
        """Keep the message and the reason in `dead`, out of circulation."""
        self._check()
        with self._lock:
            if letter := self._held(handout):
                self.dead.append((letter.message, reason))
                self._finish(letter)

    def depth(self, topic: Topic) -> int:
        """Return how many messages wait or are in hand."""
        self._check()
        with self._lock:
            return sum(message.topic is topic for message in self._letters)

    def next_at(self, message: Message) -> float | None:
        """Return when `message` is handed out next if its holder acknowledges it, or None."""
        with self._lock:
            letter = self._letters.get(message)
            if letter is None:
                return None
            return letter.visible_at if letter.receipt is None else letter.again_at

    def _held(self, handout: Handout) -> _Letter | None:
        letter = self._letters.get(handout.message)
        return letter if letter and letter.receipt == handout.receipt else None

    def _finish(self, letter: _Letter) -> None:
        del self._letters[letter.message]
        if letter.again_at is not None:
            self._letters[letter.message] = _Letter(
                message=letter.message, visible_at=letter.again_at
            )

    def _check(self) -> None:
        if self.broken:
            raise Unavailable("the bus does not answer")


class RecordingLog:
    """An EventLog that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []
        self._local = threading.local()

    def emit(self, event: str, /, **fields: object) -> None:
        """Keep `event` with its fields; none of them may show what is planted."""
        told = {**self._bound(), **fields}
        shown = planted.found_in(str(told))
        assert shown is None, f"{event} shows what must stay hidden: {shown}"
        self.events.append((event, told))

    @contextmanager
    def bind(self, **fields: object) -> Iterator[None]:
        """Add `fields` to the events inside the block."""
        before = self._bound()
        known = {name: value for name, value in fields.items() if value is not None}
        self._local.bound = {**before, **known}
        try:
            yield
        finally:
            self._local.bound = before

    def _bound(self) -> dict[str, object]:
        bound: dict[str, object] = getattr(self._local, "bound", {})
        return bound

    def names(self) -> list[str]:
        """Return the names of the events, in order."""
        return [name for name, _ in self.events]


class FakeCourier:
    """A Courier that answers with `outcomes` in turn; the last one answers for ever.

    `parcels` and `bodies` hold what was sent. `on_send` is called while the callback is open.
    """

    def __init__(self, outcomes: Iterable[Outcome] = (Answered(status=200),)) -> None:
        self.parcels: list[Parcel] = []
        self.bodies: list[bytes] = []
        self.enclosed: list[list[bytes]] = []
        self.on_send: Callable[[Parcel], None] | None = None
        self._outcomes = list(outcomes)
        self._lock = threading.Lock()

    def send(
        self, parcel: Parcel, body: ObjectReader, enclosed: Sequence[ObjectReader] = ()
    ) -> Outcome:
        """Take the parcel with all of its bytes and return the next outcome."""
        data = b"".join(iter(lambda: body.read(_READ_BYTES), b""))
        self.enclosed.append([each.read() for each in enclosed])
        with self._lock:
            self.parcels.append(parcel)
            self.bodies.append(data)
            outcome = self._outcomes[0] if len(self._outcomes) == 1 else self._outcomes.pop(0)
        if self.on_send is not None:
            self.on_send(parcel)
        return outcome


class RecordingProgress:
    """A Progress that keeps what it hears."""

    def __init__(self) -> None:
        self.reports: list[float] = []

    def report(self, percent: float) -> None:
        """Keep `percent`."""
        self.reports.append(percent)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A ledger with its fakes under their own types, so that a test can break them."""

    clock: FakeClock
    objects: MemoryObjectStore
    jobs: MemoryJobStore
    bus: MemoryBus
    log: RecordingLog
    ledger: Ledger


def a_world(*, clock: FakeClock | None = None, policy: Policy | None = None) -> World:
    """Return a ledger over fresh fakes, with the fakes at hand."""
    clock = clock or FakeClock()
    objects, jobs, bus, log = (
        MemoryObjectStore(clock),
        MemoryJobStore(),
        MemoryBus(clock),
        RecordingLog(),
    )
    ledger = Ledger(
        jobs=jobs, bus=bus, objects=objects, clock=clock, log=log, policy=policy or Policy()
    )
    return World(clock=clock, objects=objects, jobs=jobs, bus=bus, log=log, ledger=ledger)


def memory_ledger(clock: FakeClock, policy: Policy | None = None) -> Ledger:
    """Return a ledger over fresh fakes; `a_world` also hands over the fakes."""
    return a_world(clock=clock, policy=policy).ledger


def put(objects: ObjectStore, key: str, data: bytes) -> ObjectInfo:
    """Commit `data` under `key`."""
    with objects.create(key) as writer:
        writer.write(data)
        return writer.commit()


def sha256_of(data: bytes) -> str:
    """Return the lower-case hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def an_upload(
    job_id: str = "video-1",
    *,
    run: str = "run-1",
    organization_id: str = "org-1",
    data: bytes = b"a recording",
    container: str = "mp4",
) -> Upload:
    """Return an upload of `data`; whether its object is committed is the caller's business."""
    source = Source(
        key=source_key(run), size=len(data), sha256=sha256_of(data), container=container
    )
    return Upload(job_id=job_id, organization_id=organization_id, run=run, source=source)


def a_media_summary(*, width: int = 1280, height: int = 720) -> MediaSummary:
    """Return what would be known of a twelve second lecture."""
    return MediaSummary(
        width=width, height=height, duration_s=12.04, video_codec="h264", audio_codec="aac"
    )


def a_rendition(
    run: str = "run-1", fence: int = 1, *, data: bytes = b"a result", action: str = "encoded"
) -> Rendition:
    """Return the rendition that `data` makes under `fence`; its object is not committed here."""
    return Rendition(
        key=output_key(run, fence),
        size=len(data),
        sha256=sha256_of(data),
        media=a_media_summary(),
        action=action,
        work_s=3.5,
    )


def a_failure(code: str = "encode_failed", reason: str = "ffmpeg refused the file") -> Failure:
    """Return a failure."""
    return Failure(code=code, reason=reason)


def an_encoded(run: str = "run-1", fence: int = 1, *, data: bytes = b"a result") -> Encoded:
    """Return the event of a finished encode."""
    return Encoded(
        fence=fence,
        source_media=a_media_summary(width=1920, height=1080),
        output=a_rendition(run, fence, data=data),
    )


def _info(key: str, data: bytes, committed_at: float) -> ObjectInfo:
    return ObjectInfo(key=key, size=len(data), committed_at=committed_at)


def _sooner(known: float | None, other: float) -> float:
    return other if known is None else min(known, other)
