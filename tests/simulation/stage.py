"""Puts the simulation's disk, threads and counters under the product while a history runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import fields
from operator import attrgetter
from typing import Any

import core.board
import core.handing_over
import core.ledger
import core.piecework
import core.submission
import core.transitions
import core.waiting
import functions.sweep
import transcoder.bench
import transcoder.bounded
import transcoder.heartbeat
import transcoder.image_step
import transcoder.piece_step
import transcoder.scratch
import transcoder.sets
import transcoder.transcode
from core import limits
from core.assignment import Assignment
from core.ladder_pieces import PieceSet
from core.transitions import advance
from tests.simulation.disk import SimShutil
from tests.simulation.threads import SimFuture, SimQueue, SimThreading, present

_REPLACING = (core.board, core.handing_over, core.piecework, core.transitions, core.waiting)
_FIELDS: dict[type, Any] = {}
_ORDER: Any = transcoder.bench._Order
CLAIMS_MAX = 3
MESSAGE_DELIVERIES_MAX = 3
"""So few that histories of some dozen calls come to poison and to dead letters."""


class _SimTime:
    """Stands for the module `time`."""

    @staticmethod
    def monotonic() -> float:
        """Return the present."""
        return present.world.hub.now


def _order(*, step: Callable[[], None]) -> Any:
    """Return a bench's order whose end is waited for in virtual time."""
    return _ORDER(step=step, done=SimFuture())


def _counted(*args: Any) -> Any:
    """Count which event came in which state, then advance."""
    result = advance(*args)
    job, event = args[0], args[1]
    present.world.coverage[job.state, type(event).__name__] += 1
    return result


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Replace the product's disk and threads inside the block."""
    documents: dict[bytes, Assignment] = {}
    written: dict[tuple[int, int, bool], bytes] = {}
    parts: dict[bytes, PieceSet] = {}
    read, write, read_part = Assignment.from_bytes, Assignment.to_bytes, PieceSet.from_bytes

    def from_bytes(data: bytes) -> Assignment:
        if data not in documents:
            documents[data] = read(data)
        return documents[data]

    def to_bytes(self: Assignment) -> bytes:
        kind = len(self.pieces.pieces), self.attempt, self.ladder is not None
        if kind not in written:
            written[kind] = write(self)
        return written[kind]

    def part_from_bytes(data: bytes) -> PieceSet:
        if data not in parts:
            parts[data] = read_part(data)
        return parts[data]

    with contextlib.ExitStack() as stack:
        for target, name, value in (
            (transcoder.heartbeat, "threading", SimThreading),
            (transcoder.bench, "threading", SimThreading),
            (transcoder.bench, "SimpleQueue", SimQueue),
            (transcoder.bench, "_Order", _order),
            (transcoder.bounded, "time", _SimTime),
            (transcoder.image_step, "version", lambda _name: "8.0"),
            (transcoder.scratch, "shutil", SimShutil),
            (transcoder.sets, "shutil", SimShutil),
            (functions.sweep, "shutil", SimShutil),
            (transcoder.transcode, "children_s", lambda: 0.0),
            (transcoder.piece_step, "children_s", lambda: 0.0),
            *((module, "replace", replace_quickly) for module in _REPLACING),
            (core.ledger, "advance", _counted),
            (core.submission, "advance", _counted),
            (limits, "CLAIMS_MAX", CLAIMS_MAX),
            (limits, "MESSAGE_DELIVERIES_MAX", MESSAGE_DELIVERIES_MAX),
            (Assignment, "from_bytes", staticmethod(from_bytes)),  # reading one takes 1 ms
            (Assignment, "to_bytes", to_bytes),
            (PieceSet, "from_bytes", staticmethod(part_from_bytes)),  # 0.6 ms
        ):
            stack.enter_context(replaced(target, name, value))
        yield


def replace_quickly(before: Any, /, **changes: Any) -> Any:
    """Do as `dataclasses.replace` for classes with slots, in a third of its time."""
    kind = type(before)
    known = _FIELDS.get(kind)
    if known is None:
        names = [each.name for each in fields(kind)]
        setters = {name: vars(kind)[name].__set__ for name in names}
        known = _FIELDS[kind] = attrgetter(*names), tuple(setters.values()), setters
    values, setters_in_order, setter_of = known
    after = object.__new__(kind)
    for put, value in zip(setters_in_order, values(before), strict=True):
        put(after, value)
    for name, value in changes.items():
        setter_of[name](after, value)
    return after


@contextlib.contextmanager
def replaced(target: Any, name: str, value: Any) -> Iterator[None]:
    """Give `target` another `name` inside the block."""
    before = vars(target)[name]
    setattr(target, name, value)
    try:
        yield
    finally:
        setattr(target, name, before)
