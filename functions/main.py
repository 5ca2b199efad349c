"""The entry of what the clock sets off; on one machine, a process that is the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from core import limits
from core.errors import Unavailable
from functions.sweep import Swept, remove_abandoned, remove_orphans, wake_jobs
from infra.wiring import Wiring


def sweep(parts: Wiring) -> Swept:
    """Do one whole sweep: jobs that wait, then objects that belong to nobody."""
    woken = wake_jobs(parts.ledger)
    removed = remove_orphans(parts.ledger, grace_s=parts.settings.orphan_grace_s)
    left = remove_abandoned(parts.ledger, parts.scratch)
    return replace(removed, jobs=woken.jobs, folders=left.folders)


def run_clock(parts: Wiring, stop: Callable[[], bool]) -> None:
    """Sweep again and again until `stop()`; orphans are looked for less often."""
    every_s = max(
        parts.settings.sweep_interval_s,
        min(limits.ORPHAN_SWEEP_EVERY_S, parts.settings.orphan_grace_s),
    )
    orphans_at = time.monotonic()
    while not stop():
        try:
            wake_jobs(parts.ledger)
            remove_abandoned(parts.ledger, parts.scratch)
            if time.monotonic() >= orphans_at:
                remove_orphans(parts.ledger, grace_s=parts.settings.orphan_grace_s)
                orphans_at = time.monotonic() + every_s
        except Unavailable as error:
            parts.log.emit("sweep.error", reason=error.detail)
        _wait(parts.settings.sweep_interval_s, stop)


def _wait(seconds: float, stop: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not stop() and time.monotonic() < end:
        time.sleep(limits.POLL_S)
