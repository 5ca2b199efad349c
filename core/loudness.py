"""How loud a recording is, and by how much that shall change (EBU R 128, ITU-R BS.1770-4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SILENCE_LUFS: Final = -50.0
"""Quieter sound is a room without a voice: it stays as it is."""
_CHANGE_MIN_DB: Final = 1.0
"""A smaller change is not heard, and not worth encoding anew what could be copied."""
_GAIN_MAX_DB: Final = 20.0
_OTHER_GAIN_MAX_DB: Final = 6.0
"""More would lift a room's noise above what listeners accept beside a voice; where there is no
voice, it would make hiss of a silence."""
_PEAK_MAX_DBTP: Final = -2.5
"""Where peaks may reach before the encode: AAC and the samples in between add up to 1 dB, and
-1.5 dBTP is the bound of the result."""
_LIMITED_MAX_DB: Final = 20.0
"""How far the highest peak beside a voice may stand over the bound and be held down. A voice's
own stand over it by a few dB; what is higher is a knock on the desk, and must not decide how
loud the lecture is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loudness:
    """What was measured over all of the sound, as it will be heard.

    That is in stereo, and a single channel in both ears. `integrated_lufs` and `true_peak_dbtp`
    are those of BS.1770-4. `speech` tells a voice from music: it rises and falls with each
    syllable.
    """

    integrated_lufs: float
    true_peak_dbtp: float
    speech: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """A change of level in dB, the same from beginning to end.

    `limited` says that peaks would go over the bound and must be held down.
    """

    db: float
    limited: bool


def gain(loudness: Loudness, target_lufs: float) -> Gain | None:
    """Return the change that brings the sound to its target, or None where it shall stay.

    A voice reaches the target also where single peaks must be held down for it; music never
    does at that price: it gets as near as its peaks allow, and keeps its dynamics.
    """
    if loudness.integrated_lufs < _SILENCE_LUFS:
        return None
    gain_max_db = _GAIN_MAX_DB if loudness.speech else _OTHER_GAIN_MAX_DB
    wanted_db = min(target_lufs - loudness.integrated_lufs, gain_max_db)
    headroom_db = _PEAK_MAX_DBTP - loudness.true_peak_dbtp
    spare_db = _LIMITED_MAX_DB if loudness.speech else 0.0
    db = min(wanted_db, headroom_db + spare_db)
    if abs(db) < _CHANGE_MIN_DB or db < 0 < wanted_db:
        return None
    return Gain(db=round(db, 2), limited=db > headroom_db)


def is_speech(levels_db: list[float], *, a_second: int) -> bool:
    """Return whether sound is mostly a voice, by its level in short pieces, `a_second` of them.

    The measure is the low short-time energy ratio of Lu, Zhang and Jiang (IEEE Transactions on
    Speech and Audio Processing 10(7), 2002): the share of a second's pieces that have less than
    half of its mean energy. Measured on pieces of 25 ms: 0.59 and 0.45 for lectures and
    dialogue, 0.25 and 0.18 for film music and a guitar. Seconds without sound do not count.
    """
    energies = [10 ** (level / 10) for level in levels_db]
    if not energies:
        return False
    audible = sorted(energies)[int(len(energies) * _LOUD_SHARE)] / _AUDIBLE_RANGE
    ratios = []
    for at in range(0, len(energies) - a_second + 1, a_second):
        second = energies[at : at + a_second]
        mean = sum(second) / a_second
        if mean > audible:
            ratios.append(sum(energy < mean / 2 for energy in second) / a_second)
    return bool(ratios) and sum(ratios) / len(ratios) >= _SPEECH_RATIO


_LOUD_SHARE: Final = 0.95
_AUDIBLE_RANGE: Final = 1000.0
"""A second that lies 30 dB below the loudest twentieth is a pause."""
_SPEECH_RATIO: Final = 0.35
