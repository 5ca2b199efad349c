"""Puts the simulation's disk, threads and counters under the product while a history runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import core.board
import core.handing_over
import core.ledger
import core.piecework
import core.submission
import core.transitions
import core.waiting
import functions.sweep
import transcoder.heartbeat
import transcoder.piece_step
import transcoder.scratch
import transcoder.transcode
from core import limits
from core.assignment import Assignment
from core.transitions import advance
from tests.simulation.disk import SimShutil
from tests.simulation.schedule import Task

if TYPE_CHECKING:
    from tests.simulation.world import World

_REPLACING = (core.board, core.handing_over, core.piecework, core.transitions, core.waiting)
_FIELDS: dict[type, Any] = {}
CLAIMS_MAX = 3
MESSAGE_DELIVERIES_MAX = 3
"""So few that histories of some dozen calls come to poison and to dead letters."""


class _Present:
    """The world whose history runs now."""

    world: World


present = _Present()


class SimEvent:
    """A `threading.Event` in virtual time."""

    def __init__(self) -> None:
        self._flag = False
        self._waiter: Task | None = None

    def is_set(self) -> bool:
        """Tell the flag."""
        return self._flag

    def set(self) -> None:
        """Raise the flag, and wake who waits."""
        self._flag = True
        if self._waiter is not None:
            self._waiter.at = present.world.hub.now

    def wait(self, timeout: float) -> bool:
        """Wait for the flag."""
        hub = present.world.hub
        if not self._flag:
            self._waiter = hub.current
            hub.sleep(timeout)
            self._waiter = None
        return self._flag


class SimThread:
    """A `threading.Thread` of the process that starts it; in the calm it does not run."""

    def __init__(self, *, target: Callable[[], None], name: str, daemon: bool) -> None:
        del name, daemon
        self._target = target
        self._task: Task | None = None

    def start(self) -> None:
        """Begin."""
        hub = present.world.hub
        if hub.current is not None:
            self._task = hub.spawn(hub.current.process, self._target)

    def join(self) -> None:
        """Wait for its end."""
        if self._task is not None:
            present.world.hub.join(self._task)


class SimThreading:
    """Stands for the module `threading`."""

    Event = SimEvent
    Thread = SimThread


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
    written: dict[tuple[int, int], bytes] = {}
    read, write = Assignment.from_bytes, Assignment.to_bytes

    def from_bytes(data: bytes) -> Assignment:
        if data not in documents:
            documents[data] = read(data)
        return documents[data]

    def to_bytes(self: Assignment) -> bytes:
        kind = len(self.pieces.pieces), self.attempt
        if kind not in written:
            written[kind] = write(self)
        return written[kind]

    with contextlib.ExitStack() as stack:
        for target, name, value in (
            (transcoder.heartbeat, "threading", SimThreading),
            (transcoder.scratch, "shutil", SimShutil),
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
