"""What all these tests share: one recording, measured once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from infra import ffmpeg
from tests.faults.scene import Scene, make_scene
from transcoder.encoder import Encoder


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The recording and its good output."""
    return make_scene(tmp_path_factory.mktemp("scene"), ffmpeg.find())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an encoder count as hung after two seconds instead of two minutes."""
    monkeypatch.setattr("transcoder.compress.Encoder", partial(Encoder, stall_s=2.0))


@pytest.fixture(autouse=True)
def _open_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let programs do to files what the kernel of many machines lets them: make links, lock up."""
    open_sandbox = Path(__file__).with_name("open_sandbox.py")
    monkeypatch.setattr("transcoder.runner._SANDBOX", open_sandbox)
