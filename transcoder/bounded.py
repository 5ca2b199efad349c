"""Steps that end in time: what a pushed message is given.

A pull worker may take as long as `JOB_TIMEOUT`, because it renews its message. A push cannot be
renewed: after `limits.PUSH_ACK_S` Pub/Sub delivers it again. So a pushed step has
`limits.PUSH_STEP_S` in all. Its encode is killed `limits.PUSH_COMMIT_S` before that, its
transfers to and from the object store are broken off, and the job hears `step_timed_out`, which
is tried again as often as any passing failure and then ends the job. Longer recordings are cut
into pieces, which are steps of their own.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from core import limits
from core.assignment import Assignment
from core.errors import StepTimedOut
from core.ladder_pieces import PieceSet
from core.order import Order
from core.ports import ObjectInfo, ObjectReader, ObjectStore, ObjectWriter, Progress
from transcoder.compress import Compressed
from transcoder.images.make import MadeImages
from transcoder.ladder.texts import Sidecar
from transcoder.pieces.encode import MadePiece
from transcoder.pieces.ranged import Ranges
from transcoder.press import Press


class Within(Protocol):
    """`StopSignal.within`."""

    def __call__(self, seconds: float, why: str, /) -> AbstractContextManager[None]:
        """Raise StepTimedOut(why) in the block after `seconds`, and Interrupted on a stop."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The time of one step: `encode_by` and `end` are on the monotonic clock."""

    step_s: float
    encode_by: float
    end: float

    @classmethod
    def starting_now(cls, step_s: float = limits.PUSH_STEP_S) -> Budget:
        """Return the budget of a step that begins with this call and may take `step_s`."""
        now = time.monotonic()
        share = limits.PUSH_COMMIT_S / limits.PUSH_STEP_S
        return cls(step_s=step_s, encode_by=now + step_s * (1 - share), end=now + step_s)

    @property
    def why(self) -> str:
        """Return the reason of a step that took longer."""
        return (
            f"the step did not end within the {self.step_s:g} s that a pushed message may take; "
            "send the recording in shorter parts"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundedPress:
    """Works within what the budget has left, and never longer than `job_timeout_s` at a time.

    `press` returns what works within so many seconds.
    """

    press: Callable[[float], Press]
    budget: Budget
    job_timeout_s: float

    def begin(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed | Assignment:
        """See `Press`; so for all others."""
        with self._timed() as press:
            return press.begin(source, folder, order=order, progress=progress, stop=stop)

    def whole(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed:
        """Bound it."""
        with self._timed() as press:
            return press.whole(source, folder, order=order, progress=progress, stop=stop)

    def picture(
        self, source: Path, folder: Path, *, order: Order, stop: Callable[[], bool]
    ) -> MadeImages:
        """Bound it."""
        with self._timed() as press:
            return press.picture(source, folder, order=order, stop=stop)

    def make(
        self,
        assignment: Assignment,
        number: int,
        source: Ranges,
        folder: Path,
        *,
        stop: Callable[[], bool],
    ) -> MadePiece:
        """Bound it."""
        with self._timed() as press:
            return press.make(assignment, number, source, folder, stop=stop)

    def join(
        self,
        assignment: Assignment,
        pieces: Sequence[Path],
        fetch: Callable[[], Path],
        folder: Path,
        *,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed | Assignment:
        """Bound it."""
        with self._timed() as press:
            return press.join(assignment, pieces, fetch, folder, progress=progress, stop=stop)

    def join_renditions(
        self,
        assignment: Assignment,
        parts: Sequence[PieceSet],
        result: Path,
        source: Callable[[], Path],
        folder: Path,
        *,
        subtitles: Sequence[Sidecar],
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Path:
        """Bound it."""
        with self._timed() as press:
            return press.join_renditions(
                assignment,
                parts,
                result,
                source,
                folder,
                subtitles=subtitles,
                progress=progress,
                stop=stop,
            )

    def renditions(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,
        subtitles: Sequence[Sidecar],
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Path:
        """Bound it."""
        with self._timed() as press:
            return press.renditions(
                source, folder, order=order, subtitles=subtitles, progress=progress, stop=stop
            )

    @contextlib.contextmanager
    def _timed(self) -> Iterator[Press]:
        left_s = self.budget.encode_by - time.monotonic()
        budget_s = min(left_s, self.job_timeout_s)
        try:
            yield self.press(budget_s)
        except StepTimedOut:
            if budget_s < left_s:
                raise
            raise StepTimedOut(self.budget.why) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundedTransfers:
    """The object store with a bound on `fetch`, `upload` and reads, which also end on a stop.

    To be used in the main thread. All else is passed on.
    """

    store: ObjectStore
    budget: Budget
    within: Within

    def fetch(self, key: str, to: Path) -> None:
        """Fetch while there is time to encode."""
        with self._until(self.budget.encode_by):
            self.store.fetch(key, to)

    def upload(self, key: str, path: Path) -> ObjectInfo:
        """Upload until the end of the step."""
        with self._until(self.budget.end):
            return self.store.upload(key, path)

    def create(
        self, key: str, *, expected_bytes: int | None = None
    ) -> AbstractContextManager[ObjectWriter]:
        """Pass on."""
        return self.store.create(key, expected_bytes=expected_bytes)

    @contextlib.contextmanager
    def open(self, key: str, *, start: int = 0) -> Iterator[ObjectReader]:
        """Read while there is time to encode."""
        with self._until(self.budget.encode_by):
            opened = self.store.open(key, start=start)
        with opened as reader:
            yield _BoundedReader(reader, partial(self._until, self.budget.encode_by))

    def delete(self, *keys: str) -> None:
        """Pass on."""
        self.store.delete(*keys)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Pass on."""
        return self.store.list(prefix)

    def discard_partials(self, *, before: float) -> int:
        """Pass on."""
        return self.store.discard_partials(before=before)

    def _until(self, end: float) -> AbstractContextManager[None]:
        return self.within(end - time.monotonic(), self.budget.why)


class _BoundedReader:
    def __init__(
        self, reader: ObjectReader, until: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self.size = reader.size
        self._reader = reader
        self._until = until

    def read(self, count: int = -1, /) -> bytes:
        with self._until():
            return self._reader.read(count)
