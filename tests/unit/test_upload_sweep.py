"""What the sweep does for direct uploads: nothing is lost, and nothing stays."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import pytest

from core.declarations import Declaration, read_declaration, read_outcome
from core.errors import Gone, NotFound
from core.job import State, declaration_key, source_key
from core.uploads import (
    Announcement,
    begin_upload,
    finish_object,
    finish_upload,
    upload_status,
)
from functions.sweep import remove_orphans
from functions.uploads import tend_uploads
from tests.fake_sessions import MemorySessions
from tests.fakes import World, a_world, an_upload, put
from tests.http.forms import recording

GRACE_S = 3600.0
TTL_S = 86_400.0
DATA = recording(5000)


@pytest.fixture
def world() -> World:
    """A world without a job."""
    return a_world()


@pytest.fixture
def sessions(world: World) -> MemorySessions:
    """Sessions on its store."""
    return MemorySessions(world.objects)


def begun(
    world: World, sessions: MemorySessions, run: str = "run-1", *, video_id: str | None = None
) -> Declaration:
    """Announce an upload."""
    said = Announcement(
        video_id=video_id or f"video-of-{run}",
        organization_id="org-1",
        size=len(DATA),
        content_type="video/mp4",
    )
    return begin_upload(said, run=run, ledger=world.ledger, sessions=sessions, ttl_s=TTL_S)[0]


def committed(
    world: World, sessions: MemorySessions, run: str = "run-1", *, video_id: str | None = None
) -> None:
    """Commit the source of an announced upload; nobody hears of it."""
    begun(world, sessions, run, video_id=video_id)
    sessions.release(source_key(run))
    put(world.objects, source_key(run), DATA)


def sweep(world: World, sessions: MemorySessions) -> int:
    """Sweep as the service does; return how many uploads were settled.

    An outcome goes in the search after the one in which its declaration goes.
    """
    settled = tend_uploads(world.ledger, sessions, ttl_s=TTL_S).uploads
    for _ in range(2):
        remove_orphans(world.ledger, grace_s=GRACE_S)
    return settled


def test_an_upload_that_nobody_finished_is_finished(world: World, sessions: MemorySessions) -> None:
    """The finalize event and the call are both lost."""
    committed(world, sessions)
    assert sweep(world, sessions) == 0
    world.clock.advance(world.ledger.policy.republish_after_s)
    assert sweep(world, sessions) == 1
    assert world.ledger.read("video-of-run-1").state is State.QUEUED
    assert sweep(world, sessions) == 0


def test_a_sweep_that_comes_days_late_finishes_it_too(
    world: World, sessions: MemorySessions
) -> None:
    """The service was off for longer than the upload might take, and the grace besides."""
    committed(world, sessions)
    world.clock.advance(TTL_S * 5)
    remove_orphans(world.ledger, grace_s=GRACE_S)
    assert sweep(world, sessions) == 1
    assert world.ledger.read("video-of-run-1").state is State.QUEUED
    assert source_key("run-1") in list_keys(world)


def test_any_number_of_open_uploads_keeps_nobody_waiting(
    world: World, sessions: MemorySessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their declarations are not read: only that of the upload whose object was left."""
    for turn in range(50):
        begun(world, sessions, f"open-{turn}")
    committed(world, sessions, "run-1")
    world.clock.advance(world.ledger.policy.republish_after_s)
    read: list[str] = []
    plain = world.objects.open

    def watch(key: str, *, start: int = 0) -> Any:
        read.append(key)
        return plain(key, start=start)

    monkeypatch.setattr(world.objects, "open", watch)
    swept = tend_uploads(world.ledger, sessions, ttl_s=TTL_S)
    assert (swept.uploads, swept.more) == (1, False)
    assert not [key for key in read if "open-" in key]


@pytest.mark.parametrize("text", [b"[]", b"no json", b'{"run": "run-1"}'])
def test_a_declaration_that_cannot_be_understood_harms_no_other(
    world: World, sessions: MemorySessions, text: bytes
) -> None:
    put(world.objects, declaration_key("run-0"), text)
    put(world.objects, source_key("run-0"), b"a recording that is kept")
    committed(world, sessions, "run-1")
    world.clock.advance(GRACE_S + 1)
    assert sweep(world, sessions) == 1
    assert world.ledger.read("video-of-run-1").state is State.QUEUED
    assert source_key("run-0") in list_keys(world)
    assert "sweep.error" in [event for event, _ in world.log.events]


def test_what_a_later_release_declares_besides_is_passed_over(
    world: World, sessions: MemorySessions
) -> None:
    said = asdict(begun(world, sessions)) | {"colour": "blue", "run": "run-2"}
    put(world.objects, declaration_key("run-2"), json.dumps(said).encode())
    found = read_declaration(world.objects, "run-2")
    assert found is not None
    assert found.video_id == "video-of-run-1"


def test_the_object_of_a_duplicate_may_become_a_job_until_it_is_an_orphan(
    world: World, sessions: MemorySessions
) -> None:
    """Two finish one upload; between them the job that it doubles fails and begins anew with it."""
    committed(world, sessions, "run-1", video_id="video-1")
    finish_upload("run-1", ledger=world.ledger, sessions=sessions)
    committed(world, sessions, "run-2", video_id="video-1")
    finish_upload("run-2", ledger=world.ledger, sessions=sessions)
    assert source_key("run-2") in list_keys(world)
    world.clock.advance(GRACE_S + 1)
    sweep(world, sessions)
    assert source_key("run-2") not in list_keys(world)
    assert source_key("run-1") in list_keys(world)


def test_an_upload_under_way_keeps_its_declaration_and_session(
    world: World, sessions: MemorySessions
) -> None:
    begun(world, sessions)
    before = list_keys(world)
    world.clock.advance(TTL_S - 1)
    assert sweep(world, sessions) == 0
    assert list_keys(world) == before
    assert sessions.opened.keys() == {source_key("run-1")}


def test_what_was_not_sent_in_time_ends_and_leaves_nothing(
    world: World, sessions: MemorySessions
) -> None:
    begun(world, sessions)
    world.clock.advance(TTL_S)
    assert sweep(world, sessions) == 1
    assert sessions.opened == {}
    status = upload_status("run-1", ledger=world.ledger, sessions=sessions)
    assert (status["status"], status["code"]) == ("refused", "expired")
    with pytest.raises(Gone):
        finish_upload("run-1", ledger=world.ledger, sessions=sessions)
    world.clock.advance(GRACE_S + 1)
    sweep(world, sessions)
    assert list_keys(world) == set()
    with pytest.raises(NotFound):
        upload_status("run-1", ledger=world.ledger, sessions=sessions)


def test_a_refusal_is_told_until_the_uploads_time_is_over(
    world: World, sessions: MemorySessions
) -> None:
    begun(world, sessions)
    sessions.release(source_key("run-1"))
    put(world.objects, source_key("run-1"), b"no recording at all" * 100)
    world.clock.advance(world.ledger.policy.republish_after_s)
    assert sweep(world, sessions) == 1
    world.clock.advance(TTL_S - 100)
    sweep(world, sessions)
    status = upload_status("run-1", ledger=world.ledger, sessions=sessions)
    assert (status["status"], status["code"]) == ("refused", "unsupported_type")
    world.clock.advance(GRACE_S + 101)
    sweep(world, sessions)
    assert list_keys(world) == set()


def test_the_object_of_a_refusal_that_could_not_be_deleted_is_an_orphan(
    world: World, sessions: MemorySessions
) -> None:
    committed(world, sessions)
    world.ledger.receive(an_upload("video-of-run-1", run="run-2", data=b"other bytes"))
    world.clock.advance(world.ledger.policy.republish_after_s)
    sweep(world, sessions)
    put(world.objects, source_key("run-1"), DATA)  # as if the deletion had been lost
    world.clock.advance(GRACE_S + 1)
    sweep(world, sessions)
    assert source_key("run-1") not in list_keys(world)


def test_one_upload_in_trouble_does_not_keep_the_others_waiting(
    world: World, sessions: MemorySessions
) -> None:
    begun(world, sessions, "run-1")
    world.clock.advance(TTL_S)
    committed(world, sessions, "run-2")
    world.clock.advance(world.ledger.policy.republish_after_s)
    sessions.broken = True
    assert sweep(world, sessions) == 1
    assert world.ledger.read("video-of-run-2")
    assert "sweep.error" in world.log.names()
    sessions.broken = False
    assert sweep(world, sessions) == 1


def test_a_sweep_that_runs_out_of_time_leaves_the_rest(
    world: World, sessions: MemorySessions
) -> None:
    for number in range(3):
        committed(world, sessions, f"run-{number}")
    world.clock.advance(world.ledger.policy.republish_after_s)
    looks = iter([False, True])
    swept = tend_uploads(world.ledger, sessions, ttl_s=TTL_S, enough=lambda: next(looks))
    assert (swept.uploads, swept.more) == (1, True)


def test_a_finalize_event_of_a_declared_upload_starts_its_job(
    world: World, sessions: MemorySessions
) -> None:
    committed(world, sessions)
    for _ in range(2):
        key = source_key("run-1")
        assert finish_object(key, ledger=world.ledger, sessions=sessions) == "video-of-run-1"
    assert len(world.jobs.all()) == 1


def test_other_finalize_events_mean_nothing(world: World, sessions: MemorySessions) -> None:
    """One-shot uploads are finalized too, and so are outputs and our own declarations."""
    put(world.objects, source_key("run-9"), DATA)
    committed(world, sessions)
    for key in (
        source_key("run-9"),
        "outputs/run-1/1.mp4",
        "declared/run-1/upload",
        "uploads/run-1/source/more",
        "uploads/run-1",
        "somewhere/else",
        "",
    ):
        assert finish_object(key, ledger=world.ledger, sessions=sessions) is None
    assert world.jobs.all() == []


def test_a_finalize_event_of_a_bad_upload_records_the_refusal(
    world: World, sessions: MemorySessions
) -> None:
    begun(world, sessions)
    put(world.objects, source_key("run-1"), b"no recording" * 100)
    key = source_key("run-1")
    assert finish_object(key, ledger=world.ledger, sessions=sessions) is None
    outcome = read_outcome(world.objects, "run-1")
    assert outcome is not None
    assert outcome.code == "unsupported_type"


def test_all_ways_to_finish_at_once_make_one_job(world: World, sessions: MemorySessions) -> None:
    """The call, the event and the sweep, several of each."""
    for turn in range(10):
        run = f"run-{turn}"
        committed(world, sessions, run)
        world.clock.advance(world.ledger.policy.republish_after_s)
        barrier = threading.Barrier(6)

        def finish(way: int, run: str = run, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(10)
            if way % 3 == 0:
                finish_upload(run, ledger=world.ledger, sessions=sessions)
            elif way % 3 == 1:
                finish_object(source_key(run), ledger=world.ledger, sessions=sessions)
            else:
                tend_uploads(world.ledger, sessions, ttl_s=TTL_S)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(finish, range(6)))
    jobs = world.jobs.all()
    assert sorted(job.run for job in jobs) == sorted(f"run-{turn}" for turn in range(10))
    assert {len(job.history) for job in jobs} == {1}
    assert len(world.bus.published) == 10


def list_keys(world: World) -> set[str]:
    """Return what lies in the store."""
    return world.objects.keys()
