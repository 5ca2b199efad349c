"""What the histories together have reached, and what they must have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Final

from core.transitions import TRANSITIONS
from tests.simulation.trouble import Coverage

UNREACHED: Final = frozenset(
    {
        ("queued", "Poisoned"),  # whatever makes a job wait again has set its claims back
        ("completed", "Released"),
        ("completed", "Placed"),
        ("completed", "Accepted"),
        ("completed", "DeliveryRefused"),
        ("completed", "DeliveryDeferred"),
        ("processing", "PieceFailed"),
    }
)
"""Pairs of TRANSITIONS that are too rare to insist on, or cannot come about."""
SIMULATED: Final = frozenset(
    {
        "Claimed", "Poisoned", "Buried", "Renewed", "Released", "Retried", "Failed", "PiecesCut",
        "PieceClaimed", "PieceRenewed", "PieceReleased", "PieceRetried", "PieceMade",
        "PieceFailed", "PiecesRefused", "Encoded", "Delivered", "DeliveryDeferred",
        "DeliveryRefused", "Placed", "Accepted", "Redelivered", "Confirmed", "Cancelled",
        "Woken", "Cleaned",
    }
)  # fmt: skip
"""Events that the simulation brings about."""
WRITES: Final = (
    "jobs.update", "objects.commit", "objects.upload", "objects.delete", "objects.fetch",
    "bus.publish", "bus.receive", "bus.ack", "sessions.begin", "sessions.append",
    "sessions.release",
)  # fmt: skip
"""Calls that are hit before their effect and after it."""
READS: Final = (
    "jobs.get", "jobs.due", "jobs.owner", "objects.open", "objects.read", "objects.list",
    "objects.create", "objects.write", "objects.discard_partials", "push.answer",
)  # fmt: skip
OTHERS: Final[tuple[Hashable, ...]] = (
    "contended",
    ("update", "tried again"),
    ("confirm", "while the callback is open"),
    ("stopped", "in the callback"),
    ("clock", "jumps"),
    *(("lms", what) for what in ("kept", "none", 201, 302, 410, 413, 429, 500, 502)),
    *(("place", what) for what in ("done", "failed", "unheard")),
    ("lms", "told"),
    *(("set", what) for what in ("handed over", "whole", "in pieces", "spoilt", "played", "gone")),
    *(("set", f"asked for while {state}") for state in ("storing", "stored", "completed")),
    *(("sizes", what) for what in ("sent", "placed")),
    ("store", "full"),
    *(("push", what) for what in (204, 503, "answered too late", "twice at once", "cut off")),
    *(("push", what) for what in ("out of time", "buried", "bench is full", "waited too long")),
    ("push", "stopped"),
    *(("message", what) for what in ("lost", "doubled", "given up", "out of order")),
    ("message", "lost while it waits"),
    *(("outage", port) for port in ("jobs", "objects", "bus")),
    *(("late", role) for role in ("worker", "send", "upload", "sweep", "confirm")),
    *(("struck", "worker", what) for what in ("dies", "freezes", "must stop")),
    *(("answer", "send", code) for code in ("conflicting_upload", "unavailable")),
    *(("answer", "confirm", code) for code in ("not_found", "not_ready", "checksum_mismatch")),
    *(("answer", "upload", code) for code in ("conflicting_upload", "invalid_field")),
    *(
        ("event", name)
        for name in (
            "lease.not_renewed", "upload.left_to_sweep", "job.clean_unrecorded", "message.void",
            "worker.error", "worker.waits", "sweep.folders_removed", "sweep.orphans_removed",
            "message.buried", "bus.unavailable", "upload.refused", "message.early", "push.again",
            "set.failed",
        )
    ),
)  # fmt: skip


def must_reach() -> Iterator[Hashable]:
    """Yield all that a run of 20,000 histories must have come to."""
    for state, events in TRANSITIONS.items():
        for event in events:
            pair = state, event.__name__
            if event.__name__ in SIMULATED and pair not in UNREACHED:
                yield pair
    for call in WRITES:
        for when in ("before", "after"):
            yield "crash", call, when
            yield "fault", call, when
    for call in READS:
        yield "crash", call, "before"
        yield "fault", call, "before"
    yield from OTHERS


def missed(coverage: Coverage) -> list[Hashable]:
    """Return what was never reached."""
    return [what for what in must_reach() if not coverage[what]]


def table(coverage: Coverage) -> str:
    """Return the figures, readable."""
    histories = max(coverage["histories"], 1)
    calls = coverage["calls"] / histories
    lines = [f"{histories} histories, {calls:.1f} port calls each under trouble"]
    groups: dict[str, Counter[str]] = {}
    for key, count in coverage.items():
        if isinstance(key, tuple):
            groups.setdefault(str(key[0]), Counter())[" ".join(map(str, key[1:]))] += count
    for group, counts in sorted(groups.items()):
        words = ", ".join(f"{what} {count}" for what, count in counts.most_common())
        lines.append(f"{group}: {words}")
    return "\n".join(lines)
