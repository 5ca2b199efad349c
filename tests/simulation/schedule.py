"""Cooperative tasks on a virtual clock: who runs next is decided by the history's own dice.

A process is one or more tasks that live and die together. Tasks are greenlets, so the code that
runs in them is the product's own, synchronous as it is; they change places only in `pause`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from random import Random
from typing import Any, Final

from greenlet import getcurrent, greenlet

START: Final = 1_800_000_000.0
_SWITCHES_MAX: Final = 20_000
"""Switches of one history; the longest have a few hundred."""


class Killed(BaseException):
    """The process is gone. Not an Exception: no handler of the product may survive it."""


class Broken(BaseException):
    """A promise was broken. Not an Exception: a worker's outermost handler must not hide it."""


class Process:
    """What dies at once. `role` is what it does, `claim` and `piece` what it holds.

    `asked_again` tells that its claim was written twice, so that it does not know of it.
    """

    __slots__ = (
        "asked_again", "claim", "dead", "frozen_until", "job_id", "name", "piece", "role", "said",
        "stopping",
    )  # fmt: skip

    def __init__(self, name: str, role: str) -> None:
        self.name = name
        self.role = role
        self.dead = False
        self.frozen_until = -math.inf
        self.stopping = False
        self.asked_again = False
        self.job_id: str | None = None
        self.said: Any = None
        self.claim: tuple[str, str, int] | None = None
        self.piece: tuple[str, int, int, int] | None = None


class Task(greenlet):  # type: ignore[misc]  # greenlet ships no types
    """One line of execution of a process, due to go on at `at`."""

    process: Process
    at: float
    joiners: list[Task]


class Hub:
    """The virtual clock and the tasks; `current` is None while none of them runs."""

    def __init__(self, random: Random) -> None:
        self.now = START
        self.current: Task | None = None
        self.tasks: list[Task] = []
        self._random = random
        self._main = getcurrent()
        self._switches = 0

    def spawn(self, process: Process, run: Callable[[], None]) -> Task:
        """Add a task that is due now."""

        def body() -> None:
            with contextlib.suppress(Killed):
                run()

        task = Task(body, self._main)
        task.process = process
        task.at = self.now
        task.joiners = []
        self.tasks.append(task)
        return task

    def pause(self, at: float) -> None:
        """Let others run until `at`; raises Killed in a process that died meanwhile."""
        task = self.current
        if task is None:
            return
        if task.process.dead:
            raise Killed
        task.at = at
        self._main.switch()
        if task.process.dead:
            raise Killed

    def sleep(self, s: float) -> None:
        """Let `s` seconds pass."""
        self.pause(self.now + s)

    def join(self, other: Task) -> None:
        """Wait until the other task has ended."""
        while not other.dead and self.current is not None:
            other.joiners.append(self.current)
            self.pause(math.inf)

    def run(self, until: float) -> None:
        """Run all tasks that are due until then; the time is `until` afterwards."""
        tasks = self.tasks
        while tasks:
            now = self.now
            ready = [
                task
                for task in tasks
                if task.process.dead or (task.at <= now and task.process.frozen_until <= now)
            ]
            if not ready:
                at = min(max(task.at, task.process.frozen_until) for task in tasks)
                if at > until:
                    break
                self.now = at
                continue
            if len(ready) > 1:
                self._step(ready[int(self._random.random() * len(ready))])
            else:
                self._step(ready[0])
        self.now = max(self.now, until)

    def kill(self, process: Process) -> None:
        """End a process from outside of its tasks."""
        process.dead = True

    def _step(self, task: Task) -> None:
        self._switches += 1
        if self._switches > _SWITCHES_MAX:
            raise Broken("the tasks never come to an end")
        self.current = task
        try:
            if not task.process.dead:
                task.switch()
            elif task:
                task.throw(Killed)
            else:
                self.tasks.remove(task)  # never began
                return
        finally:
            self.current = None
        if task.dead:
            self.tasks.remove(task)
            for other in task.joiners:
                other.at = self.now
