"""The lines of a job's history."""

from __future__ import annotations

from core import events as ev
from core import limits
from core.job import Change, Job, State


def written(job: Job, event: ev.Event, now: float, state: State) -> tuple[Change, ...]:
    """Append one line; past the bound the first line and the newest ones stay."""
    line = Change(at=now, event=type(event).__name__, state=state, note=_note(event))
    if len(job.history) < limits.HISTORY_MAX:
        return (*job.history, line)
    return (job.history[0], *job.history[2 - limits.HISTORY_MAX :], line)


def _note(event: ev.Event) -> str | None:
    match event:
        case (
            ev.Retried()
            | ev.Failed()
            | ev.PieceFailed()
            | ev.Poisoned()
            | ev.Buried()
            | ev.DeliveryRefused()
        ):
            return f"{event.failure.code}: {event.failure.reason}"[: limits.REASON_CHARS_MAX]
        case ev.DeliveryDeferred():
            return f"{event.outcome}; next in {event.delay_s:.0f} s"[: limits.REASON_CHARS_MAX]
        case ev.PiecesRefused():
            return event.reason[: limits.REASON_CHARS_MAX]
        case ev.PiecesCut():
            return f"{event.pieces} pieces"
        case ev.Encoded():
            return event.output.action
        case _:
            return None
