"""(e) Bytes, quality and computing time of each recording, against the field's own command."""

from __future__ import annotations

import contextlib
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.table import Table

from bench import encode_codecs, plot
from bench.encode_runs import PRESETS, REFERENCE, Refused, Result, Run, run
from bench.report import OUT, BenchFailed, Goal, Report
from core.presets import SMART
from core.smart import Kind

_LECTURE: Final = "lectures"
_CAMERA: Final = "camera footage"
_SHORT: Final = "below 8 s"
_GROUPS: Final = (_LECTURE, _CAMERA, _SHORT)
_BYTES_MAX: Final = {_LECTURE: 0.60, _CAMERA: 0.75}
_CPU_MAX: Final = {_LECTURE: 1.5, _CAMERA: 2.5}
_QUALITY_LOSS_MAX: Final = 0.0
_VMAF: Final = 93.0
_SHORT_S: Final = 8.0
"""Shorter clips are no lectures. Those at hand are upright pictures for the most part, of which the
reference leaves a third of the pixels: their bytes and CPU time do not compare."""
_MISS_MAX: Final = 1.0


def benchmark(
    folder: Path, *, seconds: float | None, picture: Path, say: Callable[[str], None]
) -> Report:
    """Measure every recording of `folder`, of each its first `seconds` where that is given.

    The plot goes to `picture`.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    results, refused = [], {}
    for path in files:
        say(f"{path.name} …")
        with _workplace() as place:
            try:
                results.append(run(path, place, seconds=seconds))
                say(_line(results[-1]))
            except Refused as error:
                refused[path.name] = str(error)
                say(f"  left out: {error}")
    if not results:
        raise BenchFailed(f"{folder} holds no recording with a picture")
    plot.bytes_against_vmaf(results, picture)
    others = _other_codecs(folder, results, say)
    return Report(
        name="encode",
        options={"folder": str(folder), "seconds": seconds},
        figures={
            "clips": [_figures(result) for result in results],
            "refused": refused,
            "other_codecs": encode_codecs.figures(others),
            "plot": picture.name,
        },
        tables=[
            _clip_table(results),
            _choice_table(results),
            _mean_table(results),
            encode_codecs.table(others),
        ],
        goals=_goals(results),
    )


def _other_codecs(
    folder: Path, results: Sequence[Result], say: Callable[[str], None]
) -> list[encode_codecs.Row]:
    """Try the other codecs on the longest lecture and the longest camera recording."""
    rows = []
    for group in (_LECTURE, _CAMERA):
        found = [result for result in results if group_of(result) == group]
        if not found:
            continue
        name = max(found, key=lambda result: result.duration_s).name
        say(f"{name} in other codecs …")
        with _workplace() as place:
            rows += encode_codecs.rows_or_none(folder / name, place)
    return rows


@contextlib.contextmanager
def _workplace() -> Iterator[Path]:
    OUT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="encode-", dir=OUT))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _line(result: Result) -> str:
    """Return the essence of a result, for whoever waits for the tables."""
    made, reference = result.runs[SMART.name], result.runs[REFERENCE]
    ratio, cpu_ratio = result.ratio(SMART.name), result.cpu_ratio(SMART.name)
    return (
        f"  smart: {ratio:.2f} x the bytes and {cpu_ratio:.2f} x the CPU time of the reference, "
        f"VMAF {made.quality.mean:.1f} for {reference.quality.mean:.1f}"
    )


def group_of(result: Result) -> str:
    """Return what kind of goal the recording falls under."""
    if result.kind is None or result.duration_s < _SHORT_S:
        return _SHORT
    return _CAMERA if result.kind is Kind.CAMERA else _LECTURE


def mean_of(ratios: Sequence[float]) -> float:
    """Return the geometric mean."""
    return statistics.geometric_mean(ratios)


# --- tables -----------------------------------------------------------------------------------
def _clip_table(results: Sequence[Result]) -> Table:
    columns = ("recording", "by", "bytes", "x ref", "VMAF", "5th pct", "CPU s", "x ref", "wall s")
    table = Table(*columns, title="Each recording, made small three ways")
    for result in results:
        table.add_row(f"{result.name} ({result.duration_s:.0f} s)", "source", f"{result.size:,}")
        for name, made in result.runs.items():
            table.add_row("", name, *_cells(result, name, made))
        table.add_section()
    return table


def _cells(result: Result, name: str, made: Run) -> list[str]:
    return [
        f"{made.size:,}",
        f"{result.ratio(name):.2f}",
        f"{made.quality.mean:.2f}",
        f"{made.quality.low:.2f}",
        f"{made.cpu_s:.1f}",
        f"{result.cpu_ratio(name):.2f}",
        f"{made.wall_s:.1f}",
    ]


def _choice_table(results: Sequence[Result]) -> Table:
    columns = ("recording", "kind", "CRF", "VMAF told", "VMAF found", "probes", "sound", "made by")
    table = Table(*columns, title="What smart chose")
    for result in results:
        made = result.runs[SMART.name]
        choice, told = made.choice, made.choice.expected if made.choice else None
        voice = choice.voice if choice else None
        table.add_row(
            result.name,
            result.kind or "-",
            f"{choice.preset.crf:g}" if choice else "-",
            f"{told.mean:.2f}" if told else "-",
            f"{made.quality.mean:.2f}",
            str(len(choice.probes)) if choice else "-",
            _heard(voice.speech, voice.one_channel) if voice else "-",
            made.action,
        )
    return table


def _heard(speech: bool, one_channel: bool) -> str:  # noqa: FBT001 - two plain facts
    return f"{'speech' if speech else 'music'}, {'one channel' if one_channel else 'stereo'}"


def _mean_table(results: Sequence[Result]) -> Table:
    table = Table("group", "by", "recordings", "bytes x ref", "CPU x ref", title="Geometric means")
    for group in _GROUPS:
        found = [result for result in results if group_of(result) == group]
        for preset in PRESETS if found else ():
            table.add_row(
                group,
                preset.name,
                str(len(found)),
                f"{mean_of([r.ratio(preset.name) for r in found]):.3f}",
                f"{mean_of([r.cpu_ratio(preset.name) for r in found]):.2f}",
            )
    return table


# --- goals ------------------------------------------------------------------------------------
def _goals(results: Sequence[Result]) -> list[Goal]:
    goals = []
    for group, most in _BYTES_MAX.items():
        found = [result for result in results if group_of(result) == group]
        if not found:
            continue
        bytes_ratio = mean_of([r.ratio(SMART.name) for r in found])
        cpu_ratio = mean_of([r.cpu_ratio(SMART.name) for r in found])
        goals += [
            Goal(what=f"{group}: bytes against the reference", value=bytes_ratio, limit=most),
            Goal(what=f"{group}: CPU time", value=cpu_ratio, limit=_CPU_MAX[group]),
        ]
    losses = [_loss(result) for result in results]
    misses = [miss for miss in map(_miss, results) if miss is not None]
    return [
        *goals,
        Goal(
            what="worst VMAF below 93, or below the reference's where that is less",
            value=max(losses),
            limit=_QUALITY_LOSS_MAX,
        ),
        Goal(
            what="largest error of a predicted VMAF",
            value=max(misses) if misses else None,
            limit=_MISS_MAX,
        ),
        Goal(
            what="largest output against its source",
            value=max(r.runs[SMART.name].size / r.size for r in results),
            limit=1.0,
        ),
    ]


def _loss(result: Result) -> float:
    wanted = min(result.runs[REFERENCE].quality.mean, _VMAF)
    return wanted - result.runs[SMART.name].quality.mean


def _miss(result: Result) -> float | None:
    made = result.runs[SMART.name]
    if made.choice is None or made.choice.expected is None or made.action != "encoded":
        return None
    return abs(made.choice.expected.mean - made.quality.mean)


def _figures(result: Result) -> dict[str, object]:
    choice = result.runs[SMART.name].choice
    return {
        "name": result.name,
        "bytes": result.size,
        "duration_s": round(result.duration_s, 3),
        "group": group_of(result),
        "runs": {name: _run_figures(made) for name, made in result.runs.items()},
        "choice": {
            "kind": choice.kind,
            "crf": choice.preset.crf,
            "expected": asdict(choice.expected) if choice.expected else None,
            "probes": [{"crf": p.crf, "mean": p.mean, "low": p.low} for p in choice.probes],
            "voice": asdict(choice.voice) if choice.voice else None,
            "warnings": choice.warnings,
        }
        if choice
        else None,
    }


def _run_figures(made: Run) -> dict[str, object]:
    return {
        "bytes": made.size,
        "cpu_s": round(made.cpu_s, 2),
        "wall_s": round(made.wall_s, 2),
        "vmaf": asdict(made.quality),
        "action": made.action,
    }
