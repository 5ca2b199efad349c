"""Children of a process that does nothing but watch over them."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Final, Self

from core import limits

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_HEARD: Final = (*_STOPPING, signal.SIGCHLD)
_PR_SET_PDEATHSIG: Final = 1
"""From <linux/prctl.h>."""
_M_MMAP_THRESHOLD: Final = -3
"""From glibc's <malloc.h>."""
_LARGE_BYTES: Final = 128 * limits.KIB
"""glibc's own first threshold; that it is set keeps it from growing."""


@dataclass(slots=True, kw_only=True)
class Child:
    """A child process, leader of a group of its own; `name` is for the log."""

    name: str
    pid: int
    status: int | None = None

    def alive(self) -> bool:
        """Return whether it runs; after that `status` is its exit status, below 0 a signal's."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid == self.pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is None

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.alive():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill what is left of its group and wait for it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.status is None:
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)


def fork(name: str, work: Callable[[], None]) -> Child:
    """Return a child that runs `work` and ends; on Linux it is killed if this process dies.

    Only for a process without threads. Signal handlers are not inherited.
    """
    parent = os.getpid()
    sys.stdout.flush()
    gc.freeze()  # else the collector writes to all that is there, and no page stays shared
    pid = os.fork()
    if pid:
        return Child(name=name, pid=pid)
    status = 1
    try:
        _begin(parent)
        work()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else status
    except BaseException:  # noqa: BLE001 - nothing may return into the parent's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def give_memory_back() -> None:
    """Let this process return large buffers to the system at once (glibc; elsewhere nothing).

    By itself glibc begins to keep them after the first: about 8 MB after four uploads at once.
    """
    with contextlib.suppress(AttributeError):  # a C library without mallopt
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def _begin(parent: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in _HEARD:
        signal.signal(number, signal.SIG_DFL)
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)  # it died before the kernel was told to watch it


class Signals:
    """Hears of ended children and of the request to stop while the block runs."""

    def __init__(self) -> None:
        self.stop = False
        """Whether the process was asked to stop."""
        self._read, self._write = -1, -1

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write)
        for number in _HEARD:
            signal.signal(number, self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number in _HEARD:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.close(self._read)
        os.close(self._write)

    def wait(
        self, until: Callable[[], bool], *, also: tuple[int, ...] = (), timeout_s: float | None
    ) -> bool:
        """Return once `until` is true, or False when that took too long.

        It is asked again after every signal and whenever a handle of `also` can be read.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not until():
            left_s = None if deadline is None else deadline - time.monotonic()
            if left_s is not None and left_s <= 0:
                return False
            select.select([self._read, *also], [], [], left_s)
            with contextlib.suppress(BlockingIOError):
                os.read(self._read, 512)
        return True

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self.stop = self.stop or number in _STOPPING
