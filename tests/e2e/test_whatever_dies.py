"""Nothing that was answered 200 is lost, whatever dies, stops or misbehaves (promises 1 to 6)."""

from __future__ import annotations

import signal
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from core.messages import Topic
from lectern.lms_behaviours import lose_answer
from tests.conftest import make_clip
from tests.e2e.backend import Backend
from tests.e2e.scene import POINTS, Scene
from tests.fakes import sha256_of
from tests.gcp.storage_server import Answer, Cut, LoseAnswer
from tests.service.harness import until

pytestmark = pytest.mark.timeout(300)  # the first test waits for the whole system to start
PATIENCE_S = 120.0
FROZEN_S = 3.0
"""Longer than LEASE_S: whoever holds a job meanwhile loses it."""
STORM_S = 3.0
REFUSALS = (Answer(status=503), Answer(status=429))


@pytest.fixture(scope="module")
def lecture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording whose encode takes long enough to be killed in its middle."""
    path = tmp_path_factory.mktemp("lecture") / "lecture.mp4"
    return make_clip(path, seconds=8, size="1280x720", gop=25)


def test_every_service_may_be_killed_at_its_worst_moment(
    scene: Scene, clip: Path, lecture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five services die by SIGKILL, one of them twice, and the messages that wait are lost."""
    long = scene.backend("killed-0", lecture, patient=True)
    others = [scene.backend(f"killed-{n}", clip, patient=True) for n in range(1, 4)]
    with at_work(long):
        percent = scene.wait_encoding(long)
        with at_work(*others):
            until(lambda: all(one.acknowledged_at for one in others), "all others' 200")
            scene.stack.kill("transcoder")
            scene.lose_messages(Topic.TRANSCODE)
            wait_confirmed(scene, long, *others)
    check_promises(scene, long, *others)
    assert sum(len(one.deliveries()) for one in (long, *others)) > 4  # 5: twice at the courier's
    for name, points in POINTS.items():
        assert scene.stack.running[name].ends == [-signal.SIGKILL] * len(points), name
    assert scene.stack.running["transcoder"].ends == [-signal.SIGKILL]
    tell(capsys, f"transcoder killed at {percent} %, its messages lost", scene, long, *others)


def test_storage_may_fail_and_firestore_may_stop_for_a_while(
    scene: Scene, clip: Path, lecture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """503, 429, cut and unanswered requests in two storms; between them a database that hangs."""
    long = scene.backend("weather-0", lecture)
    backends = [long, *(scene.backend(f"weather-{n}", clip) for n in range(1, 5))]
    scene.lms.behave(lose_answer)
    scene.bucket.break_next("begin", *REFUSALS)
    scene.bucket.break_next("finish", Cut(after=50_000), LoseAnswer())
    scene.bucket.storm(STORM_S)
    with at_work(*backends):
        scene.wait_encoding(long)
        with scene.frozen("firestore"):
            time.sleep(FROZEN_S)  # the outage itself
        scene.bucket.storm(STORM_S)
        wait_confirmed(scene, *backends)
    check_promises(scene, *backends)
    assert {"429", "503", "Cut", "LoseAnswer"} <= set(scene.bucket.faults)
    trouble = f"firestore frozen for {FROZEN_S:g} s, storage: {dict(scene.bucket.faults)}"
    tell(capsys, trouble, scene, *backends)


def test_a_direct_upload_whose_event_is_lost_is_found(scene: Scene, clip: Path) -> None:
    """Nobody tells of the object: neither the store nor the caller."""
    backend = scene.backend("direct", clip)
    announced = backend.announce()
    assert requests.put(announced, data=clip.read_bytes(), timeout=30).ok
    until(lambda: backend.status().get("state") == "stored", "a result at the LMS")
    with at_work(backend):  # the same bytes by the front door: the same job
        wait_confirmed(scene, backend)
    check_promises(scene, backend)


def test_an_id_that_is_done_keeps_its_bytes(scene: Scene, clip: Path, lecture: Path) -> None:
    """The same bytes again are answered alike, other bytes 409, and no second job comes of it."""
    backend = scene.backend("again", clip)
    with at_work(backend):
        wait_confirmed(scene, backend)
    assert backend.send(clip).json() == {"status": "queued", "video_id": "again"}
    assert backend.send(lecture).json()["code"] == "conflicting_upload"
    check_promises(scene, backend)


def test_a_real_lecture_outlives_its_transcoder_and_its_courier(
    scene: Scene, shortened: Callable[[str, float], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A camera's file of 1080p, and a kill at each step."""
    backend = scene.backend("real", shortened("lec_slides_1080p30.mp4", 15.0))
    with at_work(backend):
        percent = scene.wait_encoding(backend)
        scene.stack.kill("transcoder")
        scene.stack.kill("courier")
        wait_confirmed(scene, backend)
    check_promises(scene, backend)
    tell(capsys, f"a real lecture, its transcoder killed at {percent} %", scene, backend)


@contextmanager
def at_work(*backends: Backend) -> Iterator[None]:
    """Let the backends run meanwhile; they end with the block, done or not."""
    for backend in backends:
        backend.start()
    try:
        yield
    finally:
        for backend in backends:
            backend.give_up()


def wait_confirmed(scene: Scene, *backends: Backend) -> None:
    """Return once every backend has its confirmation, or fail with what the jobs say."""
    try:
        until(
            lambda: all(one.confirmed_at for one in backends),
            "all confirmations",
            timeout_s=PATIENCE_S,
        )
    except TimeoutError as error:
        stuck = [one.status() for one in backends if not one.confirmed_at]
        raise AssertionError(f"{error}: {stuck}; {scene.events('sweep.error')[-3:]}") from error


def check_promises(scene: Scene, *backends: Backend) -> None:
    """Hold what came of it against the promises."""
    until(lambda: not left_over(scene, backends), "an empty bucket")
    for backend in backends:
        status = backend.status()
        assert status["state"] == "completed", status
        said = [change["event"] for change in status["history"]]
        assert said.count("Received") == 1  # 2: one id, one job
        assert [change["at"] for change in status["history"]] == sorted(
            change["at"] for change in status["history"]
        )
        check_deliveries(scene, backend, status["delivery"]["delivery_id"], status["output"])
        check_source(scene, backend, status["delivery"]["delivery_id"])
    check_fences(scene, backends)


def left_over(scene: Scene, backends: Sequence[Backend]) -> list[str]:
    """Return the objects that are left, but for announcements which were never answered.

    Their sender cannot use them; they go when their time is over.
    """
    runs = [backend.status()["delivery"]["delivery_id"][len("msg_") :] for backend in backends]
    return [
        name
        for name in list(scene.bucket.objects)
        if not name.startswith("declared/") or any(run in name for run in runs)
    ]


def check_deliveries(
    scene: Scene, backend: Backend, delivery_id: str, output: dict[str, str]
) -> None:
    """4 and 5: whole, as it was recorded, under one id however often."""
    deliveries = backend.deliveries()
    assert {one.id for one in deliveries} == {delivery_id}
    assert {one.sha256 for one in deliveries} == {output["sha256"]}
    assert sha256_of(scene.lms.path_of(backend.video_id).read_bytes()) == output["sha256"]


def check_source(scene: Scene, backend: Backend, delivery_id: str) -> None:
    """6: the source went after the confirmation was asked for, and not before."""
    run = delivery_id.removeprefix("msg_")
    (gone_at,) = [at for name, at in scene.bucket.deleted.items() if f"uploads/{run}/" in name]
    assert backend.confirming_at is not None
    assert gone_at >= backend.confirming_at


def check_fences(scene: Scene, backends: Sequence[Backend]) -> None:
    """3: every claim of a job had a fence of its own."""
    ids = {backend.video_id for backend in backends}
    fences = defaultdict(list)
    for event in scene.events("job.claimed"):
        if event["job_id"] in ids:
            fences[event["job_id"]].append(event["fence"])
    assert set(fences) == ids
    for seen in fences.values():
        assert len(seen) == len(set(seen))


def tell(
    capsys: pytest.CaptureFixture[str], trouble: str, scene: Scene, *backends: Backend
) -> None:
    """Print the figures, also of a test that passes."""
    seconds = sorted(backend.stored_after_s() for backend in backends)
    kills = {name: len(one.ends) for name, one in scene.stack.running.items() if one.ends}
    calls = sum(len(backend.deliveries()) for backend in backends)
    middle = f"median {statistics.median(seconds):.1f} s"
    lines = (
        f"{trouble}:",
        f"  {len(backends)} jobs, {calls} deliveries; kills so far: {kills}",
        f"  from 200 to the LMS {seconds[0]:.1f} to {seconds[-1]:.1f} s, {middle}",
    )
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
