"""How a worker hears that it must stop, also in the middle of a blocking call."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Final

from core.errors import Interrupted, StepTimedOut

_ALARM: Final = signal.SIGUSR2
"""Breaks off a blocking call whose time is over."""


class StopSignal:
    """Remembers SIGTERM or SIGINT; call it to ask."""

    def __init__(self) -> None:
        self._requested = False
        self._interrupting = False
        self._ends_at = math.inf
        self._why = ""

    def __call__(self) -> bool:
        """Return whether the process was asked to stop."""
        return self._requested

    def install(self) -> None:
        """Listen; only from the main thread."""
        signal.signal(signal.SIGTERM, self.hear)
        signal.signal(signal.SIGINT, self.hear)

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Let the signal raise Interrupted at once while the block runs in the main thread.

        Elsewhere it is only noted, so that no transaction is torn apart.
        """
        self._interrupting = True
        try:
            if self._requested:
                raise _interrupted()
            yield
        finally:
            self._interrupting = False

    @contextlib.contextmanager
    def within(self, seconds: float, why: str) -> Iterator[None]:
        """Be `interrupting`, and raise StepTimedOut(`why`) after `seconds`; main thread only."""
        if seconds <= 0:
            raise StepTimedOut(why)
        signal.signal(_ALARM, self._ring)
        self._ends_at, self._why = time.monotonic() + seconds, why
        main = threading.main_thread().ident or 0
        timer = threading.Timer(seconds, signal.pthread_kill, (main, _ALARM))
        timer.daemon = True
        timer.start()
        try:
            with self.interrupting():
                yield
        finally:
            timer.cancel()
            self._ends_at = math.inf

    def hear(self, _number: int, _frame: FrameType | None) -> None:
        """Take note of a signal; raises Interrupted inside `interrupting`."""
        self._requested = True
        if self._interrupting:
            self._interrupting = False
            raise _interrupted()

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        """A late alarm of an earlier block must not hit the next one."""
        if self._interrupting and time.monotonic() >= self._ends_at:
            self._interrupting = False
            raise StepTimedOut(self._why)


def _interrupted() -> Interrupted:
    return Interrupted("the worker was asked to stop")
