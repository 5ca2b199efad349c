"""The arithmetic of cutting, without any media."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest

from core.errors import BadMessage
from core.media import Container, MediaInfo, Picture, Sound, Stream
from core.pieces import (
    PICTURE_PIECES_MAX,
    PIECES_MAX,
    PicturePiece,
    PiecePlan,
    SoundPiece,
    cut,
)
from core.plan import Plan, VideoEncode, plans
from core.presets import DEFAULT
from core.timeline import Keyframe, PictureLine, SoundLine, Timeline

HOUR_S = 3600


def lecture(seconds: float, fps: int = 30) -> MediaInfo:
    picture = Picture(
        width=1920, height=1080, sar=Fraction(1), rotation=0, mirrored=False,
        pix_fmt="yuv420p", bit_depth=8, color_range=1, color_space=1, color_transfer=1,
        color_primaries=1, interlaced=False, fps=fps, peak_fps=fps, vfr=False,
        time_base=Fraction(1, 15_360),
    )  # fmt: skip
    video = Stream(
        index=0, kind="video", codec="h264", profile="High", default=True, attached_pic=False,
        start_s=0, end_s=seconds, packets=int(seconds * fps), size=int(seconds * 200_000),
        picture=picture,
    )  # fmt: skip
    audio = Stream(
        index=1, kind="audio", codec="pcm_s16le", profile="", default=True, attached_pic=False,
        start_s=0, end_s=seconds, packets=int(seconds * 46), size=int(seconds * 96_000),
        sound=Sound(channels=1, sample_rate=48_000, layout="mono"),
    )  # fmt: skip
    return MediaInfo(
        container=Container.MP4,
        size=int(seconds * 300_000),
        header_duration_s=seconds,
        streams=(video, audio),
        index_first=True,
    )


def timeline(seconds: float, fps: int = 30, key_s: float = 8) -> Timeline:
    step = 15_360 // fps
    times = range(0, int(seconds * 15_360), step)
    every = max(round(key_s * fps), 1)
    keyframes = [Keyframe(time=time, decoded=time - step) for time in times[::every]]
    sound = SoundLine(
        time_base=Fraction(1, 48_000),
        sample_rate=48_000,
        first_packet=0,
        first_heard=0,
        skipped=0,
        samples=int(seconds * 48_000),
        form="mov",
    )
    line = PictureLine(
        time_base=Fraction(1, 15_360), times=times, keyframes=keyframes, last_ticks=step, form="mp4"
    )
    return Timeline(start_us=0, picture=line, sound=sound)


def plan_of(info: MediaInfo) -> Plan:
    return next(plan for plan in plans(info, DEFAULT) if isinstance(plan.video, VideoEncode))


def pictures(plan: PiecePlan) -> list[PicturePiece]:
    return [piece for piece in plan.pieces if isinstance(piece, PicturePiece)]


def sounds(plan: PiecePlan) -> list[SoundPiece]:
    return [piece for piece in plan.pieces if isinstance(piece, SoundPiece)]


@pytest.fixture
def hour() -> PiecePlan:
    """An hour's lecture in pieces."""
    info = lecture(HOUR_S)
    return cut(info, plan_of(info), timeline(HOUR_S), piece_s=60)


def test_every_frame_is_in_exactly_one_piece(hour: PiecePlan) -> None:
    parts = pictures(hour)
    assert all(a.end == b.start for a, b in pairwise(parts))
    assert (parts[0].start, parts[-1].end) == (0, HOUR_S * 15_360 - 512 + 1)
    assert sum(piece.frames for piece in parts) == hour.frames == HOUR_S * 30
    assert all(b.first - a.last == 512 for a, b in pairwise(parts))


def test_pieces_begin_at_keyframes_and_last_about_a_minute(hour: PiecePlan) -> None:
    parts = pictures(hour)
    assert all(piece.start == piece.keyframe.time for piece in parts)
    assert {round(piece.frames / 30) for piece in parts[:-1]} <= {56, 64}
    assert len(parts) in {60, 61, 64}


def test_every_sound_frame_is_in_exactly_one_piece(hour: PiecePlan) -> None:
    parts = sounds(hour)
    assert len(parts) == 12
    assert parts[0].start == parts[0].lead == 0
    assert all(a.start + (a.frames or 0) == b.start for a, b in pairwise(parts))
    assert all(piece.sound_start == (piece.start - piece.lead) * 1024 for piece in parts)
    assert parts[-1].frames is None


def test_sound_that_is_resampled_is_cut_on_whole_samples_of_both_rates() -> None:
    info = lecture(HOUR_S)
    line = timeline(HOUR_S)
    assert line.sound
    odd = replace(line.sound, sample_rate=44_100, time_base=Fraction(1, 44_100))
    pieces = sounds(cut(info, plan_of(info), replace(line, sound=odd)))
    assert len(pieces) > 8
    for piece in pieces:
        began = piece.start - piece.lead
        assert piece.sound_start * 48_000 == began * 1024 * 44_100


@pytest.mark.parametrize("key_s", [0.5, 8, 100, 500])
def test_a_day_has_a_bounded_number_of_pieces(key_s: float) -> None:
    day_s = 24 * HOUR_S
    info = lecture(day_s, fps=2)
    plan = cut(info, plan_of(info), timeline(day_s, fps=2, key_s=key_s))
    assert 100 < len(pictures(plan)) <= PICTURE_PIECES_MAX
    assert len(plan.pieces) <= PIECES_MAX


def test_a_piece_between_distant_keyframes_is_decoded_from_the_one_before() -> None:
    info = lecture(HOUR_S)
    plan = cut(info, plan_of(info), timeline(HOUR_S, key_s=250))
    assert len(pictures(plan)) > 30
    assert all(piece.keyframe.time <= piece.start for piece in pictures(plan))
    assert any(piece.keyframe.time < piece.start for piece in pictures(plan))


def test_a_recording_with_one_keyframe_stays_whole() -> None:
    info = lecture(HOUR_S)
    plan = cut(info, plan_of(info), timeline(HOUR_S, key_s=HOUR_S))
    assert plan.whole_because == "its keyframes are too far apart"


def test_a_damaged_recording_stays_whole() -> None:
    info = lecture(HOUR_S)
    for damaged in (replace(info, clean=False), replace(info, cut=True)):
        plan = cut(damaged, plan_of(info), timeline(HOUR_S))
        assert (len(plan.pieces), plan.whole_because) == (1, "it is damaged")


def test_what_only_its_first_picture_tells_how_to_read_stays_whole() -> None:
    """Old x264 wrote 4:4:4 in a way of its own; an excerpt would be decoded as rubbish."""

    def reason(codec: str, pix_fmt: str) -> str | None:
        info = lecture(HOUR_S)
        streams = tuple(
            replace(each, codec=codec, picture=replace(each.picture, pix_fmt=pix_fmt))
            if each.picture
            else each
            for each in info.streams
        )
        changed = replace(info, streams=streams)
        return cut(changed, plan_of(changed), timeline(HOUR_S)).whole_because

    assert reason("h264", "yuv444p") == "its first picture says how all others are to be read"
    assert reason("hevc", "yuv444p") is None
    assert reason("h264", "yuv420p") is None


def test_frames_at_the_same_time_keep_a_recording_whole() -> None:
    info, line = lecture(HOUR_S), timeline(HOUR_S)
    assert line.picture
    times = [*line.picture.times[:100], line.picture.times[99], *line.picture.times[100:]]
    twice = replace(line, picture=replace(line.picture, times=times))
    assert cut(info, plan_of(info), twice).whole_because == "frames are shown at the same time"


def test_thinning_goes_on_over_a_cut_as_if_there_were_none() -> None:
    """Of 120 frames a second each second one is kept, whatever piece it lies in."""
    info = lecture(600, fps=120)
    plan = cut(info, plan_of(info), timeline(600, fps=120, key_s=7.1))
    parts = pictures(plan)
    assert plan.frames == 600 * 60
    assert all(b.first - a.last == 15_360 // 60 for a, b in pairwise(parts))


def test_a_plan_survives_its_document(hour: PiecePlan) -> None:
    assert PiecePlan.from_document(json.loads(json.dumps(hour.to_document()))) == hour


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document | {"version": 2},
        lambda document: document | {"shift": "0"},
        lambda document: document | {"pieces": [{"kind": "Plan"}]},
        lambda document: document | {"more": 1},
        lambda document: {k: v for k, v in document.items() if k != "plan"},
        lambda _: [],
    ],
)
def test_anything_else_is_refused(hour: PiecePlan, spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(BadMessage):
        PiecePlan.from_document(spoil(hour.to_document()))
