"""`python -m bench.scale`: pieces of a recording made side by side, and what many workers would do.

Cuts a recording, has as many processes as there are cores make its pieces, joins them, and holds
the result against one encode of a shorter part. From the CPU seconds of each piece a model
(`bench.scale_model`) gives the wall time of an hour on many workers.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click
from rich.table import Table

from bench import machine, scale_model
from bench.report import OUT, BenchFailed, Goal, Report, publish
from bench.scale_model import Outlook, Work
from bench.scale_plot import wall_against_workers
from bench.vmaf import measure
from core.errors import LecternError
from core.media import Container, MediaInfo
from core.pieces import PIECE_S, PicturePiece, PiecePlan, cut
from core.plan import Plan, VideoEncode, plans
from core.presets import LECTURE as PRESET
from lectern.demo_lecture import LECTURE
from transcoder.encoder import Encoder, EncoderProgress
from transcoder.pieces.assemble import assemble
from transcoder.pieces.encode import encode_piece
from transcoder.pieces.ranged import FileRanges
from transcoder.pieces.timeline import take_timeline
from transcoder.pieces.workshop import Workshop
from transcoder.probe import Probe

_HOUR_S: Final = 3600
_WORKERS: Final = (1, 4, 16, 64, 256)
_BUDGET_S: Final = 3600.0
_WALL_GOAL_S: Final = 60.0
_LOSS_GOAL: Final = 0.15
_VMAF_EVERY: Final = 15
_SLIDES: Final = machine.ROOT.parent / "shared/media/lec_slides_1080p30.mp4"
_PLOT: Final = machine.ROOT / "docs" / "scale.png"


@dataclass(slots=True)
class Clock:
    """Wall and CPU seconds of each part, by its name; CPU counts children only."""

    wall_s: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure the block."""
        wall, cpu = time.monotonic(), children_cpu_s()
        yield
        self.wall_s[name] = time.monotonic() - wall
        self.cpu_s[name] = children_cpu_s() - cpu


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Seconds of the real run, of the part that is also encoded whole, and of a piece."""

    seconds: float
    compared_s: float
    piece_s: float
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One recording in pieces: `pieces` has kind, CPU seconds and wall seconds of each."""

    plan: PiecePlan
    clock: Clock
    pieces: list[tuple[str, float, float]]
    output: Path

    @property
    def cpu_s(self) -> float:
        """Return all CPU seconds after the probe, which one encode needs too."""
        rest = sum(self.clock.cpu_s[name] for name in ("timeline", "join"))
        return rest + sum(cpu_s for _, cpu_s, _ in self.pieces)

    @property
    def wall_s(self) -> float:
        """Return the same in wall seconds."""
        return sum(self.clock.wall_s[name] for name in ("timeline", "pieces", "join"))


def children_cpu_s() -> float:
    """Return the CPU seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def workshop(folder: Path) -> Workshop:
    """Return a workshop in `folder`."""
    return Workshop(
        ffmpeg=machine.encoder(),
        python=sys.executable,
        folder=folder,
        deadline=time.monotonic() + _BUDGET_S,
        stop=lambda: False,
    )


def probed(path: Path) -> MediaInfo:
    """Return what the probe finds."""
    shop = workshop(path.parent)
    probe = Probe(python=shop.python, folder=shop.folder, deadline=shop.deadline, stop=shop.stop)
    return probe(path.name, Container.MP4)


def planned(info: MediaInfo) -> Plan:
    """Return the first plan that encodes the picture."""
    plan = next(p for p in plans(info, PRESET) if isinstance(p.video, VideoEncode))
    return replace(plan, size_max=2 * info.size)


# --- runs -------------------------------------------------------------------------------------
def make_piece(document: str, number: int, source: str, folder: str) -> tuple[str, float, float]:
    """Make one piece in a process of its own; return its path and what it took."""
    plan = PiecePlan.from_document(json.loads(document))
    private = Path(folder) / f"worker-{number}"
    private.mkdir()
    wall, cpu = time.monotonic(), children_cpu_s()
    made = encode_piece(plan, plan.pieces[number], FileRanges(Path(source)), workshop(private))
    path = made.path.rename(Path(folder) / made.path.name)
    return str(path), children_cpu_s() - cpu, time.monotonic() - wall


def in_pieces(source: Path, folder: Path, options: Options) -> Run:
    """Probe, cut, make the pieces with several processes, join, and check."""
    clock, shop = Clock(), workshop(folder)
    with clock.part("probe"):
        info = probed(source)
    plan = planned(info)
    with clock.part("timeline"):
        timeline = take_timeline(FileRanges(source), plan, shop)
        pieces = cut(info, plan, timeline, piece_s=options.piece_s)
    if pieces.whole_because:
        raise BenchFailed(f"{source.name} stays whole: {pieces.whole_because}")
    document = json.dumps(pieces.to_document())
    with clock.part("pieces"), ProcessPoolExecutor(options.workers) as pool:
        jobs = [
            pool.submit(make_piece, document, number, str(source), str(folder))
            for number in range(len(pieces.pieces))
        ]
        made = [job.result() for job in jobs]
    with clock.part("join"):
        joined = assemble(pieces, [Path(path) for path, _, _ in made], shop, "joined.mp4")
    with clock.part("check"):
        probed(joined.path)
    kinds = ["picture" if isinstance(p, PicturePiece) else "sound" for p in pieces.pieces]
    times = [(kind, cpu, wall) for kind, (_, cpu, wall) in zip(kinds, made, strict=True)]
    return Run(plan=pieces, clock=clock, pieces=times, output=joined.path)


def whole(source: Path, plan: Plan, folder: Path) -> tuple[Path, Clock]:
    """Encode the recording in one go."""
    clock, shop = Clock(), workshop(folder)
    if not (folder / source.name).exists():
        (folder / source.name).symlink_to(source)
    encoder = Encoder(
        ffmpeg=shop.ffmpeg, python=shop.python, folder=folder, deadline=shop.deadline,
        stop=shop.stop,
    )  # fmt: skip
    with clock.part("whole"):
        heard = EncoderProgress(duration_s=1.0, report=lambda _: None)
        encoder(plan, source.name, "whole.mp4", progress=heard)
    return folder / "whole.mp4", clock


def looped(source: Path, seconds: float, to: Path) -> Path:
    """Write `source` over and over, `seconds` long, without encoding it."""
    argv = [str(machine.encoder()), "-v", "error", "-nostdin", "-y", "-stream_loop", "-1"]
    taken = ["-i", str(source), "-t", f"{seconds:g}", "-map", "0:v:0", "-map", "0:a:0?"]
    subprocess.run([*argv, *taken, "-c", "copy", "-movflags", "+faststart", str(to)], check=True)
    return to


# --- what came of it --------------------------------------------------------------------------
def work_of(run: Run, source: Path) -> Work:
    """Return the run as work for the model."""
    return Work(
        survey_s=run.clock.cpu_s["probe"] + run.clock.cpu_s["timeline"],
        pieces_s=[cpu_s for _, cpu_s, _ in run.pieces],
        join_s=run.clock.cpu_s["join"] + run.clock.cpu_s["check"],
        source_bytes=source.stat().st_size,
        output_bytes=run.output.stat().st_size,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Pieces as shares of one encode, and how much VMAF they lose."""

    wall: float
    cpu: float
    size: float
    vmaf: float
    work: Work


def compare(source: Path, folder: Path, options: Options) -> Comparison:
    """Make `source` both ways and return how they differ."""
    info = probed(source)
    plan = planned(info)
    run = in_pieces(source, folder, options)
    one, clock = whole(source, plan, folder)
    outputs = [(path, (plan.width, plan.height)) for path in (one, run.output)]
    first, second = measure(source, info, outputs, _VMAF_EVERY)
    return Comparison(
        wall=run.wall_s / clock.wall_s["whole"],
        cpu=run.cpu_s / clock.cpu_s["whole"],
        size=run.output.stat().st_size / one.stat().st_size,
        vmaf=first.mean - second.mean,
        work=work_of(run, source),
    )


def benchmark(source: Path, options: Options) -> Report:
    """Measure everything."""
    OUT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=OUT) as name:
        folder = Path(name)
        short = looped(source, options.compared_s, folder / "short.mp4")
        (folder / "compared").mkdir()
        compared = compare(short, folder / "compared", options)
        long = looped(source, options.seconds, folder / "long.mp4")
        run = in_pieces(long, folder, options)
        work = work_of(run, long).stretched(
            options.seconds, compared.work, options.compared_s, _HOUR_S
        )
    hours = scale_model.outlook(work, _WORKERS)
    wall_against_workers(hours, _PLOT)
    return _report(run, compared, hours, work, {**asdict(options), "recording": source.name})


def _report(
    run: Run,
    compared: Comparison,
    hours: list[Outlook],
    work: Work,
    options: Mapping[str, object],
) -> Report:
    at = {outlook.workers: outlook for outlook in hours}
    return Report(
        name="scale",
        options=options,
        figures={
            "wall_s": run.clock.wall_s,
            "cpu_s": run.clock.cpu_s,
            "pieces": run.pieces,
            "work": asdict(work),
            "compared": asdict(compared),
            "hour": [asdict(outlook) for outlook in hours],
        },
        tables=[_pieces_table(run, options), _hour_table(hours)],
        goals=[
            Goal(what="an hour on 64 workers", value=at[64].wall_s, limit=_WALL_GOAL_S, unit=" s"),
            Goal(what="lost on 16 workers", value=1 - at[16].efficiency, limit=_LOSS_GOAL),
            Goal(what="wall time against one encode", value=compared.wall, limit=1.03),
            Goal(what="CPU time against one encode", value=compared.cpu, limit=1.03),
            Goal(what="bytes more or less", value=abs(compared.size - 1), limit=0.01),
            Goal(what="VMAF lost", value=compared.vmaf, limit=0.3),
        ],
    )


def _pieces_table(run: Run, options: Mapping[str, object]) -> Table:
    table = Table(title=f"{options['seconds']:g} s in pieces, {options['workers']} processes")
    for column in ("part", "number", "CPU s", "longest CPU s", "wall s"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for kind in ("picture", "sound"):
        costs = [cpu_s for name, cpu_s, _ in run.pieces if name == kind]
        if costs:
            table.add_row(kind, f"{len(costs)}", f"{sum(costs):.1f}", f"{max(costs):.1f}", "")
    for name, wall_s in run.clock.wall_s.items():
        cpu = "" if name == "pieces" else f"{run.clock.cpu_s[name]:.1f}"
        table.add_row(name, "1", cpu, "", f"{wall_s:.1f}")
    return table


def _hour_table(hours: list[Outlook]) -> Table:
    table = Table(title="An hour by the model: measured CPU time, stated delays")
    for column in ("workers", "wall s", "efficiency"):
        table.add_column(column, justify="right")
    for one in hours:
        table.add_row(f"{one.workers}", f"{one.wall_s:.1f}", f"{100 * one.efficiency:.0f} %")
    return table


@click.command()
@click.option("--file", "source", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Recording to repeat (default: slides, or the shipped lecture).")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(130), default=600, help="Of the real run.")
@click.option("--compared", type=click.FloatRange(130), default=180, help="Of the comparison.")
@click.option("--piece-s", type=click.FloatRange(5), default=PIECE_S, help="Of a piece.")
@click.option("--workers", type=click.IntRange(1), default=os.cpu_count() or 1)
def main(
    source: Path | None, seconds: float, compared: float, piece_s: float, workers: int
) -> None:
    """Measure a recording in pieces, and what many workers would make of an hour."""
    if seconds <= compared:
        raise click.UsageError("--seconds must be more than --compared")
    options = Options(seconds=seconds, compared_s=compared, piece_s=piece_s, workers=workers)
    facts = machine.facts()
    given = source or (_SLIDES if _SLIDES.is_file() else LECTURE)
    try:
        publish(benchmark(given, options), facts)
    except (BenchFailed, LecternError, subprocess.CalledProcessError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
