"""From measured samples to what is encoded: no file is touched."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from core.codecs import SCALES, Codec
from core.presets import LECTURE, SMART, Target
from core.smart import (
    PROBES_MAX,
    Expected,
    Heard,
    Kind,
    Probe,
    Voice,
    expected,
    first_crf,
    guessed_kind,
    kind_of,
    next_crf,
    sounding,
    styled,
    voice_of,
)
from core.windows import sound_windows, windows

TARGET = Target(mean=93, low=88)
PIXELS = 1280 * 720
FIRST_CRF = SCALES[Codec.H264].first
STILL, MOVED, CORNER, CAMERA = 20, 150, 700, 6_000
"""Bytes of 720p frames at CRF 28: a repeated one, a cursor, a camera in the corner, and all."""


def probe(crf: float, mean: float, low: float | None = None, *, size: int = CORNER) -> Probe:
    """Return a probe whose frames reach `mean`, one in ten of them only `low`."""
    low = mean if low is None else low
    rest = (mean - 0.1 * low) / 0.9
    return Probe(crf=crf, vmaf=(low, *[rest] * 9) * 6, sizes=(size,) * 60, pixels=PIXELS)


def searched(quality: Callable[[float], Probe], kind: Kind) -> tuple[Expected, int]:
    """Probe as long as more is to be known; return what comes of it, and how many were needed."""
    probes = [quality(first_crf(kind, Codec.H264))]
    while (crf := next_crf(probes, kind, TARGET)) is not None:
        probes.append(quality(crf))
    return expected(probes, kind, TARGET), len(probes)


# --- windows ----------------------------------------------------------------------------------
@pytest.mark.parametrize("duration_s", [1, 2, 3.1, 6, 8, 9.7, 15, 60, 3600, 86_400])
@pytest.mark.parametrize("fps", [5, 15, 30, 60])
def test_windows_lie_spread_over_the_recording(duration_s: float, fps: float) -> None:
    """They are in order, do not overlap, and there is one in each equal part."""
    found = windows(duration_s, fps)
    ends = [window.start_s + window.length_s for window in found]
    assert found[0].start_s >= 0
    assert ends[-1] <= duration_s
    assert all(after.start_s >= end for after, end in zip(found[1:], ends, strict=False))
    assert [int(w.start_s / duration_s * len(found)) for w in found] == list(range(len(found)))


def test_a_short_recording_is_not_sampled_and_a_long_one_for_seconds_only() -> None:
    """The samples of an hour take no longer than those of five minutes."""
    assert windows(0.9, 30) == ()
    assert sum(w.length_s for w in windows(15, 30)) == pytest.approx(3)
    assert sum(w.length_s for w in windows(3600, 30)) == sum(w.length_s for w in windows(300, 30))


@pytest.mark.parametrize("duration_s", [1.0, 1.9, 2.0, 3.5, 5.0, 7.5])
def test_of_a_few_seconds_one_or_two_are_sampled(duration_s: float) -> None:
    """A clip of a telephone is measured like a lecture, in no more windows than it takes."""
    found = windows(duration_s, 30)
    assert sum(window.length_s for window in found) == pytest.approx(min(duration_s, 1.75), abs=0.3)
    assert len(found) <= 2


def test_windows_are_longer_where_frames_are_rare() -> None:
    """A screen recording may show one frame a second; a sample needs more than two of them."""
    assert all(window.length_s * 1.0 >= 20 for window in windows(3600, 1.0))


def test_windows_are_cut_exactly_only_where_they_might_meet() -> None:
    """Far from each other they may begin at a keyframe, which saves decoding what is skipped."""
    assert all(window.exact for window in windows(30, 30))
    assert not any(window.exact for window in windows(600, 30))


def test_all_of_a_short_recordings_sound_is_heard() -> None:
    """Passages in stereo shall not be missed where hearing all of it costs little."""
    (only,) = sound_windows(80)
    assert (only.start_s, only.length_s) == (0, 80)
    assert sum(window.length_s for window in sound_windows(3600)) == pytest.approx(96)


# --- kinds ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("sizes", "kind"),
    [
        ([STILL] * 58 + [20_000] * 2, Kind.SLIDES),
        ([STILL] * 30 + [MOVED] * 30, Kind.SCREEN),
        ([CORNER] * 60, Kind.MIXTURE),
        ([STILL] * 6 + [CORNER] * 54, Kind.MIXTURE),
        ([CAMERA] * 60, Kind.CAMERA),
    ],
)
def test_the_bytes_of_frames_tell_what_is_shown(sizes: list[int], kind: Kind) -> None:
    """Still frames cost next to nothing, moving ones in proportion to what moves."""
    given = Probe(crf=28, vmaf=(95.0,), sizes=tuple(sizes), pixels=PIXELS)
    assert kind_of(given) is kind


def test_the_kind_depends_neither_on_the_crf_nor_on_the_size() -> None:
    """At CRF 22 frames have twice the bytes; at 360p a quarter of the pixels."""
    finer = Probe(crf=22, vmaf=(95.0,), sizes=(4 * CORNER,) * 60, pixels=PIXELS)
    smaller = Probe(crf=28, vmaf=(95.0,), sizes=(CAMERA // 4,) * 60, pixels=PIXELS // 4)
    assert (kind_of(finer), kind_of(smaller)) == (Kind.MIXTURE, Kind.CAMERA)


def test_text_stays_legible_whatever_vmaf_thinks() -> None:
    """The CRF of slides is bounded, however well they score."""
    found, probes = searched(lambda crf: probe(crf, 99.5 - 0.05 * crf, size=STILL), Kind.SLIDES)
    assert found.crf == SCALES[Codec.H264].text_max
    assert probes <= 2


def test_frames_of_a_screen_are_thinned_out_to_thirty_and_a_cameras_are_kept() -> None:
    """Nobody misses every second frame of a cursor; movement at 60 is what it is for."""
    assert styled(SMART, Kind.SCREEN, 30).frame_rate_max == 30
    assert styled(SMART, Kind.CAMERA, 27).frame_rate_max == 60


@pytest.mark.parametrize(
    ("frame_bytes", "kind"),
    [(4_600, Kind.SCREEN), (22_500, Kind.SCREEN), (105_000, Kind.MIXTURE), (225_000, Kind.MIXTURE)],
)
def test_what_a_sample_takes_without_losses_says_where_to_begin(
    frame_bytes: int, kind: Kind
) -> None:
    """Bytes a frame as measured of a terminal, a camera in the corner, a camera and a film."""
    assert guessed_kind(frame_bytes * 100, PIXELS * 100) is kind


# --- the search -------------------------------------------------------------------------------
@pytest.mark.parametrize("slope", [0.4, 0.8, 1.2, 1.8])
@pytest.mark.parametrize("at_28", [90.0, 92.5, 94.0, 96.0])
def test_two_or_three_probes_find_the_target(slope: float, at_28: float) -> None:
    """Quality falls faster the higher the CRF; what is told of it is right within half a point."""

    def quality(crf: float) -> Probe:
        step = crf - FIRST_CRF
        bent = (100 - at_28) * (math.exp(slope / 7 * step) - 1)
        return probe(crf, min(at_28 - (bent + slope * step) / 2, 100.0))

    found, probes = searched(quality, Kind.CAMERA)
    truth = quality(found.crf).mean
    assert probes <= PROBES_MAX
    assert found.mean == pytest.approx(truth, abs=0.5)
    assert found.crf in {18, 34} or 92.9 <= truth <= 94.2


@pytest.mark.parametrize("kind", [Kind.SCREEN, Kind.CAMERA])
def test_a_first_probe_that_hits_needs_no_second(kind: Kind) -> None:
    """Each probe costs as much as encoding the samples, and what it measured is what is told."""
    begun = first_crf(kind, Codec.H264)
    found, probes = searched(lambda crf: probe(crf, 93.3 - (crf - begun)), kind)
    assert (probes, found.crf) == (1, begun)
    assert found.mean == pytest.approx(93.3)


def test_a_screen_is_not_measured_again_for_little() -> None:
    """Its picture has few bytes beside its sound, and what was measured is known best."""
    first = [probe(31, 93.7)]
    assert next_crf(first, Kind.SCREEN, TARGET) is None
    taken = expected(first, Kind.SCREEN, TARGET)
    assert taken.crf == 31
    assert taken.mean == pytest.approx(93.7)
    assert next_crf([probe(31, 95.5)], Kind.SCREEN, TARGET) == 33


def test_bad_frames_decide_where_the_mean_would_be_good() -> None:
    """One frame in ten below 88 asks for a lower CRF than the mean does."""
    even, _ = searched(lambda crf: probe(crf, 96 - (crf - 28)), Kind.CAMERA)
    uneven, _ = searched(lambda crf: probe(crf, 96 - (crf - 28), 88 - (crf - 28)), Kind.CAMERA)
    assert uneven.crf < even.crf
    assert uneven.low == pytest.approx(88.4, abs=0.3)


def test_no_more_bytes_are_spent_than_anybody_sees() -> None:
    """Noise never reaches the target; the CRF has a lower bound."""
    found, probes = searched(lambda crf: probe(crf, 60 - (crf - 28)), Kind.CAMERA)
    assert (found.crf, probes <= PROBES_MAX) == (18, True)


# --- sound ------------------------------------------------------------------------------------
def heard(mid: list[float], side: list[float]) -> Heard:
    return Heard(mid=tuple(mid), side=tuple(side), a_second=40)


def spoken(seconds: int) -> list[float]:
    """Return levels as syllables have them: loud and quiet by turns."""
    return [-20.0, -22.0, -21.0, -45.0, -60.0, -24.0, -55.0, -48.0] * (5 * seconds)


def test_a_voice_in_two_equal_channels_is_one() -> None:
    """What a codec or a converter adds to one of them does not count."""
    mid = spoken(10)
    assert voice_of(heard(mid, [level - 30 for level in mid])) == Voice(
        speech=True, one_channel=True
    )


def test_noise_in_pauses_does_not_make_stereo() -> None:
    """In a pause both channels hold only noise, which differs between them."""
    mid, side = spoken(10) + [-75.0] * 400, [-80.0] * 400 + [-75.0] * 400
    assert voice_of(heard(mid, side)).one_channel


def test_one_passage_in_stereo_keeps_both_channels() -> None:
    """A film shown in the lecture shall keep its sound."""
    mid = spoken(20)
    side = [-70.0] * (40 * 18) + [-25.0] * (40 * 2)
    assert not voice_of(heard(mid, side)).one_channel


def test_channels_that_cancel_each_other_are_kept() -> None:
    """A channel with its sign reversed would leave nothing in the middle."""
    assert not voice_of(heard([-110.0] * 400, spoken(10))).one_channel


def test_silence_needs_one_channel() -> None:
    """There is nothing that two could differ in."""
    assert voice_of(heard([-120.0] * 400, [-120.0] * 400)) == Voice(speech=False, one_channel=True)


def test_even_sound_is_no_speech() -> None:
    """Music goes on; only a voice pauses between syllables."""
    assert not voice_of(heard([-20.0] * 400, [-90.0] * 400)).speech


def test_a_voice_gets_half_of_what_music_gets() -> None:
    """Speech in one channel has 48 to 56 kb/s, music in two what the preset gives it."""
    voice = sounding(SMART, Voice(speech=True, one_channel=True))
    music = sounding(SMART, Voice(speech=False, one_channel=False))
    assert voice.audio_channels_max == 1
    assert 48_000 <= voice.audio_rate_per_channel <= 56_000
    assert voice.audio_copy_rate_max < 80_000
    assert (music.audio_channels_max, music.audio_rate_per_channel) == (2, 64_000)
    assert music.audio_copy_rate_max == LECTURE.audio_copy_rate_max
