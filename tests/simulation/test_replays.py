"""A seed is a history: the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.simulation.history import replay

ROOT = Path(__file__).parents[2]
SEEDS = (3, 77, 581)


def test_a_seed_gives_the_same_history_in_every_process() -> None:
    """Nothing depends on the order of sets, on the clock, or on what ran before."""
    for seed in SEEDS:
        here = replay(seed)
        assert len(here.splitlines()) > 20
        for hashes in ("1", "2"):
            there = subprocess.run(
                [sys.executable, "-m", "tests.simulation", str(seed)],
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": hashes},
                check=True,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert there.stdout.strip() == here.strip()


def test_histories_differ_from_seed_to_seed() -> None:
    """Two seeds are two histories."""
    assert len({replay(seed) for seed in range(20)}) == 20
