"""Recordings made for one property each: joined pieces against one encode of the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.pieces import PicturePiece, SoundPiece
from tests.pieces.joining import (
    Joined,
    both_ways,
    difference,
    distances,
    edits,
    in_pieces,
    luma,
    make,
    planned,
    probed,
    samples,
    times,
)

PIECE_S = 0.9
SOUND_S = 1.3
PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=192x144:r=25:d=3"]
TONE = "0.3*sin(2*PI*(200+100*t)*t)|0.2*random(0)"
SOUND = ["-f", "lavfi", "-i", f"aevalsrc={TONE}:s=48000:d=3"]
X264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "8", "-pix_fmt", "yuv420p"]
AAC = ["-c:a", "aac", "-b:a", "256k"]

RECIPES: dict[str, tuple[str, list[str]]] = {
    "reordered frames at ten million ticks a second": (
        "a.mp4",
        [*PICTURE, *SOUND, *X264, "-g", "20", *AAC, "-video_track_timescale", "10000000"],
    ),
    "open GOPs and late sound": (
        "a.mp4",
        [
            *PICTURE,
            "-itsoffset",
            "0.53",
            *SOUND,
            *X264,
            "-g",
            "20",
            "-x264-params",
            "open-gop=1:bframes=3",
            *AAC,
        ],
    ),
    "open GOPs in HEVC": (
        "a.mp4",
        [
            *PICTURE,
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-crf",
            "12",
            "-x265-params",
            "log-level=none:keyint=20:open-gop=1:bframes=4",
        ],
    ),
    "irregular frames that begin late, sound to be copied": (
        "a.mkv",
        [
            *PICTURE,
            *SOUND,
            "-vf",
            "select='not(mod(n,5))+gt(random(1),0.5)'",
            "-fps_mode",
            "vfr",
            *X264,
            "-g",
            "12",
            "-c:a",
            "aac",
            "-b:a",
            "64k",
            "-output_ts_offset",
            "7.3",
        ],
    ),
    "a browser's recording without an index": (
        "a.webm",
        [
            *PICTURE,
            *SOUND,
            "-c:v",
            "libvpx",
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
            "-b:v",
            "3M",
            "-g",
            "25",
            "-c:a",
            "libopus",
            "-b:a",
            "256k",
            "-live",
            "1",
        ],
    ),
    "fragments": (
        "a.mp4",
        [
            *PICTURE,
            *SOUND,
            *X264,
            "-g",
            "25",
            "-c:a",
            "libmp3lame",
            "-b:a",
            "256k",
            "-movflags",
            "+frag_keyframe+delay_moov",
        ],
    ),
    "frames to be thinned out, and 96 kHz": (
        "a.mov",
        [
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=192x144:r=120:d=2.6",
            *SOUND,
            *X264,
            "-g",
            "80",
            "-c:a",
            "pcm_s16le",
            "-ar",
            "96000",
        ],
    ),
    "fields, one keyframe, no sound": (
        "a.mp4",
        [
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=192x144:r=50:d=3",
            "-vf",
            "tinterlace=interleave_top,fieldorder=tff",
            "-flags",
            "+ildct+ilme",
            *X264,
            "-g",
            "900",
            "-x264-params",
            "tff=1",
        ],
    ),
}


@pytest.fixture(scope="module", params=RECIPES, ids=str)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Joined:
    """One of the recordings, made both ways."""
    folder = tmp_path_factory.mktemp("pair")
    name, recipe = RECIPES[request.param]
    return both_ways(make(folder, name, *recipe), folder, piece_s=PIECE_S, sound_s=SOUND_S)


def test_joined_pieces_are_the_whole(pair: Joined) -> None:
    """Frames and samples, their times, their order and the edit lists are those of one encode.

    Matroska does not say how long a copied track's last packet lasts: that may differ by a frame.
    """
    assert sum(isinstance(piece, PicturePiece) for piece in pair.plan.pieces) >= 2
    assert times(pair.joined, "video") == times(pair.whole, "video")
    assert times(pair.joined, "audio")[:2] == times(pair.whole, "audio")[:2]
    if pair.plan.sound_whole_because != "it is copied":
        assert times(pair.joined, "audio") == times(pair.whole, "audio")
        assert edits(pair.joined) == edits(pair.whole)
    assert [warning for piece in pair.made for warning in piece.warnings] == []
    whole, joined = luma(pair.whole), luma(pair.joined)
    assert len(whole) == len(joined)
    assert max(map(difference, whole, joined)) < 6
    assert [len(part) for part in samples(pair.joined)] == [len(p) for p in samples(pair.whole)]
    assert pair.joined.read_bytes().find(b"moov") < pair.joined.read_bytes().find(b"mdat")


def test_sound_has_no_seams(tmp_path: Path) -> None:
    """Against the source, joined sound is nowhere further off than one encode is."""
    pulses = "0.4*sin(2*PI*700*t)*lt(mod(t,0.113),0.03)|0.3*sin(2*PI*(200+90*t)*t)"
    sound = ["-f", "lavfi", "-i", f"aevalsrc='{pulses}':s=48000:d=3"]
    recipe = [*PICTURE, *sound, *X264, "-g", "25", "-c:a", "pcm_s16le"]
    source = make(tmp_path, "a.mov", *recipe)
    pair = both_ways(source, tmp_path, piece_s=PIECE_S, sound_s=0.5)
    pieces = [piece for piece in pair.plan.pieces if isinstance(piece, SoundPiece)]
    assert len(pieces) >= 3
    given = samples(source)
    for was, made, joined in zip(given, samples(pair.whole), samples(pair.joined), strict=True):
        assert len(made) == len(joined)
        one, other = distances(made, was), distances(joined, was)
        assert max(other[8:-8]) <= 1.1 * max(one[8:-8])
        for piece in pieces[1:]:
            blocks = slice(4 * piece.start - 12, 4 * piece.start + 12)
            assert max(other[blocks]) <= 1.5 * max(one[blocks]) + 0.002


def test_an_edit_list_and_a_rotation_are_kept(tmp_path: Path) -> None:
    """What lies before the edit is decoded and not shown; every piece stands upright."""
    source = make(tmp_path, "long.mp4", *PICTURE, *SOUND, *X264, "-g", "20", *AAC)
    turned = ["-display_rotation", "90", "-ss", "0.9", "-i", str(source), "-c", "copy"]
    pair = both_ways(make(tmp_path, "a.mp4", *turned), tmp_path, piece_s=PIECE_S, sound_s=SOUND_S)
    assert times(pair.joined, "video") == times(pair.whole, "video")
    assert times(pair.joined, "audio") == times(pair.whole, "audio")
    assert edits(pair.joined) == edits(pair.whole)
    assert max(map(difference, luma(pair.whole), luma(pair.joined))) < 6


def test_sound_with_a_hole_is_encoded_in_one_go(tmp_path: Path) -> None:
    """Where sound must follow its times there is one piece of it, and it is that of the whole."""
    hole = ["-af", "aselect='not(between(t,1.2,1.7))'", "-c:a", "libopus", "-b:a", "256k"]
    source = make(tmp_path, "a.mkv", *PICTURE, *SOUND, *X264, "-g", "20", *hole)
    pair = both_ways(source, tmp_path, piece_s=PIECE_S, sound_s=SOUND_S)
    assert pair.plan.sound_whole_because == "its packets come irregularly"
    assert times(pair.joined, "audio") == times(pair.whole, "audio")


@pytest.mark.parametrize(
    ("name", "recipe", "piece_s", "reason"),
    [
        ("a.mp4", [*X264], 2.0, "it is short"),
        ("a.avi", ["-c:v", "mpeg4", "-q:v", "2"], 1.0, "an AVI has no times for frames"),
        ("a.mp4", [*X264, "-g", "200"], 0.15, "its keyframes are too far apart"),
    ],
)
def test_what_cannot_be_cut_stays_whole(
    tmp_path: Path, name: str, recipe: list[str], piece_s: float, reason: str
) -> None:
    source = make(tmp_path, name, *PICTURE, *recipe)
    info = probed(source)
    pieces = in_pieces(source, planned(info), info, piece_s, SOUND_S)
    assert (len(pieces.pieces), pieces.whole_because) == (1, reason)
