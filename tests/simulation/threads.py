"""Threads and what they wait for, in virtual time; in the calm nothing ever waits."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulation.schedule import Task

if TYPE_CHECKING:
    from tests.simulation.world import World


class _Present:
    """The world whose history runs now."""

    world: World


present = _Present()


class _Waiters:
    """Tasks that wait for the same."""

    def __init__(self) -> None:
        self._tasks: list[Task] = []

    def wait(self, until: float) -> None:
        """Wait until somebody wakes, or until then."""
        hub = present.world.hub
        task = hub.current
        if task is None:
            raise RuntimeError("nobody can wait in the calm")
        self._tasks.append(task)
        try:
            hub.pause(until)
        finally:
            if task in self._tasks:
                self._tasks.remove(task)

    def wake(self) -> None:
        """Have all look again."""
        for task in self._tasks:
            task.at = present.world.hub.now


class SimEvent:
    """A `threading.Event`."""

    def __init__(self) -> None:
        self._flag = False
        self._waiter: Task | None = None

    def is_set(self) -> bool:
        """Tell the flag."""
        return self._flag

    def set(self) -> None:
        """Raise the flag, and wake who waits."""
        self._flag = True
        if self._waiter is not None:
            self._waiter.at = present.world.hub.now

    def wait(self, timeout: float) -> bool:
        """Wait for the flag."""
        hub = present.world.hub
        if not self._flag:
            self._waiter = hub.current
            hub.sleep(timeout)
            self._waiter = None
        return self._flag


class SimThread:
    """A `threading.Thread` of the process that starts it; in the calm it does not run."""

    def __init__(self, *, target: Callable[[], None], name: str, daemon: bool) -> None:
        del name, daemon
        self._target = target
        self._task: Task | None = None

    def start(self) -> None:
        """Begin."""
        hub = present.world.hub
        if hub.current is not None:
            self._task = hub.spawn(hub.current.process, self._target)

    def join(self) -> None:
        """Wait for its end."""
        if self._task is not None:
            present.world.hub.join(self._task)


class SimSemaphore:
    """A `threading.BoundedSemaphore`, or with one place a `threading.Lock`."""

    def __init__(self, value: int = 1) -> None:
        self._free = value
        self._waiters = _Waiters()

    def acquire(self, *, blocking: bool = True, timeout: float = math.inf) -> bool:
        """Take a place, or tell that there was none in time."""
        until = present.world.hub.now + timeout
        while not self._free:
            if not blocking or present.world.hub.now >= until:
                return False
            self._waiters.wait(until)
        self._free -= 1
        return True

    def release(self) -> None:
        """Give the place back."""
        self._free += 1
        self._waiters.wake()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()


class SimQueue:
    """A `queue.SimpleQueue`."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._waiters = _Waiters()

    def put(self, item: object) -> None:
        """Append."""
        self._items.append(item)
        self._waiters.wake()

    def get(self) -> Any:
        """Wait for the next."""
        while not self._items:
            self._waiters.wait(math.inf)
        return self._items.popleft()

    def empty(self) -> bool:
        """Tell whether nothing is there."""
        return not self._items


class SimFuture:
    """A `concurrent.futures.Future`."""

    def __init__(self) -> None:
        self._is_done = False
        self._error: BaseException | None = None
        self._waiters = _Waiters()

    def set_result(self, _value: None) -> None:
        """End well."""
        self._is_done = True
        self._waiters.wake()

    def set_exception(self, error: BaseException) -> None:
        """End badly."""
        self._error = error
        self.set_result(None)

    def result(self) -> None:
        """Wait for the end."""
        while not self._is_done:
            self._waiters.wait(math.inf)
        if self._error is not None:
            raise self._error


class SimThreading:
    """Stands for the module `threading`."""

    Event = SimEvent
    Thread = SimThread
    Lock = SimSemaphore
    BoundedSemaphore = SimSemaphore
