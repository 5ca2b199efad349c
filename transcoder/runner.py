"""Run one untrusted program: bounded in time, memory, disk and words, and gone at the end."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from core import limits
from core.errors import (
    EncodeFailed,
    EncoderKilled,
    EncoderMissing,
    EncoderStalled,
    Interrupted,
    MediaTooComplex,
    StepTimedOut,
)
from transcoder.needs import readable
from transcoder.sandbox import CANNOT_START

_SANDBOX: Final = Path(__file__).with_name("sandbox.py")
_POLL_S: Final = 0.1
"""How often stop, stall and budget are looked at."""
_READ_BYTES: Final = 64 * limits.KIB
_DRAIN_READS_MAX: Final = 64
"""Reads of a pipe after its program has ended; a pipe holds no more than 1 MiB."""
_FILES_MAX: Final = 256
_CRASHES: Final = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP}
    | {signal.SIGXFSZ}
)
"""What a program brings upon itself; also a file's size, where it should write none."""


class Outgrown(Exception):
    """A file grew past its bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a program may use; `deadline` is on the monotonic clock, `stall_s` None for no watch."""

    memory_bytes: int
    file_bytes: int
    deadline: float
    stall_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a program ended by itself: its status, its last words and how many lines it wrote."""

    status: int
    tail: str
    lines: int


class Listener(Protocol):
    """Takes the program's standard output as it comes."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        ...

    def pulse(self) -> object:
        """Return a value that changes as long as the program gets on."""
        ...


class Desk(Protocol):
    """Answers what the program asks over a socket; `inherited` is the program's end."""

    inherited: int

    def fileno(self) -> int:
        """Return the end that questions come from."""
        ...

    def started(self) -> None:
        """Take note that the program has its end."""
        ...

    def feed(self, data: bytes) -> None:
        """Take the next bytes of questions, and answer."""
        ...


@dataclass(slots=True)
class Collector:
    """Keeps the first `most` bytes of an output."""

    most: int
    data: bytearray = field(default_factory=bytearray)
    seen: int = 0

    def feed(self, data: bytes) -> None:
        """Keep what still fits."""
        self.seen += len(data)
        self.data += data[: self.most - len(self.data)]

    def pulse(self) -> object:
        """Return the number of bytes so far."""
        return self.seen


@dataclass(slots=True)
class _Tail:
    """The end of the messages, and how many lines there were."""

    kept: bytearray = field(default_factory=bytearray)
    lines: int = 0

    def feed(self, data: bytes) -> None:
        self.lines += data.count(b"\n")
        self.kept += data
        del self.kept[: max(len(self.kept) - limits.STDERR_BYTES_MAX, 0)]


def run(
    argv: list[str],
    *,
    folder: Path,
    python: str,
    bounds: Bounds,
    listener: Listener,
    stop: Callable[[], bool],
    desk: Desk | None = None,
) -> Exit:
    """Run `argv` in the sandbox with `folder` as its working directory, until it ends.

    Of all files it reaches those in `folder` (only to read where `bounds.file_bytes` is 0), to read
    those that links there lead to, and what it is made of (`needs.readable`). With a `desk` it may
    ask for bytes; while one is fetched, `stop()` is not looked at.

    Whatever happens, neither it nor what it started is left when this returns. Raises Interrupted
    within 2 s after `stop()` is true, EncoderMissing, EncoderStalled, StepTimedOut, EncoderKilled
    for a signal from outside, EncodeFailed for a crash, MediaTooComplex for too much CPU time,
    Outgrown.
    """
    tail = _Tail()
    with (
        _started(argv, folder, python, bounds, desk) as child,
        selectors.DefaultSelector() as selector,
    ):
        watch = _Watch(bounds=bounds, listener=listener, stop=stop)
        _register(selector, child, {"stdout": listener.feed, "stderr": tail.feed})
        if desk:
            selector.register(desk, selectors.EVENT_READ, desk.feed)
        while child.poll() is None:
            if selector.get_map():
                _read(selector, _POLL_S)  # returns at once when the program closes its pipes
            else:
                _wait(child)
            watch.check()
        _kill_group(child)
        for _ in range(_DRAIN_READS_MAX):
            if not _read(selector, 0):
                break
    _raise_for_signal(child.returncode, bounds)
    words = tail.kept.decode("utf-8", "replace")
    if child.returncode == CANNOT_START:
        raise EncoderMissing(f"the program could not be started: {words.strip()[-100:]}")
    return Exit(status=child.returncode, tail=words, lines=tail.lines)


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Ends the run for one of three reasons."""

    bounds: Bounds
    listener: Listener
    stop: Callable[[], bool]
    last: object = None
    since: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        if self.stop():
            raise Interrupted("the worker was told to stop")
        now, pulse = time.monotonic(), self.listener.pulse()
        if now > self.bounds.deadline:
            raise StepTimedOut("the step used up its time; JOB_TIMEOUT bounds an encode")
        if pulse != self.last:
            self.last, self.since = pulse, now
        if self.bounds.stall_s is not None and now - self.since > self.bounds.stall_s:
            raise EncoderStalled(f"the encoder made no progress for {self.bounds.stall_s:.0f} s")


@contextlib.contextmanager
def _started(
    argv: list[str], folder: Path, python: str, bounds: Bounds, desk: Desk | None
) -> Iterator[subprocess.Popen[bytes]]:
    with _launched(argv, folder, python, bounds, desk) as child:
        try:
            if desk:
                desk.started()
            yield child
        finally:
            if child.returncode is None:
                _kill_group(child)


def _launched(
    argv: list[str], folder: Path, python: str, bounds: Bounds, desk: Desk | None
) -> subprocess.Popen[bytes]:
    """Start the sandbox; a machine that cannot, for lack of processes or a folder, may later."""
    try:
        words = (*_confinement(bounds), *_reach(argv[0], folder, python, bounds))
        return subprocess.Popen(
            [python, "-I", "-S", str(_SANDBOX), *words, "--", *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={},
            start_new_session=True,
            pass_fds=(desk.inherited,) if desk else (),
        )
    except OSError as error:
        raise EncoderMissing(f"the program could not be started: {error.strerror}") from error


def _confinement(bounds: Bounds) -> list[str]:
    left_s = max(bounds.deadline - time.monotonic(), 1.0)
    cpu_s = int(left_s * (os.cpu_count() or 1)) + 1
    return [
        str(os.getpid()),
        f"AS={bounds.memory_bytes}",
        f"CPU={cpu_s}",
        f"FSIZE={bounds.file_bytes}",
        f"NOFILE={_FILES_MAX}",
        "CORE=0",
    ]


def _reach(program: str, folder: Path, python: str, bounds: Bounds) -> list[str]:
    """Return what the program may read and write, as seen from its working directory `folder`.

    A file that a link there leads to was given by who laid the link: programs in here make none.
    """
    with os.scandir(folder) as entries:
        given = [entry.name for entry in entries if entry.is_symlink() and entry.is_file()]
    words = [f"READ={path}" for path in (*readable(program, python=python), *given)]
    return [*words, f"WORK={os.devnull}", "WORK=." if bounds.file_bytes else "READ=."]


def _register(
    selector: selectors.BaseSelector,
    child: subprocess.Popen[bytes],
    sinks: Mapping[str, Callable[[bytes], None]],
) -> None:
    for name, sink in sinks.items():
        selector.register(getattr(child, name), selectors.EVENT_READ, sink)


def _read(selector: selectors.BaseSelector, timeout_s: float) -> bool:
    """Pass on what is there; False where nothing can come any more, or within the time."""
    if not selector.get_map():
        return False
    ready = selector.select(timeout_s)
    for key, _ in ready:
        data = os.read(key.fd, _READ_BYTES)
        if data:
            key.data(data)
        else:
            selector.unregister(key.fileobj)
    return bool(ready)


def _wait(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_POLL_S)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill the program and all that it started; it leads a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _raise_for_signal(status: int, bounds: Bounds) -> None:
    if status >= 0:
        return
    number = -status
    if number == signal.SIGXFSZ and bounds.file_bytes:
        raise Outgrown
    if number == signal.SIGXCPU:
        raise MediaTooComplex("the recording needs more computing time than a step may use")
    if number in _CRASHES:
        raise EncodeFailed(f"the program crashed over this file ({_name(number)})")
    raise EncoderKilled(f"the program was ended by {_name(number)}")


def _name(number: int) -> str:
    """Return a signal's name; those for real time have none."""
    known = {known.value: known.name for known in signal.Signals}
    return known.get(number, f"signal {number}")
