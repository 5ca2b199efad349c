"""The pull loop, its stop signal and its heartbeat."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from core import limits
from core.errors import Interrupted, Unavailable
from core.events import Claimed
from core.job import Policy
from core.messages import Message, Topic
from core.ports import Handout
from tests.fakes import World, a_world, an_upload
from tests.service.harness import until
from transcoder.dispatch import Handler
from transcoder.heartbeat import Heartbeat
from transcoder.stopping import StopSignal
from transcoder.worker import Worker

MESSAGE = Message(topic=Topic.TRANSCODE, job_id="video-1", run="run-1")


@pytest.fixture
def world() -> World:
    """A world without jobs."""
    return a_world()


def worker(world: World, handler: Handler) -> Worker:
    """Return a worker on the transcode topic."""
    return Worker(
        bus=world.bus,
        topic=Topic.TRANSCODE,
        handler=handler,
        lease_s=30,
        clock=world.clock,
        log=world.log,
        stop=lambda: False,
    )


def failing(message: Message) -> None:
    """Fail as no one foresaw."""
    raise RuntimeError(message.job_id)


def test_a_handled_message_is_gone(world: World) -> None:
    seen: list[Message] = []
    world.bus.publish(MESSAGE)
    assert worker(world, seen.append).step()
    assert seen == [MESSAGE]
    world.clock.advance(3600)
    assert not worker(world, seen.append).step()


def test_a_message_that_fails_comes_again(world: World) -> None:
    world.bus.publish(MESSAGE)
    assert worker(world, failing).step()
    assert not worker(world, failing).step()
    world.clock.advance(30)
    assert worker(world, failing).step()


def test_a_message_that_never_works_is_buried_in_the_end(world: World) -> None:
    world.bus.publish(MESSAGE)
    for _ in range(limits.MESSAGE_DELIVERIES_MAX):
        assert worker(world, failing).step()
        world.clock.advance(30)
    assert not worker(world, failing).step()
    assert "message.buried" in world.log.names()


def test_a_bus_that_does_not_answer_is_asked_again_later(world: World) -> None:
    class Silent(type(world.bus)):  # type: ignore[misc] # the fake's class, whichever it is
        def receive(self, *_: object, **__: object) -> None:
            raise Unavailable("no answer")

    assert not replace(worker(world, failing), bus=Silent(world.clock)).step()
    assert world.log.names() == ["bus.unavailable"]


def test_a_silent_bus_is_asked_less_and_less_often_and_told_of_once_a_minute(world: World) -> None:
    """On a full disk twenty lines a second from each worker would fill it further."""
    asked: list[float] = []

    class Full(type(world.bus)):  # type: ignore[misc] # as above
        def receive(self, *_: object, **__: object) -> None:
            asked.append(world.clock.now())
            raise Unavailable("the disk has no room left")

    began = world.clock.now()
    loop = replace(
        worker(world, failing),
        bus=Full(world.clock),
        stop=lambda: world.clock.now() - began >= 10 * 60,
        pause=world.clock.advance,
    )
    loop.run()
    gaps = [round(later - earlier, 2) for earlier, later in pairwise(asked)]
    assert gaps[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, limits.SILENT_BUS_PAUSE_MAX_S]
    assert set(gaps[7:]) == {limits.SILENT_BUS_PAUSE_MAX_S}
    assert 9 <= world.log.names().count("bus.unavailable") <= 10


def test_a_bus_that_answers_again_is_asked_as_often_as_before(world: World) -> None:
    pauses: list[float] = []
    loop = replace(worker(world, failing), stop=lambda: len(pauses) > 40, pause=pauses.append)
    world.bus.broken = True
    for _ in range(9):
        assert not loop.step()
    world.bus.broken = False
    assert not loop.step()
    started: list[int] = []
    receive = world.bus.receive

    def counting(topic: Topic, *, lease_s: float) -> Handout | None:
        started.append(1)
        return receive(topic, lease_s=lease_s)

    world.bus.receive = counting  # type: ignore[method-assign] # the fake's, for this test
    loop.run()
    assert len(started) == len(pauses)


def test_a_worker_that_leaves_the_bus_alone_stops_at_once(world: World) -> None:
    pauses: list[float] = []
    loop = replace(worker(world, failing), stop=lambda: len(pauses) >= 30, pause=pauses.append)
    world.bus.broken = True
    for _ in range(9):
        assert not loop.step()
    loop.run()
    assert pauses == [limits.POLL_S] * 30


def test_the_loop_ends_when_it_is_told_to(world: World) -> None:
    pauses: list[float] = []
    loop = replace(worker(world, failing), stop=lambda: len(pauses) > 2, pause=pauses.append)
    loop.run()
    assert pauses == [limits.POLL_S] * 3


@pytest.fixture
def stop() -> Iterator[StopSignal]:
    """A stop signal that listens; the handlers are put back afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal_ = StopSignal()
    signal_.install()
    yield signal_
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_stop_request_interrupts_only_where_that_is_safe(stop: StopSignal) -> None:
    with pytest.raises(Interrupted), stop.interrupting():
        signal.raise_signal(signal.SIGTERM)
    assert stop()
    with pytest.raises(Interrupted), stop.interrupting():
        pytest.fail("a stop that was asked for before must not let a call begin")


def test_a_stop_request_elsewhere_is_only_noted(stop: StopSignal) -> None:
    assert not stop()
    os.kill(os.getpid(), signal.SIGTERM)
    assert until(stop, "the signal")


def test_the_heartbeat_keeps_the_lease_and_carries_progress() -> None:
    """It writes in a thread of its own while the step is busy."""
    world = a_world(policy=Policy(lease_s=0.3))
    world.ledger.receive(an_upload("video-1", run="run-1"))
    job = world.ledger.apply("video-1", Claimed())
    with Heartbeat(world.ledger, job) as beat:
        beat.report(42.9)
        until(lambda: world.ledger.read("video-1").progress == 42, "the progress")
        assert not beat.lost
    assert threading.active_count() == 1 or "heartbeat" not in {
        thread.name for thread in threading.enumerate()
    }


def test_the_heartbeat_tells_when_the_lease_is_lost() -> None:
    """Another worker took the job: the step must stop."""
    world = a_world(policy=Policy(lease_s=0.3))
    world.ledger.receive(an_upload("video-1", run="run-1"))
    job = world.ledger.apply("video-1", Claimed())
    world.clock.advance(1)
    with Heartbeat(world.ledger, job) as beat:
        world.ledger.apply("video-1", Claimed())
        until(lambda: beat.lost, "the loss")
