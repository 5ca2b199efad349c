"""How a worker hears that it must stop, also in the middle of a blocking call."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from core.errors import Interrupted


class StopSignal:
    """Remembers SIGTERM or SIGINT; call it to ask."""

    def __init__(self) -> None:
        self._requested = False
        self._interrupting = False

    def __call__(self) -> bool:
        """Return whether the process was asked to stop."""
        return self._requested

    def install(self) -> None:
        """Listen; only from the main thread."""
        signal.signal(signal.SIGTERM, self._hear)
        signal.signal(signal.SIGINT, self._hear)

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

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self._requested = True
        if self._interrupting:
            self._interrupting = False
            raise _interrupted()


def _interrupted() -> Interrupted:
    return Interrupted("the worker was asked to stop")
