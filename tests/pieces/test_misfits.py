"""Pieces that do not belong together are refused, not joined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import BadOutput
from core.pieces import PicturePiece, PiecePlan
from core.plan import VideoEncode
from tests.pieces.joining import in_pieces, make, planned, probed, workshop
from transcoder.pieces.assemble import assemble
from transcoder.pieces.encode import encode_piece
from transcoder.pieces.ranged import FileRanges
from transcoder.runner import Outgrown


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds in three GOPs."""
    folder = tmp_path_factory.mktemp("misfits")
    clip = ["-f", "lavfi", "-i", "testsrc2=s=192x144:r=25:d=3", "-c:v", "libx264", "-g", "25"]
    return make(folder, "a.mp4", *clip, "-pix_fmt", "yuv420p", "-preset", "ultrafast")


@pytest.fixture(scope="module")
def plan(source: Path) -> PiecePlan:
    """Its three pieces."""
    info = probed(source)
    return in_pieces(source, planned(info), info, 1.0, 2.5)


@pytest.fixture(scope="module")
def made(source: Path, plan: PiecePlan) -> list[Path]:
    """The same, encoded."""
    shop = workshop(source.parent)
    return [encode_piece(plan, p, FileRanges(source), shop).path for p in plan.pieces]


def test_a_piece_too_few_is_refused(source: Path, plan: PiecePlan, made: list[Path]) -> None:
    with pytest.raises(BadOutput, match="2 pieces, not 3"):
        assemble(plan, made[:2], workshop(source.parent), "joined.mp4")


def test_a_piece_in_another_s_place_is_refused(
    source: Path, plan: PiecePlan, made: list[Path]
) -> None:
    longer = replace(plan, pieces=(*plan.pieces[:2], _longer(plan.pieces[2])))
    with pytest.raises(BadOutput, match="has 25 frames, not 26"):
        assemble(longer, made, workshop(source.parent), "joined.mp4")


def test_other_parameters_are_refused(source: Path, plan: PiecePlan, tmp_path: Path) -> None:
    video = plan.plan.video
    assert isinstance(video, VideoEncode)
    level = replace(plan, plan=replace(plan.plan, video=replace(video, level="4.2")))
    shop = workshop(tmp_path)
    paths = [
        encode_piece(which, piece, FileRanges(source), shop).path
        for which, piece in zip((plan, level, plan), plan.pieces, strict=True)
    ]
    with pytest.raises(BadOutput, match="different parameters"):
        assemble(plan, paths, shop, "joined.mp4")


def test_frames_that_are_missing_in_a_piece_are_noticed(
    source: Path, plan: PiecePlan, tmp_path: Path
) -> None:
    wrong = _longer(plan.pieces[1])
    with pytest.raises(BadOutput, match="a piece has 25 frames, not 26"):
        encode_piece(plan, wrong, FileRanges(source), workshop(tmp_path))


def test_an_output_larger_than_planned_is_given_up(
    source: Path, plan: PiecePlan, made: list[Path]
) -> None:
    small = replace(plan, plan=replace(plan.plan, size_max=20_000))
    with pytest.raises(Outgrown):
        assemble(small, made, workshop(source.parent), "joined.mp4")


def _longer(piece: object) -> PicturePiece:
    assert isinstance(piece, PicturePiece)
    return replace(piece, frames=piece.frames + 1)
