"""The sweep: makes good whatever was lost between a record and its effects."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from core import limits
from core.errors import LecternError
from core.events import Woken
from core.job import PREFIXES, run_of, scratch_owner
from core.ledger import Ledger
from core.ports import ObjectInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep did: jobs woken; objects, partial uploads and private folders removed."""

    jobs: int = 0
    orphans: int = 0
    partials: int = 0
    folders: int = 0


def wake_jobs(ledger: Ledger) -> Swept:
    """Wake every job whose time has come: requeue, expire, clean or forget it."""
    seen: set[str] = set()
    while len(seen) < limits.SWEEP_JOBS_MAX:
        due = ledger.jobs.due(ledger.clock.now(), limit=limits.SWEEP_BATCH)
        fresh = [job.job_id for job in due if job.job_id not in seen]
        if not fresh:
            break
        for job_id in fresh:
            _wake(ledger, job_id)
        seen.update(fresh)
    return Swept(jobs=len(seen))


def remove_orphans(ledger: Ledger, *, grace_s: float) -> Swept:
    """Delete objects older than `grace_s` that belong to no job or to one that is cleaned.

    The grace covers the moment between an object's commit and its job's record.
    """
    before = ledger.clock.now() - grace_s
    orphans = 0
    owned: dict[str, bool] = {}
    for prefix in PREFIXES:
        for item in ledger.objects.list(f"{prefix}/"):
            if item.committed_at < before and not _is_owned(ledger, item, owned):
                ledger.objects.delete(item.key)
                orphans += 1
    partials = ledger.objects.discard_partials(before=before)
    if orphans or partials:
        ledger.log.emit("sweep.orphans_removed", objects=orphans, partials=partials)
    return Swept(orphans=orphans, partials=partials)


def remove_abandoned(ledger: Ledger, scratch: Path) -> Swept:
    """Delete the private folders in `scratch` whose worker holds its job no longer.

    A worker that was killed cannot clean up, and its folder holds the source.
    """
    folders = 0
    for folder in scratch.iterdir() if scratch.is_dir() else ():
        if not _is_held(ledger, folder.name):
            shutil.rmtree(folder, ignore_errors=True)
            folders += 1
    if folders:
        ledger.log.emit("sweep.folders_removed", folders=folders)
    return Swept(folders=folders)


def _is_held(ledger: Ledger, name: str) -> bool:
    owner = scratch_owner(name)
    job_id = ledger.jobs.owner(owner[0]) if owner else None
    job = ledger.jobs.get(job_id) if job_id is not None else None
    return job is not None and (job.run, job.fence) == owner and job.lease_until is not None


def _wake(ledger: Ledger, job_id: str) -> None:
    try:
        ledger.apply(job_id, Woken())
    except LecternError as error:  # one job's trouble must not keep the others waiting
        ledger.log.emit("sweep.error", job_id=job_id, reason=error.detail)


def _is_owned(ledger: Ledger, item: ObjectInfo, known: dict[str, bool]) -> bool:
    run = run_of(item.key)
    if run is None:
        return False
    if run not in known:
        job_id = ledger.jobs.owner(run)
        job = ledger.jobs.get(job_id) if job_id is not None else None
        known[run] = job is not None and job.run == run and not job.cleaned
    return known[run]
