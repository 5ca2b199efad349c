"""Stand-in programs that misbehave; each is a few lines of Python."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core import limits
from core.errors import (
    EncodeFailed,
    EncoderKilled,
    EncoderMissing,
    EncoderStalled,
    Interrupted,
    MediaTooComplex,
    ScratchFull,
    StepTimedOut,
)
from transcoder.encoder import EncoderProgress, failure, last_words
from transcoder.runner import Bounds, Collector, Exit, Outgrown, run

MIB = 1024 * 1024
FILTERED = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"},
    reason="only Linux on these machines filters system calls",
)


def play(
    script: str,
    folder: Path,
    *,
    wall_s: float = 20.0,
    stall_s: float | None = None,
    memory: int = 1024 * MIB,
    file_bytes: int = MIB,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Exit, str]:
    heard = Collector(most=64 * 1024)
    ended = run(
        [sys.executable, "-I", "-S", "-c", script],
        folder=folder,
        python=sys.executable,
        bounds=Bounds(
            memory_bytes=memory,
            file_bytes=file_bytes,
            deadline=time.monotonic() + wall_s,
            stall_s=stall_s,
        ),
        listener=heard,
        stop=stop,
    )
    return ended, heard.data.decode()


def is_alive(pid: int) -> bool:
    """A zombie that nobody has collected yet is dead."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def gone_within(pid: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    return not is_alive(pid)


def test_a_program_that_ends_well_is_heard_to_its_end(tmp_path: Path) -> None:
    ended, heard = play("import sys; print('a' * 50000); sys.stderr.write('b\\nc\\n')", tmp_path)
    assert (ended.status, ended.lines, ended.tail) == (0, 2, "b\nc\n")
    assert len(heard) == 50_001


def test_it_works_in_its_folder_with_an_environment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERNAL_SERVICE_KEY", "secret")
    _, heard = play("import os; print(os.getcwd(), sorted(os.environ))", tmp_path)
    assert heard.strip() == f"{tmp_path} ['LC_ALL', 'MALLOC_ARENA_MAX', 'SVT_LOG']"


def test_its_standard_input_is_empty(tmp_path: Path) -> None:
    assert play("import sys; print(repr(sys.stdin.read()))", tmp_path)[1].strip() == "''"


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
def test_it_has_a_network_of_its_own_where_the_kernel_lets_us(tmp_path: Path) -> None:
    ours = str(Path("/proc/self/ns/net").readlink())
    _, heard = play("import os; print(os.readlink('/proc/self/ns/net'))", tmp_path)
    if heard.strip() == ours:
        pytest.skip("this kernel gives out no user namespaces")
    assert heard.startswith("net:[")


def test_a_program_without_progress_is_ended_as_stalled(tmp_path: Path) -> None:
    with pytest.raises(EncoderStalled):
        play("import time; print(1, flush=True); time.sleep(60)", tmp_path, stall_s=0.3)


def test_a_program_over_its_wall_budget_is_ended(tmp_path: Path) -> None:
    with pytest.raises(StepTimedOut):
        play("while True: print(1, flush=True)", tmp_path, wall_s=1.5, stall_s=1.2)


def test_stopping_ends_it_within_two_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(Interrupted):
        play("import time; time.sleep(60)", tmp_path, stop=lambda: time.monotonic() > began + 0.2)
    assert time.monotonic() - began < 2.2


def test_it_cannot_refuse_to_end(tmp_path: Path) -> None:
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    with pytest.raises(StepTimedOut):
        play(script, tmp_path, wall_s=0.5)


def test_endless_complaints_neither_block_nor_grow(tmp_path: Path) -> None:
    script = "import sys\nfor n in range(200000): sys.stderr.write(f'line {n}\\n')"
    ended, _ = play(script, tmp_path)
    assert (ended.status, ended.lines) == (0, 200_000)
    assert len(ended.tail) <= limits.STDERR_BYTES_MAX
    assert ended.tail.endswith("line 199999\n")


def test_endless_output_is_kept_only_to_its_bound(tmp_path: Path) -> None:
    _, heard = play("for n in range(100000): print(n)", tmp_path)
    assert len(heard) == 64 * 1024


def test_a_program_that_is_killed_from_outside_may_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(EncoderKilled, match="SIGKILL"):
        play("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", tmp_path)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_is_the_files_fault(tmp_path: Path, number: signal.Signals) -> None:
    with pytest.raises(EncodeFailed, match=number.name):
        play(f"import os; os.kill(os.getpid(), {int(number)})", tmp_path)


@FILTERED
def test_it_can_start_threads_but_no_processes(tmp_path: Path) -> None:
    """What cannot be started cannot be left behind, whatever session it would move to."""
    script = """
import os, subprocess, sys, threading
thread = threading.Thread(target=lambda: print("thread", flush=True))
thread.start()
thread.join()
for start in (os.fork, lambda: subprocess.Popen([sys.executable])):
    try:
        start()
    except PermissionError:
        print("refused")
"""
    assert play(script, tmp_path)[1].split() == ["thread", "refused", "refused"]


@FILTERED
def test_it_can_signal_nobody_but_itself(tmp_path: Path) -> None:
    script = """
import os, resource, signal
for act in (
    lambda: os.kill(os.getppid(), 0),
    lambda: os.killpg(os.getpgid(os.getppid()), 0),
    lambda: os.kill(-1, 0),
    lambda: signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 0),
    lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU),
):
    try:
        act()
    except PermissionError:
        print("refused", flush=True)
signal.signal(signal.SIGUSR1, lambda *_: print("itself"))
os.kill(os.getpid(), signal.SIGUSR1)
"""
    assert play(script, tmp_path)[1].split() == [*["refused"] * 5, "itself"]


@FILTERED
def test_it_can_send_to_no_socket_of_others(tmp_path: Path) -> None:
    """Such as the machine's log: one of a pair of datagram sockets could."""
    script = """
import socket
for kind in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_STREAM):
    try:
        one, other = socket.socketpair(socket.AF_UNIX, kind)
        one.sendto(b"hello", "log")
    except PermissionError:
        print("no pair")
    except OSError:
        print("not there")
"""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log, contextlib.chdir(tmp_path):
        log.bind("log")
        log.setblocking(False)
        assert play(script, tmp_path)[1].splitlines() == ["no pair", "no pair", "not there"]
        with pytest.raises(BlockingIOError):
            log.recv(10)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can watch a parent")
def test_it_dies_with_the_worker_that_started_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = (
        "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    )
    worker = os.fork()
    if worker == 0:
        try:
            play(script, tmp_path)
        finally:
            os._exit(0)
    until = time.monotonic() + 10
    while not (pid.exists() and pid.read_text()) and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    assert gone_within(int(pid.read_text()), 2)


def test_a_file_past_its_bound_ends_it(tmp_path: Path) -> None:
    script = "import os; f = os.open('out', 65); [os.write(f, b'x' * 65536) for _ in range(40)]"
    script = f"import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); {script}"
    with pytest.raises(Outgrown):
        play(script, tmp_path)
    assert (tmp_path / "out").stat().st_size == MIB


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the address space")
def test_memory_is_bounded(tmp_path: Path) -> None:
    ended, _ = play("b'x' * (600 * 1024 * 1024)", tmp_path, memory=300 * MIB)
    assert "MemoryError" in ended.tail


def test_too_much_computing_is_the_files_fault(tmp_path: Path) -> None:
    script = (
        "import resource, os; resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass"
    )
    with pytest.raises(MediaTooComplex):
        play(script, tmp_path)


def test_a_program_that_is_not_there_is_not_the_files_fault(tmp_path: Path) -> None:
    bounds = Bounds(memory_bytes=1024 * MIB, file_bytes=MIB, deadline=time.monotonic() + 10)
    with pytest.raises(EncoderMissing, match="could not be started"):
        run(
            ["/nowhere/ffmpeg"],
            folder=tmp_path,
            python=sys.executable,
            bounds=bounds,
            listener=Collector(most=10),
            stop=lambda: False,
        )


def test_several_run_side_by_side(tmp_path: Path) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(play("pass", tmp_path)[0].status))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("status", "tail", "error"),
    [
        (228, "[out#0] Error writing trailer: No space left on device\n", ScratchFull),
        (229, "av_interleaved_write_frame(): File too large\n", Outgrown),
        (244, "Error: Cannot allocate memory\n", MediaTooComplex),
        (1, "x264 [error]: malloc of size 5000000 failed\n", MediaTooComplex),
        (255, "", EncoderKilled),
        (69, "[error] Too many errors\n", EncodeFailed),
    ],
)
def test_a_failed_encode_has_a_name(status: int, tail: str, error: type[Exception]) -> None:
    assert type(failure(Exit(status=status, tail=tail, lines=1))) is error


def test_the_last_words_name_no_path() -> None:
    tail = "first\n[in#0 @ 0x55] [error] Error opening file:/var/x/source: Invalid data\n\n"
    assert last_words(tail) == "Error opening the file: Invalid data"


def test_progress_is_read_however_it_is_cut() -> None:
    shares: list[float] = []
    heard = EncoderProgress(duration_s=10.0, report=shares.append)
    for byte in b"frame=120\nout_time_us=N/A\nout_time_us=2500000\nprogress=continue\nframe=130\n":
        heard.feed(bytes([byte]))
    assert (shares, heard.frames) == ([0.25], 130)


def test_an_endless_line_is_not_kept() -> None:
    heard = EncoderProgress(duration_s=10.0, report=lambda _: None)
    for _ in range(100):
        heard.feed(b"x" * 4096)
    assert len(heard.rest) <= 4096
