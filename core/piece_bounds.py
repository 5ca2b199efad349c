"""Where a recording can be cut: arithmetic on the times of frames, as FFmpeg does it."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from fractions import Fraction
from typing import Final

from core.plan import VideoEncode
from core.timeline import Keyframe, PictureLine

_FRAMES_MIN: Final = 16
"""Frames that a piece has at least: more than an encoder reorders."""
SHORTEST: Final = 0.5
"""Share of the wanted length that every piece has."""
_ROOM: Final = 1 - SHORTEST
"""A cut moves by up to this share of a piece to meet a keyframe."""
_PREROLL: Final = 2.0
"""Pieces' lengths of picture that are decoded before a cut where no keyframe is near."""
_STRETCH: Final = 4.0
"""How many times longer a piece may get until a keyframe comes."""
_PREROLL_MAX: Final = 10.0
"""The same as `_PREROLL` where no keyframe comes: then decoding costs more than encoding."""
_AAC_FRAME: Final = 1024


def rescaled(ticks: int, base: Fraction, to: Fraction) -> int:
    """Return `ticks` of `base` in ticks of `to`, rounded to the nearest, halves away from zero."""
    exact = ticks * base / to
    rounded = math.floor(abs(exact) + Fraction(1, 2))
    return rounded if exact >= 0 else -rounded


def seen(line: PictureLine, video: VideoEncode, shift: int) -> list[int]:
    """Return the positions in `line.times` of the frames that are kept where they are thinned out.

    The same floating-point steps as FFmpeg's `select` filter takes.
    """
    if video.frame_gap_min_s is None:
        return list(range(len(line.times)))
    gap_s = float(f"{video.frame_gap_min_s:.5f}")
    tick_s = line.time_base.numerator / line.time_base.denominator
    kept: list[int] = []
    last_s = -math.inf
    for at, time in enumerate(line.times):
        now_s = float(time + shift) * tick_s
        if now_s - last_s >= gap_s:
            kept.append(at)
            last_s = now_s
    return kept


def boundaries(
    line: PictureLine, kept: list[int], *, piece_s: float, context: int
) -> list[tuple[int, Keyframe]] | str:
    """Return the first frame of each piece, as a position in `kept`, and the keyframe before it.

    `context` is how many frames must be decoded before it. Returns why where there are no two
    pieces.
    """
    if not line.keyframes or not kept:
        return "it has no keyframes"
    if any(b <= a for a, b in itertools.pairwise(line.times)):
        return "frames are shown at the same time"
    keys = [keyframe.time for keyframe in line.keyframes]
    if any(b <= a for a, b in itertools.pairwise(keys)):
        return "its keyframes are out of order"
    if keys[0] > line.times[kept[0]]:
        return "it does not begin with a keyframe"
    times = [line.times[at] for at in kept]
    length = round(piece_s / line.time_base)
    bounds = []
    for at in _starts(times, keys, length):
        source = max(kept[at] - context, 0)
        before = bisect_right(keys, line.times[source]) - 1
        if before < 0:
            return "it does not begin with a keyframe"
        bounds.append((at, line.keyframes[before]))
    return bounds if len(bounds) > 1 else "its keyframes are too far apart"


def _starts(times: list[int], keys: list[int], length: int) -> list[int]:
    """Return the position of each piece's first frame; none if keyframes are too far apart."""
    starts = [0]
    while times[-1] - times[starts[-1]] >= (1 + _ROOM) * length:
        at = _next(times, keys, length, starts[-1])
        if at is None:
            return []
        if len(times) - at < _FRAMES_MIN or times[-1] - times[at] < _ROOM * length:
            break
        starts.append(at)
    return starts


def _next(times: list[int], keys: list[int], length: int, at: int) -> int | None:
    """Return where the piece that begins at `at` ends: at a keyframe near its length, if any.

    None where it would get too long.
    """
    wanted = times[at] + length
    least = max(times[min(at + _FRAMES_MIN, len(times) - 1)], wanted - round(_ROOM * length))
    near = bisect_left(keys, least)
    beyond = bisect_right(keys, wanted + round(_ROOM * length))
    if near < beyond:
        key = min(keys[near:beyond], key=lambda time: abs(time - wanted))
    elif wanted - keys[near - 1] <= _PREROLL * length:
        key = max(wanted, least)
    elif near < len(keys) and keys[near] <= times[at] + _STRETCH * length:
        key = keys[near]
    elif wanted - keys[near - 1] <= _PREROLL_MAX * length:
        key = max(wanted, least)
    else:
        return None
    return bisect_left(times, key)


def sound_grid(source_rate: int, rate: int) -> int:
    """Return the number of AAC frames whose multiples begin on whole samples of the source."""
    return (_AAC_FRAME * Fraction(source_rate, rate)).denominator
