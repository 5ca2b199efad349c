"""`lectern up` as an operator meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.trace import Traceparent
from lectern.example_lms import ExampleLms
from tests.conftest import make_clip
from tests.service.harness import (
    KEY,
    ROOT,
    Service,
    lms_for,
    service_on,
    session_members,
    until,
)

STOP_WITHIN_S = 10.0


@pytest.fixture
def lms(tmp_path: Path) -> Iterator[ExampleLms]:
    """An LMS that takes deliveries and leaves the confirmation to the test."""
    with lms_for(tmp_path / "data") as example:
        yield example


@pytest.fixture
def service(tmp_path: Path, lms: ExampleLms) -> Iterator[Service]:
    """A service that is started by the test."""
    with service_on(tmp_path / "data", lms) as prepared:
        yield prepared


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording whose encode takes long enough to be interrupted."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    return make_clip(path, seconds=12, size="1280x720", rate=30)


def test_the_handshake_ends_with_nothing_left(
    service: Service, lms: ExampleLms, clip: Path
) -> None:
    """Receive, store, confirm: 200 each, the file arrives small and signed, every copy is gone."""
    service.start()
    answer = service.send(clip, "lecture-1")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "queued", "video_id": "lecture-1"},
    )
    lms.wait_for(deliveries=1)
    (delivery,) = lms.deliveries
    service.wait_state("lecture-1", "stored")
    assert service.files() != []
    confirmed = service.call(
        "POST", "/video/confirm", data={"video_id": "lecture-1", "sha256": delivery.sha256}
    )
    assert (confirmed.status_code, confirmed.json()) == (
        200,
        {"status": "completed", "video_id": "lecture-1"},
    )
    assert service.files() == []
    assert 0 < delivery.size < clip.stat().st_size
    assert service.stop() == 0
    assert service.members() == {}
    events = logged(service.log)
    check_events(events)
    check_trace(events, delivery.headers["Traceparent"])
    assert KEY not in service.log.read_text()


def logged(log: Path) -> list[dict[str, Any]]:
    """Return the events: every line but the greeting and the farewell is one, in JSON."""
    _, *lines, _ = log.read_text().splitlines()
    return [json.loads(line) for line in lines]


def check_events(events: list[dict[str, Any]]) -> None:
    """Nothing went wrong, and every process has told its part."""
    assert {event["severity"] for event in events} == {"INFO"}
    named = {(event["event"], event.get("job_id")) for event in events}
    of_the_job = ("job.received", "job.encoded", "job.delivered", "job.confirmed", "http.request")
    assert named >= {(name, "lecture-1") for name in of_the_job}


def check_trace(events: list[dict[str, Any]], traceparent: str) -> None:
    """One trace holds the upload's request, each step's events and what the LMS is sent."""
    span = Traceparent.read(traceparent)
    assert span is not None
    of_the_job = [event for event in events if event["event"].startswith("job.")]
    (receive,) = [event for event in events if event.get("route") == "/video/receive"]
    assert {event["trace_id"] for event in [*of_the_job, receive]} == {span.trace_id}


def test_sigterm_hands_the_work_back_within_ten_seconds(
    service: Service, lms: ExampleLms, long_clip: Path
) -> None:
    """An encode in hand is given back, its scratch removed, and the next start finishes it."""
    service.start()
    assert service.send(long_clip, "long").status_code == 200
    until(lambda: service.status("long").get("progress", 0) > 0, "an encode under way")
    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < STOP_WITHIN_S
    assert service.members() == {}
    assert [name for name in service.files() if not name.startswith("objects/uploads")] == []
    service.start()
    lms.wait_for(deliveries=1, timeout_s=100)
    events = [change["event"] for change in service.status("long")["history"]]
    assert "Released" in events


def test_a_killed_worker_is_replaced_and_its_job_done_again(
    service: Service, lms: ExampleLms, long_clip: Path
) -> None:
    """SIGKILL of the encoding worker alone: no ffmpeg is left, another worker takes the job."""
    service.start()
    assert service.send(long_clip, "long").status_code == 200
    until(lambda: service.status("long").get("progress", 0) > 0, "an encode under way")
    worker = service.role("transcode")
    before = encoders(worker)
    assert before
    os.kill(worker, signal.SIGKILL)
    until(lambda: not any(map(alive, before)), "the end of its ffmpeg")
    until(lambda: service.role("transcode") != worker, "a new worker")
    lms.wait_for(deliveries=1, timeout_s=100)
    status = service.wait_state("long", "stored")
    assert [change["event"] for change in status["history"]].count("Claimed") >= 3
    assert service.call("POST", "/video/confirm", data={"video_id": "long"}).status_code == 200
    until(lambda: not service.files(), "the lost worker's folder is gone too")


def encoders(worker: int) -> list[psutil.Process]:
    """Return the children of a worker: its sandboxed ffmpeg."""
    children: list[psutil.Process] = psutil.Process(worker).children(recursive=True)
    return children


def alive(process: psutil.Process) -> bool:
    """Tell whether a process still runs; one that no init has collected yet does not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_callers_wait_while_the_killed_front_door_restarts(service: Service, clip: Path) -> None:
    """The supervisor holds the port: a request during the restart is answered, not refused."""
    service.start()
    assert service.call("GET", "/health").status_code == 200
    os.killpg(service.role("http"), signal.SIGKILL)
    assert service.send(clip, "lecture-1").status_code == 200


def test_no_process_outlives_a_killed_supervisor(service: Service, clip: Path) -> None:
    """SIGKILL of the supervisor alone takes the whole tree down; the next one takes over."""
    service.start()
    assert service.send(clip, "lecture-1").status_code == 200
    assert service.process is not None
    first_life = service.process.pid
    assert len(service.members()) > 1
    service.process.kill()
    service.process.wait(5)
    service.start()  # at once: it waits until the old processes are gone
    service.wait_state("lecture-1", "stored")
    assert session_members(first_life) == {}


def test_a_dead_lms_is_tried_again_and_loses_nothing(
    tmp_path: Path, lms: ExampleLms, clip: Path
) -> None:
    """While the LMS is away the job waits in `storing`, and goes out once it is asked for."""
    with service_on(tmp_path / "data", lms) as service:
        service.lms_url = "http://127.0.0.1:9/store"
        service.start()
        assert service.send(clip, "lecture-1").status_code == 200

        def refused_once() -> bool:
            delivery = service.status("lecture-1").get("delivery") or {}
            return delivery.get("last_outcome") is not None

        until(refused_once, "a refused attempt")
        assert service.status("lecture-1")["state"] == "storing"
        assert service.stop() == 0
        service.lms_url = lms.url
        service.start()
        done = _lectern(service, "redeliver", "lecture-1")
        assert done.returncode == 0, done.stderr
        lms.wait_for(deliveries=1)


def test_a_second_service_on_the_same_folder_is_refused(service: Service) -> None:
    """One line names the variable and says what to do."""
    service.start()
    until(service.url, "the first service")
    done = _lectern(service, "up")
    assert done.returncode == 1
    said = f"LECTERN_DATA_DIR: another Lectern is running on {service.folder}"
    assert done.stderr == f"lectern: {said}; stop it or choose another folder\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("LECTERN_BACKEND", "moon"),
        ("INTERNAL_SERVICE_KEY", "short"),
        ("LMS_STORE_URL", "ftp://lms"),
        ("CONFIRM_TTL_S", "-1"),
        ("LECTERN_FFMPEG", "/nowhere/ffmpeg"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(
    service: Service, name: str, value: str
) -> None:
    """The line names the variable; the secret's value is not in it."""
    service.environment = {name: value}
    done = _lectern(service, "up")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert name in line
    if name == "INTERNAL_SERVICE_KEY":
        assert value not in line.replace("INTERNAL_SERVICE_KEY", "")


def _lectern(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the service's folder."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "LECTERN_DATA_DIR": str(service.folder),
        "PORT": "0",
        **service.environment,
    }
    return subprocess.run(
        [sys.executable, "-m", "lectern", *arguments],
        check=False,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
