"""What another release wrote and this one cannot read is left alone, and stops nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core import limits
from core.errors import Unavailable
from core.job import Job, State, declaration_key, outcome_key, scratch_name, source_key
from core.messages import Message, Topic
from core.order import Contract, Delivery, Order
from core.uploads import Announcement, begin_upload, finish_object, finish_upload
from functions.dead_letter import DeadLetter, take
from functions.main import run_clock
from functions.sweep import Swept, remove_abandoned, remove_orphans, wake_jobs
from functions.uploads import tend_uploads
from tests.fake_sessions import MemorySessions
from tests.fakes import World, a_world, an_upload, put
from tests.http.door import a_door, assert_problem
from tests.http.forms import Lecture, recording
from transcoder.dispatch import Done, dispatch

GRACE_S = 3600.0
TTL_S = 86_400.0
DATA = recording(5000)


@pytest.fixture
def world() -> World:
    """A world with two jobs, of which the first cannot be read."""
    world = a_world()
    for number in (1, 2):
        put(world.objects, source_key(f"run-{number}"), b"a recording")
        world.ledger.receive(an_upload(f"video-{number}", run=f"run-{number}"))
    world.jobs.spoiled.add("video-1")
    world.bus.published.clear()
    return world


def errors(world: World) -> list[dict[str, object]]:
    """Return the fields of the sweep's errors."""
    return [fields for event, fields in world.log.events if event == "sweep.error"]


# The sweep
def test_the_sweep_names_the_job_and_wakes_the_others(world: World) -> None:
    world.clock.advance(60)
    assert wake_jobs(world.ledger) == Swept(jobs=1)
    assert [message.job_id for message, _ in world.bus.published] == ["video-2"]
    assert [fields["job_id"] for fields in errors(world)] == ["video-1"]


def test_more_of_them_than_a_batch_holds_keep_nobody_from_being_woken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They stay due, and are the oldest of all."""
    monkeypatch.setattr(limits, "SWEEP_BATCH", 5)
    world = a_world()
    for number in range(40):
        world.ledger.receive(an_upload(f"video-{number}", run=f"run-{number}"))
        world.clock.advance(1)
    world.bus.published.clear()
    world.jobs.spoiled |= {f"video-{number}" for number in range(30)}
    world.clock.advance(60)
    assert wake_jobs(world.ledger) == Swept(jobs=10)
    assert len({message.job_id for message, _ in world.bus.published}) == 10
    assert len(errors(world)) == limits.SWEEP_UNREAD_TOLD_MAX + 1
    assert "10 more" in str(errors(world)[-1]["reason"])


def test_a_defect_that_one_job_sets_off_keeps_nobody_from_being_woken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.jobs.spoiled.clear()
    update = world.jobs.update

    def broken(job_id: str, change: Callable[[Job | None], Job]) -> Job:
        if job_id == "video-1":
            raise RuntimeError("nobody foresaw it")
        return update(job_id, change)

    monkeypatch.setattr(world.jobs, "update", broken)
    world.clock.advance(60)
    wake_jobs(world.ledger)
    assert [message.job_id for message, _ in world.bus.published] == ["video-2"]
    (told,) = errors(world)
    assert (told["job_id"], told["reason"]) == ("video-1", "RuntimeError")
    assert "nobody foresaw it" in str(told["trace"])


def test_once_it_can_be_read_the_job_goes_on(world: World) -> None:
    world.clock.advance(5 * 86_400)
    wake_jobs(world.ledger)
    world.jobs.spoiled.clear()
    wake_jobs(world.ledger)
    assert [message.job_id for message, _ in world.bus.published] == ["video-2", "video-1"]
    assert world.ledger.read("video-1").state is State.QUEUED


def test_its_objects_and_folders_are_nobodys_to_remove(world: World, tmp_path: Path) -> None:
    (tmp_path / scratch_name("run-1", 1)).mkdir()
    (tmp_path / scratch_name("run-9", 1)).mkdir()
    put(world.objects, source_key("run-9"), b"a receive that died before its record")
    world.clock.advance(GRACE_S + 1)
    assert remove_orphans(world.ledger, grace_s=GRACE_S).orphans == 1
    assert world.objects.keys() == {source_key("run-1"), source_key("run-2")}
    assert remove_abandoned(world.ledger, tmp_path).folders == 1
    assert [folder.name for folder in tmp_path.iterdir()] == [scratch_name("run-1", 1)]


# Messages
def test_its_message_is_void_and_does_not_come_round_and_round(world: World) -> None:
    message = Message(topic=Topic.TRANSCODE, job_id="video-1", run="run-1")

    def step(message: Message) -> None:
        world.ledger.claim(message)

    assert dispatch(step, message, clock=world.clock, log=world.log) == Done()
    assert world.log.names()[-1] == "message.void"


def test_its_dead_letter_is_void(world: World) -> None:
    message = Message(topic=Topic.TRANSCODE, job_id="video-1", run="run-1")
    take(DeadLetter(message_id="1", data=message.to_bytes(), attributes={}), world.ledger)
    assert world.log.names()[-1] == "message.void"


# Callers
def test_its_status_is_a_typed_503_that_asks_for_patience() -> None:
    door = a_door()
    assert door.receive(Lecture().body()).status_code == 200
    door.world.jobs.spoiled.add("video-1")
    answer = door.get("/status/video-1")
    assert_problem(answer, 503, "unavailable")
    assert "another release" in answer.get_json()["detail"]
    assert answer.headers["Retry-After"] == "5"
    assert_problem(door.receive(Lecture().body()), 503, "unavailable")


# Direct uploads
def declared(world: World, sessions: MemorySessions, run: str) -> None:
    """Announce an upload and commit its source; nobody hears of it."""
    said = Announcement(
        video_id=f"video-of-{run}",
        organization_id="org-1",
        size=len(DATA),
        content_type="video/mp4",
        order=Order(contract=Contract.HANDSHAKE, delivery=Delivery.WEBHOOK, ladder="hls"),
    )
    begin_upload(said, run=run, ledger=world.ledger, sessions=sessions, ttl_s=TTL_S)
    sessions.release(source_key(run))
    put(world.objects, source_key(run), DATA)


def rewrite(world: World, run: str, **members: object) -> None:
    """Write a declaration as another release would."""
    with world.objects.open(declaration_key(run)) as body:
        said = json.loads(body.read())
    world.objects.delete(declaration_key(run))
    put(world.objects, declaration_key(run), json.dumps({**said, **members}).encode())


@pytest.mark.parametrize(
    "members",
    [
        {"order": {"renditions": "holographic"}},
        {"order": {"contract": "telepathy"}},
        {"order": {"renditions": 5}},
        {"order": None},
        {"expires_at": "tomorrow"},
        {"size": None},
    ],
)
def test_an_upload_whose_declaration_cannot_be_understood_waits_for_its_release(
    members: dict[str, object],
) -> None:
    """The sweep names it and finishes the others; nothing of it is deleted."""
    world = a_world()
    sessions = MemorySessions(world.objects)
    declared(world, sessions, "run-1")
    declared(world, sessions, "run-2")
    rewrite(world, "run-1", **members)
    world.clock.advance(60)
    assert tend_uploads(world.ledger, sessions, ttl_s=TTL_S).uploads == 1
    assert world.ledger.read("video-of-run-2").state is State.QUEUED
    assert [fields["upload_id"] for fields in errors(world)] == ["run-1"]
    world.clock.advance(TTL_S + GRACE_S + 1)
    assert tend_uploads(world.ledger, sessions, ttl_s=TTL_S).uploads == 0
    remove_orphans(world.ledger, grace_s=GRACE_S)
    assert {source_key("run-1"), declaration_key("run-1")} <= world.objects.keys()
    assert outcome_key("run-1") not in world.objects.keys()  # noqa: SIM118 - no dict
    with pytest.raises(Unavailable):
        finish_upload("run-1", ledger=world.ledger, sessions=sessions)
    with pytest.raises(Unavailable):
        finish_object(source_key("run-1"), ledger=world.ledger, sessions=sessions)


def test_uploads_that_cannot_be_decided_do_not_use_up_the_time_of_every_sweep() -> None:
    """There are more of them than a sweep has time for, and they come first in a listing."""
    world = a_world()
    sessions = MemorySessions(world.objects)
    for number in range(20):
        declared(world, sessions, f"run-{number:02}")
    for number in range(19):
        rewrite(world, f"run-{number:02}", order={"renditions": "holographic"})
    world.clock.advance(60)
    for _ in range(20):
        asked = iter(range(5))
        enough = partial(next, (left == 4 for left in asked), True)
        tend_uploads(world.ledger, sessions, ttl_s=TTL_S, enough=enough)
        world.clock.advance(61)
    assert world.ledger.read("video-of-run-19").state is State.QUEUED


def test_a_defect_that_one_upload_sets_off_keeps_nobody_from_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_world()
    sessions = MemorySessions(world.objects)
    declared(world, sessions, "run-1")
    declared(world, sessions, "run-2")
    listed = world.objects.list

    def broken(prefix: str) -> object:
        if prefix == source_key("run-1"):
            raise RuntimeError("nobody foresaw it")
        return listed(prefix)

    monkeypatch.setattr(world.objects, "list", broken)
    world.clock.advance(60)
    assert tend_uploads(world.ledger, sessions, ttl_s=TTL_S).uploads == 1
    (told,) = errors(world)
    assert (told["upload_id"], told["reason"]) == ("run-1", "RuntimeError")


# The clock of one machine
def test_a_defect_does_not_end_the_clock(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[int] = []

    def broken(now: float, *, limit: int) -> object:
        turns.append(limit)
        raise RuntimeError(f"nobody foresaw it at {now}")

    monkeypatch.setattr(world.jobs, "due", broken)
    settings = SimpleNamespace(sweep_interval_s=0.0, orphan_grace_s=GRACE_S, upload_ttl_s=TTL_S)
    parts: Any = SimpleNamespace(
        ledger=world.ledger,
        log=world.log,
        scratch=tmp_path,
        sessions=MemorySessions(world.objects),
        settings=settings,
    )
    run_clock(parts, stop=lambda: len(turns) >= 3)
    assert [fields["reason"] for fields in errors(world)] == ["RuntimeError"] * 3
