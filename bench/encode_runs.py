"""One recording, made small three ways: the reference, the preset `lecture`, the preset `smart`."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import clips, machine
from bench.vmaf import Quality, measure
from core.errors import LecternError
from core.media import Container, MediaInfo
from core.presets import LECTURE, SMART, Preset
from core.smart import Choice, Kind
from core.sniffing import sniff
from transcoder.compress import Toolbox, compress
from transcoder.probe import Probe

REFERENCE: Final = "reference"
_REFERENCE: Final = (
    *("-vf", "scale=-2:720", "-c:v", "libx264", "-preset", "veryfast", "-crf", "23"),
    *("-c:a", "aac", "-b:a", "128k", "-movflags", "+faststart"),
)
"""What the field does, with FFmpeg's defaults for everything else."""
PRESETS: Final = (LECTURE, SMART)
_BUDGET_S: Final = 7200.0
_HEAD_BYTES: Final = 64
_LITTLE_S: Final = 1.0
"""Seconds that are not worth a cut."""
_LONG_S: Final = 120.0
_SCORED_EVERY: Final = (3, 10)
"""One frame in three is scored of recordings up to two minutes, of longer ones one in ten."""


class Refused(Exception):
    """A file that Lectern or the reference cannot make small; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One output; `cpu_s` holds everything that was run for it, its samples included."""

    size: int
    cpu_s: float
    wall_s: float
    quality: Quality
    choice: Choice | None = None
    action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All outputs of one recording, by the name of what made them."""

    name: str
    size: int
    duration_s: float
    runs: Mapping[str, Run]

    @property
    def kind(self) -> Kind | None:
        """Return what the samples took the recording for; None for one too short for them."""
        choice = self.runs[SMART.name].choice
        return choice.kind if choice else None

    def ratio(self, name: str) -> float:
        """Return the bytes against those of the reference."""
        return self.runs[name].size / self.runs[REFERENCE].size

    def cpu_ratio(self, name: str) -> float:
        """Return the CPU time against that of the reference."""
        return self.runs[name].cpu_s / self.runs[REFERENCE].cpu_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An output of `size` pixels, and what it cost."""

    path: Path
    size: tuple[int, int]
    cpu_s: float
    wall_s: float
    choice: Choice | None = None
    action: str = ""


def run(source: Path, folder: Path, *, seconds: float | None) -> Result:
    """Make `source` small all three ways in the empty `folder`; raises Refused.

    Only its first `seconds` are used where that is given.
    """
    given = folder / f"source{source.suffix}"
    given.symlink_to(source.absolute())
    info = probed(folder, given.name)
    if info.video is None or info.video.picture is None:
        raise Refused("no picture")
    if seconds is not None and info.duration_s > seconds + _LITTLE_S:
        given = clips.cut(source, seconds, folder / f"cut{source.suffix}")
        info = probed(folder, given.name)
    try:
        made = {REFERENCE: reference(given, folder)}
        made |= {preset.name: product(given, folder, preset) for preset in PRESETS}
        outputs = [(each.path, each.size) for each in made.values()]
        every = _SCORED_EVERY[info.duration_s > _LONG_S]
        qualities = measure(given, info, outputs, every)
    except (LecternError, subprocess.CalledProcessError) as error:
        raise Refused(str(error)) from error
    runs = {
        name: Run(
            size=each.path.stat().st_size,
            cpu_s=each.cpu_s,
            wall_s=each.wall_s,
            quality=quality,
            choice=each.choice,
            action=each.action,
        )
        for (name, each), quality in zip(made.items(), qualities, strict=True)
    }
    return Result(
        name=source.name, size=given.stat().st_size, duration_s=info.duration_s, runs=runs
    )


def reference(source: Path, folder: Path) -> Made:
    """Make `source` small as the field does; raises CalledProcessError or Refused."""
    output = folder / "reference.mp4"
    began, before_s = time.monotonic(), _children_cpu_s()
    subprocess.run(
        [str(machine.encoder()), "-v", "fatal", "-nostdin", "-y", "-i", str(source),
         *_REFERENCE, str(output)],
        check=True,
    )  # fmt: skip
    wall_s, cpu_s = time.monotonic() - began, _children_cpu_s() - before_s
    video = probed(folder, output.name, Container.MP4).video
    if video is None or video.picture is None:
        raise Refused("the reference has no picture")
    size = (video.picture.width, video.picture.height)
    return Made(path=output, size=size, cpu_s=cpu_s, wall_s=wall_s)


def product(source: Path, folder: Path, preset: Preset) -> Made:
    """Make `source` small in a folder of the preset's name; raises LecternError."""
    private = folder / preset.name
    private.mkdir()
    given = private / source.name
    given.symlink_to(source.resolve())
    began, before_s = time.monotonic(), _children_cpu_s()
    made = compress(
        given,
        private,
        preset=preset,
        toolbox=Toolbox(ffmpeg=machine.encoder(), python=sys.executable),
        budget_s=_BUDGET_S,
        progress=_Deaf(),
        stop=lambda: False,
    )
    return Made(
        path=made.path,
        size=(made.media.width, made.media.height),
        cpu_s=_children_cpu_s() - before_s,
        wall_s=time.monotonic() - began,
        choice=made.choice,
        action=made.action,
    )


class _Deaf:
    def report(self, percent: float) -> None:
        """Do nothing."""


def probed(folder: Path, name: str, container: Container | None = None) -> MediaInfo:
    """Return what the file `name` holds; raises Refused."""
    with (folder / name).open("rb") as file:
        container = container or sniff(file.read(_HEAD_BYTES))
    if container is None:
        raise Refused("no recording")
    probe = Probe(
        python=sys.executable,
        folder=folder,
        deadline=time.monotonic() + _BUDGET_S,
        stop=lambda: False,
    )
    try:
        return probe(name, container)
    except LecternError as error:
        raise Refused(str(error)) from error


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
