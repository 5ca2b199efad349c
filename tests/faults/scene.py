"""A small recording, what is known of it, and the way of its encode with a stand-in program."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import psutil

from core.presets import DEFAULT, Preset
from tests.conftest import make_clip
from tests.faults.stand_in import ffmpeg_that
from transcoder.compress import (
    Compressed,
    Survey,
    Toolbox,
    Workshop,
    compress,
    finished,
    first_that_fits,
    survey,
    workshop_in,
)
from transcoder.scratch import private_folder

PRESET: Final = replace(DEFAULT, loudness_lufs=None)
"""One that leaves the sound's level alone: one program less."""
BUDGET_S: Final = 20.0
_GRACE_S: Final = 5.0
"""Seconds past its budget that a call may take on a busy machine."""
_SOUND: Final = ("-c:a", "copy")
_SHAPES: Final = {
    "half": ("-t", "0.5", "-c", "copy"),
    "late": ("-itsoffset", "0.6", "-i", "good.mp4", "-map", "0:v", "-map", "1:a", "-c", "copy"),
    "index_last": ("-c", "copy", "-movflags", "-faststart"),
    "silent": ("-c", "copy", "-an"),
    "blind": ("-c", "copy", "-vn"),
    "mpeg4": ("-c:v", "mpeg4", *_SOUND),
    "smaller": ("-vf", "scale=96:72", *_SOUND),
    "full_range": ("-vf", "scale=out_range=pc", "-color_range", "pc", *_SOUND),
    "444": ("-pix_fmt", "yuv444p", *_SOUND),
    "oblong": ("-vf", "setsar=2", *_SOUND),
    "mp3": ("-c:v", "copy", "-c:a", "libmp3lame"),
    "twice": ("-map", "0", "-map", "0:a", "-c", "copy"),
    "slow": ("-vf", "setpts=2*PTS", "-af", "atempo=0.5"),
}
"""Outputs that are wrong in one way each, as what FFmpeg makes of the right one."""


@dataclass(slots=True)
class Heard:
    """Keeps the percentages."""

    percents: list[float] = field(default_factory=list)

    def report(self, percent: float) -> None:
        """Keep one more."""
        self.percents.append(percent)


@dataclass(slots=True, kw_only=True)
class Scene:
    """Knows the recording and what a good encode makes of it."""

    real: Path
    given: Path
    clip: Path
    longer: Path
    found: Survey
    heard: Heard = field(default_factory=Heard)

    def encode(self, body: str, place: Path, *, budget_s: float = BUDGET_S) -> Compressed:
        """Encode the recording with an FFmpeg that does `body`, as the service would."""
        program = ffmpeg_that(body, place / "ffmpeg", real=self.real, given=self.given)
        return self.encode_with(Toolbox(ffmpeg=program, python=sys.executable), place, budget_s)

    def encode_with(self, toolbox: Toolbox, place: Path, budget_s: float = BUDGET_S) -> Compressed:
        """Do so with any programs, in a private folder below `place`."""
        with private_folder(place / "scratch", "job") as folder:
            source = folder / "source"
            shutil.copyfile(self.clip, source)
            workshop = self._workshop(folder, toolbox, budget_s)
            began = time.monotonic()
            try:
                made = first_that_fits(workshop, source.name, self.found)
                return finished(workshop, self.found, made, began=began)
            finally:
                assert time.monotonic() - began < budget_s + _GRACE_S, "it took too long"

    def compress(
        self,
        toolbox: Toolbox,
        place: Path,
        *,
        preset: Preset = PRESET,
        source: Path | None = None,
        budget_s: float = BUDGET_S,
    ) -> Compressed:
        """Go the whole way, from the probe on."""
        began = time.monotonic()
        with private_folder(place / "scratch", "job") as folder:
            shutil.copyfile(source or self.clip, folder / "source")
            try:
                return compress(
                    folder / "source",
                    folder,
                    preset=preset,
                    toolbox=toolbox,
                    budget_s=budget_s,
                    progress=self.heard,
                    stop=lambda: False,
                )
            finally:
                assert time.monotonic() - began < budget_s + _GRACE_S, "it took too long"

    def _workshop(self, folder: Path, toolbox: Toolbox, budget_s: float) -> Workshop:
        self.heard = Heard()
        deadline = time.monotonic() + budget_s
        return workshop_in(folder, toolbox, deadline, self.heard, lambda: False)


def make_scene(folder: Path, real: Path) -> Scene:
    """Make the recording, its good output, and outputs that are wrong in one way each."""
    given = folder / "given"
    given.mkdir()
    clip = folder / "clip.mp4"
    make_clip(clip, seconds=1, size="160x120")
    job = folder / "job"
    job.mkdir()
    shutil.copyfile(clip, job / "source")
    toolbox = Toolbox(ffmpeg=real, python=sys.executable)
    workshop = workshop_in(job, toolbox, time.monotonic() + 60, Heard(), lambda: False)
    found = survey(workshop, job / "source", PRESET)
    made = first_that_fits(workshop, "source", found)
    shutil.move(made.path, given / "good.mp4")
    frames = {"good": made.info.video.packets if made.info.video else 0}
    for name, words in _SHAPES.items():
        frames[name] = _shape(real, given, name, words)
    (given / "frames.json").write_text(json.dumps(frames))
    longer = folder / "longer.mp4"
    make_clip(longer, seconds=9, size="64x48", rate=5)
    return Scene(real=real, given=given, clip=clip, longer=longer, found=found)


def _shape(real: Path, given: Path, name: str, words: tuple[str, ...]) -> int:
    """Return the number of frames that FFmpeg says it wrote: a liar would know it too."""
    front = () if "-faststart" in words else ("-movflags", "+faststart")
    argv = [str(real), "-v", "error", "-progress", "-", "-y", "-i", "good.mp4", *words, *front]
    done = subprocess.run(
        [*argv, f"{name}.mp4"], check=True, timeout=60, cwd=given, capture_output=True, text=True
    )
    return int((re.findall(r"^frame=\s*(\d+)", done.stdout, re.MULTILINE) or ["0"])[-1])


@contextlib.contextmanager
def nothing_left(place: Path) -> Iterator[None]:
    """Check that after the block no process of `place` runs, and no file of a job is left there.

    Processes are known by their arguments, their folder, and by whose children they are.
    """
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    assert [p for p in processes_of(place) if p.pid not in before] == []
    scratch = place / "scratch"
    assert not scratch.exists() or list(scratch.iterdir()) == []


def processes_of(place: Path) -> list[psutil.Process]:
    """Return this process's children, and whatever names `place` or works in it."""
    found = {child.pid: child for child in psutil.Process().children(recursive=True)}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            words = " ".join(process.cmdline())
            if str(place) in words or process.cwd().startswith(str(place)):
                found[process.pid] = process
    found.pop(os.getpid(), None)
    return list(found.values())
