"""The virtual clock and the log as ports."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.simulation.schedule import Hub

if TYPE_CHECKING:
    from tests.simulation.world import World


class SimClock:
    """The virtual clock as a port."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def now(self) -> float:
        """Return the present."""
        return self._hub.now


class SimLog:
    """An EventLog that counts, and reports what no worker should ever meet."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._bound = contextlib.nullcontext()

    def emit(self, event: str, /, **fields: object) -> None:
        """Count."""
        self._world.coverage["event", event] += 1
        if event == "worker.error" and "SimulatedDefect" not in str(fields["trace"]):
            self._world.promises.broken(f"a worker met what nobody foresaw: {fields['trace']}")

    def bind(self, **fields: object) -> contextlib.nullcontext[None]:
        """Add nothing."""
        del fields
        return self._bound
