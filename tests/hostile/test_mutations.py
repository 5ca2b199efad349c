"""Real recordings with seeded damage: 1,500 of them in the long form, a few each day."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra import ffmpeg
from tests.faults.scene import nothing_left
from tests.faults.shares import TORTURE
from tests.hostile.conftest import SEED
from tests.hostile.mutations import mutated, shortened
from tests.hostile.trial import Trial

_COUNT = int(os.environ.get("LECTERN_MUTATIONS", "1500" if TORTURE else "16"))
_BATCH = 8


@pytest.fixture(scope="session")
def originals(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The recordings, cut short."""
    return shortened(tmp_path_factory.mktemp("originals"), recordings, ffmpeg.find())


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", range(0, _COUNT, _BATCH))
def test_damaged_recordings_end_with_a_reason_or_whole(
    first: int, originals: list[Path], trial: Trial, tmp_path: Path
) -> None:
    """`python -m tests.hostile SEED NUMBER` repeats one of them."""
    contents = [path.read_bytes() for path in originals]
    wrong = {}
    with nothing_left(tmp_path):
        for number in range(first, min(first + _BATCH, _COUNT)):
            at = number % len(contents)
            kind, data = mutated(contents[at], contents, SEED, number)
            outcome = trial.take(data)
            if outcome.wrong:
                wrong[f"{SEED} {number} ({kind} of {originals[at].name})"] = outcome.wrong
    assert wrong == {}
