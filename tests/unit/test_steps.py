"""The two steps of a worker, over fake ports: what a message makes of a job."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core import limits
from core.delivery import Answered, Outcome, Parcel, Unanswered
from core.errors import (
    EncodeFailed,
    EncoderKilled,
    EncoderMissing,
    EncoderStalled,
    Interrupted,
    LecternError,
    ScratchFull,
    StoreFull,
    Unavailable,
)
from core.events import Claimed, Confirmed, Redelivered, Renewed
from core.job import Job, Policy, State, output_key, source_key
from core.messages import Message, Topic
from tests.fake_press import RESULT, FakePress, raising
from tests.fakes import FakeCourier, World, a_world, an_upload, put, sha256_of
from transcoder.deliver import Deliver
from transcoder.dispatch import Again, Done, dispatch
from transcoder.transcode import Transcode

DAY_S = 24 * 3600


@pytest.fixture
def world() -> World:
    """A world with one job that waits to be transcoded."""
    world = a_world(policy=Policy(max_retries=3))
    put(world.objects, source_key("run-1"), b"a recording")
    world.ledger.receive(an_upload("video-1", run="run-1"))
    return world


def job(world: World) -> Job:
    """Return the one job."""
    return world.ledger.read("video-1")


def transcode(
    world: World,
    tmp_path: Path,
    press: FakePress,
    stop: Callable[[], bool] = lambda: False,
) -> Done | Again:
    """Hand the transcode message to the step."""
    step = Transcode(ledger=world.ledger, press=press, scratch=tmp_path, stop=stop)
    message = Message(topic=Topic.TRANSCODE, job_id="video-1", run="run-1")
    return dispatch(step, message, clock=world.clock, log=world.log)


def deliver(world: World, courier: FakeCourier) -> Done | Again:
    """Hand the deliver message to the step."""
    step = Deliver(
        ledger=world.ledger,
        courier=courier,
        interrupting=contextlib.nullcontext,
        jitter=lambda: 0.0,
    )
    message = Message(topic=Topic.DELIVER, job_id="video-1", run="run-1")
    return dispatch(step, message, clock=world.clock, log=world.log)


def test_a_transcoded_job_has_its_output_committed_and_asks_for_delivery(
    world: World, tmp_path: Path
) -> None:
    assert transcode(world, tmp_path, FakePress()) == Done()
    after = job(world)
    assert (after.state, after.progress) == (State.STORING, 100)
    assert after.output is not None
    assert after.output.key == output_key("run-1", 1)
    with world.objects.open(after.output.key) as stored:
        assert stored.read() == RESULT
    assert after.warnings == ("a warning",)
    assert world.bus.depth(Topic.DELIVER) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_the_file_fails_the_job_at_once_and_keeps_the_source(
    world: World, tmp_path: Path
) -> None:
    press = FakePress(raising(EncodeFailed("FFmpeg refused the file")))
    assert transcode(world, tmp_path, press) == Done()
    after = job(world)
    assert after.state is State.FAILED
    assert after.failure is not None
    assert (after.failure.code, after.failure.reason) == (
        "encode_failed",
        "FFmpeg refused the file",
    )
    assert world.objects.keys() == {source_key("run-1")}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [EncoderKilled("killed"), EncoderStalled("stalled")])
def test_a_passing_reason_is_tried_again_after_60_300_and_900_seconds(
    world: World, tmp_path: Path, error: LecternError
) -> None:
    press = FakePress(raising(error))
    for delay_s in (60, 300, 900):
        transcode(world, tmp_path, press)
        assert job(world).state is State.QUEUED
        assert job(world).due_at == world.clock.now() + delay_s
        world.clock.advance(delay_s)
    transcode(world, tmp_path, press)
    after = job(world)
    assert after.state is State.FAILED
    assert after.failure is not None
    assert after.failure.code == error.code


OUTAGES = [
    Unavailable("the object store does not answer"),
    StoreFull("no room"),
    ScratchFull("no room"),
    EncoderMissing("a bad release"),
]


@pytest.mark.parametrize("error", OUTAGES, ids=lambda error: error.code)
def test_an_outage_of_two_days_costs_no_lecture(
    world: World, tmp_path: Path, error: LecternError
) -> None:
    """It is waited for as long again as it has lasted, at most an hour, and costs no try."""
    began, waits = world.clock.now(), []
    while world.clock.now() - began < 2 * DAY_S:
        transcode(world, tmp_path, FakePress(raising(error)))
        waits.append(job(world).due_at - world.clock.now())
        world.clock.advance(waits[-1])
    assert waits[:4] == [60, 60, 120, 240]
    assert set(waits[7:]) == {3600}
    assert len(waits) < limits.HISTORY_MAX / 2
    assert (job(world).state, job(world).retries) == (State.QUEUED, 0)
    for _ in range(3):
        transcode(world, tmp_path, FakePress(raising(EncoderKilled("killed"))))
        world.clock.advance(900)
    assert job(world).outage_since is None
    transcode(world, tmp_path, FakePress())
    assert job(world).state is State.STORING


def test_an_outage_that_does_not_end_is_said(world: World, tmp_path: Path) -> None:
    press = FakePress(raising(Unavailable("the object store does not answer")))
    began = world.clock.now()
    while job(world).state is State.QUEUED:
        transcode(world, tmp_path, press)
        world.clock.advance(3600)
    assert world.clock.now() - began >= world.ledger.policy.store_retry_for_s
    failure = job(world).failure
    assert failure is not None
    assert (job(world).state, failure.code) == (State.FAILED, "unavailable")


def test_a_message_that_comes_too_early_is_put_off(world: World, tmp_path: Path) -> None:
    transcode(world, tmp_path, FakePress(raising(EncoderKilled("killed"))))
    assert transcode(world, tmp_path, FakePress()) == Again(delay_s=60)


def test_a_stopped_worker_hands_the_step_back_at_no_cost(world: World, tmp_path: Path) -> None:
    assert transcode(world, tmp_path, FakePress(), stop=lambda: True) == Again(delay_s=0)
    after = job(world)
    assert (after.state, after.claims, after.retries) == (State.QUEUED, 0, 0)
    assert transcode(world, tmp_path, FakePress()) == Done()
    assert job(world).state is State.STORING


def test_a_worker_that_was_overtaken_commits_nothing(world: World, tmp_path: Path) -> None:
    """Its lease runs out while it encodes, another takes the job; its own output is removed."""

    def overtake(_folder: Path) -> None:
        world.clock.advance(world.ledger.policy.lease_s + 1)
        world.ledger.claim(Message(topic=Topic.TRANSCODE, job_id="video-1", run="run-1"))

    assert transcode(world, tmp_path, FakePress(overtake)) == Done()
    after = job(world)
    assert (after.state, after.fence, after.output) == (State.PROCESSING, 2, None)
    assert world.objects.keys() == {source_key("run-1")}


def test_a_message_of_an_earlier_run_is_dropped(world: World, tmp_path: Path) -> None:
    step = Transcode(ledger=world.ledger, press=FakePress(), scratch=tmp_path, stop=lambda: False)
    stale = Message(topic=Topic.TRANSCODE, job_id="video-1", run="run-0")
    assert dispatch(step, stale, clock=world.clock, log=world.log) == Done()
    assert job(world).fence == 0


def test_a_step_that_another_worker_holds_is_left_alone(world: World, tmp_path: Path) -> None:
    world.ledger.apply("video-1", Claimed())
    press = FakePress()
    assert transcode(world, tmp_path, press) == Done()
    assert press.folders == []


def test_an_unforeseen_error_is_logged_and_tried_again(world: World, tmp_path: Path) -> None:
    disposal = transcode(world, tmp_path, FakePress(raising(KeyError("a defect"))))
    assert isinstance(disposal, Again)
    assert disposal.error == "KeyError"
    assert "worker.error" in world.log.names()
    assert list(tmp_path.iterdir()) == []


def test_a_delivery_carries_the_output_and_ends_in_stored(world: World, tmp_path: Path) -> None:
    transcode(world, tmp_path, FakePress())
    courier = FakeCourier()
    assert deliver(world, courier) == Done()
    assert job(world).state is State.STORED
    assert courier.bodies == [RESULT]
    (parcel,) = courier.parcels
    assert (parcel.delivery_id, parcel.video_id) == ("msg_run-1", "video-1")
    assert parcel.file_sha256 == sha256_of(RESULT)


@pytest.mark.parametrize("outcome", [Answered(status=500), Unanswered(reason="connection refused")])
def test_a_refused_delivery_waits_without_a_worker_and_keeps_its_id(
    world: World, tmp_path: Path, outcome: Outcome
) -> None:
    transcode(world, tmp_path, FakePress())
    courier = FakeCourier([outcome, Answered(status=200)])
    deliver(world, courier)
    assert job(world).state is State.STORING
    assert job(world).lease_until is None
    assert deliver(world, courier) == Again(delay_s=5)
    world.clock.advance(5)
    deliver(world, courier)
    assert job(world).state is State.STORED
    assert [parcel.delivery_id for parcel in courier.parcels] == ["msg_run-1", "msg_run-1"]


def test_a_confirmation_inside_the_callback_completes_the_job(world: World, tmp_path: Path) -> None:
    transcode(world, tmp_path, FakePress())
    courier = FakeCourier([Unanswered(reason="connection lost before the answer")])

    def confirm(_parcel: Parcel) -> None:
        world.ledger.apply("video-1", Confirmed())

    courier.on_send = confirm
    assert deliver(world, courier) == Done()
    assert job(world).state is State.COMPLETED
    assert world.objects.keys() == set()


def test_a_vanished_output_ends_the_delivery_with_the_reason(world: World, tmp_path: Path) -> None:
    transcode(world, tmp_path, FakePress())
    world.objects.delete(output_key("run-1", 1))
    assert deliver(world, FakeCourier()) == Done()
    after = job(world)
    assert after.state is State.STORE_FAILED
    assert after.failure is not None
    assert after.failure.code == "output_missing"


def test_a_worker_asked_to_stop_during_a_callback_hands_it_back(
    world: World, tmp_path: Path
) -> None:
    transcode(world, tmp_path, FakePress())

    @contextlib.contextmanager
    def interrupting() -> Iterator[None]:
        raise Interrupted("told to stop")
        yield

    step = Deliver(
        ledger=world.ledger, courier=FakeCourier(), interrupting=interrupting, jitter=lambda: 0.0
    )
    message = Message(topic=Topic.DELIVER, job_id="video-1", run="run-1")
    assert dispatch(step, message, clock=world.clock, log=world.log) == Again(delay_s=0)
    assert (job(world).state, job(world).lease_until) == (State.STORING, None)


def test_a_late_heartbeat_cannot_revive_a_lease_that_was_given_up(
    world: World, tmp_path: Path
) -> None:
    """A renewal that arrives after the commit would block the delivery for a whole lease."""
    transcode(world, tmp_path, FakePress())
    with pytest.raises(LecternError, match="may not commit"):
        world.ledger.apply("video-1", Renewed(fence=1))
    assert deliver(world, FakeCourier()) == Done()
    assert job(world).state is State.STORED


def test_an_outage_of_our_own_store_puts_the_delivery_off(world: World, tmp_path: Path) -> None:
    """The LMS was not reached, so however long it lasts, it must not end in store_failed."""
    transcode(world, tmp_path, FakePress())
    for _ in range(20):
        world.objects.broken = True
        assert deliver(world, FakeCourier()) == Done()
        assert job(world).state is State.STORING
        world.clock.advance(60)
    world.objects.broken = False
    deliver(world, FakeCourier())
    assert job(world).state is State.STORED


def test_a_redelivery_asked_for_during_the_last_attempt_is_not_lost(
    world: World, tmp_path: Path
) -> None:
    """The attempt in hand fails at the end of its window, but a new window has begun."""
    transcode(world, tmp_path, FakePress())
    world.clock.advance(world.ledger.policy.store_retry_for_s + 1)
    courier = FakeCourier([Answered(status=500)])

    def redeliver(_parcel: Parcel) -> None:
        world.ledger.apply("video-1", Redelivered())

    courier.on_send = redeliver
    deliver(world, courier)
    assert job(world).state is State.STORING
