"""The simulation finds what it is there to find: bugs that are planted on purpose."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.history import run
from tests.simulation.mutants import MUTANTS
from tests.simulation.stage import installed

HISTORIES_MAX = 6000
"""Histories in which each must be found; most are within a hundred."""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_is_found(name: str) -> None:
    """Some promise is broken before long, and it is broken again when that history is replayed."""
    with installed(), MUTANTS[name]():
        for seed in range(HISTORIES_MAX):
            found, _ = run(seed, Counter())
            if found is None:
                continue
            assert run(seed, Counter(), tracing=True)[0] == found
            print(f"seed {seed}: {found.what}")  # noqa: T201 - for the curious: pytest -s
            return
    pytest.fail(f"{HISTORIES_MAX} histories have not found that {name.replace('_', ' ')}")
