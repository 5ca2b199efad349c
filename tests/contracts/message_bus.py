"""The suite of MessageBus: every sentence of its docstrings in `core.ports`."""
# ruff: noqa: D102 - a test's name is its sentence

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.messages import Message, Topic
from core.ports import Handout, MessageBus

LEASE_S = 30.0
WORKERS = 4
MESSAGES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageBusRig:
    """A fresh bus and the ways to handle it.

    `advance` lets seconds pass on its clock; `reopen` gives the same bus as another process
    sees it; `dead_letters` tells the messages that were buried, with their reasons.
    """

    bus: MessageBus
    advance: Callable[[float], None]
    reopen: Callable[[], MessageBus]
    dead_letters: Callable[[], Sequence[tuple[Message, str]]]


class MessageBusContract:
    """What every MessageBus keeps; a subclass says how to make one in `make`."""

    def make(self, folder: Path) -> MessageBusRig:
        """Return an empty bus that may keep its files in `folder`."""
        raise NotImplementedError

    @pytest.fixture
    def rig(self, tmp_path: Path) -> MessageBusRig:
        return self.make(tmp_path)

    @pytest.fixture
    def bus(self, rig: MessageBusRig) -> MessageBus:
        return rig.bus

    # Handing out
    def test_a_published_message_is_handed_out_as_it_was(self, bus: MessageBus) -> None:
        odd = Message(topic=Topic.DELIVER, job_id="course-v1:Uni+A~1@2026=B", run="run-1")
        bus.publish(odd)
        handout = take(bus, Topic.DELIVER)
        assert handout.message == odd
        assert handout.message.topic is Topic.DELIVER
        assert handout.deliveries == 1

    def test_the_trace_comes_with_the_message(self, bus: MessageBus) -> None:
        traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        bus.publish(Message(topic=Topic.DELIVER, job_id="j", run="r", traceparent=traceparent))
        assert take(bus, Topic.DELIVER).message.traceparent == traceparent

    def test_an_empty_bus_hands_out_nothing(self, bus: MessageBus) -> None:
        assert bus.receive(Topic.TRANSCODE, lease_s=LEASE_S) is None

    def test_a_delayed_message_waits_for_its_time(self, rig: MessageBusRig) -> None:
        rig.bus.publish(a_message(), delay_s=60)
        assert nothing(rig.bus)
        rig.advance(59)
        assert nothing(rig.bus)
        rig.advance(1)
        assert take(rig.bus).message == a_message()

    def test_a_delayed_message_does_not_hold_up_the_others(self, bus: MessageBus) -> None:
        bus.publish(a_message("late"), delay_s=60)
        bus.publish(a_message("now"))
        assert take(bus).message == a_message("now")
        assert nothing(bus)

    def test_topics_do_not_mix(self, bus: MessageBus) -> None:
        bus.publish(a_message("one", topic=Topic.TRANSCODE))
        assert nothing(bus, Topic.DELIVER)
        bus.publish(a_message("one", topic=Topic.DELIVER))
        assert (bus.depth(Topic.TRANSCODE), bus.depth(Topic.DELIVER)) == (1, 1)
        bus.ack(take(bus, Topic.DELIVER))
        assert take(bus, Topic.TRANSCODE).message.topic is Topic.TRANSCODE
        assert nothing(bus, Topic.DELIVER)

    def test_messages_of_other_runs_are_other_messages(self, bus: MessageBus) -> None:
        messages = {a_message("one", run="first"), a_message("one", run="second"), a_message("two")}
        for message in messages:
            bus.publish(message)
        assert {take(bus).message for _ in messages} == messages

    # Leases
    def test_a_message_in_hand_is_nobody_elses(self, rig: MessageBusRig) -> None:
        rig.bus.publish(a_message())
        take(rig.bus)
        assert nothing(rig.bus)
        rig.advance(LEASE_S - 0.5)
        assert nothing(rig.reopen())

    def test_after_the_lease_it_is_handed_out_again(self, rig: MessageBusRig) -> None:
        rig.bus.publish(a_message())
        take(rig.bus)
        rig.advance(LEASE_S)
        again = take(rig.reopen())
        assert (again.message, again.deliveries) == (a_message(), 2)
        rig.advance(LEASE_S - 0.5)
        assert nothing(rig.bus)

    def test_each_handout_has_the_lease_it_asked_for(self, rig: MessageBusRig) -> None:
        rig.bus.publish(a_message())
        assert rig.bus.receive(Topic.TRANSCODE, lease_s=600) is not None
        rig.advance(599)
        assert nothing(rig.bus)
        rig.advance(1)
        assert take(rig.bus).deliveries == 2

    def test_deliveries_count_up(self, rig: MessageBusRig) -> None:
        rig.bus.publish(a_message())
        for number in range(1, 6):
            handout = take(rig.bus)
            assert handout.deliveries == number
            if number % 2:
                rig.bus.nack(handout, delay_s=0)
            else:
                rig.advance(LEASE_S)

    # Ack and nack
    def test_an_acknowledged_message_is_gone(self, rig: MessageBusRig) -> None:
        rig.bus.publish(a_message())
        rig.bus.ack(take(rig.bus))
        rig.advance(LEASE_S * 10)
        assert nothing(rig.bus)
        assert rig.bus.depth(Topic.TRANSCODE) == 0

    def test_acknowledging_one_leaves_the_others(self, bus: MessageBus) -> None:
        for name in ("one", "two"):
            bus.publish(a_message(name))
        first = take(bus)
        bus.ack(first)
        assert {first.message, take(bus).message} == {a_message("one"), a_message("two")}

    def test_a_message_given_back_comes_again_after_its_delay(self, rig: MessageBusRig) -> None:
        rig.bus.publish(a_message())
        rig.bus.nack(take(rig.bus), delay_s=100)
        rig.advance(99)
        assert nothing(rig.bus)
        rig.advance(1)
        assert take(rig.bus).message == a_message()

    def test_a_message_given_back_without_delay_comes_at_once(self, bus: MessageBus) -> None:
        bus.publish(a_message())
        bus.nack(take(bus), delay_s=0)
        assert take(bus).message == a_message()

    def test_a_late_answer_is_no_error(self, rig: MessageBusRig) -> None:
        """A worker that slept over its lease may still say what it wants."""
        rig.bus.publish(a_message())
        late = take(rig.bus)
        rig.advance(LEASE_S)
        rig.bus.ack(take(rig.bus))
        rig.bus.nack(late, delay_s=0)
        rig.bus.ack(late)
        rig.bus.ack(late)
        assert nothing(rig.bus)

    def test_who_lost_the_lease_cannot_give_back_what_another_holds(
        self, rig: MessageBusRig
    ) -> None:
        rig.bus.publish(a_message())
        late = take(rig.bus)
        rig.advance(LEASE_S)
        take(rig.bus)
        rig.bus.nack(late, delay_s=0)
        assert nothing(rig.bus)

    # Publishing again
    def test_equal_messages_may_merge_but_one_comes(self, bus: MessageBus) -> None:
        for _ in range(3):
            bus.publish(a_message())
        assert 1 <= len(drain(bus)) <= 3
        assert bus.depth(Topic.TRANSCODE) == 0

    def test_publishing_sooner_is_not_lost_in_a_later_one(self, bus: MessageBus) -> None:
        bus.publish(a_message(), delay_s=3600)
        bus.publish(a_message())
        assert take(bus).message == a_message()

    def test_publishing_later_is_not_lost_in_a_sooner_one(self, rig: MessageBusRig) -> None:
        rig.bus.publish(a_message())
        rig.bus.publish(a_message(), delay_s=60)
        rig.advance(60)
        assert take(rig.bus).message == a_message()

    def test_what_is_published_while_in_hand_comes_after_the_ack(self, bus: MessageBus) -> None:
        bus.publish(a_message())
        handout = take(bus)
        bus.publish(a_message())
        bus.ack(handout)
        assert [again.message for again in drain(bus)] == [a_message()]

    def test_what_is_published_with_delay_while_in_hand_comes_after_it(
        self, rig: MessageBusRig
    ) -> None:
        """So does a step that failed for a passing reason ask for its next try."""
        rig.bus.publish(a_message())
        handout = take(rig.bus)
        rig.bus.publish(a_message(), delay_s=60)
        rig.bus.ack(handout)
        rig.advance(59)
        assert nothing(rig.bus)
        rig.advance(1)
        assert take(rig.bus).message == a_message()

    def test_what_is_published_while_in_hand_outlives_a_lost_worker(
        self, rig: MessageBusRig
    ) -> None:
        rig.bus.publish(a_message())
        take(rig.bus)
        rig.bus.publish(a_message())
        rig.advance(LEASE_S)
        assert {again.message for again in drain(rig.bus)} == {a_message()}

    def test_what_is_published_after_the_ack_is_new(self, bus: MessageBus) -> None:
        bus.publish(a_message())
        bus.ack(take(bus))
        bus.publish(a_message())
        assert take(bus).message == a_message()

    # Dead letters
    def test_a_buried_message_is_out_of_circulation(self, rig: MessageBusRig) -> None:
        rig.bus.publish(a_message("dead"))
        rig.bus.bury(take(rig.bus), "nobody understands it")
        rig.advance(LEASE_S * 10)
        assert nothing(rig.bus)
        assert rig.bus.depth(Topic.TRANSCODE) == 0

    def test_a_buried_message_is_kept_with_its_reason(self, rig: MessageBusRig) -> None:
        assert list(rig.dead_letters()) == []
        rig.bus.publish(a_message("dead"))
        rig.bus.bury(take(rig.bus), "nobody understands it")
        assert list(rig.dead_letters()) == [(a_message("dead"), "nobody understands it")]

    def test_burying_one_leaves_the_others(self, bus: MessageBus) -> None:
        for name in ("one", "two"):
            bus.publish(a_message(name))
        buried = take(bus)
        bus.bury(buried, "because")
        assert {buried.message, take(bus).message} == {a_message("one"), a_message("two")}

    # Depth
    def test_depth_counts_what_waits_and_what_is_in_hand(self, rig: MessageBusRig) -> None:
        for name in ("one", "two"):
            rig.bus.publish(a_message(name))
        rig.bus.publish(a_message("late"), delay_s=60)
        handout = take(rig.bus)
        assert rig.reopen().depth(Topic.TRANSCODE) == 3
        rig.bus.ack(handout)
        assert rig.bus.depth(Topic.TRANSCODE) == 2

    # Many at once
    def test_another_process_gets_what_was_published(self, rig: MessageBusRig) -> None:
        rig.bus.publish(a_message())
        other = rig.reopen()
        handout = take(other)
        assert nothing(rig.bus)
        rig.bus.ack(handout)
        assert nothing(other)

    def test_many_workers_get_each_message_once_and_lose_none(self, rig: MessageBusRig) -> None:
        messages = {a_message(f"job-{number}") for number in range(MESSAGES)}
        for message in messages:
            rig.bus.publish(message)
        buses = [rig.bus, rig.reopen()]
        barrier = threading.Barrier(WORKERS)

        def work(worker: int) -> list[Message]:
            barrier.wait(timeout=30)
            return [handout.message for handout in drain(buses[worker % 2])]

        with ThreadPoolExecutor(WORKERS) as pool:
            taken = Counter(message for part in pool.map(work, range(WORKERS)) for message in part)
        assert taken == Counter(messages)
        assert rig.bus.depth(Topic.TRANSCODE) == 0


def a_message(
    job_id: str = "one", *, run: str = "run-1", topic: Topic = Topic.TRANSCODE
) -> Message:
    """Return a message."""
    return Message(topic=topic, job_id=job_id, run=run)


def take(bus: MessageBus, topic: Topic = Topic.TRANSCODE) -> Handout:
    """Return the next message; fails if none is due."""
    handout = bus.receive(topic, lease_s=LEASE_S)
    assert handout is not None, "no message is due"
    return handout


def nothing(bus: MessageBus, topic: Topic = Topic.TRANSCODE) -> bool:
    """Tell whether no message is due."""
    return bus.receive(topic, lease_s=LEASE_S) is None


def drain(bus: MessageBus) -> list[Handout]:
    """Take and acknowledge all that is due."""
    handouts = []
    while (handout := bus.receive(Topic.TRANSCODE, lease_s=LEASE_S)) is not None:
        bus.ack(handout)
        handouts.append(handout)
        assert len(handouts) <= MESSAGES * 2, "the bus hands out acknowledged messages"
    return handouts
