"""A job as callers see it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from core import views
from core.events import Claimed, DeliveryDeferred, Failed
from core.job import Job, Policy
from core.submission import receive
from core.transitions import advance
from tests.fakes import a_failure, an_encoded, an_upload

START = 1_800_000_000.25
POLICY = Policy()


def a_queued_job() -> Job:
    return receive(None, an_upload(data=b"x" * 1000), START, POLICY)[0]


def an_encoded_job() -> Job:
    job = advance(a_queued_job(), Claimed(), START + 1, POLICY)[0]
    return advance(job, an_encoded(fence=job.fence, data=b"y" * 250), START + 5, POLICY)[0]


def seen(job: Job) -> Any:
    """Return the view as it arrives at a caller."""
    return json.loads(json.dumps(views.status(job)))


def test_times_are_utc_with_milliseconds() -> None:
    view = seen(a_queued_job())
    assert view["created_at"] == "2027-01-15T08:00:00.250Z"
    assert view["history"][0]["at"] == view["created_at"]


@pytest.mark.parametrize(
    ("at", "text"),
    [(0.0, "1970-01-01T00:00:00.000Z"), (1.9999, "1970-01-01T00:00:01.999Z")],
)
def test_a_timestamp_keeps_its_form_at_the_edges(at: float, text: str) -> None:
    assert views.timestamp(at) == text


def test_what_is_not_known_yet_is_left_out_or_null() -> None:
    view = seen(a_queued_job())
    assert set(view["source"]) == {"bytes", "sha256", "container"}
    assert (view["output"], view["delivery"], view["failure"]) == (None, None, None)


def test_a_result_shows_its_media_and_what_it_saves() -> None:
    view = seen(an_encoded_job())
    assert (view["source"]["width"], view["source"]["height"]) == (1920, 1080)
    output = view["output"]
    assert (output["width"], output["height"], output["duration_s"]) == (1280, 720, 12.04)
    assert (output["video_codec"], output["audio_codec"]) == ("h264", "aac")
    assert (output["bytes"], output["saved_percent"]) == (250, 75.0)


def test_the_next_attempt_is_shown_while_none_is_under_way() -> None:
    waiting = an_encoded_job()
    assert seen(waiting)["delivery"]["next_attempt_at"] == "2027-01-15T08:00:05.250Z"
    trying = advance(waiting, Claimed(), START + 6, POLICY)[0]
    delivery = seen(trying)["delivery"]
    assert (delivery["next_attempt_at"], delivery["attempts"]) == (None, 1)
    event = DeliveryDeferred(fence=trying.fence, outcome="answered 500", delay_s=5)
    deferred = advance(trying, event, START + 7, POLICY)[0]
    delivery = seen(deferred)["delivery"]
    assert delivery["last_outcome"] == "answered 500"
    assert delivery["next_attempt_at"] == "2027-01-15T08:00:12.250Z"
    assert delivery["delivery_id"] == "msg_run-1"


def test_a_failure_is_shown_with_its_code_and_reason() -> None:
    job = advance(a_queued_job(), Claimed(), START + 1, POLICY)[0]
    job = advance(job, Failed(fence=job.fence, failure=a_failure()), START + 2, POLICY)[0]
    view = seen(job)
    assert view["state"] == "failed"
    assert view["failure"] == {"code": "encode_failed", "reason": "ffmpeg refused the file"}


def test_no_key_of_the_store_is_shown() -> None:
    job = replace(an_encoded_job(), warnings=("two audio tracks",))
    view = seen(job)
    assert view["warnings"] == ["two audio tracks"]
    assert job.source.key not in json.dumps(view)


@pytest.mark.parametrize(
    ("before", "after", "saved"), [(1000, 250, 75.0), (1000, 1000, 0.0), (0, 10, 0.0), (3, 1, 66.7)]
)
def test_the_saving_is_a_share_of_the_source(before: int, after: int, saved: float) -> None:
    assert views.saved_percent(before, after) == saved
