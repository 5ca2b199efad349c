"""The transcoder is told to stop, or killed, in the middle of an encode."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from core.messages import Topic
from tests.gcp.deployment import Process
from tests.push_service.scene import VIDEO, Scene
from tests.service.harness import until

STOP_S = 10.0
"""From SIGTERM to SIGKILL on Cloud Run."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_in_mid_encode_hands_the_work_back_in_time(
    scene: Scene, lecture: Path, number: signal.Signals
) -> None:
    """Also when a terminal tells all processes at once; the next start finishes the job."""
    scene.transcoder.start()
    scene.send(lecture)
    with ThreadPoolExecutor(1) as caller:
        push = caller.submit(scene.push, Topic.TRANSCODE)
        scene.wait_encoding()
        encoders = children(scene.transcoder)
        began = time.monotonic()
        os.killpg(scene.transcoder.pid, number)
        assert scene.transcoder.wait_dead() == 0
        took_s = time.monotonic() - began
        assert push.result().status_code == 503
    assert took_s < STOP_S / 2, f"{took_s:.1f} s"
    job = scene.job()
    assert (job.state, job.claims, job.retries) == ("queued", 0, 0)
    assert job.history[-1].event == "Released"
    assert encoders
    assert [pid for pid in encoders if Path(f"/proc/{pid}").exists()] == []
    assert scene.scratch() == []
    scene.transcoder.start()
    assert scene.push(Topic.TRANSCODE).status_code == 204
    assert scene.job().state == "storing"


def test_a_stop_breaks_off_a_callback_that_hangs(scene: Scene, clip: Path) -> None:
    """No bytes come, so nothing but the signal can end the wait."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as caller:
        port = silent.getsockname()[1]
        scene.transcoder.start(LMS_STORE_URL=f"http://127.0.0.1:{port}/store")
        scene.send(clip)
        assert scene.push(Topic.TRANSCODE).status_code == 204
        push = caller.submit(scene.push, Topic.DELIVER)
        connection, _ = silent.accept()
        with connection:
            read_all(connection)
            began = time.monotonic()
            assert scene.transcoder.stop() == 0
        assert time.monotonic() - began < STOP_S / 2
        assert push.result().status_code == 503
    job = scene.job()
    assert (job.state, job.history[-1].event) == ("storing", "Released")


def test_a_killed_worker_is_replaced_and_its_job_done_once(scene: Scene, lecture: Path) -> None:
    """Pub/Sub sees a broken connection; the message comes again after the lease."""
    scene.transcoder.start()
    scene.send(lecture)
    with ThreadPoolExecutor(1) as caller:
        push = caller.submit(scene.push, Topic.TRANSCODE)
        scene.wait_encoding()
        (worker,) = workers(scene.transcoder)
        encoders = children(scene.transcoder)
        assert scene.scratch() != []
        os.kill(worker, signal.SIGKILL)
        assert isinstance(push.exception(), requests.ConnectionError)
    until(lambda: workers(scene.transcoder) not in ([], [worker]), "another worker")
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in encoders), "no old encoder")
    until(lambda: scene.scratch() == [], "an empty scratch folder")
    until(lambda: scene.parts.ledger.clock.now() > (scene.job().lease_until or 0), "a lapsed lease")
    assert scene.push(Topic.TRANSCODE).status_code == 204
    job = scene.job()
    assert (job.state, job.fence) == ("storing", 2)
    assert len(list(scene.parts.ledger.objects.list("outputs/"))) == 1
    assert scene.push(Topic.TRANSCODE).status_code == 204
    assert scene.job() == job
    assert scene.transcoder.stop() == 0


def test_probes_are_answered_while_a_step_runs_and_a_second_push_waits(
    scene: Scene, lecture: Path, clip: Path
) -> None:
    """The emulator pushes several at once; each job is done, one after the other."""
    scene.transcoder.start()
    url = scene.transcoder.url()
    scene.send(lecture)
    scene.send(clip, "lecture-2")
    with ThreadPoolExecutor(2) as callers:
        first = callers.submit(scene.push, Topic.TRANSCODE)
        scene.wait_encoding()
        second = callers.submit(scene.push, Topic.TRANSCODE, "lecture-2")
        assert requests.get(f"{url}/health", timeout=2).status_code == 200
        assert scene.job("lecture-2").state == "queued"
        answers = [first.result().status_code, second.result().status_code]
    if answers[1] == 503:  # it waited for too long: Pub/Sub brings it again
        answers[1] = scene.push(Topic.TRANSCODE, "lecture-2").status_code
    assert answers == [204, 204]
    assert {scene.job(video).state for video in (VIDEO, "lecture-2")} == {"storing"}
    steps = [event for event in scene.transcoder.events() if event.get("event") == "job.claimed"]
    assert [step["job_id"] for step in steps] == [VIDEO, "lecture-2"]


def test_the_same_message_pushed_twice_at_once_is_worked_on_once(
    scene: Scene, lecture: Path
) -> None:
    scene.transcoder.start()
    scene.transcoder.url()
    scene.send(lecture)
    with ThreadPoolExecutor(2) as callers:
        pushes = [callers.submit(scene.push, Topic.TRANSCODE) for _ in range(2)]
        answers = [push.result().status_code for push in pushes]
    assert 204 in answers
    assert set(answers) <= {204, 503}
    assert (scene.job().state, scene.job().fence) == ("storing", 1)


def read_all(connection: socket.socket) -> None:
    """Read a request until no more of it comes."""
    connection.settimeout(1)
    with contextlib.suppress(TimeoutError):
        while connection.recv(65536):
            pass


def workers(service: Process) -> list[int]:
    """Return the pids of the service's worker processes."""
    return _children(service.pid)


def children(service: Process) -> list[int]:
    """Return the pids of what the worker has started."""
    return [child for worker in workers(service) for child in _children(worker)]


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [
        int(child)
        for task in (tasks.iterdir() if tasks.exists() else ())
        for child in (task / "children").read_text().split()
    ]
