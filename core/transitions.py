"""The state machine: one table, and `advance`, which is pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, get_args

from core import events as ev
from core import handing_over, limits
from core.board import first_heard
from core.errors import (
    ChecksumMismatch,
    Gone,
    InvalidTransition,
    LeaseHeld,
    LeaseLost,
    NotDue,
    NotReady,
    StaleMessage,
)
from core.history import written
from core.job import (
    UNFINISHED,
    DeliveryLog,
    Failure,
    Job,
    Policy,
    State,
)
from core.messages import Message
from core.piecework import (
    board_of,
    cut_step,
    needs_piece,
    piece_step,
    waits_for_pieces,
    wake_pieces,
)
from core.waiting import NO_LEASE, discard, message_of, patience, wait

__all__ = ["TRANSITIONS", "advance", "message_of", "needs", "next_claim", "next_piece_claim"]

TRANSITIONS: Final[Mapping[State, Mapping[type[ev.Event], State]]] = {
    State.QUEUED: {
        ev.Claimed: State.PROCESSING,
        ev.Poisoned: State.FAILED,
        ev.Buried: State.QUEUED,
        ev.Cancelled: State.CANCELLED,
        ev.Woken: State.QUEUED,
    },
    State.PROCESSING: {
        ev.Claimed: State.PROCESSING,
        ev.Poisoned: State.FAILED,
        ev.Buried: State.PROCESSING,
        ev.Renewed: State.PROCESSING,
        ev.Released: State.QUEUED,
        ev.Retried: State.QUEUED,
        ev.Failed: State.FAILED,
        ev.PiecesCut: State.PROCESSING,
        ev.PieceClaimed: State.PROCESSING,
        ev.PieceRenewed: State.PROCESSING,
        ev.PieceReleased: State.PROCESSING,
        ev.PieceRetried: State.PROCESSING,
        ev.PieceMade: State.PROCESSING,
        ev.PieceFailed: State.FAILED,
        ev.PiecesRefused: State.PROCESSING,
        ev.Encoded: State.STORING,
        ev.Woken: State.PROCESSING,
    },
    State.STORING: {
        ev.Claimed: State.STORING,
        ev.Poisoned: State.STORE_FAILED,
        ev.Buried: State.STORING,
        ev.Renewed: State.STORING,
        ev.Released: State.STORING,
        ev.Delivered: State.STORED,
        ev.Placed: State.STORING,
        ev.Accepted: State.COMPLETED,
        ev.DeliveryDeferred: State.STORING,
        ev.DeliveryRefused: State.STORE_FAILED,
        ev.Redelivered: State.STORING,
        ev.Confirmed: State.COMPLETED,
        ev.Woken: State.STORING,
    },
    State.STORED: {
        ev.Confirmed: State.COMPLETED,
        ev.Redelivered: State.STORING,
        ev.Woken: State.EXPIRED,
    },
    State.STORE_FAILED: {
        ev.Confirmed: State.COMPLETED,
        ev.Redelivered: State.STORING,
        ev.Woken: State.EXPIRED,
    },
    # The callback may still be open when the confirmation comes: what its worker reports
    # afterwards changes nothing.
    State.COMPLETED: {
        ev.Confirmed: State.COMPLETED,
        ev.Delivered: State.COMPLETED,
        ev.Placed: State.COMPLETED,
        ev.Accepted: State.COMPLETED,
        ev.DeliveryDeferred: State.COMPLETED,
        ev.DeliveryRefused: State.COMPLETED,
        ev.Released: State.COMPLETED,
        ev.Woken: State.COMPLETED,
        ev.Cleaned: State.COMPLETED,
    },
    State.FAILED: {ev.Woken: State.FAILED, ev.Cleaned: State.FAILED},
    State.CANCELLED: {ev.Woken: State.CANCELLED, ev.Cleaned: State.CANCELLED},
    State.EXPIRED: {ev.Woken: State.EXPIRED, ev.Cleaned: State.EXPIRED},
}
"""Which event leads where. An event that a state does not name cannot happen in it."""

_UNRECORDED: Final = (ev.Renewed, ev.Woken, *get_args(ev.OfPiece))
"""Events that enter the history only when they change the state: they come by the thousand. The
last piece does too."""


def advance(
    job: Job, event: ev.Event, now: float, policy: Policy
) -> tuple[Job, tuple[ev.Effect, ...]]:
    """Return the job after `event` at `now`, and what must be done.

    Raises LeaseLost, LeaseHeld, NotDue, NotReady, Gone, ChecksumMismatch, StaleMessage, or
    InvalidTransition for an event that has no place in the job's state. Pure: the same arguments,
    the same result.
    """
    if _is_void(job, event, now):
        return job, ()
    _guard(job, event, now)
    if isinstance(event, ev.Buried) and not _has_claims(job):
        event = ev.Poisoned(failure=event.failure)
    target = TRANSITIONS[job.state].get(type(event))
    if target is None:
        raise InvalidTransition(f"a job that is {job.state} knows no {type(event).__name__}")
    fields, effects = _step(job, event, now, policy)
    if target is job.state and not fields and not effects:
        return job, ()
    after = replace(job, state=target, updated_at=now, **fields)
    if target is job.state and isinstance(event, _UNRECORDED) and not _is_last_piece(job, after):
        return after, effects
    return replace(after, history=written(job, event, now, target)), effects


def _is_last_piece(job: Job, after: Job) -> bool:
    return waits_for_pieces(job) and not waits_for_pieces(after)


def next_claim(job: Job) -> ev.Claimed | ev.Poisoned:
    """Return the event with which a worker takes the job, or gives it up as poison."""
    if _has_claims(job):
        return ev.Claimed()
    reason = f"{job.claims} workers in a row were lost while they held this step"
    return ev.Poisoned(failure=Failure(code="worker_lost", reason=reason))


def next_piece_claim(job: Job, number: int) -> ev.PieceClaimed | ev.PieceFailed:
    """Return the event with which a worker takes a piece, or gives the job up as poison."""
    cut = job.board.cut if job.board else 0
    if job.board is None or job.board.has_claims(number):
        return ev.PieceClaimed(cut=cut, number=number)
    reason = f"{limits.CLAIMS_MAX} workers in a row were lost over piece {number}"
    failure = Failure(code="worker_lost", reason=reason)
    return ev.PieceFailed(cut=cut, number=number, failure=failure)


def needs(job: Job, message: Message) -> bool:
    """Return whether the job waits for what `message` asks for."""
    if message.piece is not None:
        return needs_piece(job, message)
    return job.state in UNFINISHED and not waits_for_pieces(job) and message_of(job) == message


def _has_claims(job: Job) -> bool:
    return job.claims < limits.CLAIMS_MAX


def _is_void(job: Job, event: ev.Event, now: float) -> bool:
    match event:
        case ev.Cleaned():
            return event.run != job.run or job.cleaned
        case ev.Woken():
            return now < job.wake_at
        case _:
            return False


def _guard(job: Job, event: ev.Event, now: float) -> None:
    match event:
        case ev.Claimed() | ev.Poisoned():
            _guard_claim(job, now)
        case ev.Buried():
            if not needs(job, event.message):
                raise StaleMessage(f"the job is {job.state} and has gone on without the message")
            _guard_claim(job, now)
        case ev.Confirmed():
            _guard_confirm(job, event)
        case ev.Redelivered() | ev.Cancelled() | ev.Woken() | ev.Cleaned():
            pass
        case _ if isinstance(event, ev.OfPiece):
            board_of(job, event)
        case _:
            _guard_fence(job, event)


def _guard_claim(job: Job, now: float) -> None:
    if job.lease_until is not None and job.lease_until > now:
        raise LeaseHeld(f"fence {job.fence} holds the job for {job.lease_until - now:.1f} s more")
    if job.state in UNFINISHED and job.due_at > now:
        raise NotDue(f"the next step is due in {job.due_at - now:.1f} s", due_at=job.due_at)


def _guard_confirm(job: Job, event: ev.Confirmed) -> None:
    if job.state is State.EXPIRED:
        raise Gone("the job was not confirmed in time and its files were removed; send it again")
    if ev.Confirmed not in TRANSITIONS[job.state] or job.output is None:
        raise NotReady(f"the job is {job.state} and has no output to confirm")
    if job.state is State.STORING and job.former and not handing_over.was_begun(job):
        raise NotReady("this is about an earlier result of the id; the new one was not sent yet")
    if event.sha256 is not None and event.sha256.lower() != job.output.sha256:
        raise ChecksumMismatch(
            f"the stored result has sha256 {job.output.sha256}; nothing was deleted"
        )


def _guard_fence(job: Job, event: ev.Fenced) -> None:
    held = event.fence == job.fence and job.lease_until is not None
    if not held or type(event) not in TRANSITIONS[job.state]:
        raise LeaseLost(
            f"fence {event.fence} may not commit: the job is {job.state} under fence {job.fence}"
        )


def _step(job: Job, event: ev.Event, now: float, policy: Policy) -> ev.Step:  # noqa: C901, PLR0911, PLR0912 - a flat table of cases
    """Dispatch to the one place that knows what `event` changes."""
    match event:
        case ev.Claimed():
            return _claimed(job, now, policy)
        case ev.Renewed():
            return _renewed(job, event, now, policy)
        case ev.Released():
            return _released(job, now, policy)
        case ev.PiecesCut():
            return cut_step(job, event, now, policy)
        case ev.Encoded():
            return _encoded(job, event, now, policy)
        case ev.Retried():
            fields = {
                "retries": job.retries + (not event.is_outage),
                "outage_since": first_heard(job.outage_since, now) if event.is_outage else None,
                "failure": event.failure,
                "progress": 0,
            }
            return wait(job, State.QUEUED, now, event.delay_s, policy, fields)
        case ev.DeliveryDeferred():
            return handing_over.deferred(job, event, now, policy)
        case ev.Redelivered():
            return handing_over.redelivered(job, now, policy)
        case ev.Placed():
            return handing_over.placed(job, event, now, policy)
        case ev.Accepted():
            return handing_over.accepted(job, now, policy)
        case ev.Failed() | ev.Poisoned() | ev.DeliveryRefused():
            return _gave_up(job, event, now, policy)
        case ev.Buried():
            return _buried(job, now, policy)
        case ev.Delivered():
            return handing_over.delivered(job, now, policy)
        case ev.Confirmed() | ev.Cancelled():
            return discard(job, now, policy)
        case ev.Woken():
            return _woken(job, now, policy)
        case ev.Cleaned():
            return {"cleaned": True, "wake_at": now + policy.keep_record_s}, ()
        case _:
            return piece_step(job, event, now, policy)


def _claimed(job: Job, now: float, policy: Policy) -> ev.Step:
    fields: dict[str, Any] = {
        "fence": job.fence + 1,
        "claims": job.claims + 1,
        "lease_until": now + policy.lease_s,
        "wake_at": now + policy.lease_s,
    }
    if job.state is not State.STORING:
        fields["progress"] = job.board.progress if job.board else 0
    elif job.delivery is not None:
        fields["delivery"] = replace(job.delivery, attempts=job.delivery.attempts + 1)
    return fields, ()


def _renewed(job: Job, event: ev.Renewed, now: float, policy: Policy) -> ev.Step:
    progress = job.progress if event.progress is None else min(max(event.progress, 0), 100)
    until = now + policy.lease_s
    return {"lease_until": until, "wake_at": until, "progress": progress}, ()


def _released(job: Job, now: float, policy: Policy) -> ev.Step:
    if job.state is State.COMPLETED:
        return {}, ()
    claims = {"claims": max(job.claims - 1, 0)}
    if job.state is State.STORING:
        return wait(job, State.STORING, now, 0.0, policy, claims)
    return wait(job, State.QUEUED, now, 0.0, policy, {**claims, "progress": 0})


def _encoded(job: Job, event: ev.Encoded, now: float, policy: Policy) -> ev.Step:
    fields = {
        "source": replace(job.source, media=event.source_media),
        "output": replace(event.output, made_at=now),
        "warnings": event.warnings[: limits.WARNINGS_MAX],
        "delivery": DeliveryLog(since=now),
        "failure": None,
        "retries": 0,
        "outage_since": None,
        "progress": 100,
    }
    return wait(job, State.STORING, now, 0.0, policy, fields)


def _gave_up(
    job: Job, event: ev.Failed | ev.Poisoned | ev.DeliveryRefused, now: float, policy: Policy
) -> ev.Step:
    if job.state is State.COMPLETED:
        return {}, ()
    fields = {**NO_LEASE, "failure": event.failure, "wake_at": now + policy.confirm_ttl_s}
    if job.delivery is not None:
        fields["delivery"] = handing_over.outcome(job, event.failure.reason)
        fields["wake_at"] = handing_over.kept_until(job.delivery, now, policy)
    if isinstance(event, ev.Poisoned):
        fields["fence"] = job.fence + 1
    return fields, ()


def _buried(job: Job, now: float, policy: Policy) -> ev.Step:
    """Have the sweep look soon: there is one message less on its way.

    Only the first of several in a row counts. Each publication of a stuck job's message ends as a
    dead letter; recorded all, they would push the history out and undo the growing patience.
    """
    if job.history and job.history[-1].event == ev.Buried.__name__:
        return {}, ()
    return {"wake_at": now + policy.republish_after_s}, ()


def _woken(job: Job, now: float, policy: Policy) -> ev.Step:
    if job.state is State.PROCESSING and waits_for_pieces(job):
        return wake_pieces(job, now, policy)
    if job.state in UNFINISHED:
        fields = {"wake_at": now + patience(job, now, policy)}
        return fields, (ev.Publish(message=message_of(job)),)
    if job.cleaned:
        return {}, (ev.Forget(job_id=job.job_id, run=job.run),)
    fields = {"wake_at": now + policy.republish_after_s}
    return fields, (ev.Discard(job_id=job.job_id, run=job.run),)
