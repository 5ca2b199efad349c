"""What small grey pictures of a recording tell: where slides change, and what shows it best.

A look is one grey byte for each pixel; looks come at an even rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median, pstdev
from typing import Final

_CHANGED: Final = 24
"""Levels of grey by which a pixel must differ to count: more than noise and compression do."""
_SHARE_MIN: Final = 0.06
"""Share of pixels that change with a slide; a line that is typed changes about 1%."""
_UNREST: Final = 4.0
"""A change stands out by this factor from what is usual around it, such as a camera's picture."""
_AROUND_S: Final = 15.0
_APART_S: Final = 20.0
"""Chapters are at least so far apart; slides in quick succession are one."""
_LAST_S: Final = 10.0
"""The last chapter lasts at least so long."""
CHAPTERS_MAX: Final = 100
_DARK: Final = 28
"""Mean grey of a picture that is as good as black: black is 16 in a video."""
_FLAT: Final = 8.0
"""Standard deviation of a picture without anything in it."""
_POSTER_FROM, _POSTER_TO = 0.02, 0.6
"""The part of the recording that its poster is taken from: after the opening, before the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """The pictures, each of `size` bytes, `every_s` apart."""

    data: bytes
    size: int
    every_s: float

    def __len__(self) -> int:
        return len(self.data) // self.size

    def __getitem__(self, number: int) -> bytes:
        return self.data[number * self.size : (number + 1) * self.size]

    def changes(self) -> tuple[float, ...]:
        """Return which share of the pixels each picture has changed; nothing for the first."""
        pictures = (self[number] for number in range(len(self)))
        return (0.0, *(_share(one, other) for one, other in pairwise(pictures)))


def _share(one: bytes, other: bytes) -> float:
    if one == other:
        return 0.0
    changed = sum(abs(a - b) > _CHANGED for a, b in zip(one, other, strict=True))
    return changed / len(one)


def chapters(looks: Looks, *, most: int = CHAPTERS_MAX) -> tuple[float, ...]:
    """Return the seconds at which chapters begin: at zero, and where a slide changes.

    At most `most`, the largest changes first, and never two within 20 s.
    """
    changes = looks.changes()
    around = max(round(_AROUND_S / looks.every_s), 1)
    found = []
    last = len(changes) - round(_LAST_S / looks.every_s)
    for number, share in enumerate(changes[: max(last, 0)]):
        usual = median(changes[max(number - around, 0) : number + around + 1])
        if share >= max(_SHARE_MIN, _UNREST * usual):
            found.append((share, number * looks.every_s))
    return _apart(found, most)


def _apart(found: Sequence[tuple[float, float]], most: int) -> tuple[float, ...]:
    kept = [0.0]
    for _, time_s in sorted(found, key=lambda each: (-each[0], each[1])):
        if len(kept) < most and all(abs(time_s - other_s) >= _APART_S for other_s in kept):
            kept.append(time_s)
    return tuple(sorted(kept))


def poster_s(looks: Looks) -> float:
    """Return the time of a picture that shows the recording well: bright, rich, and at rest."""
    count = len(looks)
    if not count:
        return 0.0
    changes = looks.changes()
    part = range(int(count * _POSTER_FROM), max(int(count * _POSTER_TO), 1))
    good = [n for n in part if fmean(looks[n]) > _DARK and pstdev(looks[n]) > _FLAT]
    if not good:
        good = [n for n in range(count) if fmean(looks[n]) > _DARK] or list(range(count))
    resting = [n for n in good if max(changes[n : n + 2], default=0.0) < _SHARE_MIN] or good
    return max(resting, key=lambda n: _richness(looks, n)) * looks.every_s


def _richness(looks: Looks, number: int) -> float:
    return round(pstdev(looks[number]), 1)
