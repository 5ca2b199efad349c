"""A URL of a set never promises more than the record keeps."""

from __future__ import annotations

from pathlib import Path

from core.sets import grant_of
from core.transitions import message_of
from tests.fake_press import FakePress
from tests.sets.world import a_world_with, deliver, job, transcode


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
