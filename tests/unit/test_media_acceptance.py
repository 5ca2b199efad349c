"""Which recordings are taken, and what is said of them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from core import limits
from core.acceptance import accept, remarks
from core.errors import DamagedSource, MediaTooComplex, NoVideoStream, UnreadableMedia
from core.media import MediaInfo, Stream
from tests.unit.media_facts import audio, recording, video


def test_an_ordinary_recording_is_accepted() -> None:
    accept(recording())


def test_a_recording_without_sound_is_accepted() -> None:
    accept(recording(video()))


def test_sound_alone_is_accepted() -> None:
    accept(recording(audio()))


def test_cover_art_is_no_picture() -> None:
    with_cover = recording(audio(), video(index=1, attached_pic=True))
    accept(with_cover)
    assert with_cover.video is None


def test_neither_picture_nor_sound_is_refused() -> None:
    with pytest.raises(NoVideoStream, match="neither"):
        accept(recording(video(index=1, attached_pic=True)))


def test_dolby_visions_own_colours_are_refused_with_the_way_out() -> None:
    accept(recording(video(dolby_vision=8)))
    with pytest.raises(UnreadableMedia, match="export it as HDR10"):
        accept(recording(video(dolby_vision=5)))


def test_a_whole_recording_needs_no_remark() -> None:
    assert remarks(recording()) == ()


def test_a_cut_recording_can_be_salvaged_but_not_silently() -> None:
    cut = recording(video(end_s=11.9), audio(end_s=11.8), cut=True)
    accept(cut, salvage=True)
    assert remarks(cut) == ("the file announces 20.0 s and holds 11.9 s: 8.1 s are missing",)


def test_less_than_half_is_not_worth_salvaging() -> None:
    with pytest.raises(DamagedSource):
        accept(recording(video(end_s=9.9), audio(end_s=9.9)), salvage=True)


def test_a_file_that_breaks_off_without_having_announced_its_end_is_taken_with_a_remark() -> None:
    live = recording(video(announced_s=None), header_duration_s=None, cut=True)
    accept(live)
    assert remarks(live) == (
        "the file breaks off after 20.0 s: what may have come after is missing",
    )


def test_what_a_header_is_a_little_wrong_about_is_told() -> None:
    (remark,) = remarks(recording(video(end_s=18.5), audio(end_s=18.5), header_duration_s=20.0))
    assert "1.5 s are missing" in remark


def test_tracks_that_are_left_out_are_told() -> None:
    first, second = audio(default=False), audio(index=2, default=True)
    assert remarks(recording(video(), audio(), audio(index=2, default=False))) == (
        "the file has 2 sound tracks: only the first is kept",
    )
    assert remarks(recording(video(), first, second)) == (
        "the file has 2 sound tracks: only the one of track 2 is kept",
    )


def test_a_track_that_cannot_be_decoded_is_not_preferred() -> None:
    info = recording(video(), audio(codec="cook", sound=None), audio(index=2, default=False))
    assert info.audio == info.streams[2]


def test_holes_in_the_sound_are_told() -> None:
    assert remarks(recording(video(), audio(hole_s=2.04))) == (
        "the sound has gaps of 2.0 s in all: they are silent",
    )


def test_a_picture_that_cannot_be_decoded_is_refused() -> None:
    with pytest.raises(UnreadableMedia, match="h264"):
        accept(recording(video(picture=None)))


def test_sound_that_cannot_be_decoded_is_refused_rather_than_lost() -> None:
    with pytest.raises(UnreadableMedia, match="cook"):
        accept(recording(video(), audio(codec="cook", sound=None)))


def test_a_cut_recording_is_refused_with_both_durations() -> None:
    cut = recording(video(end_s=11.9), audio(end_s=11.8))
    with pytest.raises(DamagedSource, match=r"announces 20\.0 s and holds 11\.9 s"):
        accept(cut)


def test_a_minute_missing_from_an_hour_is_refused() -> None:
    with pytest.raises(DamagedSource):
        accept(recording(video(end_s=3540.0), header_duration_s=3600.0))


def test_a_header_that_is_a_little_wrong_is_forgiven() -> None:
    accept(recording(video(end_s=19.2), audio(end_s=19.3)))


def test_a_file_that_ends_inside_a_box_is_judged_strictly() -> None:
    with pytest.raises(DamagedSource):
        accept(recording(video(end_s=19.2), audio(end_s=19.3), cut=True))


def test_a_short_picture_beside_whole_sound_is_accepted() -> None:
    accept(recording(video(end_s=12.0, announced_s=12.0), audio()))


def test_a_file_without_any_header_duration_is_accepted() -> None:
    accept(recording(video(announced_s=None), header_duration_s=None))


@pytest.mark.parametrize(
    "info",
    [
        recording(video(width=16_384, height=16_384)),
        recording(video(end_s=limits.DURATION_MAX_S + 1)),
        recording(*(video(index=n) for n in range(limits.STREAMS_MAX + 1))),
    ],
)
def test_recordings_beyond_the_limits_are_refused(info: MediaInfo) -> None:
    with pytest.raises(MediaTooComplex):
        accept(info)


def test_the_default_track_is_heard() -> None:
    second = audio(index=2, default=True)
    assert recording(video(), audio(default=False), second).audio == second


def test_without_a_default_the_first_track_is_heard() -> None:
    first = audio(default=False)
    assert recording(video(), first, audio(index=2, default=False)).audio == first


def test_an_empty_track_is_not_heard() -> None:
    assert recording(video(), audio(packets=0)).audio is None


@pytest.mark.parametrize(
    ("stream", "size"),
    [
        (video(), (1920, 1080)),
        (video(rotation=90), (1080, 1920)),
        (video(rotation=180), (1920, 1080)),
        (video(rotation=270), (1080, 1920)),
        (video(width=640, height=360, sar=Fraction(2)), (1280, 360)),
        (video(width=720, height=480, sar=Fraction(8, 9)), (640, 480)),
        (video(width=640, height=360, sar=Fraction(2), rotation=90), (360, 1280)),
        (video(width=640, height=360, sar=Fraction(1000)), (640, 360)),
    ],
)
def test_the_summary_has_the_size_as_displayed(stream: Stream, size: tuple[int, int]) -> None:
    summary = recording(stream).summary()
    assert (summary.width, summary.height) == size
