"""What all tests share."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest

from infra import ffmpeg

_LONG: Final = ("e2e", "crash", "push_service", "compose")
"""Folders whose tests wait the longest: begun last, they would be waited for by all."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first; a module stays together, for its tests share what they start."""
    place = {name: number for number, name in enumerate(_LONG)}
    items.sort(key=lambda item: place.get(item.path.parent.name, len(place)))


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real recording: two seconds of moving picture and sound."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_clip(path, seconds=2, size="320x240")


def make_clip(path: Path, *, seconds: float, size: str, rate: int = 25, gop: int = 250) -> Path:
    """Render a test picture with a tone; large for what it shows, as a camera's file is.

    `gop` is the number of frames from one keyframe to the next.
    """
    argv = [
        str(ffmpeg.find()), "-loglevel", "error", "-y",
        "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}",
        "-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}",
        "-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-g", str(gop),
        "-pix_fmt", "yuv420p",
        "-c:a", "aac", "-b:a", "192k", "-ac", "2", "-shortest", str(path),
    ]  # fmt: skip
    subprocess.run(argv, check=True, timeout=120)
    return path
