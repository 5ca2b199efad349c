"""Random histories of receives, crashes, late workers and lost messages keep every promise.

LECTERN_SIMULATION_HISTORIES sets how many, LECTERN_SIMULATION_SEED the first seed.
"""

from __future__ import annotations

import fcntl
import os
import pickle
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.figures import missed, table
from tests.simulation.history import first_broken, replay
from tests.simulation.trouble import Coverage

TORTURE = os.environ.get("LECTERN_TORTURE") == "1"
HISTORIES = int(os.environ.get("LECTERN_SIMULATION_HISTORIES", "1000000" if TORTURE else "20000"))
FIRST = int(os.environ.get("LECTERN_SIMULATION_SEED", "0"))
SHARES = max(HISTORIES // 1250, 1)
"""One test each, so that several workers take part and none takes long."""
ENOUGH = 20_000
"""Histories from which on everything must have been reached."""


@pytest.mark.parametrize("share", range(SHARES))
def test_no_history_breaks_a_promise(
    share: int, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Faults stop after each history, time runs on, and everything is where it should be."""
    coverage: Coverage = Counter()
    seeds = range(FIRST + share * HISTORIES // SHARES, FIRST + (share + 1) * HISTORIES // SHARES)
    found = first_broken(seeds, coverage)
    if found is not None:
        print(replay(found.seed))  # noqa: T201 - shown when the test fails
        pytest.fail(f"seed {found.seed}: {found.what}")
    whole = _gathered(coverage, tmp_path_factory)
    if whole is None:
        return
    if TORTURE:
        with capsys.disabled():
            print(f"\n{table(whole)}")  # noqa: T201 - the figures of the long form
    print(table(whole))  # noqa: T201 - shown when the test fails
    if HISTORIES >= ENOUGH:
        assert missed(whole) == [], "these situations were never reached"


def _gathered(coverage: Coverage, factory: pytest.TempPathFactory) -> Coverage | None:
    """Return the figures of all shares to the one that ends last."""
    folder = _shared(factory)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = folder / "coverage"
        shares, whole = pickle.loads(known.read_bytes()) if known.exists() else (0, Counter())  # noqa: S301 - our own
        whole.update(coverage)
        known.write_bytes(pickle.dumps((shares + 1, whole)))
    return whole if shares + 1 == SHARES else None


def _shared(factory: pytest.TempPathFactory) -> Path:
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "simulation"
    folder.mkdir(exist_ok=True)
    return folder
