"""What happens to a job that was cut into pieces, one sentence each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from core import events as ev
from core import limits
from core.board import Board
from core.errors import LeaseHeld, LeaseLost, NotDue, StaleMessage, WorkerLost
from core.job import (
    Job,
    State,
    cut_key,
    piece_key,
    piece_scratch_name,
    piece_scratch_owner,
    run_of,
    scratch_owner,
)
from core.messages import Message, Topic
from core.piecework import piece_message
from core.transitions import message_of, needs
from functions.sweep import wake_jobs
from tests.fakes import World, a_failure, a_media_summary, a_world, an_encoded, an_upload, put

PIECES: Final = 3


@pytest.fixture
def world() -> World:
    """A world with one job that was cut, and an empty bus."""
    world = a_world()
    put(world.objects, "uploads/run-1/source", b"a recording")
    world.ledger.receive(an_upload("video-1", run="run-1"))
    world.ledger.apply("video-1", ev.Claimed())
    clear(world)
    cut(world)
    return world


def cut(world: World, fence: int = 1) -> Job:
    """Cut the job into pieces."""
    event = ev.PiecesCut(
        fence=fence,
        plan_key=cut_key("run-1", fence),
        pieces=PIECES,
        source_media=a_media_summary(),
        warnings=("a warning",),
    )
    return world.ledger.apply("video-1", event)


def job(world: World) -> Job:
    """Return the one job."""
    return world.ledger.read("video-1")


def clear(world: World) -> None:
    """Take every message off the bus."""
    while handout := world.bus.receive(Topic.TRANSCODE, lease_s=1):
        world.bus.ack(handout)
    world.bus.published.clear()


def published(world: World) -> list[int | None]:
    """Return the pieces that messages ask for since `clear`; None is the job's own step."""
    return [message.piece for message, _ in world.bus.published]


def take(world: World, number: int) -> Job:
    """Claim a piece."""
    return world.ledger.claim_piece(piece_message(job(world), number))


def made(world: World, number: int) -> Job:
    """Report a piece as made."""
    return world.ledger.apply("video-1", ev.PieceMade(cut=1, number=number))


def test_a_cut_frees_the_lease_and_asks_for_every_piece(world: World) -> None:
    now = job(world)
    assert (now.state, now.lease_until, now.claims) == (State.PROCESSING, None, 0)
    assert published(world) == [0, 1, 2]
    assert now.warnings == ("a warning",)
    assert now.source.media == a_media_summary()
    assert (now.history[-1].event, now.history[-1].note) == ("PiecesCut", "3 pieces")
    assert now.wake_at == world.clock.now() + world.ledger.policy.republish_after_s


def test_while_pieces_wait_the_jobs_own_step_is_void(world: World) -> None:
    assert not needs(job(world), message_of(job(world)))
    with pytest.raises(StaleMessage):
        world.ledger.claim(message_of(job(world)))


def test_the_last_piece_asks_for_the_jobs_own_step(world: World) -> None:
    clear(world)
    for number in (2, 0):
        take(world, number)
        assert published(world) == []
        made(world, number)
    assert job(world).progress == 5 + 60
    made(world, 1)
    assert published(world) == [None]
    assert (job(world).progress, job(world).history[-1].event) == (95, "PieceMade")
    held = world.ledger.claim(message_of(job(world)))
    assert (held.fence, held.progress) == (2, 95)
    after = world.ledger.apply("video-1", an_encoded("run-1", 2))
    assert after.state is State.STORING


def test_heartbeats_and_pieces_stay_out_of_the_history(world: World) -> None:
    before = job(world).history
    take(world, 0)
    world.ledger.apply("video-1", ev.PieceRenewed(cut=1, number=0, claim=1))
    made(world, 0)
    assert job(world).history == before


def test_a_piece_in_hand_is_given_to_nobody_else_until_its_lease_is_over(world: World) -> None:
    take(world, 0)
    with pytest.raises(LeaseHeld):
        take(world, 0)
    take(world, 1)
    world.clock.advance(world.ledger.policy.piece_lease_s - 1)
    world.ledger.apply("video-1", ev.PieceRenewed(cut=1, number=0, claim=1))
    world.clock.advance(2)
    with pytest.raises(LeaseHeld):
        take(world, 0)
    take(world, 1)


def test_a_worker_that_was_overtaken_cannot_speak_for_the_piece(world: World) -> None:
    take(world, 0)
    world.clock.advance(world.ledger.policy.piece_lease_s)
    take(world, 0)
    late: tuple[Callable[[], ev.Event], ...] = (
        lambda: ev.PieceRenewed(cut=1, number=0, claim=1),
        lambda: ev.PieceReleased(cut=1, number=0, claim=1),
        lambda: ev.PieceRetried(
            cut=1, number=0, claim=1, failure=a_failure("scratch_full"), delay_s=60
        ),
    )
    for event in late:
        with pytest.raises(LeaseLost):
            world.ledger.apply("video-1", event())


def test_a_piece_that_two_made_counts_once(world: World) -> None:
    take(world, 0)
    world.clock.advance(world.ledger.policy.piece_lease_s)
    take(world, 0)
    first = made(world, 0)
    assert made(world, 0) == first
    with pytest.raises(StaleMessage):
        take(world, 0)


def test_a_piece_that_is_handed_back_costs_no_claim(world: World) -> None:
    clear(world)
    take(world, 1)
    world.ledger.apply("video-1", ev.PieceReleased(cut=1, number=1, claim=1))
    assert published(world) == [1]
    board = take(world, 1).board
    assert board is not None
    assert board.piece(1).claims == 1


def test_a_piece_that_failed_in_passing_waits_for_its_time(world: World) -> None:
    take(world, 1)
    failure = a_failure("scratch_full")
    retried = ev.PieceRetried(cut=1, number=1, claim=1, failure=failure, delay_s=60)
    world.ledger.apply("video-1", retried)
    with pytest.raises(NotDue):
        take(world, 1)
    world.clock.advance(60)
    board = take(world, 1).board
    assert board is not None
    assert board.piece(1).retries == 1
    assert job(world).state is State.PROCESSING


def test_a_piece_that_cannot_be_made_ends_the_job(world: World) -> None:
    failed = ev.PieceFailed(cut=1, number=1, failure=a_failure("encode_failed"))
    after = world.ledger.apply("video-1", failed)
    assert (after.state, after.failure) == (State.FAILED, a_failure("encode_failed"))
    assert after.history[-1].event == "PieceFailed"
    told = dict(world.log.events)["job.failed"]
    assert (told["code"], told["state"]) == ("encode_failed", "failed")
    with pytest.raises(StaleMessage):
        world.ledger.claim_piece(piece_message(after, 0))
    with pytest.raises(LeaseLost):
        made(world, 0)


def test_a_piece_over_which_worker_after_worker_is_lost_gives_the_job_up(world: World) -> None:
    for _ in range(limits.CLAIMS_MAX):
        take(world, 2)
        world.clock.advance(world.ledger.policy.piece_lease_s)
    with pytest.raises(WorkerLost):
        take(world, 2)
    failure = job(world).failure
    assert failure is not None
    assert (job(world).state, failure.code) == (State.FAILED, "worker_lost")


def test_the_sweep_asks_again_for_pieces_that_nobody_holds(world: World) -> None:
    take(world, 0)
    made(world, 1)
    clear(world)
    world.clock.advance(world.ledger.policy.republish_after_s)
    wake_jobs(world.ledger)
    assert published(world) == [2]
    world.clock.advance(world.ledger.policy.piece_lease_s)
    clear(world)
    wake_jobs(world.ledger)
    assert published(world) == [0, 2]


def test_a_lost_message_for_the_last_step_is_published_again(world: World) -> None:
    for number in range(PIECES):
        made(world, number)
    clear(world)
    world.clock.advance(world.ledger.policy.republish_after_s)
    wake_jobs(world.ledger)
    assert published(world) == [None]


def test_pieces_of_an_earlier_run_are_void(world: World) -> None:
    world.ledger.apply("video-1", ev.PieceFailed(cut=1, number=0, failure=a_failure()))
    world.ledger.receive(an_upload("video-1", run="run-2"))
    world.ledger.apply("video-1", ev.Claimed())
    assert job(world).board is None
    world.ledger.apply(
        "video-1",
        ev.PiecesCut(
            fence=job(world).fence, plan_key="p", pieces=2, source_media=a_media_summary()
        ),
    )
    with pytest.raises(LeaseLost):
        made(world, 0)
    assert job(world).board is not None
    stale = replace(piece_message(job(world), 0), run="run-1")
    with pytest.raises(StaleMessage):
        world.ledger.claim_piece(stale)


def test_pieces_of_an_earlier_cut_are_void(world: World) -> None:
    """The first way to make the output was too large: the recording was cut once more."""
    for number in range(PIECES):
        made(world, number)
    world.ledger.claim(message_of(job(world)))
    assert cut(world, fence=2).board is not None
    with pytest.raises(LeaseLost):
        made(world, 0)
    take(world, 0)
    world.ledger.apply("video-1", ev.PieceMade(cut=2, number=0))


def test_a_recording_that_cannot_be_made_in_pieces_is_made_as_a_whole(world: World) -> None:
    take(world, 0)
    made(world, 1)
    clear(world)
    refused = ev.PiecesRefused(cut=1, reason="a piece has 3 frames, not 4")
    after = world.ledger.apply("video-1", refused)
    assert world.ledger.apply("video-1", refused) == after
    assert published(world) == [None]
    held = world.ledger.claim(message_of(after))
    assert held.board is not None
    assert held.board.whole_because == "a piece has 3 frames, not 4"
    with pytest.raises(StaleMessage):
        made(world, 0)


def test_pieces_whose_plan_nobody_can_read_are_given_up_for_others(world: World) -> None:
    """Claims are numbered on, so that a late worker is told from a present one."""
    take(world, 0)
    made(world, 1)
    clear(world)
    unread = ev.PiecesRefused(cut=1, reason="another release planned it", anew=True)
    after = world.ledger.apply("video-1", unread)
    assert world.ledger.apply("video-1", unread) == after
    assert published(world) == [None]
    with pytest.raises(StaleMessage):
        made(world, 0)
    held = world.ledger.claim(message_of(after))
    anew = cut(world, held.fence).board
    assert anew is not None
    assert (anew.cut, anew.cuts, anew.done, anew.claimed) == (held.fence, 2, (), 1)
    assert anew.is_planned
    with pytest.raises(LeaseLost):
        made(world, 0)
    with pytest.raises(LeaseLost):
        world.ledger.apply("video-1", unread)


def test_pieces_are_given_up_for_others_only_so_often(world: World) -> None:
    for fence in range(1, limits.CUTS_MAX + 1):
        board = job(world).board
        assert board is not None
        assert (board.cuts, board.whole_because) == (fence, None)
        unread = ev.PiecesRefused(cut=fence, reason="another release planned it", anew=True)
        held = world.ledger.claim(message_of(world.ledger.apply("video-1", unread)))
        if fence < limits.CUTS_MAX:
            cut(world, held.fence)
    board = job(world).board
    assert board is not None
    assert board.whole_because == "another release planned it"


def test_the_patience_with_a_plan_that_cannot_be_read_doubles_up_to_an_hour() -> None:
    def patience_s(cuts: int) -> float:
        return Board(cut=1, plan_key="k", pieces=1, since=0, cuts=cuts).plan_patience_s

    assert [patience_s(cuts) for cuts in (1, 2, 3, 5, 6, 10_000)] == [
        180, 360, 720, 2880, 3600, 3600
    ]  # fmt: skip


def test_costs_and_warnings_of_the_pieces_are_kept(world: World) -> None:
    for number in range(PIECES):
        event = ev.PieceMade(cut=1, number=number, cpu_s=2.5, warnings=("damaged in places",))
        world.ledger.apply("video-1", event)
    board = job(world).board
    assert board is not None
    assert board.cpu_s == 7.5
    assert job(world).warnings == ("a warning", "damaged in places")


@pytest.mark.parametrize("number", [-1, PIECES])
def test_a_piece_that_there_is_not_is_void(world: World, number: int) -> None:
    with pytest.raises(StaleMessage):
        world.ledger.claim_piece(
            Message(topic=Topic.TRANSCODE, job_id="video-1", run="run-1", piece=number)
        )
    with pytest.raises(StaleMessage):
        made(world, number)


def test_keys_of_pieces_belong_to_their_run() -> None:
    assert cut_key("run-1", 4) == "pieces/run-1/4/plan"
    assert piece_key(cut_key("run-1", 4), 12) == "pieces/run-1/4/12"
    assert run_of(piece_key(cut_key("run-1", 4), 12)) == "run-1"


def test_a_piece_has_a_private_folder_of_its_own_name() -> None:
    name = piece_scratch_name("run-1", 12, 3)
    assert piece_scratch_owner(name) == ("run-1", 12, 3)
    assert piece_scratch_owner("run-1-3") is None
    assert scratch_owner("run-1-3") == ("run-1", 3)
