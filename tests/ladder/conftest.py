"""One small lecture with everything in it, and the set that is made of it once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.ladder import Ladder
from infra import ffmpeg
from transcoder.compress import Toolbox
from transcoder.ladder.make import Extras, MadeSet, make_set
from transcoder.ladder.texts import Sidecar

SMALL = Ladder(name="small", lines=(480, 240, 144), segment_s=2.0)
"""Cheap to make. A source of 360 lines is a rung of its own."""
SRT = b"1\r\n00:00:00,500 --> 00:00:02,000\r\nGr\xfc\xdfe & <font color=red>K\xfcsse</font>\r\n"
EMBEDDED = "1\n00:00:01,000 --> 00:00:03,500\nThe <i>theorem</i> of Bayes\n"


@dataclass(slots=True)
class Heard:
    """Keeps the percentages."""

    percents: list[float] = field(default_factory=list)

    def report(self, percent: float) -> None:
        """Keep one more."""
        self.percents.append(percent)


@dataclass(frozen=True, slots=True)
class Studio:
    """Makes recordings and sets in `folder`."""

    folder: Path

    def render(self, name: str, *args: str) -> Path:
        """Return a file that FFmpeg makes of `args`."""
        path = self.folder / name
        argv = [str(ffmpeg.find()), "-v", "error", "-y", *args, str(path)]
        subprocess.run(argv, check=True, timeout=60, cwd=self.folder)
        return path

    def make(
        self,
        source: Path,
        *,
        ladder: Ladder = SMALL,
        extras: Extras | None = None,
        heard: Heard | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> MadeSet:
        """Make a set of `source` in a new folder beside it."""
        folder = self.folder / f"job-{sum(1 for _ in self.folder.glob('job-*'))}"
        folder.mkdir()
        (folder / "source").symlink_to(source)
        return make_set(
            folder / "source",
            folder,
            ladder=ladder,
            toolbox=Toolbox(ffmpeg=ffmpeg.find(), python=sys.executable),
            budget_s=60,
            progress=heard or Heard(),
            stop=stop,
            extras=extras,
        )


def lecture(studio: Studio) -> Path:
    """Return 6.4 s: a moving picture that starts black, a tone from 0.3 s on, two text tracks."""
    (studio.folder / "text.srt").write_text(EMBEDDED)
    picture = "testsrc2=s=640x360:r=25:d=6.4,drawbox=t=fill:color=black:enable='lt(t,1)'"
    return studio.render(
        "lecture.mp4",
        *("-f", "lavfi", "-i", picture, "-itsoffset", "0.3"),
        *("-f", "lavfi", "-i", "sine=f=440:r=48000:d=6.1", "-i", "text.srt", "-i", "text.srt"),
        *("-map", "0", "-map", "1", "-map", "2", "-map", "3", "-c:s", "mov_text"),
        *("-metadata:s:s:0", "language=eng", "-metadata:s:a:0", "language=deu"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p"),
        *("-c:a", "aac", "-b:a", "160k", "-ac", "2"),
    )


@dataclass(frozen=True, slots=True)
class Made:
    """A set with all that it was made of."""

    source: Path
    made: MadeSet
    heard: Heard

    @property
    def path(self) -> Path:
        """Return the set's folder."""
        return self.made.path


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The set of the small lecture, with subtitles from a file and two thumbnails."""
    studio = Studio(tmp_path_factory.mktemp("ladder"))
    source, heard = lecture(studio), Heard()
    extras = Extras(subtitles=(Sidecar(data=SRT, language="de"),), thumbnails_s=(0.2, 5.0, 99.0))
    return Made(source, studio.make(source, extras=extras, heard=heard), heard)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """A workshop of its own for each test."""
    return Studio(tmp_path)
