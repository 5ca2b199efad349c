"""What belongs to a worker that was overtaken is told from what belongs to the next one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from core import events as ev
from core.declarations import Declaration, Outcome, settle, write_declaration
from core.errors import LeaseLost
from core.job import Job, State, cut_key, outcome_key, piece_scratch_name
from core.piecework import piece_message
from functions.sweep import remove_abandoned, remove_orphans
from tests.fakes import START, World, a_failure, a_media_summary, a_world, an_upload, put
from transcoder.scratch import private_folder

PIECE: Final = 1


@pytest.fixture
def world() -> World:
    """A world with one job that was cut into two pieces."""
    world = a_world()
    put(world.objects, "uploads/run-1/source", b"a recording")
    world.ledger.receive(an_upload("video-1", run="run-1"))
    world.ledger.apply("video-1", ev.Claimed())
    cut(world, fence=1)
    return world


def cut(world: World, *, fence: int) -> None:
    """Cut the job."""
    world.ledger.apply(
        "video-1",
        ev.PiecesCut(
            fence=fence,
            plan_key=cut_key("run-1", fence),
            pieces=2,
            source_media=a_media_summary(),
        ),
    )


def take(world: World) -> int:
    """Claim the piece, and return the number of the claim."""
    after = world.ledger.claim_piece(piece_message(world.ledger.read("video-1"), PIECE))
    assert after.board is not None
    return after.board.piece(PIECE).claim


def put_off(world: World, claim: int) -> Job:
    """Report a passing failure of the piece."""
    failure = a_failure("scratch_full")
    event = ev.PieceRetried(cut=1, number=PIECE, claim=claim, failure=failure, delay_s=0)
    return world.ledger.apply("video-1", event)


def test_a_claim_after_another_try_is_told_from_one_before_it(world: World) -> None:
    """Tries set the count of lost workers back, which must not make two claims look alike."""
    late = take(world)
    world.clock.advance(world.ledger.policy.piece_lease_s)
    put_off(world, take(world))
    present = take(world)
    for event in (
        ev.PieceRenewed(cut=1, number=PIECE, claim=late),
        ev.PieceReleased(cut=1, number=PIECE, claim=late),
    ):
        with pytest.raises(LeaseLost):
            world.ledger.apply("video-1", event)
    world.ledger.apply("video-1", ev.PieceRenewed(cut=1, number=PIECE, claim=present))


def test_a_claim_of_the_next_cut_is_told_from_one_of_the_last(world: World) -> None:
    """Their private folders are named for them, and one may still be there."""
    first = take(world)
    for number in range(2):
        world.ledger.apply("video-1", ev.PieceMade(cut=1, number=number))
    world.ledger.apply("video-1", ev.Claimed())
    cut(world, fence=2)
    assert take(world) != first


def test_the_folder_of_a_lost_worker_goes_when_its_job_has_failed(
    world: World, tmp_path: Path
) -> None:
    """The record is kept for a month; what is left of the recording is not."""
    folder = tmp_path / piece_scratch_name("run-1", PIECE, take(world))
    folder.mkdir()
    assert remove_abandoned(world.ledger, tmp_path).folders == 0
    world.ledger.apply(
        "video-1", ev.PieceFailed(cut=1, number=0, failure=a_failure("encode_failed"))
    )
    assert remove_abandoned(world.ledger, tmp_path).folders == 1
    assert not folder.exists()


def test_an_upload_keeps_its_outcome_longer_than_its_declaration() -> None:
    """A sweep that dies between the two must leave no upload that nothing has become of."""
    world = a_world()
    settle(world.objects, "run-1", Outcome(video_id="video-1", code="conflicting_upload"))
    write_declaration(
        world.objects,
        Declaration(
            run="run-1",
            video_id="video-1",
            organization_id="org-1",
            size=1,
            content_type="video/mp4",
            sha256=None,
            created_at=START,
            expires_at=START + 10,
            handle="h",
        ),
    )
    world.clock.advance(1000)
    remove_orphans(world.ledger, grace_s=100)
    assert world.objects.keys() == {outcome_key("run-1")}
    remove_orphans(world.ledger, grace_s=100)
    assert world.objects.keys() == set()


def test_the_failure_of_a_worker_that_was_overtaken_fails_no_job(world: World) -> None:
    """Its folder was taken from under its encoder: that says nothing of the recording."""
    late = take(world)
    world.clock.advance(world.ledger.policy.piece_lease_s)
    now = take(world)
    failed = ev.PieceFailed(cut=1, number=PIECE, failure=a_failure(), claim=late)
    with pytest.raises(LeaseLost):
        world.ledger.apply("video-1", failed)
    assert world.ledger.read("video-1").state is State.PROCESSING
    world.ledger.apply("video-1", replace(failed, claim=now))
    assert world.ledger.read("video-1").state is State.FAILED


def test_a_folder_that_is_there_already_is_somebody_elses(tmp_path: Path) -> None:
    with private_folder(tmp_path, "job") as folder:
        (folder / "source").write_bytes(b"in use")
        with pytest.raises(FileExistsError), private_folder(tmp_path, "job"):
            pass
        assert (folder / "source").read_bytes() == b"in use"
    assert not folder.exists()
