"""Jobs in Firestore: the record as JSON text, beside it the fields that are searched.

An update is a transaction of one document by compare and swap: read, change, write on the
condition that the document is still the one that was read. Firestore's own transactions would
hold a lock from the read on, and a container whose CPU is taken away in between would keep
everybody else out; here the slower one reads again. Firestore takes about one write a second
of a document for long, and bursts above that.

Each update carries a token, which is written with the record. So an update whose answer was
lost knows its own write when it reads again. Only if yet another writer came in between is
`change` run a second time, on the newest record; the rules refuse what is out of place then
(LeaseHeld, LeaseLost), and the sweep makes good an effect that nobody performed.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, unquote

from google.api_core import exceptions as google
from google.api_core.retry import Retry, if_exception_type
from google.cloud.firestore import (
    SERVER_TIMESTAMP,
    Client,
    DocumentReference,
    DocumentSnapshot,
    FieldFilter,
    Query,
)

from core.errors import Unavailable
from core.job import Job, State
from core.ports import Unreadable
from infra import records
from infra.clock import jitter
from infra.gcp.failures import unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeIndex:
    """An index that a query needs: its fields, each with its direction, in order."""

    fields: tuple[tuple[str, str], ...]


INDEXES: Final = (CompositeIndex(fields=(("state", "ASCENDING"), ("written_at", "DESCENDING"))),)
"""Composite indexes of the queries below; Firestore makes those of single fields by itself."""
UNINDEXED_FIELDS: Final = ("record", "token", "ttl_at")
"""Fields that no query asks for; an index of `record` would be slow and dear."""
TTL_FIELD: Final = "ttl_at"
"""The field of the collection's TTL policy. Only finished jobs without objects have it."""
TTL_GRACE_S: Final = 24 * 3600.0
"""Firestore's TTL is the backstop; the sweep forgets a record a day before it."""
_TIME_MAX: Final = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
_TRIES_MAX: Final = 100
"""Of one update. Among N writers at once each round has a winner, so N rounds suffice for one."""
_PAUSE_S: Final = 0.02
_PAUSE_MAX_S: Final = 0.5
"""Pauses between two tries grow to this; a hundred of them take half a minute."""
UPDATE_S: Final = 60.0
"""Seconds after which an update makes no further try: a request waits for it, with its thread."""
_TIMEOUT_S: Final = 20.0
"""Seconds for one call, with its own retries."""
_PASSING: Final = (
    google.ServiceUnavailable,
    google.ResourceExhausted,
    google.InternalServerError,
    google.Aborted,
)
_OVERTAKEN: Final = (
    google.Conflict,  # created meanwhile; Aborted is a kind of it
    google.FailedPrecondition,  # written meanwhile
    google.NotFound,  # deleted meanwhile
)
_NO_ANSWER: Final = (*_PASSING, google.DeadlineExceeded, google.RetryError, google.Unknown)


class FirestoreJobStore:
    """Keeps each job in a document of one collection. Make `client` after any fork."""

    def __init__(
        self,
        client: Client,
        collection: str = "jobs",
        *,
        timeout_s: float = _TIMEOUT_S,
        pause: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._jobs = client.collection(collection)
        self._timeout_s = timeout_s
        self._pause = pause
        self._monotonic = monotonic
        self._retry = Retry(
            predicate=if_exception_type(*_PASSING), initial=0.1, maximum=2.0, timeout=timeout_s
        )

    def get(self, job_id: str) -> Job | None:
        """Return the job, or None."""
        return _job(self._read(self._document(job_id)))

    def update(self, job_id: str, change: Callable[[Job | None], Job]) -> Job:
        """Change the job; see `core.ports.JobStore.update`."""
        document = self._document(job_id)
        token = uuid.uuid4().hex
        for _ in self._tries(job_id):
            found = self._read(document)
            before = _job(found)
            if before is not None and found.get("token") == token:
                return before  # written by an earlier try whose answer was lost
            after = change(before)
            if after is before or self._swap(document, found, _fields(after, token)):
                return after
        raise AssertionError("tries end by Unavailable")

    def due(self, now: float, *, limit: int) -> Sequence[Job | Unreadable]:
        """Return the jobs that the sweep must look at, oldest first."""
        query = self._jobs.where(filter=FieldFilter("wake_at", "<=", now))
        return self._find(query.order_by("wake_at").limit(limit))

    def recent(self, *, limit: int, state: State | None = None) -> list[Job]:
        """Return the jobs that were written last by Firestore's clock, newest first."""
        query: Query = self._jobs.order_by("written_at", direction=Query.DESCENDING)
        if state is not None:
            query = query.where(filter=FieldFilter("state", "==", state.value))
        return [job for job in self._find(query.limit(limit)) if isinstance(job, Job)]

    def owner(self, run: str) -> str | None:
        """Return the id of the job with this run."""
        found = self._find(self._jobs.where(filter=FieldFilter("run", "==", run)).limit(1))
        return found[0].job_id if found else None

    def counts(self) -> Mapping[State, int]:
        """Return the number of jobs in each state, each counted at its own moment."""
        with ThreadPoolExecutor(len(State)) as pool:
            return dict(zip(State, pool.map(self._count, State), strict=True))

    def forget(self, job_id: str, run: str) -> None:
        """Delete the record of this run."""
        document = self._document(job_id)
        for _ in self._tries(job_id):
            found = self._read(document)
            if not found.exists or found.get("run") != run or self._delete(document, found):
                return

    def _tries(self, job_id: str) -> Iterator[None]:
        """Begin one try after the other, with pauses; raises Unavailable when it is enough."""
        ends_at = self._monotonic() + UPDATE_S
        for attempt in range(_TRIES_MAX):
            yield
            self._pause(min(_PAUSE_S * 2 ** min(attempt, 10), _PAUSE_MAX_S) * jitter())
            if self._monotonic() >= ends_at:
                raise Unavailable(f"the write of job {job_id} takes too long; try again")
        raise Unavailable(f"too many writers want job {job_id}; try again")

    def _document(self, job_id: str) -> DocumentReference:
        return self._jobs.document(document_id(job_id))

    def _read(self, document: DocumentReference) -> DocumentSnapshot[DocumentReference]:
        with unavailable("Firestore"):
            return document.get(**self._options())

    def _swap(
        self,
        document: DocumentReference,
        found: DocumentSnapshot[DocumentReference],
        fields: dict[str, Any],
    ) -> bool:
        """Write if the document is still as `found`; False if not, or if no answer came."""
        with unavailable("Firestore"):
            try:
                if found.exists:
                    document.update(fields, option=self._unchanged(found), **self._options())
                else:
                    document.create(fields, **self._options())
            except (*_OVERTAKEN, *_NO_ANSWER):
                return False
            return True

    def _delete(
        self, document: DocumentReference, found: DocumentSnapshot[DocumentReference]
    ) -> bool:
        with unavailable("Firestore"):
            try:
                document.delete(option=self._unchanged(found), **self._options())
            except _OVERTAKEN:
                return False
            return True

    def _unchanged(self, found: DocumentSnapshot[DocumentReference]) -> Any:
        return self._client.write_option(last_update_time=found.update_time)

    def _find(self, query: Query) -> list[Job | Unreadable]:
        with unavailable("Firestore"):
            found = query.select(["record"]).get(**self._options())
            return [records.decode_or_name(_record(item), unquote(item.id)) for item in found]

    def _count(self, state: State) -> int:
        query = self._jobs.where(filter=FieldFilter("state", "==", state.value))
        with unavailable("Firestore"):
            found: Any = query.count(alias="jobs").get(**self._options())
            return int(found[0][0].value)

    def _options(self) -> dict[str, Any]:
        return {"retry": self._retry, "timeout": self._timeout_s}


def document_id(job_id: str) -> str:
    """Return the name of a job's document: its id, with `/` and `%` and the like escaped.

    An id begins with a letter or digit (`core.job.check_id`), so it is never one of the names
    that Firestore keeps for itself (`.`, `..`, `__…__`).
    """
    return quote(job_id, safe="~:@+=-._")


def _job(found: DocumentSnapshot[DocumentReference]) -> Job | None:
    return records.decode(_record(found), unquote(found.id)) if found.exists else None


def _record(found: DocumentSnapshot[DocumentReference]) -> str:
    """Return the record's text; a document without one has none that could be read."""
    return str((found.to_dict() or {}).get("record", ""))


def _fields(job: Job, token: str) -> dict[str, Any]:
    """Return the document. `record` is at most about 700 KB of the 1 MiB that one may have."""
    return {
        "run": job.run,
        "state": job.state.value,
        "wake_at": job.wake_at,
        "written_at": SERVER_TIMESTAMP,
        TTL_FIELD: _ttl_at(job),
        "token": token,
        "record": records.encode(job),
    }


def _ttl_at(job: Job) -> datetime | None:
    """Return when Firestore may drop the record; None while the job has work or objects left."""
    if not job.cleaned:
        return None
    return datetime.fromtimestamp(min(job.wake_at + TTL_GRACE_S, _TIME_MAX), UTC)
