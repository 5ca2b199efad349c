"""How much is let in at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from core import limits
from core.errors import Busy, Unavailable
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


class Line(Protocol):
    """A connection by which bytes come in."""

    def silent_s(self) -> float:
        """Return for how long hardly anything has come."""
        ...

    def give_up(self) -> None:
        """Let the body end here: its reader finds it cut off."""
        ...


class Remembered(Generic[Value]):
    """A value that is looked up at most once in `limits.GLANCE_S`, by one thread at a time."""

    def __init__(self, look: Callable[[], Value], clock: Clock) -> None:
        self._look = look
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[float, Value] | None = None

    def __call__(self) -> Value:
        """Return the value, at most `limits.GLANCE_S` old; raises what the look-up raises.

        Where another thread looks for longer than `limits.TURN_S` the last value serves, however
        old; raises Unavailable if there is none.
        """
        if not self._lock.acquire(timeout=limits.TURN_S):
            if self._kept is None:
                raise Unavailable("the job store takes long to answer; try again")
            return self._kept[1]
        try:
            now = self._clock.now()
            if self._kept is None or not 0 <= now - self._kept[0] < limits.GLANCE_S:
                value = self._look()
                self._kept = self._clock.now(), value
            return self._kept[1]
        finally:
            self._lock.release()


class Admission:
    """Lets an upload begin, or raises Busy.

    The queue bound is soft: uploads that are on their way are not counted yet. Where all places
    are taken, an upload that has been silent for `limits.GIVE_WAY_S` loses its place to a newcomer.
    """

    def __init__(self, *, jobs: JobStore, clock: Clock, bounds: ReceiveLimits) -> None:
        self.bounds = bounds
        self._slots = threading.BoundedSemaphore(bounds.max_uploads_at_once)
        self._lines: set[Line] = set()
        self._pieces: Counter[str] = Counter()
        self._guard = threading.Lock()
        self._unfinished = Remembered(lambda: unfinished(jobs), clock)

    @contextmanager
    def upload(self, line: Line) -> Iterator[None]:
        """Hold a place for one upload that becomes a job and comes in by `line`."""
        with self.transfer(line):
            self.check_queue()
            yield

    @contextmanager
    def transfer(self, line: Line | None = None) -> Iterator[None]:
        """Hold a place for bytes on their way whose upload was let in before."""
        if not self._slots.acquire(blocking=False) and not self._takes_over():
            raise _busy("too many uploads are on their way at once")
        try:
            with self._heard(line):
                yield
        finally:
            self._slots.release()

    @contextmanager
    def piece(self, run: str, line: Line | None = None) -> Iterator[None]:
        """Hold a place for a piece of one upload, which may hold `limits.UPLOAD_PIECES_MAX`."""
        with self._guard:
            if self._pieces[run] >= limits.UPLOAD_PIECES_MAX:
                raise _busy("pieces of this upload are on their way already")
            self._pieces[run] += 1
        try:
            with self.transfer(line):
                yield
        finally:
            with self._guard:
                self._pieces -= Counter((run,))

    @contextmanager
    def _heard(self, line: Line | None) -> Iterator[None]:
        """Let the line's place be taken over while it is silent."""
        if line is not None:
            with self._guard:
                self._lines.add(line)
        try:
            yield
        finally:
            with self._guard:
                self._lines -= {line}

    def _takes_over(self) -> bool:
        """Have the most silent upload give up, and return whether a place became free by it."""
        with self._guard:
            silent = max(self._lines, key=lambda line: line.silent_s(), default=None)
            if silent is None or silent.silent_s() < limits.GIVE_WAY_S:
                return False
            self._lines.remove(silent)
        silent.give_up()
        return self._slots.acquire(timeout=limits.TURN_S)

    def check_queue(self) -> None:
        """Return if there is room for one more job; hold nothing."""
        if self._unfinished() >= self.bounds.max_unfinished_jobs:
            raise _busy("too many recordings wait for their turn")


def unfinished(jobs: JobStore) -> int:
    """Return how many jobs have work left to be done."""
    return sum(count for state, count in jobs.counts().items() if state in UNFINISHED)


def _busy(reason: str) -> Busy:
    return Busy(f"{reason}; send this one again later", retry_after_s=limits.BUSY_RETRY_S)
