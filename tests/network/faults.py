"""What can go wrong on a link, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a link does while it is broken.

    `opens` says what becomes of a new connection: it passes, is `refused`, is `reset` at once, or
    is `silent` (accepted and never served). Of what passes, each way is cut after `cut_up` or
    `cut_down` bytes, waits `delay_s` (stretched by up to `jitter_s`) for each piece, and takes
    `bytes_per_s`. Connections that stood before go on, unless `drops` them or has them `hang`.
    `doubled` opens every connection twice at the far side. `lingers_s` is how long an end is kept
    from the other side. `flip_up` and `flip_down` turn a bit of the byte at that place.
    """

    name: str
    opens: str = "pass"
    drops: bool = False
    hangs: bool = False
    cut_up: float = math.inf
    cut_down: float = math.inf
    delay_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = math.inf
    doubled: bool = False
    lingers_s: float = 0.0
    flip_up: int | None = None
    flip_down: int | None = None
    hits_max: float = math.inf
    """So many connections are hurt; then the link is well again."""
    for_good: bool = False
    """Connections that hang do so for ever: nothing on the way tells their ends."""


NONE = Fault(name="well")
REFUSED = Fault(name="refused", opens="refused", drops=True)
RESET = Fault(name="reset", opens="reset", drops=True)
HALF_OPEN = Fault(name="half-open", opens="silent", hangs=True)
GONE_QUIET = Fault(name="gone quiet", hangs=True)
"""What stood is dead without a word, as after a lost NAT entry; what is new gets through."""
GONE_FOR_GOOD = Fault(name="gone for good", hangs=True, for_good=True)
SLOW = Fault(name="slow", delay_s=0.05, jitter_s=0.05)
THROTTLED = Fault(name="throttled", bytes_per_s=20_000)
DOUBLED = Fault(name="doubled connects", drops=True, doubled=True)
LINGERING = Fault(name="slow close", drops=True, lingers_s=1.0)
CUT_REQUEST = Fault(name="cut request", drops=True, cut_up=700, hits_max=3)
CUT_ANSWER = Fault(name="cut answer", drops=True, cut_down=120, hits_max=3)
LOST_ANSWER = Fault(name="lost answer", cut_down=0, hits_max=2)
"""The far side does what it is asked, and nobody hears of it."""
