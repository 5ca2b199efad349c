"""Runs the embedded service as a process tree: starts it, restarts what ends, stops it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core import limits
from core.ports import EventLog

_TICK_S = 0.05
_KILL_EARLY_S = 1.5
"""Stragglers are killed this long before the time to stop is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One process of the tree: its name in the log, its arguments, and file handles it needs."""

    name: str
    argv: Sequence[str]
    pass_fds: tuple[int, ...] = ()


@dataclass(slots=True)
class _Slot:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    restarts: int = 0


@dataclass(slots=True)
class Supervisor:
    """Keeps `programs` running until `stop()`; every process ends with the supervisor."""

    programs: Sequence[Program]
    stop: Callable[[], bool]
    log: EventLog
    _slots: list[_Slot] = field(default_factory=list)
    _lifeline: tuple[int, int] = (-1, -1)

    def run(self) -> None:
        """Start everything and return after the last process has ended."""
        self._lifeline = os.pipe()
        self._slots = [_Slot(program) for program in self.programs]
        try:
            while not self.stop():
                for slot in self._slots:
                    self._keep(slot)
                time.sleep(_TICK_S)
        finally:
            self._end()

    def _keep(self, slot: _Slot) -> None:
        now = time.monotonic()
        if slot.process is not None and slot.process.poll() is not None:
            self._bury(slot, now)
        if slot.process is None and now >= slot.start_at:
            slot.started_at = now
            try:
                slot.process = self._start(slot.program)
            except OSError as error:  # no memory or no process is to be had just now
                self.log.emit("process.not_started", reason=error.strerror)
                self._bury(slot, now)

    def _bury(self, slot: _Slot, now: float) -> None:
        code = slot.process.returncode if slot.process else None
        if now - slot.started_at >= limits.RESTART_FORGIVEN_S:
            slot.restarts = 0
        pauses = limits.RESTART_PAUSES_S
        pause_s = pauses[min(slot.restarts, len(pauses) - 1)]
        slot.process, slot.start_at = None, now + pause_s
        slot.restarts += 1
        self.log.emit(
            "process.restarted", process=slot.program.name, exit_code=code, pause_s=pause_s
        )

    def _start(self, program: Program) -> subprocess.Popen[bytes]:
        """Start in a group of its own: Ctrl-C reaches only the supervisor, which passes it on."""
        read_end, _ = self._lifeline
        return subprocess.Popen(
            [*program.argv, "--lifeline", str(read_end)],
            stdin=subprocess.DEVNULL,
            pass_fds=(*program.pass_fds, read_end),
            process_group=0,
        )

    def _end(self) -> None:
        running = [slot.process for slot in self._slots if slot.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + limits.STOP_S - _KILL_EARLY_S
        while any(process.poll() is None for process in running):
            if time.monotonic() >= deadline:
                break
            time.sleep(_TICK_S)
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for handle in self._lifeline:
            os.close(handle)
