"""A recording in pieces, from the cut to the output, over fake ports."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from core import limits
from core.assignment import ASSIGNMENT_FORMAT, Assignment
from core.errors import (
    BadMessage,
    BadOutput,
    EncodeFailed,
    EncoderKilled,
    Interrupted,
    LecternError,
)
from core.job import Job, State, cut_key, piece_key, source_key
from core.messages import Topic
from functions.sweep import remove_abandoned, wake_jobs
from tests.fake_press import RESULT, SOURCE, FakePress, assignment, raising
from tests.fakes import World, a_world, an_upload, put
from transcoder.compress import Compressed
from transcoder.dispatch import Again, Done, dispatch
from transcoder.pieces.stored import StoredRanges
from transcoder.transcode import Transcode

PIECES = 3


@pytest.fixture
def world() -> World:
    """A world with one job that waits to be transcoded."""
    world = a_world()
    put(world.objects, source_key("run-1"), SOURCE)
    world.ledger.receive(an_upload("video-1", run="run-1"))
    return world


def job(world: World) -> Job:
    """Return the one job."""
    return world.ledger.read("video-1")


def work(
    world: World,
    scratch: Path,
    press: FakePress,
    stop: Callable[[], bool] = lambda: False,
) -> Done | Again | None:
    """Handle the next message; None if there is none."""
    step = Transcode(
        ledger=world.ledger, press=press, scratch=scratch, stop=stop, price_per_cpu_s=0.5
    )
    handout = world.bus.receive(Topic.TRANSCODE, lease_s=30)
    if handout is None:
        return None
    disposal = dispatch(step, handout.message, clock=world.clock, log=world.log)
    if isinstance(disposal, Done):
        world.bus.ack(handout)
    else:
        world.bus.nack(handout, delay_s=disposal.delay_s)
    return disposal


def work_all(world: World, scratch: Path, press: FakePress) -> None:
    """Handle messages until there are none."""
    for _ in range(100):
        if work(world, scratch, press) is None:
            return
    raise AssertionError("there is no end of messages")


def output(world: World) -> bytes:
    """Return what the job made."""
    made = job(world).output
    assert made is not None
    with world.objects.open(made.key) as body:
        return body.read()


def test_a_long_recording_is_cut_made_in_pieces_and_joined(world: World, tmp_path: Path) -> None:
    press = FakePress(pieces=PIECES)
    work_all(world, tmp_path, press)
    assert press.did == ["begin", "make 0", "make 1", "make 2", "join"]
    after = job(world)
    assert (after.state, after.progress, after.claims) == (State.STORING, 100, 0)
    assert output(world) == b"0.0;0.1;0.2;"
    assert after.warnings == ("from the survey", "a warning")
    assert list(tmp_path.iterdir()) == []
    left = {key for key in world.objects.keys() if key.startswith("pieces/")}  # noqa: SIM118 - no dict
    assert left == {cut_key("run-1", 1)}
    made = [fields for event, fields in world.log.events if event == "piece.made"]
    assert [fields["piece"] for fields in made] == [0, 1, 2]


def test_pieces_are_made_by_whoever_is_free(world: World, tmp_path: Path) -> None:
    """Four workers share twenty pieces, and nobody makes one twice."""
    press = FakePress(pieces=20)
    work(world, tmp_path, press)
    barrier = threading.Barrier(4)

    def worker(_: int) -> None:
        barrier.wait(10)
        while work(world, tmp_path, press) is not None:
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(worker, range(4)))
    assert sorted(press.did) == sorted(["begin", "join", *(f"make {n}" for n in range(20))])
    assert output(world).count(b";") == 20


def test_a_worker_that_dies_over_a_piece_costs_that_piece(world: World, tmp_path: Path) -> None:
    press = FakePress(pieces=PIECES)
    work(world, tmp_path, press)
    handout = world.bus.receive(Topic.TRANSCODE, lease_s=30)
    assert handout is not None
    lost = world.ledger.claim_piece(handout.message)
    assert lost.board is not None
    work(world, tmp_path, press)
    work(world, tmp_path, press)
    assert work(world, tmp_path, press) is None
    world.clock.advance(world.ledger.policy.piece_lease_s)
    wake_jobs(world.ledger)
    work_all(world, tmp_path, press)
    assert sorted(press.did) == ["begin", "join", "make 0", "make 1", "make 2"]
    assert job(world).state is State.STORING


def test_a_worker_that_must_stop_hands_its_piece_back(world: World, tmp_path: Path) -> None:
    press = FakePress(pieces=PIECES)
    work(world, tmp_path, press)
    assert work(world, tmp_path, press, stop=lambda: True) == Again(delay_s=0.0)
    board = job(world).board
    assert board is not None
    assert (board.piece(0).claims, board.piece(0).lease_until) == (0, None)
    work_all(world, tmp_path, press)
    assert job(world).state is State.STORING


def test_a_piece_that_is_there_already_is_not_made_anew(world: World, tmp_path: Path) -> None:
    """A worker died between the commit of its piece and the record: what it made counts."""
    press = FakePress(pieces=1)
    work(world, tmp_path, press)
    put(world.objects, piece_key(cut_key("run-1", 1), 0), b"by the dead one;")
    work_all(world, tmp_path, press)
    assert output(world) == b"by the dead one;"


@pytest.mark.parametrize("error", [EncoderKilled("killed"), EncodeFailed("it cannot be encoded")])
def test_a_failed_piece_is_tried_again_only_if_its_reason_may_pass(
    world: World, tmp_path: Path, error: LecternError
) -> None:
    press = FakePress(pieces=PIECES)
    work(world, tmp_path, press)
    press.act = raising(error)
    work(world, tmp_path, press)
    press.act = None
    if not error.retryable:
        assert job(world).state is State.FAILED
        return
    assert job(world).state is State.PROCESSING
    work_all(world, tmp_path, press)
    assert job(world).state is State.PROCESSING
    world.clock.advance(60)
    work_all(world, tmp_path, press)
    assert job(world).state is State.STORING
    assert output(world) == b"0.0;0.1;0.2;"


def test_a_piece_that_fails_again_and_again_fails_the_job(world: World, tmp_path: Path) -> None:
    press = FakePress(pieces=1)
    work(world, tmp_path, press)
    press.act = raising(EncoderKilled("killed"))
    for _ in range(world.ledger.policy.max_retries + 1):
        work(world, tmp_path, press)
        world.clock.advance(1000)
    failure = job(world).failure
    assert failure is not None
    assert (job(world).state, failure.code) == (State.FAILED, "encoder_killed")


# A plan of another release
def by_another_release(world: World, **members: object) -> None:
    """Have the present plan be one that another release wrote."""
    board = job(world).board
    assert board is not None
    with world.objects.open(board.plan_key) as body:
        document = json.loads(body.read())
    world.objects.delete(board.plan_key)
    put(world.objects, board.plan_key, json.dumps({**document, **members}).encode())


UNREADABLE: list[dict[str, object]] = [
    {"version": ASSIGNMENT_FORMAT + 1},
    {"one_field_more": 1},
    {"pieces": {}},
]


def work_for(world: World, scratch: Path, press: FakePress, seconds: float) -> None:
    """Let time pass, with a sweep each minute."""
    end = world.clock.now() + seconds
    while world.clock.now() < end:
        work_all(world, scratch, press)
        world.clock.advance(60)
        wake_jobs(world.ledger)


@pytest.mark.parametrize("members", UNREADABLE)
def test_pieces_that_another_release_has_planned_are_cut_anew_after_a_while(
    world: World, tmp_path: Path, members: dict[str, object]
) -> None:
    """As after a rollback. Until then they are given back: a worker of that release may come."""
    press = FakePress(pieces=PIECES)
    work(world, tmp_path, press)
    by_another_release(world, **members)
    work_for(world, tmp_path, press, limits.PLAN_PATIENCE_S)
    assert press.did == ["begin"]
    board = job(world).board
    assert board is not None
    assert {(piece.claims, piece.retries) for piece in board.begun} == {(0, 0)}
    work_for(world, tmp_path, press, 2 * limits.PLAN_PATIENCE_S)
    assert press.did == ["begin", "begin", "make 0", "make 1", "make 2", "join"]
    after = job(world)
    assert (after.state, after.claims, after.failure) == (State.STORING, 0, None)
    assert output(world) == b"0.0;0.1;0.2;"
    told = [change.note for change in after.history if change.event == "PiecesRefused"]
    assert ["another release" in str(note) for note in told] == [True]


def test_a_worker_of_the_plans_own_release_makes_what_another_gave_back(
    world: World, tmp_path: Path
) -> None:
    press = FakePress(pieces=PIECES)
    work(world, tmp_path, press)
    board = job(world).board
    assert board is not None
    with world.objects.open(board.plan_key) as body:
        plan = body.read()
    by_another_release(world, **UNREADABLE[0])
    work_all(world, tmp_path, press)
    world.objects.delete(board.plan_key)
    put(world.objects, board.plan_key, plan)
    work_for(world, tmp_path, press, 120)
    assert press.did == ["begin", "make 0", "make 1", "make 2", "join"]


def test_a_joiner_that_cannot_read_the_plan_cuts_anew_after_a_while(
    world: World, tmp_path: Path
) -> None:
    press = FakePress(pieces=PIECES)
    for _ in range(1 + PIECES):
        work(world, tmp_path, press)
    by_another_release(world, **UNREADABLE[0])
    work_for(world, tmp_path, press, limits.PLAN_PATIENCE_S)
    assert press.did == ["begin", "make 0", "make 1", "make 2"]
    assert job(world).retries == 0
    work_for(world, tmp_path, press, 2 * limits.PLAN_PATIENCE_S)
    assert press.did[4:] == ["begin", "make 0", "make 1", "make 2", "join"]
    assert (job(world).state, job(world).failure) == (State.STORING, None)


class OtherPress(FakePress):
    """Cuts as another release does."""

    def begin(self, *arguments: Any, **options: Any) -> Compressed | Assignment:
        """Return a plan in another form."""
        cut = super().begin(*arguments, **options)
        return replace(cut, version=ASSIGNMENT_FORMAT + 1) if isinstance(cut, Assignment) else cut


@pytest.mark.parametrize("joins", [False, True])
def test_two_releases_that_stay_side_by_side_cut_less_and_less_often_and_not_for_ever(
    world: World,
    tmp_path: Path,
    joins: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Whoever cuts, another takes the pieces, or the joining: in the end it is made as a whole."""
    press = FakePress(pieces=PIECES) if joins else OtherPress(pieces=PIECES)
    cut_at: list[float] = []

    def act(_folder: Path) -> None:
        if press.did[-1] == "begin":
            cut_at.append(world.clock.now())
        elif press.did[-1] == f"make {PIECES - 1}":
            by_another_release(world, **UNREADABLE[0])

    press.act = act
    work_for(world, tmp_path, press, 12 * 3600)
    assert press.did[-1] == "whole"
    assert (job(world).state, output(world)) == (State.STORING, RESULT)
    assert len(cut_at) == limits.CUTS_MAX
    gaps = [later - earlier for earlier, later in pairwise(cut_at)]
    assert gaps[0] >= limits.PLAN_PATIENCE_S
    assert gaps == sorted(gaps)
    assert gaps[-1] >= limits.OUTAGE_RETRY_MAX_S


def test_what_cannot_be_made_in_pieces_is_made_as_a_whole(world: World, tmp_path: Path) -> None:
    press = FakePress(pieces=PIECES)
    work(world, tmp_path, press)
    press.act = raising(BadOutput("a piece has 3 frames, not 4"))
    work(world, tmp_path, press)
    press.act = None
    work_all(world, tmp_path, press)
    assert press.did == ["begin", "make 0", "whole"]
    assert output(world) == RESULT


def test_an_output_larger_than_its_source_is_cut_anew(world: World, tmp_path: Path) -> None:
    press = FakePress(pieces=PIECES)
    press.too_large = 1
    work_all(world, tmp_path, press)
    assert press.did.count("join") == 2
    assert output(world) == b"1.0;1.1;1.2;"
    assert [line.event for line in job(world).history].count("PiecesCut") == 2


def test_a_join_that_must_stop_is_done_by_another(world: World, tmp_path: Path) -> None:
    press = FakePress(pieces=1)
    work(world, tmp_path, press)
    work(world, tmp_path, press)
    press.act = raising(Interrupted("told to stop"))
    assert work(world, tmp_path, press) == Again(delay_s=0.0)
    assert job(world).state is State.QUEUED
    press.act = None
    work_all(world, tmp_path, press)
    assert job(world).state is State.STORING


def test_a_missing_piece_is_waited_for_and_then_fails_the_job(world: World, tmp_path: Path) -> None:
    press = FakePress(pieces=1)
    work(world, tmp_path, press)
    work(world, tmp_path, press)
    world.objects.delete(piece_key(cut_key("run-1", 1), 0))
    work(world, tmp_path, press)
    assert (job(world).state, job(world).retries) == (State.QUEUED, 1)
    put(world.objects, piece_key(cut_key("run-1", 1), 0), b"mended;")
    world.clock.advance(60)
    work_all(world, tmp_path, press)
    assert output(world) == b"mended;"


def test_the_folder_of_a_lost_piece_worker_is_removed(world: World, tmp_path: Path) -> None:
    press = FakePress(pieces=2)
    work(world, tmp_path, press)
    handout = world.bus.receive(Topic.TRANSCODE, lease_s=30)
    assert handout is not None
    world.ledger.claim_piece(handout.message)
    for name in ("run-1-piece-0-1", "run-1-piece-0-2", "run-1-piece-1-1"):
        (tmp_path / name).mkdir()
    assert remove_abandoned(world.ledger, tmp_path).folders == 2
    assert [folder.name for folder in tmp_path.iterdir()] == ["run-1-piece-0-1"]


def test_an_assignment_comes_back_as_it_was() -> None:
    before = assignment(2)
    assert Assignment.from_bytes(before.to_bytes()) == before


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"version": 99}', b"\xff"])
def test_what_is_no_assignment_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        Assignment.from_bytes(data)


def test_an_assignment_of_another_format_is_refused() -> None:
    later = replace(assignment(1), version=99)
    with pytest.raises(BadMessage):
        Assignment.from_bytes(later.to_bytes())


def test_ranges_of_a_stored_object_are_read_on_where_they_follow(world: World) -> None:
    opened: list[int] = []
    plain = world.objects.open

    def watch(key: str, *, start: int = 0) -> object:
        opened.append(start)
        return plain(key, start=start)

    world.objects.open = watch  # type: ignore[method-assign, assignment]  # to be watched
    with StoredRanges(world.objects, source_key("run-1")) as source:
        assert source.size == len(SOURCE)
        assert (source.read(0, 2), source.read(2, 3)) == (SOURCE[:2], SOURCE[2:5])
        assert source.read(8, 100) == SOURCE[8:]
        assert source.read(1, 2) == SOURCE[1:3]
        assert source.read(100, 2) == b""
    assert opened == [0, 8, 1, 100]
