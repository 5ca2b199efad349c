"""(c) `GET /status/{id}` over several connections, idle and while a recording is encoded."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.table import Table

from bench import clips, service
from bench.report import BenchFailed, Report
from lectern.client import LecternClient

_SHORT_S: Final = 2.0
_LONG_S: Final = 600.0
"""Media seconds of the recording that is encoded meanwhile: longer than the measuring takes."""
_WARM_UP_S: Final = 1.0
_WAIT_S: Final = 120.0
_READ_BYTES: Final = 65_536
_HEADERS_END: Final = b"\r\n\r\n"
_OK: Final = b"HTTP/1.1 200 "
_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a closed loop of some connections got: requests a second, latencies in milliseconds."""

    rate: float
    requests: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def run(*, seconds: float, connections: int) -> Report:
    """Measure `seconds` on an idle service, and as long while it encodes."""
    with service.workplace() as folder:
        data = folder / "data"
        long = clips.looped_lecture(_LONG_S, folder / "long.mp4")
        short = clips.looped_lecture(_SHORT_S, folder / "short.mp4")
        with (
            service.lms_for(data, lambda _id, _sha256: None) as lms,
            service.running(data, store_url=lms.url) as lectern,
            lectern.client() as client,
        ):
            loads = {
                "idle": _idle(lectern, client, short, seconds, connections),
                "while encoding": _encoding(lectern, client, long, seconds, connections),
            }
    return Report(
        name="status",
        options={"seconds": seconds, "connections": connections},
        figures={name: asdict(load) for name, load in loads.items()},
        tables=[_table(loads, connections)],
    )


def _idle(
    lectern: service.Service, client: LecternClient, clip: Path, seconds: float, connections: int
) -> Load:
    client.receive(clip, video_id="short", organization_id=service.ORGANIZATION)
    client.wait("short", until={"stored"}, timeout_s=_WAIT_S)
    return _load(lectern, "short", seconds, connections)


def _encoding(
    lectern: service.Service, client: LecternClient, clip: Path, seconds: float, connections: int
) -> Load:
    """Ask for the same job as before; raises BenchFailed when the encode ended too early."""
    client.receive(clip, video_id="long", organization_id=service.ORGANIZATION)
    _wait_for_progress(client, "long")
    load = _load(lectern, "short", seconds, connections)
    if (state := client.status("long")["state"]) != "processing":
        raise BenchFailed(f"the recording was {state} before the measuring had ended")
    return load


def _wait_for_progress(client: LecternClient, video_id: str) -> None:
    """Return once the encoder has written something: more than the probe's two percent."""
    deadline = time.monotonic() + _WAIT_S
    while client.status(video_id)["progress"] <= 2:
        if time.monotonic() > deadline:
            raise BenchFailed(f"{video_id} made no progress in {_WAIT_S:.0f} s")
        time.sleep(0.1)


def _load(lectern: service.Service, video_id: str, seconds: float, connections: int) -> Load:
    request = _request(lectern, video_id)
    address = urlsplit(lectern.url)
    target = (address.hostname or "", address.port or 0)
    _callers(target, request, _WARM_UP_S, connections)
    began = time.monotonic()
    latencies = sorted(_callers(target, request, seconds, connections))
    took_s = time.monotonic() - began
    return Load(
        rate=len(latencies) / took_s,
        requests=len(latencies),
        p50_ms=1000 * _percentile(latencies, 0.50),
        p99_ms=1000 * _percentile(latencies, 0.99),
        max_ms=1000 * latencies[-1],
    )


def _request(lectern: service.Service, video_id: str) -> bytes:
    return (
        f"GET /status/{video_id} HTTP/1.1\r\nHost: {urlsplit(lectern.url).netloc}\r\n"
        f"X-Internal-Service-Key: {lectern.key}\r\n\r\n"
    ).encode()


def _callers(
    target: tuple[str, int], request: bytes, seconds: float, connections: int
) -> list[float]:
    """Run the callers side by side and return all latencies in seconds."""
    stop = threading.Event()
    with ThreadPoolExecutor(connections) as pool:
        running = [pool.submit(_call, target, request, seconds, stop) for _ in range(connections)]
        try:
            return [latency for caller in running for latency in caller.result()]
        finally:
            stop.set()


def _call(
    target: tuple[str, int], request: bytes, seconds: float, stop: threading.Event
) -> list[float]:
    """Send one request after the other on one connection, each after the answer to the last."""
    latencies = []
    with socket.create_connection(target, timeout=_WAIT_S) as line:
        ends = time.perf_counter() + seconds
        while (began := time.perf_counter()) < ends and not stop.is_set():
            line.sendall(request)
            _read_answer(line)
            latencies.append(time.perf_counter() - began)
    return latencies


def _read_answer(line: socket.socket) -> None:
    data = b""
    while (end := data.find(_HEADERS_END)) < 0:
        data += _received(line)
    length = _LENGTH.search(data, 0, end)
    if not data.startswith(_OK) or length is None:
        raise BenchFailed(f"a status was answered {data[:200]!r}")
    missing = end + len(_HEADERS_END) + int(length[1]) - len(data)
    while missing > 0:
        missing -= len(_received(line))


def _received(line: socket.socket) -> bytes:
    data = line.recv(_READ_BYTES)
    if not data:
        raise BenchFailed("the service closed a connection that should have stayed open")
    return data


def _percentile(ascending: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile."""
    return ascending[min(int(share * len(ascending)), len(ascending) - 1)]


def _table(loads: dict[str, Load], connections: int) -> Table:
    table = Table("service", title=f"GET /status over {connections} connections, closed loop")
    for column in ("requests/s", "p50", "p99", "slowest", "requests"):
        table.add_column(column, justify="right")
    for name, load in loads.items():
        times = (f"{ms:.2f} ms" for ms in (load.p50_ms, load.p99_ms, load.max_ms))
        table.add_row(name, f"{load.rate:.0f}", *times, str(load.requests))
    return table
