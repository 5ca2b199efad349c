"""The machine's clock and randomness, for the wiring to hand out."""

from __future__ import annotations

import random
import time
import uuid


class SystemClock:
    """The wall clock of this machine."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC."""
        return time.time()


def new_id() -> str:
    """Return a random UUID: the name of a run."""
    return str(uuid.uuid4())


def new_span_id() -> str:
    """Return a random span id, as `core.trace` has them."""
    return f"{random.randrange(1, 1 << 64):016x}"  # noqa: S311 - it keeps no secret


def new_trace_id() -> str:
    """Return a random trace id, as `core.trace` has them."""
    return f"{random.randrange(1, 1 << 128):032x}"  # noqa: S311 - it keeps no secret


def jitter() -> float:
    """Return a number in [0, 1) that spreads retries out; not for secrets."""
    return random.random()  # noqa: S311 - it keeps no secret
