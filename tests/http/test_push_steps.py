"""The two steps behind their push endpoints, with Pub/Sub played by the test."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from core.delivery import Answered
from core.errors import EncoderKilled
from core.job import State, output_key, source_key
from core.messages import Message, Topic
from functions.sweep import wake_jobs
from tests.fake_press import RESULT, FakePress, raising
from tests.fakes import FakeCourier, World, a_world, an_upload, put
from tests.http.test_push import Push, a_push, envelope
from transcoder.deliver import Deliver
from transcoder.dispatch import Handler
from transcoder.transcode import Transcode


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Both steps behind their endpoints, over one world with one job; Pub/Sub is played."""

    world: World
    push: Push
    press: FakePress
    courier: FakeCourier
    stop: list[bool] = field(default_factory=list)

    def bring(self, topic: Topic) -> TestResponse:
        """Push the topic's message if the bus has one by now, and drop it when it is taken."""
        handout = self.world.bus.receive(topic, lease_s=600)
        assert handout is not None, f"no message waits for {topic}"
        answer = self.push.send(envelope(handout.message, attempt=handout.deliveries), to=topic)
        if answer.status_code == 204:
            self.world.bus.ack(handout)
        else:
            self.world.bus.nack(handout, delay_s=10)
        return answer

    def push_now(self, topic: Topic) -> TestResponse:
        """Push the topic's message whether it is due or not, as Pub/Sub does."""
        message = Message(topic=topic, job_id="video-1", run="run-1")
        return self.push.send(envelope(message), to=topic)

    def state(self) -> State:
        """Return where the job stands."""
        return self.world.ledger.read("video-1").state


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """A service with one uploaded recording."""
    world, press, courier, stop = a_world(), FakePress(), FakeCourier(), list[bool]()
    put(world.objects, source_key("run-1"), b"a recording")
    world.ledger.receive(an_upload("video-1", run="run-1"))
    handlers: dict[Topic, Handler] = {
        Topic.TRANSCODE: Transcode(
            ledger=world.ledger, press=press, scratch=tmp_path, stop=lambda: bool(stop)
        ),
        Topic.DELIVER: Deliver(
            ledger=world.ledger,
            courier=courier,
            interrupting=contextlib.nullcontext,
            jitter=lambda: 0.0,
        ),
    }
    push = a_push(world=world, handlers=handlers)
    return Service(world=world, push=push, press=press, courier=courier, stop=stop)


def test_a_recording_is_transcoded_and_delivered_through_the_endpoints(service: Service) -> None:
    assert service.bring(Topic.TRANSCODE).status_code == 204
    assert service.state() is State.STORING
    assert service.world.objects.keys() == {source_key("run-1"), output_key("run-1", 1)}
    assert service.bring(Topic.DELIVER).status_code == 204
    assert service.state() is State.STORED
    assert service.courier.bodies == [RESULT]
    assert service.world.bus.depth(Topic.TRANSCODE) == service.world.bus.depth(Topic.DELIVER) == 0


def test_a_message_that_is_delivered_twice_is_worked_on_once(service: Service) -> None:
    assert service.push_now(Topic.TRANSCODE).status_code == 204
    assert service.push_now(Topic.TRANSCODE).status_code == 204
    assert len(service.press.folders) == 1
    assert service.push.event("message.void")["reason"] == "stale_message"


def test_a_stop_hands_the_step_back_at_once_and_at_no_cost(service: Service) -> None:
    service.stop.append(True)
    assert service.bring(Topic.TRANSCODE).status_code == 503
    job = service.world.ledger.read("video-1")
    assert (job.state, job.claims, job.retries) == (State.QUEUED, 0, 0)
    service.stop.clear()
    assert service.bring(Topic.TRANSCODE).status_code == 204
    assert service.state() is State.STORING


def test_an_early_message_is_dropped_and_the_sweep_brings_it_back(service: Service) -> None:
    """Its job is never forgotten, and never tried before its time."""
    service.press.act = raising(EncoderKilled("killed"))
    service.bring(Topic.TRANSCODE)
    service.press.act = None
    handout = service.world.bus.receive(Topic.TRANSCODE, lease_s=600)
    assert handout is None
    assert service.push_now(Topic.TRANSCODE).status_code == 204
    assert len(service.press.folders) == 1
    drop_all(service)
    policy = service.world.ledger.policy
    service.world.clock.advance(60 + policy.republish_after_s)
    wake_jobs(service.world.ledger)
    assert service.bring(Topic.TRANSCODE).status_code == 204
    assert service.state() is State.STORING


def test_the_first_pause_after_a_failed_callback_is_waited_out(service: Service) -> None:
    """A slow start of the LMS must not cost a minute."""
    service.courier._outcomes = [Answered(status=503), Answered(status=200)]
    service.bring(Topic.TRANSCODE)
    service.bring(Topic.DELIVER)
    assert service.push_now(Topic.DELIVER).status_code == 204
    assert service.push.paused == [5.0]
    assert service.state() is State.STORED


def test_an_outage_of_the_job_store_brings_the_message_again(service: Service) -> None:
    service.world.jobs.broken = True
    assert service.bring(Topic.TRANSCODE).status_code == 503
    service.world.jobs.broken = False
    service.world.clock.advance(10)
    assert service.bring(Topic.TRANSCODE).status_code == 204
    assert service.state() is State.STORING


def drop_all(service: Service) -> None:
    """Lose what the bus holds: Pub/Sub has dropped the early message for good."""
    service.world.bus._letters.clear()
