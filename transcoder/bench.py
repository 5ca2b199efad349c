"""The one place where steps are worked on: in the main thread, one after the other.

Requests come in threads. A step must run in the main thread, because only there a signal can
break off a blocking call (see `stopping`), and because the kernel kills FFmpeg with the thread
that started it. So a request's thread hands its step over and waits for the result, and other
threads go on to answer `/health`.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue

from core import limits
from core.errors import Interrupted, Unavailable

Step = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """A step with the context of its request, so that events say which one they belong to."""

    step: Step
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    done: Future[None] = field(default_factory=Future)

    def work(self) -> None:
        try:
            self.context.run(self.step)
        except Exception as error:  # noqa: BLE001 - it belongs to the request, which raises it
            self.done.set_exception(error)
        except BaseException:
            self.done.set_exception(Interrupted("the process ends"))
            raise
        else:
            self.done.set_result(None)


class Bench:
    """Takes steps from any thread; `work` does them. `stop` tells that no more shall begin."""

    def __init__(
        self,
        stop: Callable[[], bool],
        *,
        wait_s: float = limits.PUSH_WAIT_S,
        waiting_max: int = limits.PUSH_WAITING_MAX,
    ) -> None:
        self._stop = stop
        self._wait_s = wait_s
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(waiting_max + 1)
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._guard = threading.Lock()
        self._closed = False
        self._began: float | None = None

    def is_stuck(self) -> bool:
        """Return whether a step takes longer than any may, so that only a new start helps."""
        began = self._began
        return began is not None and time.monotonic() - began > limits.PUSH_ACK_S

    def do(self, step: Step) -> None:
        """Have `step` done, and raise what it raises.

        Raises Unavailable when others are before it for too long, or too many; Interrupted when
        this process is to stop.
        """
        if not self._places.acquire(blocking=False):
            raise _busy()
        try:
            if not self._turn.acquire(timeout=self._wait_s):
                raise _busy()
            try:
                self._hand_over(step).done.result()
            finally:
                self._turn.release()
        finally:
            self._places.release()

    def work(self) -> None:
        """Do steps in this thread until `close`."""
        try:
            while (order := self._orders.get()) is not None:
                self._began = time.monotonic()
                order.work()
                self._began = None
        finally:
            self._refuse_the_rest()

    def close(self) -> None:
        """Let `work` return when it has done what is before this call; from any thread."""
        self._orders.put(None)

    def _hand_over(self, step: Step) -> _Order:
        order = _Order(step=step)
        with self._guard:
            if self._closed or self._stop():
                raise Interrupted("the worker was asked to stop")
            self._orders.put(order)
        return order

    def _refuse_the_rest(self) -> None:
        """Nobody works here any more: whoever still waits would wait for ever."""
        with self._guard:
            self._closed = True
            while not self._orders.empty():
                order = self._orders.get()
                if order is not None:
                    order.done.set_exception(Interrupted("the worker has stopped"))


def _busy() -> Unavailable:
    return Unavailable("another message is being worked on; deliver this one again")
