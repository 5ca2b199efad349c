"""Which parts of a recording are sampled: pure, nothing is run here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A part of a recording; seconds, counted from the recording's own start.

    Unless it must be `exact`, it may begin at the keyframe before.
    """

    start_s: float
    length_s: float
    exact: bool = True


_WINDOW_S: Final = 1.25
_WINDOW_MIN_S: Final = 1.0
_WINDOW_FRAMES: Final = 30
"""Frames that a window shall hold at least, where frames are rare."""
_WINDOWS_MIN: Final = 3
_WINDOWS_MAX: Final = 6
_WINDOWS_EVERY_S: Final = 4.0
"""Recordings of a few seconds have one window, or two: each costs a start of the decoder."""
_SAMPLED_SHARE: Final = 0.17
"""A sixth of a short recording is sampled, of a long one `_WINDOWS_MAX` windows."""
_SAMPLED_LEAST_S: Final = 1.5
"""That much at least, or all there is."""
_SOUND_WINDOWS: Final = 12
_SOUND_WINDOW_S: Final = 8.0
_SAMPLED_MIN_S: Final = 1.0
"""Shorter recordings are not worth the samples."""
_APART_S: Final = 20.0
"""Windows so far apart do not meet at the same keyframe: none of their frames need be skipped."""


def windows(duration_s: float, fps: float) -> tuple[Window, ...]:
    """Return the parts whose picture is sampled; none of a recording that is too short."""
    if duration_s < _SAMPLED_MIN_S:
        return ()
    sampled_s = duration_s * _SAMPLED_SHARE
    least = min(max(int(duration_s / _WINDOWS_EVERY_S), 1), _WINDOWS_MIN)
    count = min(max(int(sampled_s / _WINDOW_S), least), _WINDOWS_MAX)
    length_s = min(max(sampled_s / count, _WINDOW_MIN_S), _WINDOW_S)
    return _spread(duration_s, count, max(length_s, _SAMPLED_LEAST_S / count, _WINDOW_FRAMES / fps))


def sound_windows(duration_s: float) -> tuple[Window, ...]:
    """Return the parts whose sound is sampled: all of a short recording."""
    return _spread(duration_s, _SOUND_WINDOWS, _SOUND_WINDOW_S)


def _spread(duration_s: float, count: int, length_s: float) -> tuple[Window, ...]:
    """Return the middle of each of `count` equal parts, or all there is if that is less."""
    part_s = duration_s / count
    if part_s <= length_s:
        return (Window(start_s=0.0, length_s=duration_s),)
    return tuple(
        Window(
            start_s=at * part_s + (part_s - length_s) / 2,
            length_s=length_s,
            exact=part_s < _APART_S,
        )
        for at in range(count)
    )
