"""How often frames come, and what H.264 says of so many of such a size."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from core import limits
from core.media import Picture

_TIME_BASE_MAX: Final = 120_000
"""Ticks a second above which players and 32-bit durations get into trouble."""
_TIME_BASE: Final = Fraction(1, 90_000)
_RATE_SLACK: Final = 1.1
"""66 frames a second, as clocks write that jitter or count in milliseconds, still count as 60."""
_NTSC_DENOMINATOR: Final = 1001
_MACROBLOCK: Final = 16
_LEVELS: Final = (
    ("3.0", 40_500, 1_620, 12_500_000),
    ("3.1", 108_000, 3_600, 17_500_000),
    ("3.2", 216_000, 5_120, 25_000_000),
    ("4.0", 245_760, 8_192, 31_250_000),
    ("4.2", 522_240, 8_704, 78_125_000),
    ("5.1", 983_040, 36_864, 300_000_000),
    ("5.2", 2_073_600, 36_864, 300_000_000),
)
"""Level, macroblocks a second, macroblocks a frame, buffer bits in High (H.264 tables A-1, A-2)."""


def frame_gap_min_s(picture: Picture, most: float = limits.FRAME_RATE_MAX) -> float | None:
    """Return the least time between frames where some come faster than `most` a second."""
    gap_s = 1 / picture.peak_fps + float(picture.time_base)
    if gap_s * most * _RATE_SLACK >= 1:
        return None
    return 1 / (most * _RATE_SLACK)


def frame_rate(picture: Picture, most: float = limits.FRAME_RATE_MAX) -> Fraction:
    """Return the rate that the encoder is told, at most `most` a second."""
    fps = min(max(picture.fps, 1.0), most)
    return Fraction(fps).limit_denominator(_NTSC_DENOMINATOR)


def gop_frames(picture: Picture, gop_s: float, most: float = limits.FRAME_RATE_MAX) -> int:
    """Return the most frames between keyframes that are `gop_s` seconds apart."""
    fps = picture.peak_fps if picture.vfr else picture.fps
    return max(round(gop_s * min(fps, most)), 1)


def ticks(picture: Picture) -> Fraction:
    """Return the encoder's time base.

    Keep the source's ticks, so that its times are kept exactly, unless they are absurd.
    """
    base = picture.time_base
    return base if base > 0 and base.denominator <= _TIME_BASE_MAX else _TIME_BASE


def level_for(size: tuple[int, int], fps: float) -> tuple[str, int]:
    """Return the lowest level for the picture, and the buffer bits that it allows in High."""
    frame = -(-size[0] // _MACROBLOCK) * -(-size[1] // _MACROBLOCK)
    fitting = (
        (name, bits)
        for name, per_s, per_frame, bits in _LEVELS
        if frame <= per_frame and frame * fps <= per_s
    )
    return next(fitting, (_LEVELS[-1][0], _LEVELS[-1][3]))
