"""The sweep over fake ports: it makes good what was lost, and removes what belongs to nobody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import NotFound, Unavailable
from core.events import Claimed, Confirmed, Delivered, Failed
from core.job import Job, State, output_key, source_key
from core.messages import Topic
from functions.sweep import remove_abandoned, remove_orphans, wake_jobs
from tests.fakes import World, a_failure, a_world, an_encoded, an_upload, put

GRACE_S = 3600.0


@pytest.fixture
def world() -> World:
    """A world with one job that has just been received."""
    world = a_world()
    put(world.objects, source_key("run-1"), b"a recording")
    world.ledger.receive(an_upload("video-1", run="run-1"))
    return world


def job(world: World) -> Job:
    """Return the one job."""
    return world.ledger.read("video-1")


def lose_messages(world: World) -> None:
    """Take every message off the bus, as a power cut may."""
    for topic in Topic:
        while handout := world.bus.receive(topic, lease_s=1):
            world.bus.ack(handout)


def to_stored(world: World) -> None:
    """Bring the job to `stored`."""
    world.ledger.apply("video-1", Claimed())
    put(world.objects, output_key("run-1", 1), b"a result")
    world.ledger.apply("video-1", an_encoded("run-1", 1))
    world.ledger.apply("video-1", Claimed())
    world.ledger.apply("video-1", Delivered(fence=2))


def test_a_lost_message_is_published_again(world: World) -> None:
    lose_messages(world)
    assert wake_jobs(world.ledger).jobs == 0
    world.clock.advance(60)
    assert wake_jobs(world.ledger).jobs == 1
    assert world.bus.depth(Topic.TRANSCODE) == 1


def test_a_job_of_a_dead_worker_is_given_to_another(world: World) -> None:
    world.ledger.apply("video-1", Claimed())
    lose_messages(world)
    world.clock.advance(world.ledger.policy.lease_s)
    wake_jobs(world.ledger)
    assert world.bus.depth(Topic.TRANSCODE) == 1
    assert world.ledger.apply("video-1", Claimed()).fence == 2


def test_what_nobody_confirmed_expires_with_all_its_objects(world: World) -> None:
    to_stored(world)
    world.clock.advance(world.ledger.policy.confirm_ttl_s - 1)
    wake_jobs(world.ledger)
    assert job(world).state is State.STORED
    world.clock.advance(1)
    wake_jobs(world.ledger)
    assert (job(world).state, job(world).cleaned) == (State.EXPIRED, True)
    assert world.objects.keys() == set()


def test_a_failed_job_keeps_its_source_until_its_time_is_up(world: World) -> None:
    world.ledger.apply("video-1", Claimed())
    world.ledger.apply("video-1", Failed(fence=1, failure=a_failure()))
    world.clock.advance(world.ledger.policy.confirm_ttl_s - 1)
    wake_jobs(world.ledger)
    assert world.objects.keys() == {source_key("run-1")}
    world.clock.advance(1)
    wake_jobs(world.ledger)
    assert world.objects.keys() == set()
    assert job(world).state is State.FAILED


def test_a_record_is_forgotten_thirty_days_later(world: World) -> None:
    to_stored(world)
    world.ledger.apply("video-1", Confirmed())
    world.clock.advance(world.ledger.policy.keep_record_s)
    wake_jobs(world.ledger)
    with pytest.raises(NotFound):
        job(world)


def test_objects_that_no_job_knows_are_removed_after_their_grace(world: World) -> None:
    put(world.objects, source_key("run-9"), b"a receive that died before its record")
    world.clock.advance(GRACE_S)
    assert remove_orphans(world.ledger, grace_s=GRACE_S).orphans == 0
    world.clock.advance(1)
    assert remove_orphans(world.ledger, grace_s=GRACE_S).orphans == 1
    assert world.objects.keys() == {source_key("run-1")}


def test_a_source_that_waited_half_of_the_grace_becomes_no_job_any_more(world: World) -> None:
    """Or the sweep might take it for an orphan just before the record is written."""
    at = world.clock.now()
    put(world.objects, source_key("run-2"), b"a recording")
    late = replace(an_upload("video-2", run="run-2"), committed_at=at)
    world.clock.advance(world.ledger.policy.record_within_s + 1)
    with pytest.raises(Unavailable, match="send it again"):
        world.ledger.receive(late)
    assert world.ledger.jobs.get("video-2") is None
    assert world.ledger.policy.record_within_s <= GRACE_S / 2
    in_time = replace(late, committed_at=at + 2)
    assert world.ledger.receive(in_time).state is State.QUEUED
    remove_orphans(world.ledger, grace_s=GRACE_S)
    assert source_key("run-2") in {item.key for item in world.objects.list("uploads/")}


def test_what_a_zombie_commits_after_the_end_is_removed(world: World) -> None:
    to_stored(world)
    world.ledger.apply("video-1", Confirmed())
    put(world.objects, output_key("run-1", 1), b"too late")
    world.clock.advance(GRACE_S + 1)
    assert remove_orphans(world.ledger, grace_s=GRACE_S).orphans == 1
    assert world.objects.keys() == set()


def test_one_job_in_trouble_does_not_keep_the_others_waiting(world: World) -> None:
    """The store refuses to delete one job's objects; the other expires all the same."""
    to_stored(world)
    world.ledger.receive(an_upload("video-2", run="run-2"))
    lose_messages(world)
    world.clock.advance(world.ledger.policy.confirm_ttl_s)
    world.objects.broken = True
    wake_jobs(world.ledger)
    assert world.bus.depth(Topic.TRANSCODE) == 1
    assert "sweep.error" in world.log.names()
    world.objects.broken = False
    world.clock.advance(world.ledger.policy.republish_after_s)
    wake_jobs(world.ledger)
    assert job(world).cleaned


def test_the_folder_of_a_lost_worker_is_removed_and_that_of_a_living_one_kept(
    world: World, tmp_path: Path
) -> None:
    """It holds a link to the source, which would outlive the confirmation."""
    world.ledger.apply("video-1", Claimed())
    for name in ("run-1-1", "run-9-1", "something"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "source").write_bytes(b"a recording")
    assert remove_abandoned(world.ledger, tmp_path).folders == 2
    assert [path.name for path in tmp_path.iterdir()] == ["run-1-1"]
    world.clock.advance(world.ledger.policy.lease_s)
    assert remove_abandoned(world.ledger, tmp_path).folders == 0
    world.ledger.apply("video-1", Claimed())
    assert remove_abandoned(world.ledger, tmp_path).folders == 1


def test_a_machine_without_scratch_has_nothing_to_remove(world: World, tmp_path: Path) -> None:
    assert remove_abandoned(world.ledger, tmp_path / "none").folders == 0
