"""What the events of a delivery change: attempts, the file that was put in place, the end."""

from __future__ import annotations

from dataclasses import replace

from core import events as ev
from core import limits
from core.job import DeliveryLog, Job, Policy, State
from core.waiting import NO_LEASE, discard, wait


def deferred(job: Job, event: ev.DeliveryDeferred, now: float, policy: Policy) -> ev.Step:
    """Put the next attempt off."""
    if job.state is State.COMPLETED:
        return {}, ()
    log = outcome(job, event.outcome)
    return wait(job, State.STORING, now, event.delay_s, policy, {"delivery": log})


def delivered(job: Job, now: float, policy: Policy) -> ev.Step:
    """Wait for the LMS's confirmation."""
    fields = {**NO_LEASE, "delivery": outcome(job, "answered 200")}
    if job.state is State.STORING:
        fields["wake_at"] = now + policy.confirm_ttl_s
    return fields, ()


def placed(job: Job, event: ev.Placed, now: float, policy: Policy) -> ev.Step:
    """Note where the file stands, and have the LMS told, for which a new window begins."""
    if job.state is State.COMPLETED:
        return {}, ()
    log = DeliveryLog(since=now, path=event.path, last_outcome="the file is in place")
    return wait(job, State.STORING, now, 0.0, policy, {"delivery": log})


def accepted(job: Job, now: float, policy: Policy) -> ev.Step:
    """Delete what is left here: the LMS knows where its file is.

    A set of renditions is still here, and the LMS was told its URL: all is kept as long as after
    any delivery, or until the LMS confirms.
    """
    told = {**NO_LEASE, "delivery": outcome(job, "the LMS was told")}
    if job.state is State.COMPLETED:  # confirmed meanwhile: its deletion is on its way
        return told, ()
    fields, effects = discard(job, now, policy)
    if job.output is not None and job.output.ladder is not None and not job.cleaned:
        fields, effects = {"failure": None, "wake_at": now + policy.confirm_ttl_s}, ()
    return {**fields, **told}, effects


def redelivered(job: Job, now: float, policy: Policy) -> ev.Step:
    """Begin the delivery anew, in a new window."""
    fields = {"delivery": DeliveryLog(since=now), "failure": None, "claims": 0}
    return wait(job, State.STORING, now, 0.0, policy, fields, keep_lease=True)


def was_begun(job: Job) -> bool:
    """Return whether any worker has taken the delivery in hand, so that the LMS can know of it."""
    log = job.delivery
    return job.claims > 0 or log is None or log.attempts > 0 or log.path is not None


def kept_until(log: DeliveryLog, now: float, policy: Policy) -> float:
    """Return until when the result of a delivery that failed is kept for another one.

    Not before the delivery's window ends: who answers 413 on a Friday evening may see it on Monday.
    """
    return max(now + policy.confirm_ttl_s, log.since + policy.store_retry_for_s)


def outcome(job: Job, words: str) -> DeliveryLog | None:
    """Return the delivery's log with its last outcome in `words`."""
    if job.delivery is None:
        return None
    return replace(job.delivery, last_outcome=words[: limits.REASON_CHARS_MAX])
