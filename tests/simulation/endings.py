"""What must have become of everything, once faults have stopped and time has run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.job import State
from tests.simulation.actors import GRACE_S

if TYPE_CHECKING:
    from tests.simulation.world import World


def check_ends(world: World) -> None:
    """Every run that began has ended, or was taken by the LMS and waits for its word."""
    promises = world.promises
    present_runs = {job.run: job for job in world.jobs.held.values()}
    for run in promises.runs:
        job = present_runs.get(run)
        if run not in promises.ended and (
            job is None or job.state not in (State.STORED, State.STORE_FAILED)
        ):
            promises.broken(f"run {run} is lost: {job and job.state}")
    for run, (job_id, digest) in world.actors.declared.items():
        if run not in promises.sources or run in promises.runs:
            continue
        code = promises.outcomes.get(run, "none")
        if code in ("none", "expired") or (code is None and (job_id, digest) not in promises.known):
            promises.broken(f"upload {run} came whole and is lost: {code}")
    for run in promises.beside.granted:
        promises.beside.expect_open(run)


def check_orphans(world: World) -> None:
    """After a sweep every object older than the grace belongs to a job that is not cleaned."""
    runs = {job.run for job in world.jobs.held.values() if not job.cleaned}
    before = world.hub.now - GRACE_S
    for key, (_, info) in world.objects.held.items():
        if key.split("/")[1] not in runs and info.committed_at < before:
            world.promises.broken(f"an orphan after the sweep: {key}")
    _check_leavings(world)


def check_nothing_is_left(world: World) -> None:
    """Once every record is forgotten nothing reminds of any run."""
    if world.objects.held:
        world.promises.broken(f"left behind: {sorted(world.objects.held)}")
    _check_leavings(world)
    if any(run not in world.promises.ended for run in world.promises.runs):
        world.promises.broken("a run never ended")


def _check_leavings(world: World) -> None:
    left = len(world.objects.partials), list(world.objects.sessions), list(world.disk.folders)
    if any(left):
        world.promises.broken(f"partials, sessions, folders left behind: {left}")
