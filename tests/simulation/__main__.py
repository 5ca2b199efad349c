"""Replay one history with its trace: `python -m tests.simulation SEED [MUTANT]`."""

from __future__ import annotations

import sys

from tests.simulation.history import replay

print(replay(int(sys.argv[1]), None))  # noqa: T201 - what it is for
