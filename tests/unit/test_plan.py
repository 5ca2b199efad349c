"""What is made of which recording."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from core.colour import Colour
from core.media import HLG, PQ, Container, MediaInfo, Sound, Stream
from core.plan import AudioEncode, Copy, Plan, VideoEncode, plans, remux, target_size
from core.presets import DEFAULT
from tests.unit.media_facts import PICTURE, audio, recording, video


def first(info: MediaInfo) -> Plan:
    return next(plans(info, DEFAULT))


def encode(*streams: Stream, size: int = 5_500_000) -> VideoEncode:
    plan = first(recording(*streams, size=size))
    assert isinstance(plan.video, VideoEncode)
    return plan.video


def sound(stream: Stream, container: Container = Container.MP4) -> AudioEncode | Copy | None:
    return first(recording(video(), stream, container=container)).audio


def small_enough() -> Stream:
    """Return a picture that meets the target as it is."""
    return video(width=1280, height=720)


@pytest.mark.parametrize(
    ("width", "height", "sar", "rotation", "size"),
    [
        (1920, 1080, 1, 0, (1280, 720)),
        (1920, 1080, 1, 90, (720, 1280)),
        (1080, 1920, 1, 0, (720, 1280)),
        (3840, 2160, 1, 270, (720, 1280)),
        (1280, 720, 1, 0, (1280, 720)),
        (640, 360, 1, 0, (640, 360)),
        (640, 360, 2, 0, (1280, 360)),
        (853, 481, 1, 0, (852, 480)),
        (1366, 768, 1, 0, (1280, 720)),
        (1920, 804, 1, 0, (1720, 720)),
        (720, 576, Fraction(16, 15), 0, (768, 576)),
        (1440, 1080, Fraction(4, 3), 0, (1280, 720)),
        (1000, 1000, 1, 0, (720, 720)),
        (7680, 1000, 1, 0, (4096, 534)),
        (3, 3, 1, 0, (2, 2)),
    ],
)
def test_the_short_side_has_at_most_720_lines_and_nothing_grows(
    width: int, height: int, sar: Fraction, rotation: int, size: tuple[int, int]
) -> None:
    picture = replace(PICTURE, width=width, height=height, sar=Fraction(sar), rotation=rotation)
    assert target_size(picture, DEFAULT.lines) == size


def test_an_ordinary_recording_is_encoded_as_the_preset_says() -> None:
    made = encode()
    assert (made.crf, made.speed, made.level) == (DEFAULT.crf, DEFAULT.speed, "3.1")
    assert (made.gop_frames, made.keyframe_every_s) == (150, None)
    assert made.time_base == Fraction(1, 15360)
    assert (made.deinterlace, made.tone_map, made.from_rgb) == (False, False, False)


def test_interlaced_pictures_are_deinterlaced() -> None:
    assert encode(video(interlaced=True)).deinterlace


@pytest.mark.parametrize("fps", [24.0, 59.94, 60.0, 62.3])
def test_rates_up_to_about_sixty_are_kept(fps: float) -> None:
    assert encode(video(fps=fps, peak_fps=fps)).frame_gap_min_s is None


@pytest.mark.parametrize("fps", [90.0, 120.0, 240.0])
def test_faster_recordings_are_thinned_out(fps: float) -> None:
    made = encode(video(fps=fps, peak_fps=fps))
    assert made.frame_gap_min_s == pytest.approx(1 / 66)
    assert made.frame_rate <= 60


def test_sixty_frames_counted_in_milliseconds_are_not_thinned_out() -> None:
    made = encode(video(fps=60.0, peak_fps=1 / 0.016, time_base=Fraction(1, 1000)))
    assert made.frame_gap_min_s is None


def test_a_rate_that_varies_counts_keyframes_in_seconds() -> None:
    made = encode(video(vfr=True, fps=3.0, peak_fps=30.0))
    assert (made.keyframe_every_s, made.gop_frames) == (5, 150)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (Fraction(1, 1000), Fraction(1, 1000)),
        (Fraction(1001, 24000), Fraction(1001, 24000)),
        (Fraction(1, 23_040_000), Fraction(1, 90_000)),
    ],
)
def test_times_keep_their_ticks_unless_those_are_absurd(given: Fraction, kept: Fraction) -> None:
    assert encode(video(time_base=given)).time_base == kept


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_hdr_is_tone_mapped_and_tagged_bt709(transfer: int) -> None:
    made = encode(
        video(color_transfer=transfer, color_primaries=9, color_space=9, pix_fmt="yuv420p10le")
    )
    assert made.tone_map
    assert made.convert_from == Colour(primaries=9, transfer=transfer, matrix=9)
    assert made.colour == Colour(primaries=1, transfer=1, matrix=1)


def test_wide_colours_without_hdr_are_converted() -> None:
    made = encode(video(color_transfer=2, color_primaries=9, color_space=9))
    assert not made.tone_map
    assert made.convert_from == Colour(primaries=9, transfer=14, matrix=9)


def test_older_colours_keep_their_tags() -> None:
    made = encode(video(color_transfer=6, color_primaries=5, color_space=5))
    assert made.convert_from is None
    assert made.colour == Colour(primaries=5, transfer=6, matrix=5)


def test_rgb_becomes_bt709() -> None:
    made = encode(video(pix_fmt="gbrp", color_space=0, color_transfer=2, color_primaries=2))
    assert made.from_rgb
    assert made.colour == Colour(primaries=1, transfer=1, matrix=1)


def test_no_sound_stays_no_sound() -> None:
    assert first(recording(video())).audio is None


def test_small_aac_is_copied() -> None:
    assert sound(audio(size=320_000)) == Copy(index=1)


@pytest.mark.parametrize(
    "stream",
    [
        audio(size=400_000),
        audio(size=320_000, profile="HE-AAC"),
        audio(size=320_000, codec="mp3", profile=""),
        audio(size=320_000, sound=Sound(channels=6, sample_rate=48_000, layout="5.1")),
        audio(size=320_000, packets=900),
    ],
)
def test_other_sound_is_encoded_in_stereo(stream: Stream) -> None:
    made = sound(stream)
    assert isinstance(made, AudioEncode)
    assert (made.channels, made.rate, made.sample_rate) == (2, 128_000, 48_000)


def test_sound_out_of_an_avi_is_never_copied() -> None:
    assert isinstance(sound(audio(size=320_000), Container.AVI), AudioEncode)


@pytest.mark.parametrize(
    ("given", "kept"), [(96_000, 48_000), (44_100, 44_100), (8_000, 8_000), (7_350, 8_000)]
)
def test_sample_rates_become_ones_that_players_know(given: int, kept: int) -> None:
    made = sound(
        audio(codec="pcm_s16le", sound=Sound(channels=1, sample_rate=given, layout="mono"))
    )
    assert isinstance(made, AudioEncode)
    assert (made.sample_rate, made.channels, made.rate) == (kept, 1, 64_000)


def test_sound_is_not_blown_up() -> None:
    made = sound(audio(codec="opus", size=20 * 80_000 // 8))
    assert isinstance(made, AudioEncode)
    assert made.rate == 80_000


def test_rate_and_buffer_cannot_outgrow_the_source() -> None:
    info = recording(video(size=100_000), size=105_000)
    made = encode(video(size=100_000), size=105_000)
    most = made.rate_max * info.duration_s + 0.9 * made.buffer
    assert most / 8 <= info.size


def test_the_trial_beside_a_copy_does_not_trade_quality_for_size() -> None:
    info = recording(small_enough(), audio(size=320_000), size=400_000)
    trial = first(info).video
    assert isinstance(trial, VideoEncode)
    assert trial.rate_max == DEFAULT.video_rate_max


def test_a_picture_that_meets_the_target_is_copied_if_encoding_saves_too_little() -> None:
    info = recording(small_enough(), audio(size=320_000))
    tried, copied, *tighter = plans(info, DEFAULT)
    assert (tried.action, tried.size_max) == ("encoded", 4_950_000)
    assert (copied.action, copied.size_max) == ("remuxed", info.size)
    assert copied.audio == Copy(index=1)
    assert all(plan.action == "encoded" for plan in tighter)


@pytest.mark.parametrize(
    "stream",
    [
        video(),
        video(width=1280, height=720, rotation=180),
        video(width=1280, height=720, mirrored=True),
        video(width=640, height=360, sar=Fraction(2)),
        video(width=853, height=480),
        video(width=1280, height=720, codec="hevc"),
        video(width=1280, height=720, profile="High 10", pix_fmt="yuv420p10le"),
        video(width=1280, height=720, pix_fmt="yuv444p"),
        video(width=1280, height=720, interlaced=True),
        video(width=1280, height=720, color_range=2),
        video(width=1280, height=720, color_transfer=PQ),
        video(width=1280, height=720, fps=120.0, peak_fps=120.0),
    ],
)
def test_a_picture_that_misses_the_target_is_never_copied(stream: Stream) -> None:
    assert remux(recording(stream), DEFAULT) is None


def test_a_picture_out_of_an_avi_is_never_copied() -> None:
    assert remux(recording(small_enough(), container=Container.AVI), DEFAULT) is None


def test_each_further_try_gives_up_more() -> None:
    tries = list(plans(recording(), DEFAULT))
    videos = [plan.video for plan in tries if isinstance(plan.video, VideoEncode)]
    assert [v.crf for v in videos] == sorted(v.crf for v in videos)
    assert [v.rate_max for v in videos] == sorted((v.rate_max for v in videos), reverse=True)
    assert videos[-1].height < videos[0].height
    assert len(tries) <= 6
