"""What goes wrong in a history, and how often: each one draws its own faults."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(slots=True, kw_only=True)
class Weather:
    """Shares of port calls and messages that a fault befalls; all 0 in calm weather.

    Of port calls: `crash`, `fail` (Unavailable), `freeze` (the process goes on much later), `slow`
    and `switch` (another process comes between). Of messages: `lost`, `doubled`. Of work:
    `flaky` (a passing failure), `defect` (an error that nobody foresaw), `spoilt` (a set comes to
    nothing), `full` (there is no room for an object), `rude` (the LMS does not answer 200). Of
    pushes: `cut` (the connection breaks, and the step goes on).
    """

    crash: float = 0.0
    fail: float = 0.0
    freeze: float = 0.0
    slow: float = 0.0
    switch: float = 0.0
    lost: float = 0.0
    doubled: float = 0.0
    flaky: float = 0.0
    defect: float = 0.0
    rude: float = 0.0
    spoilt: float = 0.0
    full: float = 0.0
    cut: float = 0.0


def draw(random: Random) -> Weather:
    """Return the weather of a history: some faults often, others not at all."""
    roll = random.random

    def share(chance: float, *shares: float) -> float:
        return shares[int(roll() * len(shares))] if roll() < chance else 0.0

    return Weather(
        crash=share(0.5, 0.02, 0.05, 0.1),
        fail=share(0.4, 0.03, 0.08),
        freeze=share(0.4, 0.02, 0.06),
        slow=share(0.4, 0.05, 0.2),
        switch=share(0.8, 0.1, 0.3),
        lost=share(0.35, 0.2, 0.6),
        doubled=share(0.35, 0.2, 0.6),
        flaky=share(0.35, 0.15, 0.5),
        defect=share(0.15, 0.2, 0.6),
        rude=share(0.5, 0.3, 0.8),
        spoilt=share(0.5, 0.2, 0.6),
        full=share(0.1, 0.1, 0.3),
        cut=share(0.3, 0.1, 0.4),
    )
