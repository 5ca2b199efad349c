"""SIGKILL of the whole process tree at points found by wrapping the ports (promises 1 to 6)."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from lectern.example_lms import ExampleLms
from tests.crash.points import KILL_ALONE, KILL_AT, TRACE
from tests.service.harness import ROOT, Service, lms_for, service_on, until

SHARE = int(
    os.environ.get("LECTERN_CRASH_POINTS", "16" if "LECTERN_TORTURE" in os.environ else "3")
)
"""How many points are tried, spread evenly over all that were found.

These are whole starts of the product with real encodes; `test_kill_in_every_call` tries many more
on trees that are forked."""
ALONE = max(SHARE // 2, 1)
"""How many are tried once more with the kill of that process alone."""
SITE = str(Path(__file__).with_name("site"))
VIDEO = "lecture-1"


class Backend(threading.Thread):
    """An LMS backend as it should be: it repeats each step until the service has answered 200."""

    def __init__(self, service: Service, lms: ExampleLms, clip: Path) -> None:
        super().__init__(name="backend")
        self._service = service
        self._lms = lms
        self._clip = clip
        self.acknowledged = threading.Event()
        self.confirmed = threading.Event()
        self.gave_up = threading.Event()

    def run(self) -> None:
        """Send, wait for the delivery, confirm."""
        self._insist(lambda: self._service.send(self._clip, VIDEO))
        self.acknowledged.set()
        while not self.gave_up.is_set() and not self._lms.deliveries:
            time.sleep(0.02)
        self._insist(self._confirm)
        self.confirmed.set()

    def _confirm(self) -> requests.Response:
        return self._service.call("POST", "/video/confirm", data={"video_id": VIDEO})

    def _insist(self, call: Any) -> None:
        while not self.gave_up.is_set():
            try:
                if call().status_code == requests.codes.ok:
                    return
            except (requests.RequestException, TimeoutError):
                pass
            time.sleep(0.05)


@pytest.fixture(scope="session")
def points(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> list[str]:
    """All points on the way of one job, in the order of their first appearance."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    found = shared / "crash-points"
    with (shared / "crash-points.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            trace = _trace(tmp_path_factory.mktemp("trace"), clip)
            found.write_text("\n".join(trace))
    return found.read_text().split("\n")


def _trace(folder: Path, clip: Path) -> list[str]:
    data, trace = folder / "data", folder / "trace"
    with lms_for(data) as lms, service_on(data, lms, **_watching(trace)) as service:
        service.start()
        backend = Backend(service, lms, clip)
        backend.start()
        try:
            until(backend.confirmed.is_set, "the handshake without a kill")
        finally:
            backend.gave_up.set()
            backend.join()
        assert service.stop() == 0
    return [point for point in dict.fromkeys(trace.read_text().splitlines()) if _is_sure(point)]


def _is_sure(point: str) -> bool:
    """Tell whether every life comes to the point: how often the clock looks is a matter of luck."""
    return not point.startswith("clock ") or point.endswith("#1")


def _watching(trace: Path) -> dict[str, str]:
    return {TRACE: str(trace), "PYTHONPATH": f"{SITE}:{ROOT}"}


@pytest.mark.parametrize("number", range(SHARE))
def test_a_kill_at_any_step_loses_nothing(
    number: int, points: list[str], clip: Path, tmp_path: Path
) -> None:
    """Kill all processes at one point, start again, and the handshake ends as if nothing was."""
    assert len(points) >= SHARE
    point = points[number * len(points) // SHARE]
    print(f"killed at: {point}")  # noqa: T201 - shown when the test fails
    data, trace = tmp_path / "data", tmp_path / "trace"
    with lms_for(data) as lms, service_on(data, lms, **_watching(trace)) as service:
        service.start(**{KILL_AT: point})
        backend = Backend(service, lms, clip)
        backend.start()
        try:
            assert service.wait_dead() == -signal.SIGKILL
            until(lambda: not service.members(), "the end of every process")
            assert point in trace.read_text().splitlines()
            known = backend.acknowledged.is_set()
            service.start()
            if known:
                assert service.status(VIDEO), "an acknowledged job was lost"
            until(backend.confirmed.is_set, f"the confirmation after a kill at {point}")
        finally:
            backend.gave_up.set()
            backend.join()
        _check_promises(service, lms)


@pytest.mark.parametrize("number", range(ALONE))
def test_a_kill_of_one_process_alone_loses_nothing(
    number: int, points: list[str], clip: Path, tmp_path: Path
) -> None:
    """Kill the process at one point; the supervisor replaces it, and the handshake goes on."""
    apart = [point for point in points if not point.startswith("up ")]
    point = apart[(2 * number + 1) * len(apart) // (2 * ALONE)]
    print(f"killed alone at: {point}")  # noqa: T201 - shown when the test fails
    data, trace = tmp_path / "data", tmp_path / "trace"
    with lms_for(data) as lms, service_on(data, lms, **_watching(trace)) as service:
        service.start(**{KILL_AT: point, KILL_ALONE: "yes"})
        backend = Backend(service, lms, clip)
        backend.start()
        try:
            until(backend.confirmed.is_set, f"the confirmation after a kill at {point}")
            until(trace.with_name("trace.died").exists, f"the kill at {point}")
        finally:
            backend.gave_up.set()
            backend.join()
        _check_promises(service, lms)


def _check_promises(service: Service, lms: ExampleLms) -> None:
    status = service.wait_state(VIDEO, "completed")
    until(lambda: not service.files(), "no object, partial or scratch file is left")
    deliveries = lms.deliveries
    assert {delivery.id for delivery in deliveries} == {status["delivery"]["delivery_id"]}
    assert {delivery.sha256 for delivery in deliveries} == {status["output"]["sha256"]}
    times = [change["at"] for change in status["history"]]
    assert times == sorted(times)
    assert [change["event"] for change in status["history"]].count("Received") == 1
    assert service.stop() == 0
