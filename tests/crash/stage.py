"""A tree with all that belongs to it, and the loop of killing it at one point after the other."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final, Protocol

from lectern.example_lms import ExampleLms
from tests.crash.tree import Nursery, Tree
from tests.service.harness import lms_for, until

LONG: Final = "LECTERN_TORTURE" in os.environ
SEED: Final = int(os.environ.get("LECTERN_SEED", time.time_ns() % 1_000_000))
ROUNDS_MAX: Final = 4
"""Rounds until a point must have been passed: in one of them a call may be spared."""
LEFT_OVER_S: Final = 30.0


class Work(Protocol):
    """What goes through a tree between two kills."""

    def run(self) -> None:
        """Bring it to its end, starting the tree again where it died."""
        ...

    def check(self) -> None:
        """Hold it against the promises."""
        ...


Order = Callable[["Stage", str], Work]


class Stage:
    """A tree, its LMS, and rounds of work that go through both."""

    def __init__(self, tree: Tree, lms: ExampleLms, order: Order) -> None:
        self.tree = tree
        self.lms = lms
        self._order = order
        self._rounds = 0

    def round(self) -> Work:
        """Return a round of new work."""
        self._rounds += 1
        return self._order(self, f"r{self._rounds:03}")

    def warm_up(self) -> None:
        """Have all that is made only once be made, so that every later round is alike."""
        one = self.round()
        one.run()
        one.check()

    def trace(self) -> list[str]:
        """Return the points of one round in their order."""
        file = self.tree.folder.with_name("trace")
        file.unlink(missing_ok=True)
        self.tree.arm(trace=str(file))
        self.round().run()
        self.tree.disarm()
        return list(dict.fromkeys(file.read_text().splitlines()))

    def kill_at(self, point: str, *, alone: bool) -> None:
        """Send a round through while the tree, or one process of it, dies at the point."""
        ends = len(self.tree.ends)
        death = self.tree.arm(point=point, alone=alone)
        rounds: list[Work] = []
        while not death.mark.exists() and len(rounds) < ROUNDS_MAX:
            rounds.append(self.round())
            rounds[-1].run()
        if death.mark.exists() and not alone and len(self.tree.ends) == ends:
            until(self.tree.revive, f"the death at {point}")  # by a call after the last job's end
        self.tree.disarm()
        self.tree.check_died(death, ends_before=ends)
        for one in rounds:
            one.check()

    def kill_twice(self, first: str, second: str, *, alone: bool) -> None:
        """Kill at one point of a round, and at another when what died goes on.

        The second counts from the first death; it must come later than a lease runs out.
        """
        ends = len(self.tree.ends)
        deaths = [self.tree.arm(point=first, alone=alone)]

        def arm_again() -> None:
            until(deaths[0].mark.exists, f"the death at {first}")
            deaths.append(self.tree.arm(point=second, alone=alone))

        arming = threading.Thread(target=arm_again)
        arming.start()
        one = self.round()
        one.run()
        arming.join()
        self.tree.disarm()
        assert len(deaths) == 2, f"nobody died at {first}"
        for number, death in enumerate(deaths):
            self.tree.check_died(death, ends_before=ends + number, ends_after=ends + number + 1)
        one.check()

    def check_nothing_is_left(self) -> None:
        """Fail unless every object, partial and private folder goes away."""
        until(lambda: not self.tree.files(), "no file is left", timeout_s=LEFT_OVER_S)
        until(self.tree.url, "the last life is up, so that it knows how to stop")
        assert self.tree.stop() == 0


_On = AbstractContextManager[Stage]


@contextmanager
def on_stage(
    folder: Path, forked_from: Nursery, order: Order, **environment: str
) -> Iterator[Stage]:
    """Give a running tree; what is left of it is killed at the end."""
    folder.mkdir(exist_ok=True)
    with lms_for(folder / "data") as lms:
        tree = Tree(
            folder=folder / "data",
            lms_url=lms.url,
            environment=environment,
            nursery=forked_from,
        )
        with playing(tree, lms, order) as stage:
            yield stage


@contextmanager
def playing(tree: Tree, lms: ExampleLms, order: Order) -> Iterator[Stage]:
    """Give a stage with the tree on it."""
    tree.disarm()
    try:
        tree.start()
        yield Stage(tree, lms, order)
    finally:
        tree.kill()


def chosen(points: Sequence[str], share: int, dice: random.Random) -> list[str]:
    """Return `share` points: each kind of call if there are enough, each time another of its turns.

    A kind is a point without its number.
    """
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for point in points:
        kinds[point.rpartition(" ")[0]].append(point)
    turns = list(kinds.values())
    count = min(share, len(turns))
    first = [dice.choice(turns[number * len(turns) // count]) for number in range(count)]
    more = [point for point in points if point not in first]
    return first + dice.sample(more, min(share - len(first), len(more)))


def kill_at_each(
    plan: Sequence[tuple[str, bool]], *, trees: int, stage: Callable[[int], _On]
) -> None:
    """Go through a plan (a point; whether one process dies alone) with several trees at once."""
    opening = threading.Lock()  # Python 3.11 may fail where two threads parse at once

    def go(number: int) -> None:
        with ExitStack() as opened:
            with opening:
                on = opened.enter_context(stage(number))
            on.warm_up()
            for point, alone in plan[number::trees]:
                try:
                    on.kill_at(point, alone=alone)
                except BaseException as error:
                    error.add_note(f"killed at {point}, alone: {alone}, LECTERN_SEED={SEED}")
                    raise
            on.check_nothing_is_left()

    with ThreadPoolExecutor(trees) as pool:
        list(pool.map(go, range(trees)))
