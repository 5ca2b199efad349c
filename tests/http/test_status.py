"""GET /status, /health, /ready and /metrics."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core import limits
from core.errors import Unavailable
from core.events import Claimed
from core.ports import Checks
from tests.fakes import a_world, an_encoded, sha256_of
from tests.http import forms
from tests.http.door import Door, a_door, assert_problem
from tests.http.forms import Lecture


@pytest.fixture
def door() -> Door:
    return a_door()


def test_a_queued_job_shows_what_is_known_of_it(door: Door) -> None:
    door.receive(Lecture().body())
    response = door.get("/status/video-1")
    assert response.status_code == 200
    moment = "2027-01-15T08:00:00.000Z"
    assert response.get_json() == {
        "video_id": "video-1",
        "organization_id": "org-1",
        "state": "queued",
        "progress": 0,
        "created_at": moment,
        "updated_at": moment,
        "source": {
            "bytes": 2000,
            "sha256": sha256_of(forms.recording()),
            "container": "mp4",
        },
        "output": None,
        "delivery": None,
        "failure": None,
        "warnings": [],
        "history": [{"at": moment, "event": "Received", "state": "queued", "note": None}],
    }


def test_an_encoded_job_shows_its_result(door: Door) -> None:
    door.receive(Lecture().body())
    fence = door.world.ledger.apply("video-1", Claimed()).fence
    door.world.ledger.apply("video-1", an_encoded(fence=fence))
    status = door.get("/status/video-1").get_json()
    assert (status["state"], status["progress"]) == ("storing", 100)
    assert (status["output"]["bytes"], status["output"]["action"]) == (8, "encoded")
    assert status["output"]["saved_percent"] == 99.6
    assert status["delivery"]["delivery_id"] == "msg_run-1"


@pytest.mark.parametrize("video_id", ["video-2", "a" * 128, "video-1%20", "a+b"])
def test_an_unknown_id_is_not_found_or_invalid(door: Door, video_id: str) -> None:
    """An unknown one is answered in words that both contracts' callers understand."""
    door.receive(Lecture().body())
    answer = door.get(f"/status/{video_id}")
    if "%" in video_id:
        assert_problem(answer, 400, "invalid_id")
        return
    assert answer.status_code == 404
    body = answer.get_json()
    assert (body["mediaId"], body["status"], body["code"]) == (video_id, "not_found", "not_found")


def test_health_does_not_ask_anything(door: Door) -> None:
    door.world.jobs.broken = door.world.objects.broken = True
    response = door.client.get("/health")
    assert (response.status_code, response.get_json()) == (200, {"status": "ok"})


def test_ready_names_what_does_not_work_and_why() -> None:
    def no_answer() -> None:
        raise Unavailable("the store does not answer")

    def defect() -> None:
        raise RuntimeError("password=hunter2")

    checks: Checks = {"store": no_answer, "bus": defect, "ffmpeg": lambda: None}
    response = a_door(checks=checks).client.get("/ready")
    assert response.status_code == 503
    assert response.get_json() == {
        "status": "not_ready",
        "checks": {
            "store": {"ok": False, "reason": "the store does not answer"},
            "bus": {"ok": False, "reason": "failed with RuntimeError"},
            "ffmpeg": {"ok": True},
        },
    }


def test_ready_looks_again_after_a_moment_but_not_for_each_request() -> None:
    calls: list[None] = []
    door = a_door(checks={"store": lambda: calls.append(None)})
    for _ in range(3):
        assert door.client.get("/ready").status_code == 200
    assert len(calls) == 1
    door.world.clock.advance(limits.GLANCE_S)
    door.client.get("/ready")
    assert len(calls) == 2


def test_a_check_that_recovers_makes_ready_again() -> None:
    world = a_world()

    def look() -> None:
        world.jobs.get("x")

    door = a_door(world=world, checks={"jobs": look})
    world.jobs.broken = True
    assert door.client.get("/ready").status_code == 503
    world.jobs.broken = False
    world.clock.advance(limits.GLANCE_S)
    assert door.client.get("/ready").status_code == 200


def test_metrics_count_jobs_and_messages(door: Door) -> None:
    door.receive(Lecture().body())
    door.receive(Lecture(video_id="video-2").body())
    door.world.ledger.apply("video-2", Claimed())
    response = door.get("/metrics")
    assert response.content_type.startswith("text/plain")
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert values["lectern_jobs", "queued"] == 1
    assert values["lectern_jobs", "processing"] == 1
    assert values["lectern_jobs", "failed"] == 0
    assert values["lectern_jobs_unfinished",] == 2
    assert values["lectern_queue_depth", "transcode"] == 2
    assert values["lectern_queue_depth", "deliver"] == 0


def test_metrics_of_a_store_that_does_not_answer_are_unavailable(door: Door) -> None:
    door.world.jobs.broken = True
    assert_problem(door.get("/metrics"), 503, "unavailable")
