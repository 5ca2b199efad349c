"""Each target as its container runs it: functions-framework's process, on the emulators."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from google.api_core.exceptions import DeadlineExceeded
from google.pubsub_v1.types import PullRequest

from core import limits
from core.events import Claimed
from core.job import Job, State, source_key
from core.messages import Message, Topic
from core.transitions import message_of
from core.uploads import Announcement, begin_upload
from infra.gcp.bus import DEAD_LETTERS
from infra.wiring import Wiring
from tests.fakes import an_encoded, an_upload, put
from tests.functions import events
from tests.functions.events import Wire, binary, dead_letter, finalized, structured
from tests.gcp.clocked import CALL_S
from tests.gcp.deployment import BUCKET, Deployment, Process, deployed
from tests.gcp.emulators import TRIES, free_port
from tests.gcp.fixtures import PubSubClients
from tests.gcp.storage_server import Answer
from tests.service.harness import ROOT, until

VIDEO: Final = "video-1"
MP4: Final = b"\0\0\0\x20ftypisom" + bytes(300_000)
COMMAND: Final = str(Path(sys.executable).with_name("functions-framework"))
"""What the container runs."""


@dataclass(slots=True, kw_only=True)
class Function(Process):
    """A target that serves on a port of its own."""

    at: str = ""

    def serve(self) -> None:
        """Start a life and wait until it answers; another program may take the free port first."""
        for _ in range(TRIES):
            port = free_port()
            self.at = f"http://127.0.0.1:{port}"
            self.start(PORT=str(port))
            if until(self._answers_or_ended, "an answer or the end") == "answers":
                return
        pytest.fail(self.log.read_text())

    def post(self, wire: Wire = ({}, b"")) -> requests.Response:
        """Send a request to the function."""
        headers, body = wire
        return requests.post(self.at, data=body, headers=headers, timeout=60)

    def _answers_or_ended(self) -> str | None:
        assert self.process is not None
        if self.process.poll() is not None:
            return "ended"
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{self.at}/health", timeout=5).json() == {"status": "ok"}:
                return "answers"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A deployment, its parts in this process, and the functions that were started."""

    deployment: Deployment
    parts: Wiring
    running: list[Function]

    def function(self, target: str, **more: str) -> Function:
        """Start one target as a process."""
        made = Function(
            argv=(COMMAND, "--source", str(ROOT / "functions" / "entry.py"), "--target", target),
            environment={**self.deployment.environment, **more},
            log=self.deployment.folder / f"{target}.log",
        )
        self.running.append(made)
        made.serve()
        return made

    def job(self, job_id: str = VIDEO) -> Job:
        """Return a job as the store has it."""
        return self.parts.ledger.read(job_id)

    def receive(self, job_id: str = VIDEO) -> Job:
        """Have a recording received, with its object."""
        run = f"run-of-{job_id}"
        put(self.parts.ledger.objects, source_key(run), b"a recording")
        return self.parts.ledger.receive(an_upload(job_id, run=run))

    def lose_workers(self, count: int) -> None:
        """Have so many workers take the step and vanish; the last one's lease has run out."""
        for number in range(count):
            until(self._claimed, f"claim {number}")
        until(self._is_free, "the end of the last lease")

    def declare(self, run: str, size: int, content_type: str = "video/mp4") -> str:
        """Announce a direct upload and return its URL."""
        said = Announcement(
            video_id=f"video-of-{run}",
            organization_id="org-1",
            size=size,
            content_type=content_type,
        )
        ledger, sessions = self.parts.ledger, self.parts.sessions
        return begin_upload(said, run=run, ledger=ledger, sessions=sessions, ttl_s=60)[1]

    def _claimed(self) -> bool:
        with contextlib.suppress(Exception):
            self.parts.ledger.apply(VIDEO, Claimed())
            return True
        return False

    def _is_free(self) -> bool:
        lease_until = self.job().lease_until
        return lease_until is None or lease_until <= self.parts.ledger.clock.now()


@pytest.fixture
def scene(
    tmp_path: Path, firestore_emulator: str, pubsub_emulator: str, pubsub: PubSubClients
) -> Iterator[Scene]:
    """Give a deployment without services; whatever a test starts is killed at its end."""
    with deployed(
        tmp_path,
        firestore=firestore_emulator,
        pubsub_host=pubsub_emulator,
        pubsub=pubsub,
        lms_url="http://127.0.0.1:9/store",
    ) as deployment:
        running: list[Function] = []
        try:
            parts = deployment.connect(LEASE_S="0.05")
            yield Scene(deployment=deployment, parts=parts, running=running)
        finally:
            for function in running:
                function.kill()


def send(bucket_url: str, data: bytes) -> int:
    """PUT a whole recording to the URL of its upload and return the status."""
    headers = {"Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"}
    return requests.put(bucket_url, data=data, headers=headers, timeout=10).status_code


# Dead letters
def test_a_dead_letter_in_every_form_and_twice_leaves_one_line(scene: Scene) -> None:
    """Binary as Eventarc sends it, structured, and as a plain push: nothing fails by it."""
    job = scene.receive()
    function = scene.function("dead_letter")
    attributes = events.buried_by_pubsub(
        {"job_id": VIDEO, "deliveries": "0", "traceparent": events.TRACEPARENT}, deliveries=100
    )
    event = dead_letter(message_of(job).to_bytes(), attributes)
    for wire in (binary(event), structured(event), events.push(event), binary(event)):
        assert function.post(wire).status_code == 200
    after = scene.job()
    assert (after.state, after.failure) == (State.QUEUED, None)
    assert [(line.event, line.note) for line in after.history[1:]] == [
        ("Buried", "dead_letter: message 7 became a dead letter after 100 deliveries")
    ]
    told = function.events("message.buried")
    assert [line["outcome"] for line in told] == ["left_to_sweep"] * 4
    assert {line["job_id"] for line in told} == {VIDEO}
    assert {line["organization_id"] for line in told} == {"org-1"}
    assert all(events.TRACE in json.dumps(line) for line in told)


def test_a_job_without_claims_left_fails_once(scene: Scene) -> None:
    job = scene.receive()
    scene.lose_workers(limits.CLAIMS_MAX)
    function = scene.function("dead_letter")
    event = dead_letter(message_of(job).to_bytes(), {"deliveries": "100", "reason": "KeyError"})
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(function.post, [binary(event)] * 4))
    assert {answer.status_code for answer in answers} == {200}
    after = scene.job()
    assert after.state is State.FAILED
    assert after.failure is not None
    assert (after.failure.code, after.failure.reason) == (
        "dead_letter",
        "message 7 became a dead letter after 100 deliveries (KeyError)",
    )
    assert [line.event for line in after.history].count("Poisoned") == 1
    assert len(function.events("message.void")) == 3
    assert scene.deployment.bucket.objects.keys() == {job.source.key}


def test_a_dead_letter_of_an_earlier_step_comes_too_late(scene: Scene) -> None:
    job = scene.receive()
    scene.parts.ledger.apply(VIDEO, Claimed())
    scene.parts.ledger.apply(VIDEO, an_encoded(job.run, 1))
    before = scene.job()
    function = scene.function("dead_letter")
    assert function.post(binary(dead_letter(message_of(job).to_bytes()))).status_code == 200
    assert scene.job() == before
    assert function.wait_event("message.void")["reason"] == "stale_message"


def test_what_pubsub_brings_is_recorded_and_kept(scene: Scene) -> None:
    """The real way: a buried message is pushed to the function, and a pull keeps it."""
    job = scene.receive()
    function = scene.function("dead_letter")
    names, pubsub = scene.deployment.names, scene.deployment.pubsub
    pushed = names.subscription("dead-letter-push")
    pubsub.subscriber.create_subscription(
        request={
            "name": pushed,
            "topic": names.topic(DEAD_LETTERS),
            "push_config": {"push_endpoint": function.at},
        },
        timeout=CALL_S,
    )
    bus = scene.parts.ledger.bus
    handout = until(lambda: bus.receive(Topic.TRANSCODE, lease_s=10), "the message")
    bus.bury(handout, "a defect")
    until(lambda: scene.job().history[-1].event == "Buried", "the line in the history")
    pubsub.subscriber.delete_subscription(subscription=pushed, timeout=CALL_S)
    request = PullRequest(subscription=names.subscription(DEAD_LETTERS), max_messages=10)
    kept = pubsub.subscriber.pull(request=request, timeout=CALL_S).received_messages
    assert [Message.from_bytes(received.message.data) for received in kept] == [message_of(job)]


def test_what_is_no_message_or_no_event_harms_nobody(scene: Scene) -> None:
    job = scene.receive()
    function = scene.function("dead_letter")
    assert function.post(binary(dead_letter(b"{", {"job_id": VIDEO}))).status_code == 200
    assert function.wait_event("dead_letter.malformed")["job_id"] == VIDEO
    for wire in (({}, b""), ({"Content-Type": "application/json"}, b"[1]"),
                 binary(finalized(BUCKET, "uploads/x/source"))):  # fmt: skip
        answer = function.post(wire)
        assert answer.status_code == 400
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert requests.get(function.at, timeout=10).status_code == 405
    assert function.post(binary(dead_letter(message_of(job).to_bytes()))).status_code == 200
    assert scene.job().history[-1].event == "Buried"
    assert b"Traceback" not in function.log.read_bytes()


# The sweep
def waiting(scene: Scene, count: int) -> list[str]:
    """Have so many jobs wait for the sweep, their messages lost."""
    ids = [f"video-{number}" for number in range(count)]
    for job_id in ids:
        scene.parts.ledger.receive(an_upload(job_id, run=f"run-of-{job_id}"))
    until(lambda: len(due(scene)) == count, "the time to look at all of them")
    return ids


def due(scene: Scene) -> list[Job]:
    """Return the jobs that wait for the sweep."""
    found = scene.parts.ledger.jobs.due(scene.parts.ledger.clock.now(), limit=1000)
    return [job for job in found if isinstance(job, Job)]


def test_two_sweeps_at_once_in_two_processes_publish_each_step_once(scene: Scene) -> None:
    ids = waiting(scene, 20)
    scene.deployment.pubsub.subscriber.delete_subscription(
        subscription=scene.deployment.names.subscription(Topic.TRANSCODE), timeout=CALL_S
    )
    scene.deployment.pubsub.subscriber.create_subscription(  # so that only the sweeps' are seen
        request={
            "name": scene.deployment.names.subscription(Topic.TRANSCODE),
            "topic": scene.deployment.names.topic(Topic.TRANSCODE),
        },
        timeout=CALL_S,
    )
    functions = [scene.function("sweep", REPUBLISH_AFTER_S="600") for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda function: function.post(), functions * 2))
    assert {answer.status_code for answer in answers} == {200}
    assert due(scene) == []
    found: list[str] = []

    def all_came() -> bool:
        found.extend(pulled(scene))
        return len(found) >= len(ids)

    until(all_came, "the messages")
    assert sorted(found + pulled(scene)) == sorted(ids)


def pulled(scene: Scene) -> list[str]:
    """Return the jobs of the messages that come within a second."""
    subscription = scene.deployment.names.subscription(Topic.TRANSCODE)
    request = PullRequest(subscription=subscription, max_messages=100)
    subscriber = scene.deployment.pubsub.subscriber
    try:
        received = subscriber.pull(request=request, retry=None, timeout=1.0).received_messages
    except DeadlineExceeded:
        return []
    if received:
        ids = [one.ack_id for one in received]
        subscriber.acknowledge(subscription=subscription, ack_ids=ids, timeout=CALL_S)
    return [Message.from_bytes(one.message.data).job_id for one in received]


def test_a_sweep_that_is_killed_in_the_middle_is_made_good_by_the_next(scene: Scene) -> None:
    waiting(scene, 60)
    function = scene.function("sweep", REPUBLISH_AFTER_S="600")
    with ThreadPoolExecutor(1) as pool:
        cut = pool.submit(function.post)
        until(lambda: len(due(scene)) < 60, "the first job that was woken")
        function.kill()
        assert isinstance(cut.exception(), requests.ConnectionError)
    left = len(due(scene))
    assert 0 < left < 60
    function.serve()
    assert function.post().json()["jobs"] == left
    assert due(scene) == []


def test_a_sweep_outlasts_a_store_that_stumbles_and_says_503_when_it_is_away(
    scene: Scene,
) -> None:
    put(scene.parts.ledger.objects, "uploads/lost/source", b"a receive that died")
    bucket = scene.deployment.bucket
    until(lambda: bucket.objects["uploads/lost/source"].created + 4.5 < now(scene), "its grace")
    function = scene.function("sweep")
    bucket.break_next("list", Answer(status=403))
    away = function.post()
    assert (away.status_code, away.headers["Content-Type"]) == (503, "application/problem+json")
    assert (away.json()["code"], away.headers["Retry-After"]) == ("unavailable", "5")
    bucket.break_next("list", Answer(status=503), Answer(status=503))
    swept = function.post()
    assert (swept.status_code, swept.json()["orphans"]) == (200, 1)
    assert bucket.objects == {}
    assert b"Traceback" not in function.log.read_bytes()


def now(scene: Scene) -> float:
    """Return the present."""
    return scene.parts.ledger.clock.now()


# Direct uploads
@pytest.mark.parametrize("form", [binary, structured])
def test_a_finished_upload_becomes_one_job_however_often_it_is_told(
    scene: Scene, form: Callable[[Any], Wire]
) -> None:
    assert send(scene.declare("run-a", len(MP4)), MP4) == 200
    function = scene.function("upload_finalized")
    event = finalized(BUCKET, source_key("run-a"))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(function.post, [form(event)] * 4))
    assert {answer.status_code for answer in answers} == {200}
    job = scene.job("video-of-run-a")
    assert (job.state, job.run, job.source.size) == (State.QUEUED, "run-a", len(MP4))
    assert [line.event for line in job.history] == ["Received"]
    assert function.post(form(event)).status_code == 200
    assert scene.job("video-of-run-a") == job


def test_an_upload_that_is_refused_is_recorded_and_its_event_done(scene: Scene) -> None:
    assert send(scene.declare("run-b", 5), b"hello") == 200
    function = scene.function("upload_finalized")
    event = binary(finalized(BUCKET, source_key("run-b")))
    assert [function.post(event).status_code for _ in range(2)] == [200, 200]
    assert scene.parts.ledger.jobs.get("video-of-run-b") is None
    assert source_key("run-b") not in scene.deployment.bucket.objects


def test_an_event_waits_for_a_store_that_does_not_answer(scene: Scene) -> None:
    assert send(scene.declare("run-c", len(MP4)), MP4) == 200
    function = scene.function("upload_finalized")
    event = binary(finalized(BUCKET, source_key("run-c")))
    scene.deployment.bucket.break_next("read", Answer(status=403))
    answer = function.post(event)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert function.post(event).status_code == 200
    assert scene.job("video-of-run-c").state is State.QUEUED


def test_events_before_their_object_and_of_other_objects_are_passed_over(scene: Scene) -> None:
    """Objects of the ordinary receive raise the same events; so do outputs and declarations."""
    received = scene.receive()
    scene.declare("run-d", len(MP4))
    function = scene.function("upload_finalized")
    for name in (received.source.key, "outputs/run-d/1.mp4", "declared/run-d/x", "a", "uploads//",
                 source_key("run-d"), source_key("../../x"), source_key("run-e")):  # fmt: skip
        assert function.post(binary(finalized(BUCKET, name))).status_code == 200
    assert scene.job() == received
    assert scene.parts.ledger.jobs.get("video-of-run-d") is None


def test_a_function_that_is_killed_while_it_reads_leaves_the_upload_to_the_next_event(
    scene: Scene,
) -> None:
    size = 8 * limits.MIB
    assert send(scene.declare("run-f", size), MP4 + bytes(size - len(MP4))) == 200
    function = scene.function("upload_finalized")
    event = binary(finalized(BUCKET, source_key("run-f")))
    bucket = scene.deployment.bucket
    before = len(bucket.seen)
    with ThreadPoolExecutor(1) as pool:
        cut = pool.submit(function.post, event)
        until(lambda: "read" in bucket.kinds()[before:], "the first read")
        function.kill()
        cut.exception()
    function.serve()
    assert function.post(event).status_code == 200
    job = scene.job("video-of-run-f")
    assert (job.state, job.source.size) == (State.QUEUED, size)
    assert [line.event for line in job.history] == ["Received"]


# The process
@pytest.mark.parametrize("target", ["sweep", "dead_letter", "upload_finalized"])
def test_sigterm_ends_a_function_in_time(scene: Scene, target: str) -> None:
    function = scene.function(target, FUNCTION_SIGNATURE_TYPE="event")
    assert requests.get(f"{function.at}/ready", timeout=10).status_code == 200
    assert function.stop(timeout_s=limits.STOP_S) == 0


def test_a_wrong_setting_ends_the_start_with_one_line(scene: Scene) -> None:
    made = Function(
        argv=(COMMAND, "--source", str(ROOT / "functions" / "entry.py"), "--target", "sweep"),
        environment={**scene.deployment.environment, "LECTERN_BUCKET": ""},
        log=scene.deployment.folder / "wrong.log",
    )
    scene.running.append(made)
    made.start(PORT=str(free_port()))
    assert made.wait_dead() == 1
    assert made.log.read_text().splitlines() == [
        "functions: LECTERN_BUCKET is required with LECTERN_BACKEND=gcp"
    ]
