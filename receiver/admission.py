"""How much is let in at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from core import limits
from core.errors import Busy
from core.job import UNFINISHED
from core.ports import Clock, JobStore
from receiver.intake import Bounds

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveLimits:
    """The settings that bound the front door."""

    files: Bounds
    max_unfinished_jobs: int
    max_uploads_at_once: int


class Remembered(Generic[Value]):
    """A value that is looked up at most once in `limits.GLANCE_S`, by one thread at a time."""

    def __init__(self, look: Callable[[], Value], clock: Clock) -> None:
        self._look = look
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[float, Value] | None = None

    def __call__(self) -> Value:
        """Return the value, at most `limits.GLANCE_S` old; raises what the look-up raises."""
        with self._lock:
            now = self._clock.now()
            if self._kept is None or not 0 <= now - self._kept[0] < limits.GLANCE_S:
                self._kept = now, self._look()
            return self._kept[1]


class Admission:
    """Lets an upload begin, or raises Busy.

    The queue bound is soft: uploads that are on their way are not counted yet.
    """

    def __init__(self, *, jobs: JobStore, clock: Clock, bounds: ReceiveLimits) -> None:
        self.bounds = bounds
        self._slots = threading.BoundedSemaphore(bounds.max_uploads_at_once)
        self._pieces: Counter[str] = Counter()
        self._guard = threading.Lock()
        self._unfinished = Remembered(lambda: unfinished(jobs), clock)

    @contextmanager
    def upload(self) -> Iterator[None]:
        """Hold a place for one upload that becomes a job."""
        with self.transfer():
            self.check_queue()
            yield

    @contextmanager
    def transfer(self) -> Iterator[None]:
        """Hold a place for bytes on their way whose upload was let in before."""
        if not self._slots.acquire(blocking=False):
            raise _busy("too many uploads are on their way at once")
        try:
            yield
        finally:
            self._slots.release()

    @contextmanager
    def piece(self, run: str) -> Iterator[None]:
        """Hold a place for a piece of one upload, which may hold `limits.UPLOAD_PIECES_MAX`."""
        with self._guard:
            if self._pieces[run] >= limits.UPLOAD_PIECES_MAX:
                raise _busy("pieces of this upload are on their way already")
            self._pieces[run] += 1
        try:
            with self.transfer():
                yield
        finally:
            with self._guard:
                self._pieces -= Counter((run,))

    def check_queue(self) -> None:
        """Return if there is room for one more job; hold nothing."""
        if self._unfinished() >= self.bounds.max_unfinished_jobs:
            raise _busy("too many recordings wait for their turn")


def unfinished(jobs: JobStore) -> int:
    """Return how many jobs have work left to be done."""
    return sum(count for state, count in jobs.counts().items() if state in UNFINISHED)


def _busy(reason: str) -> Busy:
    return Busy(f"{reason}; send this one again later", retry_after_s=limits.BUSY_RETRY_S)
