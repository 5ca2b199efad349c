"""A ladder made in pieces: the frames, times and cuts that a player may rely on."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from core.ladder import Ladder, ladder_plan
from core.ladder_pieces import LadderCut, PieceSet, key_times_s, ladder_cut, span_s
from core.media import MediaInfo
from core.pieces import PicturePiece, PiecePlan, cut
from infra import ffmpeg
from tests.ladder import strict
from tests.ladder.browser import browser, opened, served
from tests.ladder.test_browser import PLAYER
from tests.pieces.joining import make, planned, probed, workshop
from transcoder.compress import Toolbox
from transcoder.ladder.joining import join_set
from transcoder.ladder.make import shop_in
from transcoder.ladder.piece import PIECE_FOLDER, encode_set_piece
from transcoder.pieces.assemble import assemble
from transcoder.pieces.encode import encode_piece
from transcoder.pieces.ranged import FileRanges
from transcoder.pieces.timeline import take_timeline

SMALL = Ladder(name="small", lines=(240, 144), segment_s=2.0)
SECONDS = 9.0
ENCODED = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A set that was made in pieces, complete in a folder."""

    cut: LadderCut
    pieces: PiecePlan
    parts: tuple[PieceSet, ...]
    folder: Path
    info: MediaInfo


def in_pieces(source: Path, folder: Path, *, piece_s: float = 3.0) -> Made:
    """Make result and set of `source` in pieces, then join both."""
    info = probed(source)
    plan = planned(info)
    shutil.copyfile(source, folder / "source")
    timeline = take_timeline(FileRanges(source), plan, workshop(folder))
    assert timeline.picture is not None
    pieces = cut(info, plan, timeline, piece_s=piece_s)
    assert not pieces.whole, pieces.whole_because
    ladder = ladder_cut(ladder_plan(info, SMALL), pieces, timeline.picture.times)
    kept, parts, made = folder / "kept", [], []
    for piece in pieces.pieces:
        found: list[PieceSet] = []
        made.append(_piece(source, folder, pieces, piece, ladder, found))
        for part in found:
            parts.append(PieceSet.from_bytes(part.to_bytes()))
            for track in part.tracks:
                for file in track.files:
                    kept.mkdir(exist_ok=True)
                    (folder / PIECE_FOLDER / file.name).replace(kept / file.sha256)
            shutil.rmtree(folder / PIECE_FOLDER)
    joined = assemble(pieces, made, workshop(folder), "joined.mp4")
    shop = shop_in(
        folder,
        Toolbox(ffmpeg=ffmpeg.find(), python=sys.executable),
        time.monotonic() + 60,
        _Deaf(),
        lambda: False,
    )
    path = join_set(
        ladder, parts, info, shop, result=joined.path.name, source=lambda: folder / "source"
    )
    for entry in json.loads((path / "manifest.json").read_text())["files"]:
        if not (path / entry["name"]).exists():
            (path / entry["name"]).parent.mkdir(exist_ok=True)
            shutil.copyfile(kept / entry["sha256"], path / entry["name"])
    return Made(cut=ladder, pieces=pieces, parts=tuple(parts), folder=path, info=info)


class _Deaf:
    def report(self, _percent: float) -> None:
        """Hear nothing."""


def _piece(
    source: Path,
    folder: Path,
    pieces: PiecePlan,
    piece: object,
    ladder: LadderCut,
    found: list[PieceSet],
) -> Path:
    shop = workshop(folder)

    def beside(excerpt: str, base: int) -> None:
        if isinstance(piece, PicturePiece):
            found.append(encode_set_piece(ladder, pieces, piece, excerpt, base, shop))

    assert isinstance(piece, PicturePiece) or piece in pieces.pieces
    made = encode_piece(pieces, piece, FileRanges(source), shop, beside=beside)
    return made.path


def check(made: Made) -> None:
    """Read the set as a strict player does."""
    master = strict.read_master(made.folder / "master.m3u8")
    assert len(master.variants) == 2
    cuts = []
    for variant in master.variants:
        playlist = strict.read_playlist(variant.playlist)
        read = strict.pieces(playlist)
        assert all(piece.key and piece.keys == 1 for piece in read)
        shown = [time for piece in read for time in piece.times]
        assert shown == sorted(shown)
        assert len(shown) == made.pieces.frames == len(strict.decoded(playlist))
        cuts.append([piece.times[0] for piece in read])
    assert all(cut == cuts[0] for cut in cuts)
    begun = [time for piece in _pictures(made) for time in key_times_s(made.cut, piece)]
    assert cuts[0] == pytest.approx(begun, abs=0.12)


def _pictures(made: Made) -> list[tuple[Fraction, Fraction]]:
    pictures = [piece for piece in made.pieces.pieces if isinstance(piece, PicturePiece)]
    return [span_s(made.pieces, piece) for piece in pictures]


def regular(folder: Path) -> Path:
    """25 frames a second, a keyframe each second, and a tone."""
    return make(
        folder,
        "source.mp4",
        *("-f", "lavfi", "-i", f"testsrc2=s=426x240:r=25:d={SECONDS}"),
        *("-f", "lavfi", "-i", f"sine=f=440:r=48000:d={SECONDS}", "-ac", "2"),
        *(*ENCODED, "-g", "25", "-c:a", "aac", "-b:a", "160k"),
    )


def irregular(folder: Path) -> Path:
    """A browser's screen recording: milliseconds, frames of all lengths, no sound."""
    return make(
        folder,
        "source.mkv",
        *("-f", "lavfi", "-i", f"testsrc2=s=426x240:r=30:d={SECONDS}"),
        *("-vf", "select='lt(mod(n,5),3)+lt(n,40)'", "-fps_mode", "vfr"),
        *(*ENCODED, "-g", "12"),
    )


@pytest.fixture(scope="module", params=[regular, irregular])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The set of a recording, made in pieces once."""
    recording: Callable[[Path], Path] = request.param
    folder = tmp_path_factory.mktemp("in-pieces")
    (folder / "work").mkdir()
    return in_pieces(recording(folder), folder / "work")


def test_pieces_make_a_set_without_a_seam(made: Made) -> None:
    """Every frame of the result, at its time, and the same cuts in every rendition."""
    assert len(made.parts) >= 3
    assert (made.cut.gap_s is None) == (made.info.audio is None)
    check(made)
    assert (made.folder / "poster.jpg").read_bytes().startswith(b"\xff\xd8")
    assert (made.folder / "storyboard-1.jpg").is_file()


def test_a_browser_plays_it_over_the_joints(made: Made, tmp_path: Path) -> None:
    """All frames are shown, none is damaged, and the buffer has no hole."""
    browser()
    shutil.copyfile(PLAYER, tmp_path / "player.html")
    (tmp_path / "set").symlink_to(made.folder)
    with served(tmp_path) as (url, answers):
        found = opened(f"{url}/player.html?rate=8", answers)
    assert "error" not in found, found
    assert (found["frames"], found["corrupted"]) == (made.pieces.frames, 0)
    assert found["buffered"]["video"] == [[pytest.approx(0), pytest.approx(SECONDS, abs=0.15)]]
