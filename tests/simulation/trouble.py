"""The door of every port: where processes change places, die, and hear nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from random import Random

from core.errors import Unavailable
from tests.simulation.schedule import Hub, Killed, Process, Task
from tests.simulation.weather import Weather

Coverage = Counter[Hashable]
_FREEZES_S = (2.0, 4.0, 4.0, 9.0, 30.0, 70.0, 130.0, 130.0, 700.0)
"""Around the leases of 3 and 12 s, the pauses of a minute, the grace, the TTLs."""
_LAGS_S = (0.2, 1.0, 3.5, 20.0)


class Trouble:
    """Decides what befalls each port call, tells the trace and counts what was reached."""

    def __init__(
        self, hub: Hub, random: Random, weather: Weather, coverage: Coverage, *, tracing: bool
    ) -> None:
        self.hub = hub
        self.coverage = coverage
        self.trace: list[str] | None = [] if tracing else None
        self.calls = 0
        self.down: dict[str, float] = {}
        self._roll = random.random
        self.change(weather)

    def change(self, weather: Weather) -> None:
        """Let other weather rule from now on."""
        self.weather = weather
        self._crash = weather.crash
        self._fail = self._crash + weather.fail
        self._freeze = self._fail + weather.freeze
        self._slow = self._freeze + weather.slow
        self._switch = self._slow + weather.switch

    def enter(self, port: str, call: str) -> None:
        """Come before a call's effect; raises Unavailable, or Killed."""
        task = self.hub.current
        if task is None:
            return
        if task.process.dead:
            raise Killed
        self.calls += 1
        if self.trace is not None:
            self.say(f"{port}.{call}")
        roll = self._roll()
        if roll < self._switch:
            self._befall(task, roll, port, call, "before")
        if self.down and self.down.get(port, 0.0) > self.hub.now:
            self.coverage["outage", port] += 1
            raise Unavailable(f"{port} is down")

    def leave(self, port: str, call: str) -> None:
        """Come after a call's effect; raises Unavailable where the answer is lost, or Killed."""
        task = self.hub.current
        if task is None:
            return
        roll = self._roll()
        if roll < self._switch:
            self._befall(task, roll, port, call, "after")

    def happens(self, what: str) -> bool:
        """Tell whether something befalls now that the weather has a share for."""
        share = getattr(self.weather, what)
        return bool(share) and self._roll() < share

    def dies(self) -> bool:
        """Tell whether the process that runs is dead and its clean-up must have no effect."""
        task = self.hub.current
        return task is not None and task.process.dead

    def say(self, what: str) -> None:
        """Write a line of the trace."""
        if self.trace is not None:
            task = self.hub.current
            who = task.process.name if task is not None else "calm"
            self.trace.append(f"{self.hub.now - 1_800_000_000:9.1f}  {who:<18} {what}")

    def _befall(self, task: Task, roll: float, port: str, call: str, when: str) -> None:
        if roll < self._crash:
            self.coverage["crash", f"{port}.{call}", when] += 1
            self.say(f"    dies {when} {port}.{call}")
            task.process.dead = True
            raise Killed
        if roll < self._fail:
            self.coverage["fault", f"{port}.{call}", when] += 1
            self.say(f"    no answer {when} {port}.{call}")
            raise Unavailable(f"{port} does not answer")
        if roll < self._freeze:
            self.freeze(task.process)
        elif roll < self._slow:
            self.hub.sleep(_LAGS_S[int(self._roll() * len(_LAGS_S))])
        else:
            self.hub.pause(self.hub.now)

    def freeze(self, process: Process) -> None:
        """Let the process go on much later, with all that it believes to hold."""
        s = _FREEZES_S[int(self._roll() * len(_FREEZES_S))]
        self.coverage["frozen", s] += 1
        self.say(f"    {process.name} freezes for {s:.0f} s")
        process.frozen_until = self.hub.now + s
        task = self.hub.current
        if task is not None and task.process is process:
            self.hub.pause(self.hub.now)
