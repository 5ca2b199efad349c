"""How a job waits for its next step: the message that asks for it, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from core import events as ev
from core import limits
from core.job import Job, Policy, State
from core.messages import Message, Topic

NO_LEASE: Final[Mapping[str, Any]] = {"lease_until": None, "claims": 0}


def message_of(job: Job) -> Message:
    """Return the message that asks for the job's next step."""
    topic = Topic.DELIVER if job.state is State.STORING else Topic.TRANSCODE
    return Message(topic=topic, job_id=job.job_id, run=job.run, traceparent=job.traceparent)


def wait(
    job: Job,
    state: State,
    now: float,
    delay_s: float,
    policy: Policy,
    fields: Mapping[str, Any],
    *,
    keep_lease: bool = False,
) -> ev.Step:
    """Make the step of `state` due in `delay_s` and publish its message."""
    due_at = now + delay_s
    waiting = {"due_at": due_at, "wake_at": due_at + policy.republish_after_s}
    lease = {} if keep_lease else NO_LEASE
    message = message_of(replace(job, state=state))
    return {**lease, **waiting, **fields}, (ev.Publish(message=message, delay_s=delay_s),)


def patience(job: Job, now: float, policy: Policy) -> float:
    """Return the seconds until the message of a waiting job is published once more.

    They grow with the time waited, so that a long backlog is not rewritten every minute.
    """
    since = job.due_at if job.lease_until is None else job.lease_until
    waited = min(now - since, limits.REPUBLISH_MAX_S)
    return max(policy.republish_after_s, waited)


def discard(job: Job, now: float, policy: Policy) -> ev.Step:
    """Have the run's objects deleted, and the sweep see to it that they are."""
    if job.cleaned:
        return {}, ()
    fields = {"failure": None, "wake_at": now + policy.republish_after_s}
    return fields, (ev.Discard(job_id=job.job_id, run=job.run),)
