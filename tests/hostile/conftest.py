"""What these tests share: the good files, the harmful ones made of them, and the press."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import pytest

from infra import ffmpeg
from tests.hostile.bases import Bases, make_bases
from tests.hostile.trial import Trial
from transcoder.compress import Toolbox

SEED: Final = int(os.environ.get("LECTERN_HOSTILE_SEED", "1"))


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    """Small good recordings of all containers."""
    return make_bases(tmp_path_factory.mktemp("bases"), ffmpeg.find())


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """The way through the transcoder."""
    return Trial(
        place=tmp_path / "scratch", toolbox=Toolbox(ffmpeg=ffmpeg.find(), python=sys.executable)
    )


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings; skips where it is absent."""
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("LECTERN_TEST_MEDIA", root.parent / "shared" / "media"))
    if not folder.is_dir():
        pytest.skip(f"no recordings: set LECTERN_TEST_MEDIA or put them into {folder.name}")
    return folder
