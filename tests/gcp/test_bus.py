"""What is Pub/Sub's own: due times, copies, dead letters, and what it sends along."""

from __future__ import annotations

import time
from typing import cast

import pytest
from google.api_core.exceptions import ServiceUnavailable
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.types import PubsubMessage

from core.errors import Unavailable
from core.job import State
from core.messages import Topic
from core.ports import Handout
from infra.clock import SystemClock
from infra.gcp import clients
from infra.gcp.bus import Names, PubSubBus, waiting_jobs
from tests.contracts.job_store import a_job, write
from tests.contracts.message_bus import LEASE_S, a_message, nothing, take
from tests.fakes import START, FakeClock, MemoryJobStore
from tests.gcp.clocked import CALL_S, BusRig
from tests.gcp.emulators import free_port
from tests.gcp.fixtures import PubSubClients

WAIT_S = 0.3
DAY_S = 24 * 3600.0

pytestmark = pytest.mark.filterwarnings("ignore:The return_immediately flag:DeprecationWarning")


@pytest.fixture
def plain(bus_rig: BusRig) -> PubSubBus:
    """Give a bus on the emulator's own clock, with nothing of the test's in between."""
    return PubSubBus(
        bus_rig.publisher, bus_rig.subscriber, bus_rig.names, clock=SystemClock(), wait_s=WAIT_S
    )


def test_an_empty_bus_holds_nobody_up(plain: PubSubBus) -> None:
    """Pub/Sub may answer sooner; it would wait for a minute and a half if it were let."""
    begun = time.monotonic()
    assert nothing(plain)
    assert time.monotonic() - begun < WAIT_S + 5


def test_real_time_brings_a_delayed_message(plain: PubSubBus) -> None:
    plain.publish(a_message(), delay_s=0.7)
    assert nothing(plain)
    plain.ack(patiently(plain))
    assert nothing(plain)


def test_real_time_ends_a_lease(plain: PubSubBus) -> None:
    plain.publish(a_message())
    handout = plain.receive(Topic.TRANSCODE, lease_s=1)
    assert handout is not None
    assert patiently(plain).deliveries == 2


def test_a_message_carries_what_logs_and_filters_need(bus_rig: BusRig) -> None:
    bus_rig.bus().publish(a_message("one"), delay_s=5)
    received = bus_rig.subscriber.pull(
        subscription=bus_rig.names.subscription(Topic.TRANSCODE), max_messages=1, timeout=CALL_S
    ).received_messages[0]
    assert dict(received.message.attributes) == {
        "topic": "transcode",
        "job_id": "one",
        "run": "run-1",
        "due_at": repr(START + 5),
        "deliveries": "0",
    }
    assert received.message.data == a_message("one").to_bytes()


def test_a_delay_beyond_one_deadline_is_kept_in_steps(bus_rig: BusRig) -> None:
    bus = bus_rig.bus()
    bus.publish(a_message(), delay_s=1500)
    for seconds in (0, 600, 600):
        bus_rig.advance(seconds)
        assert nothing(bus)
    bus_rig.advance(299)
    assert nothing(bus)
    bus_rig.advance(1)
    assert take(bus).message == a_message()


def test_a_delay_of_a_day_does_not_end_among_the_dead(bus_rig: BusRig) -> None:
    """In 144 steps of 600 s; Pub/Sub buries after 100 handouts, so a fresh copy goes on."""
    bus = bus_rig.bus()
    bus.publish(a_message(), delay_s=DAY_S)
    for _ in range(144):
        assert nothing(bus)
        bus_rig.advance(600)
    handout = take(bus)
    assert handout.message == a_message()
    assert handout.deliveries < 60
    assert bus_rig.dead_letters() == []
    assert bus.depth(Topic.TRANSCODE) == 1


def test_giving_back_for_longer_than_a_deadline_keeps_the_count(bus_rig: BusRig) -> None:
    bus = bus_rig.bus()
    bus.publish(a_message())
    bus.nack(take(bus), delay_s=0)
    bus.nack(take(bus), delay_s=3600)
    for _ in range(6):
        assert nothing(bus)
        bus_rig.advance(600)
    assert take(bus).deliveries > 2
    assert bus.depth(Topic.TRANSCODE) == 1


def test_who_lost_the_lease_publishes_no_copy_of_what_another_finished(bus_rig: BusRig) -> None:
    bus = bus_rig.bus()
    bus.publish(a_message())
    late = take(bus)
    bus_rig.advance(LEASE_S)
    bus.ack(take(bus))
    bus.nack(late, delay_s=3600)
    bus_rig.advance(3600)
    assert nothing(bus)
    assert bus.depth(Topic.TRANSCODE) == 0


def test_a_lease_is_cut_to_what_pubsub_can_keep(bus_rig: BusRig) -> None:
    bus = bus_rig.bus()
    bus.publish(a_message())
    assert bus.receive(Topic.TRANSCODE, lease_s=3600) is not None
    bus_rig.advance(600)
    assert take(bus).deliveries == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"not a message", "not a message"),
        (a_message(topic=Topic.DELIVER).to_bytes(), "came with transcode"),
    ],
)
def test_what_is_no_message_for_the_topic_is_buried(
    bus_rig: BusRig, data: bytes, reason: str
) -> None:
    topic = bus_rig.names.topic(Topic.TRANSCODE)
    bus_rig.publisher.publish(
        topic=topic, messages=[PubsubMessage(data=data, attributes={"due_at": "soon"})]
    )
    bus = bus_rig.bus()
    bus.publish(a_message("good"))
    assert take(bus).message == a_message("good")
    [letter] = bus_rig.dead_letters()
    assert letter.data == data
    assert reason in letter.attributes["reason"]


def test_a_message_with_odd_attributes_is_due_and_new(bus_rig: BusRig) -> None:
    """So somebody published it by hand."""
    envelope = PubsubMessage(data=a_message().to_bytes(), attributes={"due_at": "soon"})
    bus_rig.publisher.publish(topic=bus_rig.names.topic(Topic.TRANSCODE), messages=[envelope])
    assert take(bus_rig.bus()).deliveries == 1


def test_a_burial_whose_answer_is_lost_loses_nothing(bus_rig: BusRig) -> None:
    """First the dead letter, then the ack: it may be kept twice, never not at all."""
    bus = bus_rig.bus()
    bus.publish(a_message())
    handout = take(bus)
    broken = PubSubBus(
        cast("PublisherClient", Broken()), bus_rig.subscriber, bus_rig.names, clock=bus_rig.clock
    )
    with pytest.raises(Unavailable):
        broken.bury(handout, "because")
    bus_rig.advance(LEASE_S)
    assert take(bus).message == a_message()


class Broken:
    """A publisher whose network is gone."""

    def publish(self, **_arguments: object) -> None:
        """Fail."""
        raise ServiceUnavailable("gone")


def test_nobody_there_is_unavailable(
    pubsub: PubSubClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    del pubsub
    monkeypatch.setattr("infra.gcp.bus._CALL_S", 0.3)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    publisher, subscriber = clients.publisher_client(), clients.subscriber_client()
    names = Names(project="test")
    bus = PubSubBus(publisher, subscriber, names, clock=FakeClock(), wait_s=0.2)
    handout = Handout(message=a_message(), receipt=f"{START + 30!r} ack-id", deliveries=1)
    for call in (
        lambda: bus.publish(a_message()),
        lambda: bus.ack(handout),
        lambda: bus.nack(handout, delay_s=0),
        lambda: bus.bury(handout, "because"),
        lambda: bus.depth(Topic.DELIVER),
    ):
        with pytest.raises(Unavailable):
            call()
    publisher.transport.close()
    subscriber.transport.close()


def test_a_topic_that_is_not_there_is_unavailable(bus_rig: BusRig) -> None:
    names = Names(project="test", prefix="nobody-made-these")
    bus = PubSubBus(bus_rig.publisher, bus_rig.subscriber, names, clock=bus_rig.clock)
    with pytest.raises(Unavailable, match="404"):
        bus.publish(a_message())
    with pytest.raises(Unavailable, match="404"):
        bus.receive(Topic.TRANSCODE, lease_s=LEASE_S)
    with pytest.raises(Unavailable, match="404"):
        bus.depth(Topic.TRANSCODE)


def test_the_backlog_is_the_jobs_whose_step_the_topic_brings() -> None:
    jobs = MemoryJobStore()
    for number, state in enumerate(State):
        write(jobs, a_job(f"job-{number}", state=state))
    backlog = waiting_jobs(jobs)
    assert (backlog(Topic.TRANSCODE), backlog(Topic.DELIVER)) == (2, 1)


def patiently(bus: PubSubBus) -> Handout:
    """Return the message that comes within some seconds of real time."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if handout := bus.receive(Topic.TRANSCODE, lease_s=LEASE_S):
            return handout
    return pytest.fail("no message came")
