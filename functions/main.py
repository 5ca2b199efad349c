"""The entry of what the clock sets off; on one machine, a process that is the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from core import limits
from core.errors import Unavailable
from functions.search import OrphanSearch
from functions.sweep import (
    Swept,
    endless,
    remove_abandoned,
    remove_orphans,
    tell_defect,
    wake_jobs,
)
from functions.uploads import tend_uploads
from infra.wiring import Wiring


def sweep(
    parts: Wiring,
    *,
    orphans: bool = True,
    search: OrphanSearch | None = None,
    enough: Callable[[], bool] = endless,
) -> Swept:
    """Do one sweep: jobs that wait, direct uploads, then, with `orphans`, what belongs to nobody.

    Stops early when `enough()`; then `more` is set. With `search` that one is gone on with.
    """
    woken = wake_jobs(parts.ledger, enough=enough)
    tended = _tend(parts, enough)
    removed = Swept()
    if orphans and not woken.more:
        grace_s = parts.settings.orphan_grace_s
        removed = remove_orphans(parts.ledger, grace_s=grace_s, enough=enough, search=search)
    left = remove_abandoned(parts.ledger, parts.scratch)
    return replace(
        removed,
        jobs=woken.jobs,
        uploads=tended.uploads,
        folders=left.folders,
        more=woken.more or tended.more or removed.more,
    )


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
            _tend(parts, endless)
            remove_abandoned(parts.ledger, parts.scratch)
            if time.monotonic() >= orphans_at:
                remove_orphans(parts.ledger, grace_s=parts.settings.orphan_grace_s)
                orphans_at = time.monotonic() + every_s
        except Unavailable as error:
            parts.log.emit("sweep.error", reason=error.detail)
        except Exception as error:  # noqa: BLE001 - the outermost loop: a defect must not end it
            tell_defect(parts.ledger, error)
        _wait(parts.settings.sweep_interval_s, stop)


def _tend(parts: Wiring, enough: Callable[[], bool]) -> Swept:
    ttl_s = parts.settings.upload_ttl_s
    return tend_uploads(parts.ledger, parts.sessions, ttl_s=ttl_s, enough=enough)


def _wait(seconds: float, stop: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not stop() and time.monotonic() < end:
        time.sleep(limits.POLL_S)
