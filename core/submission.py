"""How an upload becomes a job, or turns out to be one that is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core import events as ev
from core import limits
from core.errors import ConflictingUpload, Unavailable
from core.job import RESTARTABLE, Change, Job, Policy, Source, State
from core.order import DEFAULT, Order
from core.transitions import advance, message_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A committed source that asks to become a job, in the trace of its request if it has one.

    `committed_at` is when the source was there for certain. That of a direct upload is no orphan
    while it is declared, but others may settle it while its finisher sleeps. None is for a source
    that stays.
    """

    job_id: str
    organization_id: str
    run: str
    source: Source
    committed_at: float | None = None
    traceparent: str | None = None
    order: Order = DEFAULT


def receive(
    existing: Job | None, upload: Upload, now: float, policy: Policy
) -> tuple[Job, tuple[ev.Effect, ...]]:
    """Return the job that answers for `upload`, and what must be done.

    A run that was recorded before is that job, whatever has become of it since, and also when the
    id has begun anew: who finished its upload may have died before writing down what came of it.
    Otherwise:
    The same bytes again are the same job; its result is delivered once more where the LMS did
    not take it. A job that came to nothing starts anew under its old id. Raises
    ConflictingUpload when other bytes or another organization hold the id, and Unavailable for
    a source that waited so long for its record that it may be gone.
    """
    if existing is None:
        return _begin(upload, now, policy, fence=0)
    if upload.run in {existing.run, *existing.former}:
        return existing, ()
    if existing.organization_id != upload.organization_id:
        raise ConflictingUpload(
            f"id {upload.job_id} belongs to another organization; use another id"
        )
    if existing.state in RESTARTABLE:
        job, effects = _begin(upload, now, policy, fence=existing.fence)
        history = (*existing.history, *job.history)[-limits.HISTORY_MAX :]
        old = ev.Discard(job_id=existing.job_id, run=existing.run)
        former = (*existing.former, existing.run)[-limits.FORMER_RUNS_MAX :]
        return replace(job, history=history, former=former), (*effects, old)
    if existing.source.sha256 == upload.source.sha256:
        _check_order(existing, upload)
        return _again(existing, now, policy)
    raise ConflictingUpload(
        f"id {upload.job_id} is {existing.state} with other bytes; use another id"
    )


def _begin(
    upload: Upload, now: float, policy: Policy, *, fence: int
) -> tuple[Job, tuple[ev.Effect, ...]]:
    if upload.committed_at is not None and now - upload.committed_at > policy.record_within_s:
        raise Unavailable("the recording could not be recorded in time; send it again")
    job = Job(
        job_id=upload.job_id,
        organization_id=upload.organization_id,
        run=upload.run,
        state=State.QUEUED,
        source=upload.source,
        created_at=now,
        updated_at=now,
        due_at=now,
        wake_at=now + policy.republish_after_s,
        fence=fence,
        history=(Change(at=now, event="Received", state=State.QUEUED),),
        traceparent=upload.traceparent,
        order=upload.order,
    )
    return job, (ev.Publish(message=message_of(job)),)


def _check_order(existing: Job, upload: Upload) -> None:
    """Refuse the same bytes with other wishes: to answer as if they were met would be a lie.

    Through which door they come again does not matter. How the result is delivered matters only
    where the doors differ in it: at the same one the operator has changed it meanwhile.
    """
    known, asked = existing.order, upload.order
    if asked.contract is known.contract:
        asked = replace(asked, delivery=known.delivery)
    if replace(asked, contract=known.contract) != known:
        raise ConflictingUpload(
            f"id {upload.job_id} is {existing.state} with other wishes; use another id"
        )


def _again(job: Job, now: float, policy: Policy) -> tuple[Job, tuple[ev.Effect, ...]]:
    if job.state is State.STORE_FAILED:
        return advance(job, ev.Redelivered(), now, policy)
    return job, ()
