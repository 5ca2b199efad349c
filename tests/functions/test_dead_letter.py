"""What a dead letter means for its job: the record decides, and no recording is lost."""

from __future__ import annotations

import base64
from typing import Any, Final

import pytest

from core import limits
from core.errors import BadRequest, Unavailable
from core.events import Claimed, Delivered
from core.job import Job, State
from core.messages import Message, Topic
from functions.dead_letter import DeadLetter, read, take
from functions.sweep import wake_jobs
from tests.fakes import World, a_world, an_encoded, an_upload

TRANSCODE: Final = Message(topic=Topic.TRANSCODE, job_id="video-1", run="run-1")
DELIVER: Final = Message(topic=Topic.DELIVER, job_id="video-1", run="run-1")
TRACEPARENT: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PUBSUB: Final = {
    "deliveries": "0",
    "CloudPubSubDeadLetterSourceDeliveryCount": "100",
    "CloudPubSubDeadLetterSourceSubscription": "lectern-transcode",
    "traceparent": TRACEPARENT,
}
"""Attributes of a message that Pub/Sub has buried."""


@pytest.fixture
def world() -> World:
    """A world with one job that has just been received."""
    world = a_world()
    world.ledger.receive(an_upload("video-1", run="run-1"))
    return world


def job(world: World) -> Job:
    """Return the one job."""
    return world.ledger.read("video-1")


def letter(message: Message = TRANSCODE, **attributes: str) -> DeadLetter:
    """Return a dead letter that Pub/Sub has made of `message`."""
    return DeadLetter(
        message_id="4711", data=message.to_bytes(), attributes={**PUBSUB, **attributes}
    )


def lose_workers(world: World, count: int) -> None:
    """Have so many workers take the step and vanish."""
    for _ in range(count):
        world.ledger.apply("video-1", Claimed())
        world.clock.advance(world.ledger.policy.lease_s)


def event(world: World, name: str) -> dict[str, object]:
    """Return the fields of the one event of that name."""
    (fields,) = [fields for known, fields in world.log.events if known == name]
    return fields


def test_a_job_that_no_worker_could_take_waits_for_the_sweep(world: World) -> None:
    """An outage of hours must cost nothing but hours."""
    take(letter(), world.ledger)
    assert (job(world).state, job(world).failure) == (State.QUEUED, None)
    assert job(world).history[-1].note == (
        "dead_letter: message 4711 became a dead letter after 100 deliveries"
    )
    buried = event(world, "message.buried")
    assert buried["outcome"] == "left_to_sweep"
    assert (buried["job_id"], buried["organization_id"]) == ("video-1", "org-1")
    assert (buried["state"], buried["topic"]) == (State.QUEUED, Topic.TRANSCODE)
    assert (buried["message_id"], buried["deliveries"]) == ("4711", 100)
    assert (buried["subscription"], buried["traceparent"]) == ("lectern-transcode", TRACEPARENT)
    before = len(world.bus.published)
    world.clock.advance(world.ledger.policy.republish_after_s)
    assert wake_jobs(world.ledger).jobs == 1
    assert [message for message, _ in world.bus.published[before:]] == [TRANSCODE]
    assert world.ledger.claim(TRANSCODE).state is State.PROCESSING


def test_a_job_whose_workers_were_lost_less_often_than_they_may_waits_too(world: World) -> None:
    """A subscription may bury after five deliveries; the record still counts to its own bound."""
    lose_workers(world, limits.CLAIMS_MAX - 1)
    take(letter(), world.ledger)
    assert job(world).state is State.PROCESSING
    assert event(world, "message.buried")["outcome"] == "left_to_sweep"


def test_a_job_that_no_worker_may_take_any_more_fails_and_says_why(world: World) -> None:
    lose_workers(world, limits.CLAIMS_MAX)
    take(letter(deliveries="50"), world.ledger)
    assert job(world).state is State.FAILED
    failure = job(world).failure
    assert failure is not None
    assert failure.code == "dead_letter"
    assert failure.reason == "message 4711 became a dead letter after 150 deliveries"
    assert event(world, "message.buried")["outcome"] == "given_up"
    again = an_upload("video-1", run="run-2")
    assert world.ledger.receive(again).state is State.QUEUED


def test_a_delivery_that_no_worker_may_take_any_more_is_store_failed(world: World) -> None:
    """The output is kept, and a redelivery leads back."""
    world.ledger.apply("video-1", Claimed())
    world.ledger.apply("video-1", an_encoded("run-1", 1))
    lose_workers(world, limits.CLAIMS_MAX)
    take(letter(DELIVER), world.ledger)
    assert job(world).state is State.STORE_FAILED
    assert job(world).output is not None


@pytest.mark.parametrize("claims", [0, limits.CLAIMS_MAX])
def test_the_same_letter_again_changes_nothing(world: World, claims: int) -> None:
    lose_workers(world, claims)
    take(letter(), world.ledger)
    once = job(world)
    world.clock.advance(100)
    take(letter(), world.ledger)
    assert job(world) == once


def test_a_job_that_has_gone_on_is_left_alone(world: World) -> None:
    lose_workers(world, 1)
    world.ledger.apply("video-1", Claimed())
    world.ledger.apply("video-1", an_encoded("run-1", 2))
    world.ledger.apply("video-1", Claimed())
    world.ledger.apply("video-1", Delivered(fence=3))
    stored = job(world)
    for late in (TRANSCODE, DELIVER):
        take(letter(late), world.ledger)
    assert job(world) == stored
    reasons = [fields["reason"] for name, fields in world.log.events if name == "message.void"]
    assert reasons == ["stale_message", "stale_message"]
    assert "message.buried" not in world.log.names()


def test_a_step_in_hand_is_left_to_its_worker(world: World) -> None:
    lose_workers(world, limits.CLAIMS_MAX - 1)
    world.ledger.apply("video-1", Claimed())
    held = job(world)
    take(letter(), world.ledger)
    assert job(world) == held
    assert event(world, "message.void")["reason"] == "lease_held"


@pytest.mark.parametrize("other", [{"run": "run-0"}, {"job_id": "nobody"}])
def test_a_letter_of_another_run_or_of_nobody_is_void(world: World, other: dict[str, str]) -> None:
    before = job(world)
    ids = {"job_id": "video-1", "run": "run-1", **other}
    message = Message(topic=Topic.TRANSCODE, job_id=ids["job_id"], run=ids["run"])
    take(letter(message), world.ledger)
    assert job(world) == before
    assert event(world, "message.void")["job_id"] == ids["job_id"]


def test_a_letter_that_a_worker_wrote_tells_its_reason_and_its_own_count(world: World) -> None:
    attributes = {"deliveries": "100", "reason": "KeyError", "job_id": "video-1"}
    take(DeadLetter(message_id="1", data=TRANSCODE.to_bytes(), attributes=attributes), world.ledger)
    buried = event(world, "message.buried")
    assert (buried["deliveries"], buried["reason"]) == (100, "KeyError")
    note = job(world).history[-1].note
    assert note is not None
    assert note.endswith("after 100 deliveries (KeyError)")


@pytest.mark.parametrize("count", ["", "-1", "1e9", "\u0663", "9" * 4301])
def test_a_count_that_is_no_number_counts_as_none(world: World, count: str) -> None:
    attributes = {"CloudPubSubDeadLetterSourceDeliveryCount": count}
    take(DeadLetter(message_id="1", data=TRANSCODE.to_bytes(), attributes=attributes), world.ledger)
    note = job(world).history[-1].note
    assert note == "dead_letter: message 1 became a dead letter after its last delivery"


@pytest.mark.parametrize("data", [b"", b"\xff", b"{}", b"[]", b'{"v":2}', b"x" * 100_000])
def test_what_is_no_message_of_ours_is_told_and_done_with(world: World, data: bytes) -> None:
    take(DeadLetter(message_id="1", data=data, attributes={"job_id": "video-1"}), world.ledger)
    malformed = event(world, "dead_letter.malformed")
    assert (malformed["message_id"], malformed["job_id"]) == ("1", "video-1")
    assert job(world).history[-1].event == "Received"


def test_a_store_that_does_not_answer_is_not_the_end_of_the_letter(world: World) -> None:
    world.jobs.broken = True
    with pytest.raises(Unavailable):
        take(letter(), world.ledger)
    world.jobs.broken = False
    world.jobs.loses_answer = True
    with pytest.raises(Unavailable):
        take(letter(), world.ledger)
    take(letter(), world.ledger)
    assert [line.event for line in job(world).history] == ["Received", "Buried"]


def test_an_event_of_pubsub_is_read_with_or_without_attributes() -> None:
    body = base64.b64encode(b"{}").decode()
    assert read({"message": {"data": body, "messageId": "1"}}) == DeadLetter(
        message_id="1", data=b"{}", attributes={}
    )
    attributes = {"job_id": "video-1", "odd": 5}
    assert read({"message": {"message_id": "1", "attributes": attributes}}) == DeadLetter(
        message_id="1", data=b"", attributes={"job_id": "video-1"}
    )


@pytest.mark.parametrize(
    "data",
    [
        None,
        "text",
        [],
        {},
        {"message": None},
        {"message": {}},
        {"message": {"messageId": 5}},
        {"message": {"messageId": "1", "data": 5}},
        {"message": {"messageId": "1", "data": "&"}},
        {"message": {"messageId": "1", "data": "\u00e9"}},
        {"message": {"messageId": "1", "attributes": [1]}},
    ],
)
def test_an_event_without_a_message_is_refused(data: Any) -> None:
    with pytest.raises(BadRequest):
        read(data)
