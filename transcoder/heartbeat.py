"""Keeps a lease alive while a step runs, and carries its progress to the record."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from core.errors import LeaseLost, LecternError
from core.events import Event, PieceRenewed, Renewed
from core.job import Job
from core.ledger import Ledger

_TICK_S = 1.0
"""Progress is written at most once a second: a Firestore document takes no more."""
_RENEWALS_PER_LEASE = 3
"""Two renewals in a row may fail before the lease runs out."""


class Heartbeat:
    """Renews a lease on `job` in a thread of its own until the block ends.

    It is a Progress port: `report` only notes the figure. When the lease is lost `lost` turns
    true, and the step must stop. Without `renewal`, which makes the event out of the progress, it
    is the lease of the job's own step.
    """

    def __init__(
        self,
        ledger: Ledger,
        job: Job,
        *,
        renewal: Callable[[int], Event] | None = None,
        lease_s: float | None = None,
    ) -> None:
        self._ledger = ledger
        self._job = job
        self._renewal = renewal or (lambda percent: Renewed(fence=job.fence, progress=percent))
        self._lease_s = ledger.policy.lease_s if lease_s is None else lease_s
        self._tells_progress = renewal is None
        self._progress = job.progress
        self._written = job.progress
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @classmethod
    def of_piece(cls, ledger: Ledger, job: Job, number: int, claim: int) -> Self:
        """Return what renews the lease of a piece; its progress is not told."""
        cut = job.board.cut if job.board else 0
        renewal = PieceRenewed(cut=cut, number=number, claim=claim)
        return cls(
            ledger, job, renewal=lambda _percent: renewal, lease_s=ledger.policy.piece_lease_s
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def lost(self) -> bool:
        """Return whether another worker may hold the job by now."""
        return self._lost.is_set()

    def report(self, percent: float) -> None:
        """Note how far the step is, 0 to 100."""
        self._progress = int(percent)

    def _beat(self) -> None:
        tick_s = min(_TICK_S, self._lease_s / _RENEWALS_PER_LEASE)
        every = max(int(self._lease_s / _RENEWALS_PER_LEASE / tick_s), 1)
        ticks = 0
        while not self._ended.wait(tick_s):
            ticks += 1
            news = self._tells_progress and self._progress != self._written
            if news or ticks >= every:
                ticks = 0
                self._renew()
            if self._lost.is_set():
                return

    def _renew(self) -> None:
        progress = self._progress
        try:
            self._ledger.apply(self._job.job_id, self._renewal(progress))
        except LeaseLost:
            self._lost.set()
        except LecternError as error:  # the store may answer again before the lease runs out
            self._ledger.log.emit("lease.not_renewed", job_id=self._job.job_id, reason=error.detail)
        else:
            self._written = progress
