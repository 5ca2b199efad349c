"""Small recordings of every kind, made once per session, and the way through compress()."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.presets import DEFAULT, Preset
from infra import ffmpeg
from transcoder.compress import Compressed, Toolbox, compress

BUDGET_S = 60.0


@dataclass(slots=True)
class Heard:
    """Keeps the percentages."""

    percents: list[float] = field(default_factory=list)

    def report(self, percent: float) -> None:
        """Keep one more."""
        self.percents.append(percent)


class Media:
    """Makes recordings with FFmpeg, and compresses them."""

    def __init__(self, folder: Path, program: Path) -> None:
        self.folder = folder
        self.program = program
        self.heard = Heard()
        self.runs = 0

    def make(self, name: str, *args: str) -> Path:
        """Return a file that FFmpeg has made of `args`."""
        path = self.folder / name
        words = [str(self.program), "-v", "error", "-y", *args, str(path)]
        subprocess.run(words, check=True, timeout=60, cwd=self.folder)
        return path

    def picture(self, size: str = "320x240", rate: str = "25", seconds: float = 2) -> list[str]:
        """Return arguments of a moving test picture."""
        return ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds}"]

    def tone(self, hertz: int = 440, seconds: float = 2) -> list[str]:
        """Return arguments of a tone."""
        return ["-f", "lavfi", "-i", f"sine=f={hertz}:r=48000:d={seconds}"]

    def compress(self, source: Path, preset: Preset = DEFAULT) -> Compressed:
        """Compress a copy of `source` in a folder of its own."""
        self.runs += 1
        folder = self.folder / f"job-{self.runs}"
        folder.mkdir()
        shutil.copyfile(source, folder / "source")
        self.heard = Heard()
        return compress(
            folder / "source",
            folder,
            preset=preset,
            toolbox=Toolbox(ffmpeg=self.program, python=sys.executable),
            budget_s=BUDGET_S,
            progress=self.heard,
            stop=lambda: False,
        )


@pytest.fixture
def media(tmp_path: Path) -> Media:
    """A workshop of its own for each test."""
    return Media(tmp_path, ffmpeg.find())


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """The folder of real recordings; skips where it is absent."""
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("LECTERN_TEST_MEDIA", root.parent / "shared" / "media"))
    if not folder.is_dir():
        pytest.skip(f"no recordings: set LECTERN_TEST_MEDIA or put them into {folder.name}")
    return folder


@pytest.fixture(scope="session")
def shortened(
    shared_media: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, float], Path]:
    """Cut a real recording to its first seconds, without encoding it anew."""
    folder = tmp_path_factory.mktemp("shortened")

    def cut(name: str, seconds: float) -> Path:
        workshop = Media(folder, ffmpeg.find())
        source = shared_media / name
        if not source.is_file():
            pytest.skip(f"{name} is not among the recordings")
        streams = ["-map", "0:v", "-map", "0:a?", "-c", "copy"]
        return workshop.make(name, "-i", str(source), "-t", str(seconds), *streams)

    return cut
