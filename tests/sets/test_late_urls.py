"""A URL of a set never promises more than the record keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.delivery import Answered
from core.errors import Unavailable
from core.events import Accepted, Placed, Redelivered, Woken
from core.job import State
from core.sets import grant_of
from core.transitions import message_of
from tests.fake_press import FakePress
from tests.fakes import FakeCourier
from tests.sets.world import BY_FILE, a_world_with, deliver, job, transcode


def test_a_late_worker_hands_out_no_url_that_outlives_the_set(tmp_path: Path) -> None:
    """It sleeps with the delivery in hand; another has the result taken meanwhile."""
    world = a_world_with()
    policy = world.ledger.policy
    transcode(world, tmp_path, FakePress())
    sleeper = world.ledger.claim(message_of(job(world)))
    world.clock.advance(policy.lease_s + policy.republish_after_s)
    deliver(world)
    world.clock.advance(600)
    late = grant_of(sleeper, world.clock.now(), policy)
    assert late is not None
    assert late.expires_at <= job(world).wake_at


def test_a_worker_in_time_has_a_url_for_the_whole_ttl(tmp_path: Path) -> None:
    """While it holds the lease its URL lives as long as the objects of what is taken now."""
    world = a_world_with()
    policy = world.ledger.policy
    transcode(world, tmp_path, FakePress())
    holder = world.ledger.claim(message_of(job(world)))
    world.clock.advance(policy.lease_s / 2)
    grant = grant_of(holder, world.clock.now(), policy)
    assert grant is not None
    assert grant.expires_at == int(world.clock.now() + policy.confirm_ttl_s)


def test_a_url_of_a_failed_delivery_does_not_outlive_the_next_one(tmp_path: Path) -> None:
    """What a failed delivery leaves is kept for longer than a result that is taken after all."""
    world = a_world_with()
    policy = world.ledger.policy
    transcode(world, tmp_path, FakePress())
    deliver(world, FakeCourier([Answered(status=410)]))
    assert job(world).state is State.STORE_FAILED
    handed = grant_of(job(world), world.clock.now(), policy)
    world.ledger.apply("video-1", Redelivered())
    deliver(world)
    assert job(world).state is State.STORED
    assert handed is not None
    assert handed.expires_at <= job(world).wake_at


def test_there_is_no_url_while_what_went_by_file_is_being_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is up, and the store does not answer halfway through the deletion."""
    world = a_world_with(BY_FILE)
    policy = world.ledger.policy
    transcode(world, tmp_path, FakePress())
    fence = world.ledger.claim(message_of(job(world))).fence
    world.ledger.apply("video-1", Placed(fence=fence, path="/v/run-1.mp4"))
    fence = world.ledger.claim(message_of(job(world))).fence
    world.ledger.apply("video-1", Accepted(fence=fence))
    world.clock.advance(policy.confirm_ttl_s - 1)
    assert grant_of(job(world), world.clock.now(), policy) is not None
    world.clock.advance(1)

    def away(*_keys: str) -> None:
        raise Unavailable("the store does not answer")

    monkeypatch.setattr(world.objects, "delete", away)
    with pytest.raises(Unavailable):
        world.ledger.apply("video-1", Woken())
    assert not job(world).cleaned
    assert grant_of(job(world), world.clock.now(), policy) is None
