"""The sweep: makes good whatever was lost between a record and its effects."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core import limits
from core.declarations import Declared, declared_runs, read_declaration
from core.errors import LecternError, Unavailable, UnreadableRecord
from core.events import Woken
from core.job import (
    State,
    declaration_key,
    outcome_key,
    piece_scratch_owner,
    run_of,
    scratch_owner,
)
from core.ledger import Ledger
from core.ports import ObjectInfo, Unreadable
from functions.search import OrphanSearch


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep did: jobs woken; objects, partial uploads and private folders removed.

    `uploads` are the direct uploads that it finished or ended. `more` tells that it stopped at a
    bound and the next one has something left to do.
    """

    jobs: int = 0
    uploads: int = 0
    orphans: int = 0
    partials: int = 0
    folders: int = 0
    more: bool = False


def endless() -> bool:
    """Say that there is time for all: a sweep that is bounded by its counts alone."""
    return False


def wake_jobs(ledger: Ledger, *, enough: Callable[[], bool] = endless) -> Swept:
    """Wake every job whose time has come: requeue, expire, clean or forget it.

    Stops early, before the next job, when `enough()`. Jobs whose records cannot be read are named
    in the log and otherwise left alone.
    """
    unread: list[Unreadable] = []
    try:
        return _wake_due(ledger, enough, unread)
    finally:
        _tell_unread(ledger, unread)


def _wake_due(ledger: Ledger, enough: Callable[[], bool], unread: list[Unreadable]) -> Swept:
    """Wake what is due; those that stay due are asked for on top of each batch, and passed over."""
    seen: set[str] = set()
    stuck = 0
    while len(seen) < limits.SWEEP_JOBS_MAX:
        due = ledger.jobs.due(ledger.clock.now(), limit=limits.SWEEP_BATCH + stuck)
        fresh = [job for job in due if job.job_id not in seen]
        if not fresh:
            return Swept(jobs=len(seen) - len(unread))
        for job in fresh:
            if enough():
                return Swept(jobs=len(seen) - len(unread), more=True)
            seen.add(job.job_id)
            if isinstance(job, Unreadable):
                unread.append(job)
                stuck += 1
            elif not _wake(ledger, job.job_id):
                stuck += 1
    return Swept(jobs=len(seen) - len(unread), more=True)


def remove_orphans(
    ledger: Ledger,
    *,
    grace_s: float,
    enough: Callable[[], bool] = endless,
    search: OrphanSearch | None = None,
) -> Swept:
    """Delete objects older than `grace_s` that belong to no job or to one that is cleaned.

    The grace covers the moment between an object's commit and its job's record, which is not
    written after half of it (`Policy.record_within_s`). A direct upload
    whose outcome is not known yet keeps all that it has, however old: `functions.uploads` decides
    on it. Its declaration is kept until the grace after its end. Stops early, before the next
    object, when `enough()`; with the same `search` the next call goes on there.
    """
    search = search or OrphanSearch()
    before = ledger.clock.now() - grace_s
    declared = declared_runs(ledger.objects)
    orphans = 0
    owned = dict.fromkeys(search.live, True)
    for item in search.objects(ledger.objects):
        if enough():
            break
        if item.committed_at >= before or _is_declared(ledger, item, declared, before):
            continue
        if _is_owned(ledger, item, owned):
            search.note_live(run_of(item.key) or "")
        else:
            ledger.objects.delete(item.key)
            orphans += 1
    partials = ledger.objects.discard_partials(before=before)
    if orphans or partials:
        ledger.log.emit("sweep.orphans_removed", objects=orphans, partials=partials)
    return Swept(orphans=orphans, partials=partials, more=not search.is_over)


def remove_abandoned(ledger: Ledger, scratch: Path) -> Swept:
    """Delete the private folders in `scratch` whose worker holds its job no longer.

    A worker that was killed cannot clean up, and its folder holds the source.
    """
    folders = 0
    for folder in scratch.iterdir() if scratch.is_dir() else ():
        if not _is_needed(ledger, folder.name):
            shutil.rmtree(folder, ignore_errors=True)
            folders += 1
    if folders:
        ledger.log.emit("sweep.folders_removed", folders=folders)
    return Swept(folders=folders)


def _is_needed(ledger: Ledger, name: str) -> bool:
    try:
        return _is_held(ledger, name)
    except UnreadableRecord:  # nobody knows
        return True


def _is_held(ledger: Ledger, name: str) -> bool:
    if piece := piece_scratch_owner(name):
        return _is_piece_held(ledger, *piece)
    owner = scratch_owner(name)
    job_id = ledger.jobs.owner(owner[0]) if owner else None
    job = ledger.jobs.get(job_id) if job_id is not None else None
    return job is not None and (job.run, job.fence) == owner and job.lease_until is not None


def _is_piece_held(ledger: Ledger, run: str, number: int, claim: int) -> bool:
    job_id = ledger.jobs.owner(run)
    job = ledger.jobs.get(job_id) if job_id is not None else None
    if job is None or job.board is None or job.state is not State.PROCESSING:
        return False
    return any(
        (piece.number, piece.claim) == (number, claim) and piece.lease_until is not None
        for piece in job.board.begun
    )


def _wake(ledger: Ledger, job_id: str) -> bool:
    """Wake a job, or return False: one job's trouble must not keep the others waiting."""
    try:
        ledger.apply(job_id, Woken())
    except LecternError as error:
        ledger.log.emit("sweep.error", job_id=job_id, code=error.code, reason=error.detail)
        return False
    except Exception as error:  # noqa: BLE001 - a defect that one record sets off
        tell_defect(ledger, error, job_id=job_id)
        return False
    return True


def tell_defect(ledger: Ledger, error: Exception, **about: object) -> None:
    """Log an error that nobody foresaw, and go on."""
    lines = "".join(traceback.format_exception(error))[-limits.TRACE_CHARS_MAX :]
    ledger.log.emit("sweep.error", **about, reason=type(error).__name__, trace=lines)


def _tell_unread(ledger: Ledger, unread: list[Unreadable]) -> None:
    """Name the jobs whose records cannot be read: they wait until a release can."""
    for job in unread[: limits.SWEEP_UNREAD_TOLD_MAX]:
        ledger.log.emit("sweep.error", job_id=job.job_id, reason=job.reason)
    if (more := len(unread) - limits.SWEEP_UNREAD_TOLD_MAX) > 0:
        ledger.log.emit("sweep.error", reason=f"the records of {more} more jobs cannot be read")


def _is_declared(
    ledger: Ledger, item: ObjectInfo, runs: Mapping[str, Declared], before: float
) -> bool:
    """Tell whether a direct upload needs the object: all until its outcome is known.

    After that it needs what tells of the outcome, until its time is over. The declaration goes
    first: without its outcome it would be taken for an upload that nothing has become of.
    """
    run = run_of(item.key)
    if run is None or run not in runs:
        return False
    if not runs[run].is_settled:
        return True
    if item.key not in {declaration_key(run), outcome_key(run)}:
        return False
    try:
        declared = read_declaration(ledger.objects, run)
    except Unavailable:  # nobody knows until when it is needed
        return True
    if declared is None:
        return False
    return item.key == outcome_key(run) or declared.expires_at >= before


def _is_owned(ledger: Ledger, item: ObjectInfo, known: dict[str, bool]) -> bool:
    run = run_of(item.key)
    if run is None:
        return False
    if run not in known:
        known[run] = _is_run_owned(ledger, run)
    return known[run]


def _is_run_owned(ledger: Ledger, run: str) -> bool:
    job_id = ledger.jobs.owner(run)
    try:
        job = ledger.jobs.get(job_id) if job_id is not None else None
    except UnreadableRecord:  # it may need all that it has
        return True
    return job is not None and job.run == run and not job.cleaned
