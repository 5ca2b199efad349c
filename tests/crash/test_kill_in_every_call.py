"""SIGKILL before, inside and after the calls of the ports, dozens of times in a few trees."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from infra.embedded.jobs import SqliteJobStore
from tests.crash.nights import Night
from tests.crash.rounds import KINDS, Round, Stuck
from tests.crash.stage import LONG, SEED, Order, Stage, chosen, kill_at_each, on_stage
from tests.crash.tree import Nursery, nursery

DAY_KILLS = int(os.environ.get("LECTERN_CRASH_KILLS", "220" if LONG else "32"))
NIGHT_KILLS = int(os.environ.get("LECTERN_CRASH_NIGHTS", "40" if LONG else "8"))
"""How many points are tried, spread over all that were found."""
TREES = 4
"""Trees that are killed side by side: most of a kill's time is the wait for a lease."""
NIGHT = {"CONFIRM_TTL_S": "1", "KEEP_RECORD_S": "1", "UPLOAD_TTL_S": "1.5", "ORPHAN_GRACE_S": "2"}
pytestmark = pytest.mark.timeout(3600 if LONG else 240)


@pytest.fixture(scope="module")
def trees() -> Iterator[Nursery]:
    """Give what trees are forked from."""
    with nursery() as made:
        yield made


def a_round(kinds: tuple[str, ...] = KINDS, patience_s: float = 30.0) -> Order:
    """Return what makes rounds of jobs."""

    def make(stage: Stage, name: str) -> Round:
        store = stage.tree.folder / "jobs.db"
        return Round(
            tree=stage.tree,
            lms=stage.lms,
            jobs=lambda: SqliteJobStore(store),
            name=name,
            kinds=kinds,
            patience_s=patience_s,
        )

    return make


def a_night(stage: Stage, name: str) -> Night:
    """Return a round of what only the sweep can bring to its end."""
    return Night(tree=stage.tree, lms=stage.lms, name=name)


def test_no_kill_in_any_call_loses_or_doubles_anything(
    trees: Nursery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every second kill takes the whole tree, the others one process."""

    def stage(number: int) -> AbstractContextManager[Stage]:
        return on_stage(tmp_path / f"tree-{number}", trees, a_round())

    with stage(TREES) as reference:
        reference.warm_up()
        first, second = reference.trace(), set(reference.trace())
        reference.check_nothing_is_left()
    sure = [point for point in first if point in second and not point.startswith("clock ")]
    kill_and_tell(sure, DAY_KILLS, stage, trees, capsys)


def test_no_kill_of_the_sweep_leaves_anything(
    trees: Nursery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lost messages, uploads nobody finished, orphans, results nobody confirmed."""

    def stage(number: int) -> AbstractContextManager[Stage]:
        return on_stage(tmp_path / f"night-{number}", trees, a_night, **NIGHT)

    with stage(TREES) as reference:
        reference.warm_up()
        found = reference.trace()
        reference.check_nothing_is_left()
    kill_and_tell([p for p in found if p.startswith("clock ")], NIGHT_KILLS, stage, trees, capsys)


def kill_and_tell(
    points: list[str],
    share: int,
    stage: Callable[[int], AbstractContextManager[Stage]],
    trees: Nursery,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Kill at a share of the points, each a distinct one, and print the figures."""
    dice = random.Random(SEED)  # noqa: S311 - replayable, no secret
    plan = [(point, number % 2 == 1) for number, point in enumerate(chosen(points, share, dice))]
    assert len({point for point, _ in plan}) == min(share, len(points))
    kill_at_each(plan, trees=TREES, stage=stage)
    figures = f"{len(plan)} kills at {len(points)} points, {trees.cpu_s():.1f} CPU s so far"
    with capsys.disabled():
        print(f"\n{figures}, LECTERN_SEED={SEED}")  # noqa: T201 - figures, also of a test that passes


def test_a_run_without_kills_does_not_pass_for_one(trees: Nursery, tmp_path: Path) -> None:
    """The harness's own test: it must notice that nobody died."""
    with on_stage(tmp_path / "tree", trees, a_round(("plain",))) as stage:
        for alone in (True, False):
            death = stage.tree.arm(point="http jobs.update after #1", alone=alone, harmless=True)
            one = stage.round()
            one.run()
            one.check()
            with pytest.raises(AssertionError, match="nobody died"):
                stage.tree.check_died(death, ends_before=0)


def test_a_service_that_forgets_is_found_out(trees: Nursery, tmp_path: Path) -> None:
    """The harness's own test: a lost message without a sweep must count as a failure."""
    silent = {"SWEEP_INTERVAL_S": "3600", "REPUBLISH_AFTER_S": "3600"}
    order = a_round(("plain",), patience_s=4)
    with on_stage(tmp_path / "tree", trees, order, **silent) as stage:
        death = stage.tree.arm(point="http bus.publish before #1")
        with pytest.raises(Stuck, match="the delivery"):
            stage.round().run()
        assert death.mark.exists()
