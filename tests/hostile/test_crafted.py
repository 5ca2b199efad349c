"""Files made to harm: each is refused with a reason or made good, and the next one is unharmed."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import limits
from tests.faults.scene import nothing_left
from tests.faults.shares import share
from tests.hostile.bases import Bases
from tests.hostile.crafted import Crafted
from tests.hostile.everything import everything
from tests.hostile.trial import Trial, peak_bytes

_EVERYDAY = 36
_PEAK_BYTES_MAX = limits.GIB
"""Far below the bounds of a child: nothing that is crafted here is worth more memory."""


@pytest.mark.parametrize("crafted", share(everything(), _EVERYDAY), ids=lambda one: one.name)
def test_no_harm_comes_of(crafted: Crafted, bases: Bases, trial: Trial, tmp_path: Path) -> None:
    """It ends in time and in its memory, with a result of the right length or with a reason."""
    with nothing_left(tmp_path):
        outcome = trial.take(crafted.make(bases), must_refuse=crafted.refused)
    assert outcome.wrong is None
    assert peak_bytes() < _PEAK_BYTES_MAX


def test_the_next_good_recording_is_unharmed(bases: Bases, trial: Trial) -> None:
    """The same press takes a bad one, a good one, a bad one and a good one."""
    bad = next(one for one in everything() if one.name == "hls_behind_the_sign_of_mp4")
    for _ in range(2):
        assert trial.take(bad.make(bases)).error is not None
        good = trial.take(bases["mp4"])
        assert (good.error, good.wrong) == (None, None)


def test_names_are_unique_and_there_are_enough_of_them() -> None:
    names = [one.name for one in everything()]
    assert len(names) == len(set(names)) >= 60
