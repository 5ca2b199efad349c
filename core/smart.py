"""What samples of a recording say about how to encode it: pure, nothing is run here.

A recording is sampled in short windows spread evenly over it. What they take without losses says
at which CRF to begin. They are encoded at it, and measured; the quality that they reach, and how
their bytes lie, say whether to measure at another one, and after one to three such probes which
CRF reaches the target.
"""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from core.codecs import SCALES, Codec
from core.loudness import is_speech
from core.presets import SMART, Preset, Speed, Target


class Kind(StrEnum):
    """What a recording mostly shows."""

    SLIDES = "slides"  # still but for a cursor, and a new page now and then
    SCREEN = "screen"  # typing, scrolling, demonstrations: still for part of the time
    MIXTURE = "mixture"  # something small always moves: a camera in a corner
    CAMERA = "camera"  # the whole picture moves, or is noisy


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What the windows became at one CRF.

    `vmaf` are the scores of the frames that were compared, `sizes` the bytes of every frame,
    `pixels` those of a frame.
    """

    crf: float
    vmaf: tuple[float, ...]
    sizes: tuple[int, ...]
    pixels: int
    codec: Codec = Codec.H264

    @property
    def mean(self) -> float:
        """Return the mean score."""
        return statistics.fmean(self.vmaf)

    @property
    def low(self) -> float:
        """Return the 5th percentile of the scores."""
        return sorted(self.vmaf)[int(len(self.vmaf) * _LOW_SHARE)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A CRF, and the mean and 5th percentile of VMAF that are expected of it."""

    crf: float
    mean: float
    low: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Levels in dB of short pieces of sound: of what two channels share, and of what they do not.

    There are `a_second` of them; `side` is empty where there is one channel only.
    """

    mid: tuple[float, ...]
    side: tuple[float, ...]
    a_second: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """Whether the sound is somebody speaking, and whether one channel holds all of it."""

    speech: bool
    one_channel: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a recording is encoded with, and why; None for what was not sampled.

    `warnings` say what could not be measured, so that the preset's own figures stand.
    """

    preset: Preset
    kind: Kind | None = None
    expected: Expected | None = None
    voice: Voice | None = None
    probes: tuple[Probe, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Style:
    """How a kind of recording is encoded; `speed` and `x264` are those of that encoder.

    A keyframe costs a still picture as much as many seconds between two. What lies between is
    decoded so fast that seeking does not suffer from `gop_s`.

    `text` must stay legible, whatever VMAF thinks of it.
    """

    speed: str
    x264: str
    gop_s: float
    frame_rate_max: float
    text: bool


_LOW_SHARE: Final = 0.05
# --- what it shows ----------------------------------------------------------------------------
_CALM_BYTES: Final = 0.05
"""Bytes a pixel of a sample without losses, up to which most of its picture stands still.
Measured: 0.005 to 0.024 for a terminal, slides, and slides with a camera in the corner; 0.11 to
0.24 for camera footage and an animated film."""
_MACROBLOCK: Final = 256
_HEADER_BYTES: Final = 20
"""What x264 needs for a frame that repeats the one before."""
_STILL_BYTES: Final = 0.02
"""Bytes a macroblock of a frame in which next to nothing happens: 72 at 720p. A moved cursor
costs about 100."""
_SMALL_BYTES: Final = 0.45
"""The same of a frame in which a small part moves: 1,600 at 720p, 390 kb/s at 30 frames."""
_SLIDES_STILL: Final = 0.85
_SCREEN_STILL: Final = 0.35
"""Shares of still frames from which a recording counts as slides, or as a screen."""


def guessed_kind(sample_bytes: int, pixels: float) -> Kind:
    """Guess what a recording shows before anything is encoded, by a sample without losses.

    `pixels` are those of all its frames. Whether it is a camera's is for the first probe to tell.
    """
    return Kind.SCREEN if sample_bytes <= _CALM_BYTES * pixels else Kind.MIXTURE


def kind_of(probe: Probe) -> Kind:
    """Return what a recording shows, by the sizes of its frames as at its codec's first CRF."""
    scale = SCALES[probe.codec]
    level = scale.bytes_step ** (probe.crf - scale.first) * _MACROBLOCK / probe.pixels
    sizes = [max(size - _HEADER_BYTES, 0) * level for size in probe.sizes]
    still = sum(size <= _STILL_BYTES for size in sizes) / len(sizes)
    if still >= _SLIDES_STILL:
        return Kind.SLIDES
    if still >= _SCREEN_STILL:
        return Kind.SCREEN
    return Kind.MIXTURE if statistics.median(sizes) <= _SMALL_BYTES else Kind.CAMERA


_SHARP: Final = SMART.x264
_ALIVE: Final = "psy-rd=0.3,0:aq-strength=0.3:deblock=1,1"
"""Parameters of x264. Its defaults sharpen noise and spend bits on flat parts, at the expense of
text and of VMAF. Measured with FFmpeg 9.0, video bytes at VMAF 93 against `veryfast`'s:

| x264 at `medium`             | 6 s of camera | 7 s with a camera in the corner |
|------------------------------|---------------|---------------------------------|
| as it is                     | 0.88          | 0.95                            |
| psy=0                        | 0.80          | 0.86                            |
| psy=0:aq-strength=0.5        | 0.69          | 0.80                            |
| psy=0:aq-strength=0.25       | 0.67          | 0.67                            |

A little of `psy-rd` keeps the grain of camera footage, for 1.5% of its bytes; five B-frames save
3% where much stands still. Slides at CRF 30: 5th percentile 89.5 with `aq-strength=0.5`, 94.6 with
0.25, for 3.6% more bytes.
"""
_STYLES: Final = {
    Kind.SLIDES: _Style(speed="medium", x264=_SHARP, gop_s=20, frame_rate_max=30, text=True),
    Kind.SCREEN: _Style(speed="medium", x264=_SHARP, gop_s=20, frame_rate_max=30, text=True),
    Kind.MIXTURE: _Style(speed="medium", x264=_SHARP, gop_s=10, frame_rate_max=30, text=False),
    Kind.CAMERA: _Style(speed="fast", x264=_ALIVE, gop_s=5, frame_rate_max=60, text=False),
}


def crf_max(kind: Kind, codec: Codec) -> float:
    """Return the highest CRF for such recordings."""
    scale = SCALES[codec]
    return scale.text_max if _STYLES[kind].text else scale.most


def alike(kind: Kind, other: Kind, codec: Codec) -> bool:
    """Return whether what was measured of one kind's encode holds for the other's."""
    one, two = _STYLES[kind], _STYLES[other]
    return codec is not Codec.H264 or (one.speed, one.x264) == (two.speed, two.x264)


def styled(preset: Preset, kind: Kind, crf: float) -> Preset:
    """Return the preset for recordings of this kind, at this CRF."""
    style = _STYLES[kind]
    return replace(
        preset,
        speed=_speed(preset, style),
        crf=min(crf, crf_max(kind, preset.codec)),
        x264=style.x264,
        gop_s=style.gop_s,
        frame_rate_max=min(style.frame_rate_max, preset.frame_rate_max),
    )


def _speed(preset: Preset, style: _Style) -> str:
    if isinstance(preset.speed, Speed):
        return preset.speed
    return SCALES[preset.codec].speed or style.speed


# --- how good it gets -------------------------------------------------------------------------
PROBES_MAX: Final = 3
_GROWTH: Final = {Kind.SLIDES: 0.085, Kind.SCREEN: 0.085, Kind.MIXTURE: 0.09, Kind.CAMERA: 0.14}
"""By how much, as a logarithm, what is missing from VMAF 100 grows with a step of x264's CRF, until
two probes tell: 0.5 to 1 VMAF at 93. A straight line through two probes that are five steps apart
lies 0.5 below what is measured between them, this curve 0.3."""
_GROWTH_MIN: Final = 0.03
_GROWTH_MAX: Final = 0.35
"""A curve through two probes is trusted within these: samples of still pictures are noisy."""
_LOSS_MIN: Final = 0.5
"""VMAF is told no nearer to 100 than this."""
_NEAR_ONE: Final = 0.75
_NEAR_TWO: Final = 1.5
"""Steps of CRF that one probe, or a curve through two, is trusted beyond its own CRFs."""
_AIM: Final = 0.3
"""VMAF above the target that is aimed at, for what samples do not see."""
_SURE: Final = 0.1
"""VMAF by which a probe must be over the target to be taken as it is."""
_SPARE: Final = {Kind.SLIDES: 1.5, Kind.SCREEN: 1.5, Kind.MIXTURE: 1.5, Kind.CAMERA: 0.3}
"""A probe so far above the target is taken as it is. What was measured is known better than what
lies between, and the picture of a lecture has few bytes beside its sound."""
_LIVELY_BELOW: Final = 1.0
_CALM_BELOW: Final = 0.75
"""Where measuring begins: steps below the codec's first CRF where much moves; where little does,
below the highest CRF that leaves text legible. Most lectures get one next to it."""


def first_crf(kind: Kind, codec: Codec) -> float:
    """Return the CRF to measure first where a recording seems to be of this kind."""
    scale = SCALES[codec]
    if not _STYLES[kind].text:
        return scale.first - _LIVELY_BELOW
    return math.floor((scale.text_max - _CALM_BELOW) / scale.step) * scale.step


def expected(probes: list[Probe], kind: Kind, target: Target) -> Expected:
    """Return the highest CRF that keeps the target, and what is expected of it."""
    codec = probes[0].codec
    scale, growth = SCALES[codec], _GROWTH[kind] * SCALES[codec].slope
    near = sorted(probes, key=lambda p: abs(_surplus(p, target)))[:2]
    if _SURE <= _surplus(near[0], target) <= _SPARE[kind] and near[0].crf <= crf_max(kind, codec):
        return Expected(crf=near[0].crf, mean=near[0].mean, low=near[0].low)
    means = _Curve([(p.crf, p.mean) for p in near], growth)
    lows = _Curve([(p.crf, p.low) for p in near], growth)
    wanted = min(means.where(target.mean + _AIM), lows.where(target.low + _AIM))
    wanted = min(max(wanted, scale.least), crf_max(kind, codec))
    crf = math.floor(wanted / scale.step) * scale.step
    return Expected(crf=crf, mean=means.at(crf), low=lows.at(crf))


def next_crf(probes: list[Probe], kind: Kind, target: Target) -> float | None:
    """Return the CRF to measure next, or None where enough is known."""
    crf = expected(probes, kind, target).crf
    trusted = _NEAR_ONE if len(probes) == 1 else _NEAR_TWO
    if len(probes) >= PROBES_MAX or min(abs(p.crf - crf) for p in probes) <= trusted:
        return None
    return crf


def _surplus(probe: Probe, target: Target) -> float:
    return min(probe.mean - target.mean, probe.low - target.low)


class _Curve:
    """VMAF against CRF, through one point or two: what is missing from 100 grows by a factor."""

    def __init__(self, points: list[tuple[float, float]], growth: float) -> None:
        self._crf, self._loss = points[0][0], _loss(points[0][1])
        self._growth = growth
        for (crf, vmaf), (other_crf, other_vmaf) in itertools.pairwise(points):
            if crf != other_crf:
                measured = math.log(_loss(other_vmaf) / _loss(vmaf)) / (other_crf - crf)
                self._growth = min(max(measured, _GROWTH_MIN), _GROWTH_MAX)

    def at(self, crf: float) -> float:
        return max(100.0 - self._loss * math.exp(self._growth * (crf - self._crf)), 0.0)

    def where(self, vmaf: float) -> float:
        return self._crf + math.log(_loss(vmaf) / self._loss) / self._growth


def _loss(vmaf: float) -> float:
    return max(100.0 - vmaf, _LOSS_MIN)


# --- what is heard ----------------------------------------------------------------------------
_SIDE_DB: Final = -25.0
"""What two channels do not share may be this loud against what they do: the noise of a codec."""
_AUDIBLE_RANGE_DB: Final = 40.0
"""Seconds this far below the loudest are pauses, in which only noise is compared."""
_SILENT_DB: Final = -80.0
"""Below, there is nothing to be heard at all."""
_SPEECH_RATE: Final = 52_000
_SPEECH_STEREO_RATE: Final = 48_000
_MUSIC_MONO_RATE: Final = 80_000
_COPY_SLACK: Final = 1.25
"""AAC up to a quarter above the wanted rate is copied: once more through a codec costs more."""


def voice_of(heard: Heard) -> Voice:
    """Return what the sound is; silence is no speech, in one channel."""
    return Voice(
        speech=is_speech(list(heard.mid), a_second=heard.a_second),
        one_channel=_one_channel(heard),
    )


def _one_channel(heard: Heard) -> bool:
    """Compare second by second: one passage of true stereo is enough to keep both channels."""
    seconds = list(zip(_seconds(heard.mid, heard), _seconds(heard.side, heard), strict=False))
    loudest = max((mid + side for mid, side in seconds), default=0.0)
    floor = max(loudest / _ratio(_AUDIBLE_RANGE_DB), heard.a_second * _ratio(_SILENT_DB))
    return all(side <= mid * _ratio(_SIDE_DB) for mid, side in seconds if mid + side > floor)


def _seconds(levels_db: tuple[float, ...], heard: Heard) -> list[float]:
    """Return the energy of each second."""
    energies = [_ratio(level) for level in levels_db]
    starts = range(0, len(energies), heard.a_second)
    return [sum(energies[at : at + heard.a_second]) for at in starts]


def _ratio(db: float) -> float:
    return float(10 ** (db / 10))


def sounding(preset: Preset, voice: Voice) -> Preset:
    """Return the preset for this sound: one channel where one holds all, fewer bits for a voice.

    Music, and what may be music, keeps the preset's rate in two channels.
    """
    channels = 1 if voice.one_channel else preset.audio_channels_max
    if voice.one_channel:
        rate = _SPEECH_RATE if voice.speech else _MUSIC_MONO_RATE
    else:
        rate = _SPEECH_STEREO_RATE if voice.speech else preset.audio_rate_per_channel
    return replace(
        preset,
        audio_channels_max=channels,
        audio_rate_per_channel=rate,
        audio_copy_rate_max=min(round(rate * channels * _COPY_SLACK), preset.audio_copy_rate_max),
    )
