"""How many probes a search takes, and how right it is: `python -m bench.encode_search`.

Two ways to a CRF, with the same encoder settings, filters and measure: the product's samples, and
a stand-in for how ab-av1 searches by default. That one takes 20 s out of every 12 minutes, begins
in the middle of CRF 10 to 46, halves once, and then goes on with a straight line between the
nearest CRFs on both sides, in steps of 0.1, until it is less than 0.1 over the target.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import click
from rich.table import Table

from bench import clips, machine
from bench.encode_runs import probed
from bench.report import OUT, Goal, Report, publish
from bench.vmaf import measure
from core.media import MediaInfo
from core.plan import VideoEncode, encoding_of, plans
from core.presets import SMART, Preset
from core.smart import Kind, styled
from core.windows import Window
from transcoder.command import command
from transcoder.quality import SAMPLE, SCORES, SIZES, measuring, probe_of, taking
from transcoder.sampling import Sampler

_SAMPLE_S: Final = 20.0
_SAMPLE_EVERY_S: Final = 720.0
_CRF_MIN: Final = 10.0
_CRF_MAX: Final = 46.0
_STEP: Final = 0.1
_TOLERANCE: Final = 0.1
_TOLERANCE_GROWTH: Final = 2.0
_TARGET: Final = 93.0
_PROBES_MAX: Final = 12
_SCORED_EVERY: Final = 5
_BUDGET_S: Final = 3600.0
_MISS_MAX: Final = 1.0
_NAMES: Final = ("lec_slides_1080p30.mp4", "cam_montage_1080p30.mp4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search came to; `truth` is the mean VMAF of the whole recording at its CRF."""

    crf: float
    told: float
    probes: int
    cpu_s: float
    truth: float = 0.0

    @property
    def miss(self) -> float:
        """Return by how much the search was wrong."""
        return abs(self.told - self.truth)


def interpolated(score: Callable[[float], float], target: float) -> tuple[float, float, int]:
    """Return the CRF that the stand-in finds, its score, and how many it has measured."""
    least, most = round(_CRF_MIN / _STEP), round(_CRF_MAX / _STEP)
    at, seen = (least + most) // 2, dict[int, float]()
    for run in range(_PROBES_MAX):
        seen[at] = score(at * _STEP)
        spare = max(_STEP * _TOLERANCE_GROWTH**run * _TOLERANCE, _TOLERANCE)
        if target < seen[at] < target + spare:
            break
        good = max((q for q in seen if seen[q] > target), default=None)
        bad = min((q for q in seen if seen[q] <= target), default=None)
        if good is not None and (good == most or (bad is not None and bad <= good + 1)):
            at = good
            break
        if bad == least:
            break
        at = _next(seen, (good, bad), (least, most), target)
    return at * _STEP, seen[at], len(seen)


def _next(
    seen: dict[int, float],
    bounds: tuple[int | None, int | None],
    ends: tuple[int, int],
    target: float,
) -> int:
    good, bad = bounds
    if good is None or bad is None:
        end = ends[0] if good is None else ends[1]
        return (next(iter(seen)) + end) // 2 if len(seen) == 1 else end
    share = (target - seen[bad]) / (seen[good] - seen[bad])
    return min(max(round(bad - (bad - good) * share), good + 1), bad - 1)


def run(media: Path, *, seconds: float) -> Report:
    """Search both ways on a cut of a lecture and one of camera footage."""
    rows = {name: _both(media / name, seconds) for name in _NAMES if (media / name).is_file()}
    worst = max((ours.miss for ours, _ in rows.values()), default=None)
    return Report(
        name="encode_search",
        options={"seconds": seconds},
        figures={
            name: {"samples": asdict(ours), "interpolated": asdict(theirs)}
            for name, (ours, theirs) in rows.items()
        },
        tables=(_table(rows, seconds),),
        goals=(Goal(what="largest error of a predicted VMAF", value=worst, limit=_MISS_MAX),),
    )


def _both(recording: Path, seconds: float) -> tuple[Found, Found]:
    with tempfile.TemporaryDirectory(dir=OUT) as place:
        folder = Path(place)
        source = clips.cut(recording, seconds, folder / f"source{recording.suffix}")
        info = probed(folder, source.name)
        info = replace(info, streams=tuple(s for s in info.streams if s is info.video))
        ours, preset, kind = _sampled(folder, source, info)
        theirs = _searched(folder, source, info, kind)
        return (
            replace(ours, truth=_truth(folder, source, info, preset)),
            replace(theirs, truth=_truth(folder, source, info, styled(SMART, kind, theirs.crf))),
        )


def _sampled(folder: Path, source: Path, info: MediaInfo) -> tuple[Found, Preset, Kind]:
    before_s = _cpu_s()
    sampler = Sampler(
        ffmpeg=machine.encoder(),
        python=sys.executable,
        folder=folder,
        deadline=time.monotonic() + _BUDGET_S,
        stop=lambda: False,
    )
    choice = sampler(source.name, info, SMART, report=lambda _: None)
    if choice.expected is None or choice.kind is None:
        raise click.ClickException(f"{source.name} could not be sampled: {choice.warnings}")
    found = Found(
        crf=choice.expected.crf,
        told=choice.expected.mean,
        probes=len(choice.probes),
        cpu_s=_cpu_s() - before_s,
    )
    return found, choice.preset, choice.kind


def _searched(folder: Path, source: Path, info: MediaInfo, kind: Kind) -> Found:
    before_s = _cpu_s()
    count = max(int(info.duration_s / _SAMPLE_EVERY_S), 1)
    length_s = min(_SAMPLE_S, info.duration_s)
    part_s = info.duration_s / count
    video = encoding_of(info, SMART)
    with (folder / SAMPLE).open("wb") as sample:
        for at in range(count):
            window = Window(start_s=at * part_s + (part_s - length_s) / 2, length_s=length_s)
            argv = taking(machine.encoder(), info.container, source.name, video, window, "part")
            limit = argv.index("-frames:v")
            _run([*argv[:limit], *argv[limit + 2 :]], folder)
            sample.write((folder / "part").read_bytes())

    def score(crf: float) -> float:
        tried = replace(encoding_of(info, styled(SMART, kind, crf)), crf=crf)
        return _score(folder, tried)

    crf, told, probes = interpolated(score, _TARGET)
    return Found(crf=crf, told=told, probes=probes, cpu_s=_cpu_s() - before_s)


def _score(folder: Path, video: VideoEncode) -> float:
    _run(measuring(machine.encoder(), video), folder)
    return probe_of(video, (folder / SCORES).read_text(), (folder / SIZES).read_text()).mean


def _truth(folder: Path, source: Path, info: MediaInfo, preset: Preset) -> float:
    plan = next(plans(info, replace(preset, target=None)))
    _run(command(machine.encoder(), plan, source.name, "whole.mp4"), folder)
    outputs = [(folder / "whole.mp4", (plan.width, plan.height))]
    return measure(source, info, outputs, _SCORED_EVERY)[0].mean


def _run(argv: list[str], folder: Path) -> None:
    subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _table(rows: dict[str, tuple[Found, Found]], seconds: float) -> Table:
    table = Table(
        "recording", "search", "CRF", "probes", "CPU s", "VMAF told", "VMAF found", "error",
        title=f"The way to a CRF, {seconds:g} s of each recording",
    )  # fmt: skip
    for name, both in rows.items():
        for label, found in zip(("samples", "interpolated"), both, strict=True):
            table.add_row(
                name, label, f"{found.crf:g}", str(found.probes), f"{found.cpu_s:.1f}",
                f"{found.told:.2f}", f"{found.truth:.2f}", f"{found.miss:.2f}",
            )  # fmt: skip
    return table


@click.command(context_settings={"show_default": True})
@click.option("--media", envvar="LECTERN_TEST_MEDIA", default=machine.ROOT.parent / "shared/media",
              type=click.Path(path_type=Path), help="Folder of test recordings.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(20), default=60, help="Of each recording.")
def main(media: Path, seconds: float) -> None:
    """Compare the samples with an interpolated search over CRFs."""
    OUT.mkdir(parents=True, exist_ok=True)
    facts = machine.facts()
    publish(run(media, seconds=seconds), facts)


if __name__ == "__main__":
    main()
