"""When a delivery is tried again, when it is given up, and what is signed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.delivery import (
    Answered,
    Outcome,
    Unanswered,
    backoff,
    describe,
    judge,
    parcel_of,
    signed_content,
)
from core.events import Delivered, DeliveryDeferred, DeliveryRefused
from core.job import DeliveryLog, Job, MediaSummary, Policy, Rendition, Source, State, check_id

NOW = 1_800_000_000.0
DAY_S = 24 * 3600.0
POLICY = Policy(store_retry_for_s=3 * DAY_S)
OUTPUT = Rendition(
    key="outputs/run-1/3.mp4",
    size=1000,
    sha256="ab" * 32,
    media=MediaSummary(width=1280, height=720, duration_s=1.0, video_codec="h264"),
    action="encoded",
    work_s=1.0,
)
JOB = Job(
    job_id="lecture-42",
    organization_id="uni-1",
    run="run-1",
    state=State.STORING,
    source=Source(key="uploads/run-1/source", size=2000, sha256="cd" * 32, container="mp4"),
    created_at=NOW,
    updated_at=NOW,
    due_at=NOW,
    wake_at=NOW,
    fence=3,
    output=OUTPUT,
    delivery=DeliveryLog(since=NOW, attempts=1),
)

statuses = st.integers(100, 599)
retry_afters = st.none() | st.floats(0, 1e9)
answers = st.builds(Answered, status=statuses, retry_after_s=retry_afters)
outcomes: st.SearchStrategy[Outcome] = answers | st.just(Unanswered(reason="connection refused"))
jitters = st.floats(0, 1, exclude_max=True)
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,127}", fullmatch=True)


def attempt(number: int, *, after_s: float = 0.0) -> Job:
    """Return the job at its attempt of this number, in a window that began `after_s` ago."""
    return replace(JOB, delivery=DeliveryLog(since=NOW - after_s, attempts=number))


def test_200_is_delivered() -> None:
    assert judge(Answered(status=200), JOB, NOW, POLICY, jitter=0) == Delivered(fence=3)


@given(outcomes.filter(lambda outcome: outcome != Answered(status=200)), jitters)
def test_nothing_but_200_is_delivered(outcome: Outcome, jitter: float) -> None:
    event = judge(outcome, JOB, NOW, POLICY, jitter=jitter)
    assert isinstance(event, Delivered) == (isinstance(outcome, Answered) and outcome.status == 200)
    assert event.fence == 3


@pytest.mark.parametrize(("status", "code"), [(410, "store_gone"), (413, "store_too_large")])
def test_some_answers_are_final(status: int, code: str) -> None:
    event = judge(Answered(status=status), JOB, NOW, POLICY, jitter=0)
    assert isinstance(event, DeliveryRefused)
    assert event.failure.code == code
    assert str(status) in event.failure.reason


@given(outcomes, st.integers(1, 200), st.floats(0, 3 * DAY_S - 1), jitters)
def test_within_the_window_only_200_410_and_413_end_it(
    outcome: Outcome, number: int, after_s: float, jitter: float
) -> None:
    event = judge(outcome, attempt(number, after_s=after_s), NOW, POLICY, jitter=jitter)
    ends = isinstance(outcome, Answered) and outcome.status in {200, 410, 413}
    assert isinstance(event, DeliveryDeferred) == (not ends)


@given(outcomes, st.integers(1, 200), st.floats(0, 3 * DAY_S - 1), jitters)
def test_no_pause_reaches_past_the_end_of_the_window(
    outcome: Outcome, number: int, after_s: float, jitter: float
) -> None:
    event = judge(outcome, attempt(number, after_s=after_s), NOW, POLICY, jitter=jitter)
    if isinstance(event, DeliveryDeferred):
        assert 0 < event.delay_s <= max(3 * DAY_S - after_s, 1.0) + 1e-3


def test_after_the_window_it_is_given_up_with_the_last_outcome() -> None:
    job = attempt(30, after_s=3 * DAY_S)
    event = judge(Unanswered(reason="connection refused"), job, NOW, POLICY, jitter=0)
    assert isinstance(event, DeliveryRefused)
    assert event.failure.code == "store_unreachable"
    assert "259200 s and 30 attempts: connection refused" in event.failure.reason


def test_a_last_attempt_after_the_window_may_still_succeed() -> None:
    job = attempt(30, after_s=4 * DAY_S)
    assert isinstance(judge(Answered(status=200), job, NOW, POLICY, jitter=0), Delivered)


@given(st.integers(1, 10_000), jitters)
def test_a_pause_is_the_documented_formula(attempts: int, jitter: float) -> None:
    expected = min(5 * 2 ** min(attempts - 1, 40), 4 * 3600) * (1 + jitter / 4)
    assert backoff(attempts, jitter) == pytest.approx(expected)


@given(st.integers(1, 100))
def test_pauses_grow_until_their_bound(attempts: int) -> None:
    assert backoff(attempts, 0) <= backoff(attempts + 1, 0) <= limits.DELIVERY_MAX_DELAY_S


def test_three_days_make_about_as_many_attempts_as_the_history_can_hold() -> None:
    elapsed, attempts = 0.0, 1
    while elapsed < 3 * DAY_S:
        elapsed += backoff(attempts, 0)
        attempts += 1
    assert 20 < attempts < limits.HISTORY_MAX / 2


@pytest.mark.parametrize(
    ("asked_s", "number", "expected_s"),
    [(None, 1, 5), (120.0, 1, 120), (1.0, 1, 5), (120.0, 20, 14400), (1e9, 1, DAY_S)],
)
def test_retry_after_is_honoured_within_reason(
    asked_s: float | None, number: int, expected_s: float
) -> None:
    outcome = Answered(status=503, retry_after_s=asked_s)
    event = judge(outcome, attempt(number), NOW, POLICY, jitter=0)
    assert event == DeliveryDeferred(fence=3, outcome="answered 503", delay_s=expected_s)


def test_a_redirect_is_explained() -> None:
    assert describe(Answered(status=302)) == "answered 302: redirects are not followed"
    assert describe(Answered(status=404)) == "answered 404"
    assert describe(Unanswered(reason="name not found")) == "name not found"


def test_a_parcel_keeps_its_id_over_attempts_and_names_no_original() -> None:
    first, second = parcel_of(JOB, NOW + 0.9), parcel_of(JOB, NOW + 60)
    assert (first.sent_at, second.sent_at) == (NOW, NOW + 60)
    assert first.delivery_id == second.delivery_id == "msg_run-1"
    assert replace(first, sent_at=0) == replace(second, sent_at=0)
    assert (first.file_name, first.file_size, first.file_sha256) == ("run-1.mp4", 1000, "ab" * 32)


def test_a_lecture_without_a_picture_is_sent_as_sound() -> None:
    heard = MediaSummary(width=0, height=0, duration_s=1.0, video_codec="", audio_codec="aac")
    shown, sound = JOB, replace(JOB, output=replace(OUTPUT, media=heard))
    assert parcel_of(shown, NOW).content_type == "video/mp4"
    parcel = parcel_of(sound, NOW)
    assert (parcel.file_name, parcel.content_type) == ("run-1.m4a", "audio/mp4")


def test_a_job_without_output_makes_no_parcel() -> None:
    with pytest.raises(ValueError, match="no output"):
        parcel_of(replace(JOB, output=None), NOW)


@given(ids, ids)
def test_what_is_signed_is_short_plain_json(video_id: str, organization_id: str) -> None:
    fields = {"video_id": check_id("video_id", video_id), "organization_id": organization_id}
    text = signed_content(**fields, file_sha256="ab" * 32)
    assert json.loads(text) == {**fields, "file_sha256": "ab" * 32}
    assert text.isascii()
    assert not set(text) & set(" \n")


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_different_deliveries_never_sign_alike(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    names = ("video_id", "organization_id", "file_sha256")
    texts = [signed_content(**dict(zip(names, values, strict=True))) for values in (one, other)]
    assert (texts[0] == texts[1]) == (one == other)
    assert "".join(texts).isascii()
