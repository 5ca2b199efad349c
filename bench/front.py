"""(d) Large uploads through the receiver as Cloud Run runs it: HAProxy before gunicorn."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

import psutil
from rich.table import Table

from bench import clips, service
from bench.machine import ROOT
from bench.memory import Memory, PeakMemory, highest
from bench.report import BenchFailed, Goal, Report
from bench.upload import AT_ONCE, FOUR_MB_MAX, ONE_MB_MAX

_MB: Final = 1_000_000
_KEY: Final = "bench-service-key-0123456789"
_START_S: Final = 30.0
_UPLOAD_S: Final = 300.0
_TICK_S: Final = 0.02
_STOP_S: Final = 15.0
_HTTP1: Final = "--http1.1"
_HTTP2: Final = "--http2-prior-knowledge"
_ONE: Final = "one over HTTP/2"
_FOUR: Final = "four at once over HTTP/2"
_ONE_HTTP1: Final = "one over HTTP/1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Some uploads at once: MB (10^6 bytes) a second in all, and the tree's peak memory."""

    rate: float
    peak_memory: Memory | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A running receiver: its address and every process of it."""

    url: str
    tree: Sequence[psutil.Process]


def run(*, size: int, repetitions: int) -> Report:
    """Upload a file of `size` bytes alone over both protocols, and four times at once."""
    if shutil.which("curl") is None:
        raise BenchFailed("curl is needed, one that speaks HTTP/2")
    with service.workplace() as folder:
        file = clips.noise_mp4(size, folder / "noise.mp4")
        with _running(folder / "data") as receiver:
            with PeakMemory(receiver.tree) as idle:
                pass
            rounds = _measure(receiver, file, repetitions)
    return Report(
        name="front",
        options={"bytes": size, "repetitions": repetitions},
        figures=_figures(rounds, idle.peak),
        tables=[_table(size, rounds, idle.peak)],
        goals=[_goal(rounds, _ONE, ONE_MB_MAX), _goal(rounds, _FOUR, FOUR_MB_MAX)],
    )


def _measure(receiver: Receiver, file: Path, repetitions: int) -> dict[str, list[Round]]:
    """Upload one at a time first: what four at once took is not given back entirely."""
    plan = {_ONE: (_HTTP2, 1), _ONE_HTTP1: (_HTTP1, 1), _FOUR: (_HTTP2, AT_ONCE)}
    rounds: dict[str, list[Round]] = {name: [] for name in plan}
    for name, (protocol, count) in plan.items():
        for number in range(repetitions):
            rounds[name].append(_round(receiver, file, protocol, count, number))
            print(f"{name}, {number + 1}: {rounds[name][-1].rate:.0f} MB/s", flush=True)
    return rounds


def _round(receiver: Receiver, file: Path, protocol: str, count: int, number: int) -> Round:
    names = [f"{protocol.strip('-')}-{count}-{number}-{one}" for one in range(count)]
    with PeakMemory(receiver.tree) as memory, ThreadPoolExecutor(count) as pool:
        began = time.monotonic()
        list(pool.map(partial(_upload, receiver, file, protocol), names))
        took_s = time.monotonic() - began
    return Round(rate=count * file.stat().st_size / _MB / took_s, peak_memory=memory.peak)


def _upload(receiver: Receiver, file: Path, protocol: str, video_id: str) -> None:
    argv = [
        "curl", "-sS", protocol, "--max-time", f"{_UPLOAD_S:.0f}", "-o", os.devnull,
        "-w", "%{http_code}", "-H", f"X-Internal-Service-Key: {_KEY}",
        "-F", f"video_id={video_id}", "-F", f"organization_id={service.ORGANIZATION}",
        "-F", f"file=@{file}", f"{receiver.url}/video/receive",
    ]  # fmt: skip
    status = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    if status != str(HTTPStatus.OK.value):
        raise BenchFailed(f"an upload with {protocol} was answered {status}")


@contextlib.contextmanager
def _running(folder: Path) -> Iterator[Receiver]:
    """Run `python -m receiver` on `folder` until the block ends."""
    environment = {
        **os.environ, "HOST": "127.0.0.1", "PORT": "0", "LECTERN_BACKEND": "embedded",
        "LECTERN_DATA_DIR": str(folder), "INTERNAL_SERVICE_KEY": _KEY, "LOG_FORMAT": "json",
    }  # fmt: skip
    log_path = folder.with_name("receiver.log")
    with log_path.open("wb") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "receiver"], env=environment, cwd=ROOT, stdout=log, stderr=log
        )
    try:
        port = _port(process, log_path)
        tree = [psutil.Process(process.pid), *process.children(recursive=True)]
        yield Receiver(url=f"http://127.0.0.1:{port}", tree=tree)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(_STOP_S)


def _port(process: psutil.Popen, log: Path) -> int:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            if '"service.listening"' in line:
                return int(json.loads(line)["port"])
        time.sleep(_TICK_S)
    raise BenchFailed(f"the receiver did not start:\n{log.read_text()}")


def _rate(rounds: Sequence[Round]) -> float:
    return statistics.median(done.rate for done in rounds)


def _peak(rounds: Sequence[Round]) -> Memory | None:
    return highest(done.peak_memory for done in rounds)


def _goal(rounds: Mapping[str, Sequence[Round]], name: str, limit: float) -> Goal:
    peak = _peak(rounds[name])
    value = None if peak is None else peak.pss / _MB
    return Goal(what=f"peak memory of the receiver, {name}", value=value, limit=limit, unit=" MB")


def _figures(rounds: Mapping[str, Sequence[Round]], idle: Memory | None) -> dict[str, object]:
    return {
        "idle_pss_bytes": idle and idle.pss,
        "uploads": {
            name: {
                "median_mb_s": _rate(done),
                "peak_memory_bytes": (peak := _peak(done)) and asdict(peak),
                "rounds": [asdict(one) for one in done],
            }
            for name, done in rounds.items()
        },
    }


def _table(size: int, rounds: Mapping[str, Sequence[Round]], idle: Memory | None) -> Table:
    table = Table("", title=f"Receiver with HAProxy: uploads of {size / _MB:.0f} MB")
    for column in ("MB/s (median)", "peak PSS of all processes"):
        table.add_column(column, justify="right")
    table.add_row("before the first upload", "", _mb(idle))
    for name, done in rounds.items():
        table.add_row(name, f"{_rate(done):.0f}", _mb(_peak(done)))
    return table


def _mb(memory: Memory | None) -> str:
    return "not measured here" if memory is None else f"{memory.pss / _MB:.1f} MB"
