"""Keeps a lease alive while a step runs, and carries its progress to the record."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from core.errors import LeaseLost, LecternError
from core.events import Renewed
from core.job import Job
from core.ledger import Ledger

_TICK_S = 1.0
"""Progress is written at most once a second: a Firestore document takes no more."""
_RENEWALS_PER_LEASE = 3
"""Two renewals in a row may fail before the lease runs out."""


class Heartbeat:
    """Renews the lease of `job` in a thread of its own until the block ends.

    It is a Progress port: `report` only notes the figure. When the lease is lost `lost` turns
    true, and the step must stop.
    """

    def __init__(self, ledger: Ledger, job: Job) -> None:
        self._ledger = ledger
        self._job = job
        self._progress = job.progress
        self._written = job.progress
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

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
        lease_s = self._ledger.policy.lease_s
        tick_s = min(_TICK_S, lease_s / _RENEWALS_PER_LEASE)
        every = max(int(lease_s / _RENEWALS_PER_LEASE / tick_s), 1)
        ticks = 0
        while not self._ended.wait(tick_s):
            ticks += 1
            if self._progress != self._written or ticks >= every:
                ticks = 0
                self._renew()
            if self._lost.is_set():
                return

    def _renew(self) -> None:
        progress = self._progress
        try:
            self._ledger.apply(self._job.job_id, Renewed(fence=self._job.fence, progress=progress))
        except LeaseLost:
            self._lost.set()
        except LecternError as error:  # the store may answer again before the lease runs out
            self._ledger.log.emit("lease.not_renewed", job_id=self._job.job_id, reason=error.detail)
        else:
            self._written = progress
