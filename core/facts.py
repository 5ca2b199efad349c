"""What a change of a job tells the log: the fields that queries and metrics are made of.

`docs/operations.md` has the queries. Sizes are bytes, times seconds.
"""

from __future__ import annotations

from typing import Final

from core import events as ev
from core.job import UNFINISHED, Change, Job
from core.views import saved_percent

Fields = dict[str, object]
_SAME: Final = {"PieceFailed": "Failed"}
"""What a query and an alert need not tell apart."""


def told(
    before: Job | None, after: Job, effects: tuple[ev.Effect, ...]
) -> tuple[str, Fields] | None:
    """Return the event that a change is in the log, and its fields; None for a heartbeat.

    `duration_s` is the time since the change before, `waited_s` the time since the step could
    have begun. A job that the sweep had to publish again is `job.woken`, in the state it is in.
    """
    line = _new_line(before, after)
    if line is not None:
        name, note = _SAME.get(line.event, line.event), line.note
    elif before is not None and before.board != after.board:
        return None  # a piece went back: its worker tells
    elif any(isinstance(effect, ev.Publish) for effect in effects):
        name, note = ev.Woken.__name__, None
    else:
        return None
    earlier = before if before is not None and before.run == after.run else None
    common = {**_common(earlier, after), "note": note, "attempt": _attempt(name, earlier, after)}
    own = _own(name, earlier, after)
    return f"job.{name.lower()}", {**common, **_left_state(earlier, after), **own}


def _new_line(before: Job | None, after: Job) -> Change | None:
    known = before.history[-1:] if before is not None else ()
    return None if after.history[-1:] == known else after.history[-1]


def _common(before: Job | None, after: Job) -> Fields:
    return {
        "job_id": after.job_id,
        "organization_id": after.organization_id,
        "state": after.state.value,
        "fence": after.fence,
        "duration_s": _since(before.history[-1].at, after) if before and before.history else 0.0,
        "traceparent": after.traceparent,
    }


def _attempt(event: str, before: Job | None, after: Job) -> int:
    """Return which try of its step the event is about, from 1; 0 before the first callback."""
    if before is not None and event in ("Encoded", "Retried"):
        return before.retries + 1
    return after.delivery.attempts if after.delivery else after.retries + 1


def _left_state(before: Job | None, after: Job) -> Fields:
    """Return the state that the job has left, and how long it was in it."""
    if before is None or before.state is after.state:
        return {}
    entered = after.updated_at
    for line in reversed(before.history):
        if line.state is not before.state:
            break
        entered = line.at
    return {"state_before": before.state.value, "state_before_s": _since(entered, after)}


def _own(event: str, before: Job | None, after: Job) -> Fields:
    """Return what this event alone tells."""
    facts: Fields = {}
    match event:
        case "Received":
            facts = {"source_bytes": after.source.size, "container": after.source.container}
        case "Claimed" | "Woken" if after.state in UNFINISHED:
            facts = {"waited_s": _waited_s(before, after), "claims": after.claims}
        case "PiecesCut" | "PieceMade" if after.board is not None:
            facts = {"pieces": after.board.pieces}
        case "Encoded":
            facts = _encoded(after)
        case "Retried" | "Failed" | "Poisoned" | "DeliveryRefused" if after.failure is not None:
            facts = {"code": after.failure.code, "reason": after.failure.reason}
        case "DeliveryDeferred" if after.delivery is not None:
            next_in_s = round(after.due_at - after.updated_at, 3)
            facts = {"reason": after.delivery.last_outcome, "next_in_s": next_in_s}
        case "Delivered" | "Placed" if after.output is not None:
            facts = {"output_bytes": after.output.size}
        case "Confirmed" | "Accepted":
            facts = {"total_s": _since(after.created_at, after)}
    return facts


def _waited_s(before: Job | None, after: Job) -> float:
    """Return how long nobody has worked on a step that was due."""
    lease_until = before.lease_until if before is not None else None
    return max(_since(after.due_at if lease_until is None else lease_until, after), 0.0)


def _encoded(after: Job) -> Fields:
    source, output = after.source, after.output
    if source.media is None or output is None:
        return {}
    return {
        "action": output.action,
        "source_bytes": source.size,
        "output_bytes": output.size,
        "saved_percent": saved_percent(source.size, output.size),
        "source_duration_s": round(source.media.duration_s, 3),
        "work_s": round(output.work_s, 3),
        "speed": round(source.media.duration_s / output.work_s, 2) if output.work_s else None,
    }


def _since(start: float, after: Job) -> float:
    return round(after.updated_at - start, 3)
