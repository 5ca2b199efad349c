"""What a ladder costs: one run that makes all renditions against one run for each of them."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.table import Table

from bench import clips, machine
from bench.report import OUT, BenchFailed, Goal, Report
from bench.vmaf import Quality, measure
from core.ladder import HLS, LadderPlan, ladder_plan
from core.media import MediaInfo
from core.plan import AudioEncode, VideoEncode
from core.sniffing import sniff
from transcoder.command import encoding
from transcoder.ladder.command import AUDIO, PLAYLIST, ladder_command
from transcoder.probe import Probe

_RECORDINGS: Final = (("lec_slides_1080p30.mp4", 0.65), ("cam_montage_1080p30.mp4", 0.75))
"""Recordings, and the most that a ladder may cost against separate runs."""
_PROBE_S: Final = 120.0
_SCORED_EVERY: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU seconds of both ways, the least of all rounds, and what each makes in bytes.

    `qualities` are those of the ladder's renditions at their own sizes, by name.
    """

    ladder_s: float
    separate_s: float
    ladder_bytes: int
    separate_bytes: int
    qualities: Mapping[str, Quality]

    @property
    def share(self) -> float:
        """Return what the ladder costs against the separate runs."""
        return self.ladder_s / self.separate_s


def run(media: Path, *, seconds: float, rounds: int) -> Report:
    """Measure both ways on cuts of the recordings, in turns, `rounds` times."""
    costs = {}
    for name, _ in _RECORDINGS:
        if not (media / name).is_file():
            raise BenchFailed(f"{name} is not in {media}; give its folder with --media")
        costs[name] = _measure(media / name, seconds, rounds)
    return Report(
        name="ladder",
        options={"seconds": seconds, "rounds": rounds},
        figures={name: _figures(cost) for name, cost in costs.items()},
        tables=(_table(costs, seconds), _quality_table(costs)),
        goals=tuple(
            Goal(what=f"CPU of a ladder against separate runs, {name}",
                 value=costs[name].share, limit=limit)
            for name, limit in _RECORDINGS
        ),
    )  # fmt: skip


def _measure(recording: Path, seconds: float, rounds: int) -> Cost:
    with tempfile.TemporaryDirectory(dir=OUT) as place:
        folder = Path(place)
        clips.cut(recording, seconds, folder / "source.mp4")
        info = _probed(folder)
        plan = ladder_plan(info, HLS)
        qualities = _qualities(folder, info, plan)
        both = [(_in_one(folder, plan), _one_by_one(folder, plan)) for _ in range(rounds)]
        ladders, separates = zip(*both, strict=True)
        return Cost(
            ladder_s=min(cpu_s for cpu_s, _ in ladders),
            separate_s=min(cpu_s for cpu_s, _ in separates),
            ladder_bytes=ladders[0][1],
            separate_bytes=separates[0][1],
            qualities=qualities,
        )


def _probed(folder: Path) -> MediaInfo:
    source = folder / "source.mp4"
    with source.open("rb") as file:
        container = sniff(file.read(64))
    if container is None:
        raise BenchFailed(f"{source} is no recording")
    probe = Probe(
        python=sys.executable,
        folder=folder,
        deadline=time.monotonic() + _PROBE_S,
        stop=lambda: False,
    )
    return probe(source.name, container)


def _qualities(folder: Path, info: MediaInfo, plan: LadderPlan) -> dict[str, Quality]:
    """Make the set once, and score each rendition against the source scaled to its size."""
    made = folder / "set"
    _make_set(folder, plan)
    names = [variant.name for variant in plan.variants]
    outputs = [(made / v.name / PLAYLIST, (v.video.width, v.video.height)) for v in plan.variants]
    scores = measure(folder / "source.mp4", info, outputs, _SCORED_EVERY)
    shutil.rmtree(made)
    return dict(zip(names, scores, strict=True))


def _in_one(folder: Path, plan: LadderPlan) -> tuple[float, int]:
    """Make everything that a set has of FFmpeg: storyboard and looks for chapters, too."""
    made = folder / "set"
    cpu_s = _make_set(folder, plan)
    size = sum(path.stat().st_size for path in made.rglob("*.m4s"))
    shutil.rmtree(made)
    return cpu_s, size


def _make_set(folder: Path, plan: LadderPlan) -> float:
    for name in (*(variant.name for variant in plan.variants), AUDIO):
        (folder / "set" / name).mkdir(parents=True)
    cores = os.cpu_count() or 1
    argv = ladder_command(machine.encoder(), plan, "source.mp4", "set", cores=cores)
    return _cpu_s(argv, folder)


def _one_by_one(folder: Path, plan: LadderPlan) -> tuple[float, int]:
    """Make each rendition as an MP4 with its sound, with the same settings of the encoder."""
    cpu_s, size = 0.0, 0
    for variant in plan.variants:
        argv = _separate(plan, variant.video)
        cpu_s += _cpu_s(argv, folder)
        size += (folder / "single.mp4").stat().st_size
    return cpu_s, size


def _separate(plan: LadderPlan, video: VideoEncode) -> list[str]:
    return [
        str(machine.encoder()), "-v", "error", "-nostdin", "-y", "-i", "source.mp4",
        "-vf", f"scale={video.width}:{video.height}", *encoding(video),
        "-force_key_frames", f"expr:gte(t,n_forced*{plan.segment_s:g})",
        *_sound(plan), "-movflags", "+faststart", "single.mp4",
    ]  # fmt: skip


def _sound(plan: LadderPlan) -> list[str]:
    if not isinstance(plan.audio, AudioEncode):
        return ["-c:a", "copy"] if plan.audio else ["-an"]
    return ["-c:a", "aac", "-b:a", str(plan.audio.rate), "-ac", str(plan.audio.channels)]


def _cpu_s(argv: list[str], folder: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _figures(cost: Cost) -> dict[str, object]:
    return {
        "ladder_cpu_s": round(cost.ladder_s, 2),
        "separate_cpu_s": round(cost.separate_s, 2),
        "share": round(cost.share, 3),
        "ladder_bytes": cost.ladder_bytes,
        "separate_bytes": cost.separate_bytes,
        "vmaf": {name: asdict(quality) for name, quality in cost.qualities.items()},
    }


def _table(costs: Mapping[str, Cost], seconds: float) -> Table:
    table = Table(
        "recording", "ladder, CPU s", "separate, CPU s", "share", "ladder", "separate",
        title=f"A ladder of {len(HLS.lines)} renditions, {seconds:g} s of each recording",
    )  # fmt: skip
    for name, cost in costs.items():
        table.add_row(
            name,
            f"{cost.ladder_s:.2f}",
            f"{cost.separate_s:.2f}",
            f"{cost.share:.3f}",
            f"{cost.ladder_bytes:,} B",
            f"{cost.separate_bytes:,} B",
        )
    return table


def _quality_table(costs: Mapping[str, Cost]) -> Table:
    table = Table("recording", "rendition", "VMAF", "5th pct", title="At its own size")
    for name, cost in costs.items():
        for rendition, quality in cost.qualities.items():
            table.add_row(name, rendition, f"{quality.mean:.2f}", f"{quality.low:.2f}")
    return table
