"""(b) Speed and memory of large uploads, beside what disk and loopback give by themselves."""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.table import Table

from bench import clips, service, yardsticks
from bench.memory import Memory, PeakMemory, highest
from bench.report import BenchFailed, Goal, Report

AT_ONCE: Final = 4
ONE_MB_MAX: Final = 80
FOUR_MB_MAX: Final = 150
_MB: Final = 1_000_000
_TIMEOUT_S: Final = 300.0
_BOUNDARY: Final = "bench-b2c9a4e07d5f4c1e"
_FAILED: Final = ("failed",)
_ONE: Final = "one"
_CLIENT: Final = "one, sent by lectern.client"
_FOUR: Final = "four at once"

Send = Callable[[service.Service, Path, str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Some uploads at once: MB (10^6 bytes) a second in all, and the peak memory of gunicorn."""

    rate: float
    peak_memory: Memory | None
    samples_a_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All rounds by their names, the yardsticks' MB/s by theirs, and memory before any upload."""

    rounds: Mapping[str, Sequence[Round]]
    yardsticks: Mapping[str, float]
    idle_memory: Memory | None


def run(*, size: int, repetitions: int) -> Report:
    """Upload a file of `size` bytes alone, with the client, and four times at once."""
    with service.workplace() as folder:
        file = clips.noise_mp4(size, folder / "noise.mp4")
        with service.running(folder / "data", MAX_CONCURRENT_JOBS="1") as lectern:
            measured = _measure(lectern, file, repetitions)
    return Report(
        name="upload",
        options={"bytes": size, "repetitions": repetitions},
        figures=_figures(measured),
        tables=[_speeds(size, measured), _memory(measured)],
        goals=[
            _goal(measured, _ONE, ONE_MB_MAX),
            _goal(measured, _FOUR, FOUR_MB_MAX),
        ],
    )


def _measure(lectern: service.Service, file: Path, repetitions: int) -> Measured:
    """Run yardsticks and single uploads in turn, then the rest."""
    with PeakMemory(lectern.front_door()) as idle:
        pass
    bare: dict[str, list[float]] = {name: [] for name in yardsticks.ALL}
    one: list[Round] = []
    for number in range(repetitions):
        for name, measure in yardsticks.ALL.items():
            bare[name].append(measure(file))
        one.append(_round(lectern, file, [f"one-{number}"], _post))
        print(f"upload {number + 1} of {repetitions}: {one[-1].rate:.0f} MB/s", flush=True)
    client = _round(lectern, file, ["client"], _by_client)
    four = _round(lectern, file, [f"four-{number}" for number in range(AT_ONCE)], _post)
    return Measured(
        rounds={_ONE: one, _CLIENT: [client], _FOUR: [four]},
        yardsticks={name: statistics.median(rates) for name, rates in bare.items()},
        idle_memory=idle.peak,
    )


def _round(lectern: service.Service, file: Path, ids: Sequence[str], send: Send) -> Round:
    """Upload under each of the ids at once, and wait until their jobs have failed."""
    with PeakMemory(lectern.front_door()) as memory, ThreadPoolExecutor(len(ids)) as pool:
        began = time.monotonic()
        list(pool.map(partial(send, lectern, file), ids))
        took_s = time.monotonic() - began
    for video_id in ids:
        lectern.wait(video_id, _FAILED, timeout_s=_TIMEOUT_S)
    return Round(
        rate=len(ids) * file.stat().st_size / _MB / took_s,
        peak_memory=memory.peak,
        samples_a_second=memory.samples / took_s,
    )


def _post(lectern: service.Service, file: Path, video_id: str) -> None:
    """Send the form as cheaply as can be: the kernel copies the file into the connection."""
    head, tail = _form(video_id)
    length = len(head) + file.stat().st_size + len(tail)
    host = urlsplit(lectern.url).netloc
    with (
        closing(http.client.HTTPConnection(host, timeout=_TIMEOUT_S)) as connection,
        file.open("rb") as body,
    ):
        connection.putrequest("POST", "/video/receive")
        connection.putheader("X-Internal-Service-Key", lectern.key)
        connection.putheader("Content-Type", f"multipart/form-data; boundary={_BOUNDARY}")
        connection.putheader("Content-Length", str(length))
        connection.endheaders(head)
        connection.sock.sendfile(body)
        connection.sock.sendall(tail)
        answer = connection.getresponse()
        words = answer.read()
    if answer.status != HTTPStatus.OK:
        raise BenchFailed(f"the upload was answered {answer.status}: {words[:500]!r}")


def _by_client(lectern: service.Service, file: Path, video_id: str) -> None:
    with lectern.client() as client:
        client.receive(file, video_id=video_id, organization_id=service.ORGANIZATION)


def _form(video_id: str) -> tuple[bytes, bytes]:
    fields = {"video_id": video_id, "organization_id": service.ORGANIZATION}
    head = "".join(_part(f'name="{name}"') + f"{value}\r\n" for name, value in fields.items())
    head += _part('name="file"; filename="noise.mp4"')
    return head.encode(), f"\r\n--{_BOUNDARY}--\r\n".encode()


def _part(disposition: str) -> str:
    return f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"


def _rate(rounds: Sequence[Round]) -> float:
    return statistics.median(done.rate for done in rounds)


def _peak(rounds: Sequence[Round]) -> Memory | None:
    return highest(done.peak_memory for done in rounds)


def _goal(measured: Measured, name: str, limit: float) -> Goal:
    peak = _peak(measured.rounds[name])
    value = None if peak is None else peak.pss / _MB
    return Goal(what=f"peak memory of uploads, {name}", value=value, limit=limit, unit=" MB")


def _figures(measured: Measured) -> dict[str, object]:
    return {
        "yardsticks_mb_s": dict(measured.yardsticks),
        "idle_memory_bytes": _bytes(measured.idle_memory),
        "uploads": {
            name: {
                "median_mb_s": _rate(rounds),
                "share_of_yardsticks": _shares(_rate(rounds), measured),
                "peak_memory_bytes": _bytes(_peak(rounds)),
                "rounds": [asdict(done) for done in rounds],
            }
            for name, rounds in measured.rounds.items()
        },
    }


def _shares(rate: float, measured: Measured) -> dict[str, float]:
    return {name: rate / bare for name, bare in measured.yardsticks.items()}


def _speeds(size: int, measured: Measured) -> Table:
    table = Table("", title=f"Uploads of {size / _MB:.0f} MB: speed (medians)")
    for column in ("MB/s", "of disk", "of loopback", "of both"):
        table.add_column(column, justify="right")
    for name, bare in measured.yardsticks.items():
        table.add_row(name, f"{bare:.0f}")
    for name, rounds in measured.rounds.items():
        shares = _shares(_rate(rounds), measured).values()
        table.add_row(
            f"upload: {name}", f"{_rate(rounds):.0f}", *(f"{share:.2f}" for share in shares)
        )
    return table


def _memory(measured: Measured) -> Table:
    table = Table("gunicorn, master and worker", title="Uploads: peak memory")
    for column in ("PSS", "if alone on the machine", "samples/s"):
        table.add_column(column, justify="right")
    table.add_row("before the first upload", *_mb(measured.idle_memory))
    for name, rounds in measured.rounds.items():
        slowest = min(done.samples_a_second for done in rounds)
        table.add_row(name, *_mb(_peak(rounds)), f"{slowest:.0f}")
    return table


def _mb(memory: Memory | None) -> tuple[str, str]:
    if memory is None:
        return "not measured here", ""
    return f"{memory.pss / _MB:.1f} MB", f"{memory.alone / _MB:.1f} MB"


def _bytes(memory: Memory | None) -> dict[str, int] | None:
    return None if memory is None else asdict(memory)
