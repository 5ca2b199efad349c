"""Which renditions of a recording make up a ladder: pure decisions, sizes and rates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from core import limits
from core.media import Container, MediaInfo, Picture, Stream
from core.plan import AudioEncode, Copy, VideoEncode, encoding_of, plans
from core.presets import LECTURE, Preset, Speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step of a ladder; `lines` is the short side, `rate_max` bits a second of video."""

    lines: int
    rate_max: int
    crf: float
    speed: str


RUNGS: Final = (
    Rung(lines=2160, rate_max=16_000_000, crf=23, speed="veryfast"),
    Rung(lines=1440, rate_max=10_000_000, crf=23, speed="veryfast"),
    Rung(lines=1080, rate_max=6_000_000, crf=23, speed="veryfast"),
    Rung(lines=720, rate_max=3_000_000, crf=22, speed="veryfast"),
    Rung(lines=480, rate_max=1_400_000, crf=21, speed="veryfast"),
    Rung(lines=360, rate_max=730_000, crf=21, speed="veryfast"),
    Rung(lines=240, rate_max=365_000, crf=21, speed="veryfast"),
    Rung(lines=144, rate_max=145_000, crf=21, speed="veryfast"),
)
"""All that may be asked for, largest first.

The rates of 1080, 720, 240 and 144 lines are those of 1080p, 720p, 360p and 234p in Apple's HLS
authoring specification, 360 lines has that of its 432p; 480 lies between its 432p and 540p, and
the two largest have about the same bits a pixel as their neighbours. They are bounds: the CRF
decides, and a slide lecture needs a small part of them. Small rungs get the rate of a larger
picture, since text has more edges than the films that the specification thinks of.

The CRFs are those that reach a VMAF of about 93 at the rendition's own size. 8 s of camera footage,
the harder kind, had at CRF 24 91.9 with 1080 lines, 90.7 with 720, 89.1 with 480 (CRF 27: 87.5,
86.2, 84.3), slides 94.9, 94.5 and 94.5. At CRF 21 480 lines had 92.8; smaller ones of such footage
are bound by their rates (90.0, 89.5, 89.4). The two largest were not measured: they have the CRF of
1080 lines.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """A choice of rungs, and the seconds of their segments.

    Apple's specification recommends segments of 6 s; each begins with the only IDR picture in it.
    `speed` takes the place of the rungs' own.
    """

    name: str
    lines: tuple[int, ...]
    segment_s: float = 6.0
    speed: Speed | None = None


HLS: Final = Ladder(name="hls", lines=(1080, 720, 480))
FULL: Final = Ladder(name="full", lines=tuple(rung.lines for rung in RUNGS))
LADDERS: Final = {ladder.name: ladder for ladder in (HLS, FULL)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One rendition: `name` is also its folder, `lines` its short side as asked for."""

    name: str
    video: VideoEncode


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderPlan:
    """How the renditions are made, largest first, and their sound; `size_max` bytes in all.

    `tile` is the size of a storyboard's picture, `tile_s` the seconds that each stands for.
    `look_fps` is how often the picture is looked at for slide changes.
    """

    container: Container
    variants: tuple[Variant, ...]
    audio: AudioEncode | Copy | None
    segment_s: float
    duration_s: float
    frame_s: float
    size_max: int
    file_max: int
    tile: tuple[int, int]
    tile_s: float
    look_fps: Fraction


_NEVER: Final = 1_000_000_000
_ONLY_FORCED: Final = f"min-keyint={_NEVER}"
"""x264 makes no IDR picture of its own, only those that it is told to make: they must lie at the
same moments in all renditions. A slide change gets an intra picture that is no place to cut at."""
_NEAR: Final = 1.15
"""A source that has this many times the lines of its highest rung is a rung of its own."""
_SHARE_POWER: Final = 0.75
"""Bits needed grow with the pixels' number to the power of three quarters: the usual rule."""
_RATE_MIN: Final = 64_000
"""Bits a second below which no rendition's bound is set."""
_BUFFER_S: Final = 2
"""Seconds of the highest rate that the decoder's buffer holds: a slide change in full quality."""
_SLACK: Final = 1.25
_OVERHEAD_BYTES: Final = 4 * limits.MIB
"""What headers, pictures and text need besides."""
_AUDIO_RATE: Final = 136_000
"""Bits a second of sound with which sizes are bounded; copied sound has at most as many."""
_TILE_WIDE: Final = 160
_TILES_MAX: Final = 200
TILE_COLUMNS: Final = 10
TILE_ROWS: Final = 10
"""A storyboard has at most two sheets of 100 pictures, 160 pixels on their longer side."""
LOOK_SIZE: Final = (64, 36)
"""Pixels in which slide changes are looked for."""
_LOOK_FPS: Final = Fraction(2)
_LOOKS_MAX: Final = 14_400
"""Pictures that are looked at: two hours at two a second, a day at one in six seconds."""


def ladder_plan(info: MediaInfo, ladder: Ladder) -> LadderPlan:
    """Return how the renditions of `info`, which must be accepted, are made.

    None has more lines than the source, and there is at least one. Raises ValueError for a
    recording without a picture.
    """
    _, picture = _shown(info)
    rungs = tuple(_rungs(picture, ladder))
    variants = tuple(_variant(info, rung, ladder) for rung in rungs)
    whole = next(plans(info, _preset(rungs[0], ladder)))
    return LadderPlan(
        container=info.container,
        variants=variants,
        audio=whole.audio,
        segment_s=ladder.segment_s,
        duration_s=info.duration_s,
        frame_s=whole.frame_s,
        size_max=_size_max(variants, info.duration_s),
        file_max=_file_max(variants, info, ladder),
        tile=_tile(variants[0].video),
        tile_s=_tile_s(info.duration_s, ladder),
        look_fps=min(_LOOK_FPS, Fraction(_LOOKS_MAX, max(round(info.duration_s), 1))),
    )


def _shown(info: MediaInfo) -> tuple[Stream, Picture]:
    if info.video is None or info.video.picture is None:
        raise ValueError("a ladder needs a picture")
    return info.video, info.video.picture


def _rungs(picture: Picture, ladder: Ladder) -> Iterator[Rung]:
    """Yield the rungs that the source reaches; one between two rungs is a rung of its own."""
    lines = min(picture.displayed)
    asked = [rung for rung in RUNGS if rung.lines in ladder.lines]
    fitting = [rung for rung in asked if rung.lines <= lines]
    higher = [rung for rung in asked if rung.lines > lines]
    if higher and (not fitting or lines > _NEAR * fitting[0].lines):
        yield replace(_next_above(lines), lines=lines)
    yield from fitting


def _next_above(lines: int) -> Rung:
    return next(rung for rung in reversed(RUNGS) if rung.lines >= lines)


def _preset(rung: Rung, ladder: Ladder) -> Preset:
    return replace(
        LECTURE,
        name=f"{rung.lines}p",
        lines=rung.lines,
        speed=ladder.speed or rung.speed,
        crf=rung.crf,
        gop_s=ladder.segment_s,
        video_rate_max=rung.rate_max,
        x264=_ONLY_FORCED,
    )


def _variant(info: MediaInfo, rung: Rung, ladder: Ladder) -> Variant:
    """Encode with no more bits than the source has, in the measure of the smaller picture."""
    stream, picture = _shown(info)
    preset = _preset(rung, ladder)
    video = encoding_of(info, preset)
    share = min(video.width * video.height / (picture.width * picture.height), 1.0)
    rate = max(min(rung.rate_max, stream.rate * share**_SHARE_POWER), _RATE_MIN)
    return Variant(
        name=preset.name,
        video=replace(
            video,
            rate_max=int(rate),
            buffer=int(min(_BUFFER_S * rung.rate_max, video.buffer)),
            gop_frames=_NEVER,
            keyframe_every_s=ladder.segment_s,
        ),
    )


def _size_max(variants: tuple[Variant, ...], duration_s: float) -> int:
    bits = sum(v.video.rate_max * duration_s + v.video.buffer for v in variants)
    return int((bits + _AUDIO_RATE * duration_s) / 8 * _SLACK) + _OVERHEAD_BYTES


def _file_max(variants: tuple[Variant, ...], info: MediaInfo, ladder: Ladder) -> int:
    """Bound one file: a segment may be as long as the longest picture stands still."""
    top = variants[0].video
    seconds = min(max(info.duration_s, ladder.segment_s), limits.DURATION_MAX_S)
    bits = top.rate_max * seconds + top.buffer
    return int(bits / 8 * _SLACK) + _OVERHEAD_BYTES


def _tile(video: VideoEncode) -> tuple[int, int]:
    scale = Fraction(_TILE_WIDE, max(video.width, video.height))
    return _even(video.width * scale), _even(video.height * scale)


def _even(length: Fraction) -> int:
    return max(2 * round(length / 2), 2)


def _tile_s(duration_s: float, ladder: Ladder) -> float:
    """Return the first of the whole seconds with which the pictures fit."""
    least = min(ladder.segment_s, 5.0)
    return float(max(-(-duration_s // _TILES_MAX), least))
