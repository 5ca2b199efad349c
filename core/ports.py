"""What the rules need of the world. Docstrings are guarantees; every adapter passes one suite.

All ports are safe to use from several threads and processes at once. An adapter that cannot
reach its service raises Unavailable; the caller may try again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from core.delivery import Outcome, Parcel
from core.job import Job, State
from core.messages import Message, Topic
from core.placement import Notice, PlaceOutcome
from core.sets import SetGrant


class Clock(Protocol):
    """Time, so that rules and tests can be given any."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """A committed object: its key, size in bytes, and time of commit."""

    key: str
    size: int
    committed_at: float


class ObjectWriter(Protocol):
    """An object on its way in; nobody sees it before `commit`."""

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`. Raises StoreFull when there is no room."""
        ...

    def commit(self) -> ObjectInfo:
        """Make the object durable and visible, as a whole.

        When this returns the object survives the loss of power. Raises AlreadyExists when the
        key was committed before; what was committed first stays as it is.
        """
        ...


class ObjectReader(Protocol):
    """A committed object on its way out; `size` is the number of bytes of the whole object."""

    size: int

    def read(self, count: int = -1, /) -> bytes:
        """Return at most `count` bytes, all that is left for -1, or b"" at the end."""
        ...


class ObjectStore(Protocol):
    """Where recordings lie: write once, read many, delete.

    A key is made of two or more names of letters, digits and `._~-`, parted by `/`.
    """

    def create(
        self, key: str, *, expected_bytes: int | None = None
    ) -> AbstractContextManager[ObjectWriter]:
        """Begin an object. Leaving the context without `commit` drops what was written.

        Raises StoreFull at once when `expected_bytes` will not fit.
        """
        ...

    def open(self, key: str, *, start: int = 0) -> AbstractContextManager[ObjectReader]:
        """Read a committed object from byte `start`. Raises MissingObject."""
        ...

    def fetch(self, key: str, to: Path) -> None:
        """Put a committed object at `to`, to be read only; without a copy where that is possible.

        The file stays readable until it is removed, even if the object is deleted meanwhile.
        Raises MissingObject.
        """
        ...

    def upload(self, key: str, path: Path) -> ObjectInfo:
        """Commit a finished local file; guarantees and errors are those of `commit`.

        The file at `path` must not be written to afterwards: it may have become the object.
        """
        ...

    def delete(self, *keys: str) -> None:
        """Remove objects for good, in no set order; one that is not there is no error."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the committed objects whose key begins with `prefix`, in no set order."""
        ...

    def discard_partials(self, *, before: float) -> int:
        """Drop unfinished objects that were last written to before that time; return how many."""
        ...


@runtime_checkable
class OrderedListing(Protocol):
    """An object store that lists in order from any key on: a listing can be gone on with."""

    def list_from(self, prefix: str, start: str) -> Iterator[ObjectInfo]:
        """Yield what `list` does in the order of the keys, without those before `start`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Where the bytes of a direct upload go. Neither value is for logs.

    `url` carries its own authority; one that begins with `/` is a path of this service.
    `handle` is what the adapter needs to find the session again.
    """

    url: str = field(repr=False)
    handle: str = field(repr=False)


class DirectUploads(Protocol):
    """Sessions in which a caller puts an object's bytes into the store by itself.

    A session takes PUTs in the manner of Cloud Storage's resumable uploads, keeps what arrived
    before a cut, and commits the object, as a whole, when it has the announced bytes.
    """

    def begin(self, key: str, *, size: int, content_type: str, expires_at: float) -> Session:
        """Open a session for an object of exactly `size` bytes.

        It is kept until `expires_at` (seconds since the epoch), also over a restart. Raises
        StoreFull when `size` bytes will not fit or too many sessions are open, and
        AlreadyExists when the key has a session or an object.
        """
        ...

    def persisted(self, key: str, handle: str) -> int | None:
        """Return how many bytes are safe: all of them once the object is committed.

        None for a session that has ended without an object.
        """
        ...

    def cancel(self, key: str, handle: str) -> None:
        """End the session and drop its bytes; an object that it has committed stays."""
        ...

    def release(self, key: str) -> None:
        """Drop what is still kept of a session whose object is committed."""
        ...


class UploadInlet(Protocol):
    """The part of DirectUploads that a service needs which takes the bytes itself."""

    def append(self, key: str, *, start: int, read: Callable[[int], bytes]) -> int:
        """Keep the bytes of `read` as those from `start` on; return how many are safe then.

        `read(n)` returns n bytes, fewer only at the end. Bytes that were persisted before are
        passed over. Whatever `read` raises, what came before it is kept. Several writers of one
        session do no harm: each byte is kept once, from the first that brings it. With the last
        one the object is committed. Raises InvalidField when `start` leaves a gap, TooLarge,
        with the object uncommitted, for a byte more than was announced, StoreFull, and
        MissingObject when the session has ended.
        """
        ...


class Links(Protocol):
    """Makes the URLs of sets, which carry their own authority. None of it is for logs."""

    def url(self, grant: SetGrant, path: str) -> str:
        """Return the URL of the file `path`. Those of one grant differ in nothing but the path."""
        ...

    def grant(self, capability: str) -> SetGrant | None:
        """Return what a URL opens, whether or not its time is up; None for one not made here.

        `capability` is the part of the URL before the path. Takes as long for any that is wrong.
        """
        ...


class ReadSigner(Protocol):
    """An object store that can let others read an object from itself for a while."""

    def read_url(self, key: str, *, media_type: str, expires_s: float) -> str:
        """Return a URL that reads the object without further keys, sent as `media_type`.

        Raises Unavailable where it cannot be signed now.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A job whose record this release cannot read, and why not; no more is known of it."""

    job_id: str
    reason: str


class JobStore(Protocol):
    """What is known of each job. A returned write survives the loss of power.

    A record that another release wrote and this one cannot read stays as it is, and keeps nobody
    from the others: `get` and `update` of its job raise UnreadableRecord, `due` names it, `recent`
    passes it over.
    """

    def get(self, job_id: str) -> Job | None:
        """Return the job as it was last written, or None."""
        ...

    def update(self, job_id: str, change: Callable[[Job | None], Job]) -> Job:
        """Replace the job by `change(job)` in one transaction and return what was written.

        Concurrent updates of a job happen one after the other, none is lost. `change` is pure,
        may be called several times, and gets None for an unknown id; what it raises is raised
        here, and nothing is written. Returning its argument writes nothing.
        """
        ...

    def due(self, now: float, *, limit: int) -> Sequence[Job | Unreadable]:
        """Return at most `limit` jobs whose `wake_at` is not after `now`, oldest first."""
        ...

    def recent(self, *, limit: int, state: State | None = None) -> list[Job]:
        """Return at most `limit` jobs, those written to last first."""
        ...

    def owner(self, run: str) -> str | None:
        """Return the id of the job whose present run this is, or None: then it has no owner."""
        ...

    def counts(self) -> Mapping[State, int]:
        """Return how many jobs there are in each state; may lag a little behind."""
        ...

    def forget(self, job_id: str, run: str) -> None:
        """Delete the record if its run is `run`; otherwise do nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Handout:
    """A message in a worker's hands. `receipt` is for `ack` and `nack`."""

    message: Message
    receipt: str
    deliveries: int


class MessageBus(Protocol):
    """Brings messages to workers: at least once, in any order. Only a hint (see Ledger)."""

    def publish(self, message: Message, *, delay_s: float = 0.0) -> None:
        """Have `message` handed out once `delay_s` has passed.

        The same message published again may be merged with the first; one that is published
        while the same message is in a worker's hands is handed out again after its `ack`.
        """
        ...

    def receive(self, topic: Topic, *, lease_s: float) -> Handout | None:
        """Return a message that is due, or None. No one else gets it for `lease_s` seconds."""
        ...

    def ack(self, handout: Handout) -> None:
        """Drop the message: its work is done or void."""
        ...

    def nack(self, handout: Handout, *, delay_s: float) -> None:
        """Give the message back, to be handed out again after `delay_s`."""
        ...

    def bury(self, handout: Handout, reason: str) -> None:
        """Take the message out of circulation and keep it, with the reason, as a dead letter."""
        ...

    def depth(self, topic: Topic) -> int:
        """Return about how many messages wait or are in hand."""
        ...


class Courier(Protocol):
    """Carries a result to the LMS."""

    def send(
        self, parcel: Parcel, body: ObjectReader, enclosed: Sequence[ObjectReader] = ()
    ) -> Outcome:
        """POST the parcel with its files, streamed, and return what came of it.

        `enclosed` are its enclosures, in their order.

        Never raises for what the network or the LMS does, follows no redirect, reads no more
        than a bounded part of the answer, and ends within its time limit.
        """
        ...


class Depot(Protocol):
    """The LMS's own file storage."""

    def place(
        self,
        path: str,
        source: Callable[[int], AbstractContextManager[ObjectReader]],
        *,
        size: int,
    ) -> PlaceOutcome:
        """Put a file of `size` bytes at the absolute `path`, whole or not at all.

        `source(n)` opens the file from byte n on. Until it is whole the file has another name; what
        an earlier attempt left under that is gone on with. A name stands for the same bytes over
        all attempts: a file of `size` bytes at `path` is not sent again, another is replaced.
        Never raises for what the network or the storage does, ends within its time limit, and
        leaves no connection open. What `source` raises is raised.
        """
        ...


class Announcer(Protocol):
    """Tells the LMS where a result was put."""

    def announce(self, notice: Notice) -> Outcome:
        """POST the notice, signed, and return what came of it; guarantees as of Courier.send."""
        ...


class Progress(Protocol):
    """Hears how far a step has come."""

    def report(self, percent: float) -> None:
        """Take note of 0 to 100 percent. Cheap enough for every line that an encoder prints."""
        ...


class EventLog(Protocol):
    """Takes what happened as events with fields, never as prose."""

    def emit(self, event: str, /, **fields: object) -> None:
        """Record `event` (such as `job.storing`). No keys, no file names, no URL queries."""
        ...

    def bind(self, **fields: object) -> AbstractContextManager[None]:
        """Add `fields` to every event that this thread emits inside the block.

        A field that the event itself names wins. `traceparent` puts the events into a trace.
        """
        ...


class ReadinessCheck(Protocol):
    """Tells whether one thing that the service rests on works."""

    def __call__(self) -> None:
        """Return if it works; raise with the reason if not."""
        ...


Checks = Mapping[str, ReadinessCheck]
