"""`lectern compress`: one recording, no server."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from core.presets import DEFAULT
from core.views import saved_percent
from infra import ffmpeg
from infra.settings import Settings
from lectern.show import media, size
from transcoder.compress import Compressed, Toolbox, compress
from transcoder.stopping import StopSignal


class _Bar:
    """A progress bar that hears how far the encode is."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task("compressing", total=100)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def report(self, percent: float) -> None:
        self._progress.update(self._task, completed=percent)


def run(settings: Settings, source: Path, output: Path | None, *, force: bool) -> None:
    """Compress `source` to `output`; raises the errors of `transcoder.compress`."""
    target = output or source.with_name(f"{source.stem}.720p.mp4")
    if target.exists() and not force:
        raise ValueError(f"{target} exists; add --force to replace it")
    stop = StopSignal()
    stop.install()
    toolbox = Toolbox(ffmpeg=ffmpeg.find(settings.lectern_ffmpeg), python=sys.executable)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".lectern-") as name:
        folder = Path(name)
        given = folder / "source"
        given.symlink_to(source.absolute())
        with _Bar(Console(stderr=True)) as bar:
            made = compress(
                given,
                folder,
                preset=DEFAULT,
                toolbox=toolbox,
                budget_s=settings.job_timeout,
                progress=bar,
                stop=stop,
            )
        made.path.replace(target)
    _report(source, target, made)


def _report(source: Path, target: Path, made: Compressed) -> None:
    before = source.stat().st_size
    print(f"{source.name}: {size(before)}, {media(made.source_media)}")
    print(f"{target}: {size(made.size)}, {media(made.media)}")
    print(f"{made.action}, {saved_percent(before, made.size)} % saved, {made.work_s:.1f} s, "
          f"{made.media.duration_s / max(made.work_s, 0.001):.1f} x realtime")  # fmt: skip
    for warning in made.warnings:
        print(f"warning: {warning}")
