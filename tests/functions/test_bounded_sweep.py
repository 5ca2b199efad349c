"""A sweep that runs out of time stops between two things, and the next one goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from core import limits
from functions.sweep import Swept, remove_orphans, wake_jobs
from tests.fakes import World, a_world, an_upload, put

JOBS = 30


@pytest.fixture
def world() -> World:
    """A world with jobs that all wait for the sweep."""
    world = a_world()
    for number in range(JOBS):
        world.ledger.receive(an_upload(f"video-{number}", run=f"run-{number}"))
    world.bus.published.clear()
    world.clock.advance(world.ledger.policy.republish_after_s)
    return world


def after(count: int) -> Callable[[], bool]:
    """Return a bound that says yes once it was asked `count` times."""
    asked = iter(range(count))
    return lambda: next(asked, None) is None


def test_a_sweep_stops_between_two_jobs_and_the_next_does_the_rest(world: World) -> None:
    assert wake_jobs(world.ledger, enough=after(10)) == Swept(jobs=10, more=True)
    assert len(world.bus.published) == 10
    assert wake_jobs(world.ledger) == Swept(jobs=JOBS - 10)
    assert len({message.job_id for message, _ in world.bus.published}) == JOBS


def test_a_sweep_without_time_does_nothing_and_says_so(world: World) -> None:
    assert wake_jobs(world.ledger, enough=after(0)) == Swept(more=True)
    assert world.bus.published == []


def test_a_sweep_stops_at_its_count_of_jobs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SWEEP_JOBS_MAX", 10)
    monkeypatch.setattr(limits, "SWEEP_BATCH", 5)
    assert wake_jobs(world.ledger) == Swept(jobs=10, more=True)


def test_a_search_for_orphans_stops_between_two_objects(world: World) -> None:
    for number in range(5):
        put(world.objects, f"uploads/lost-{number}/source", b"a receive that died")
    world.clock.advance(3601)
    some = remove_orphans(world.ledger, grace_s=3600, enough=after(2))
    assert some == Swept(orphans=2, more=True)
    assert remove_orphans(world.ledger, grace_s=3600) == Swept(orphans=3)
    assert world.objects.keys() == set()


def test_two_sweeps_at_once_publish_each_step_once(world: World) -> None:
    """The record's `wake_at` decides, in its transaction, which of them does it."""
    start = threading.Barrier(2)
    swept: list[Swept] = []

    def sweep() -> None:
        start.wait(10)
        swept.append(wake_jobs(world.ledger))

    threads = [threading.Thread(target=sweep) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(swept) == 2
    published = [message.job_id for message, _ in world.bus.published]
    assert sorted(published) == sorted({f"video-{number}" for number in range(JOBS)})
