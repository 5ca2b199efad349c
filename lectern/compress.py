"""`lectern compress`: one recording, no server."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from core.presets import Preset
from core.smart import Choice, Voice
from core.views import saved_percent
from infra import ffmpeg
from infra.settings import Settings
from lectern.show import media, size
from transcoder.compress import Compressed, Toolbox, compress
from transcoder.stopping import StopSignal

_OTHERS: Final = frozenset({".avi", ".mkv", ".mp3", ".ogg", ".wav", ".webm"})
"""Endings of names that promise something else than what is made."""


class Bar:
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
        """Show how much is done."""
        self._progress.update(self._task, completed=percent)


def run(
    settings: Settings, source: Path, output: Path | None, *, preset: Preset, force: bool
) -> None:
    """Compress `source` to `output`; raises the errors of `transcoder.compress`.

    Without `output` the result lies beside its source: as MP4, or as M4A where there is no picture.
    """
    target = output or source.with_name(f"{source.stem}.720p.mp4")
    _check_free(target, force=force)
    stop = StopSignal()
    stop.install()
    toolbox = Toolbox(ffmpeg=ffmpeg.find(settings.lectern_ffmpeg), python=sys.executable)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".lectern-") as name:
        folder = Path(name)
        given = folder / "source"
        given.symlink_to(source.absolute())
        with Bar(Console(stderr=True)) as bar:
            made = compress(
                given,
                folder,
                preset=preset,
                toolbox=toolbox,
                budget_s=settings.job_timeout,
                progress=bar,
                stop=stop,
            )
        if output is None and not made.media.shown:
            target = source.with_name(f"{source.stem}.small.m4a")
            _check_free(target, force=force)
        made.path.replace(target)
    _report(source, target, made)


def _check_free(target: Path, *, force: bool) -> None:
    if target.suffix.lower() in _OTHERS:
        raise ValueError(f"{target.name} would hold an MP4; name it {target.stem}.mp4")
    if target.is_dir():
        raise ValueError(f"{target} is a folder; name the file that shall be written")
    if target.exists() and not force:
        raise ValueError(f"{target} exists; add --force to replace it")


def _report(source: Path, target: Path, made: Compressed) -> None:
    before = source.stat().st_size
    print(f"{source.name}: {size(before)}, {media(made.source_media)}")
    print(f"{target}: {size(made.size)}, {media(made.media)}")
    print(f"{made.action}, {saved_percent(before, made.size)} % saved, {made.work_s:.1f} s, "
          f"{made.media.duration_s / max(made.work_s, 0.001):.1f} x realtime")  # fmt: skip
    if made.choice:
        print(f"chosen by samples: {_reasons(made.choice)}")
    for warning in made.warnings:
        print(f"warning: {warning}")


def _reasons(choice: Choice) -> str:
    """Return what was seen and heard, and what follows from it."""
    found, voice = choice.expected, choice.voice
    seen = f"{choice.kind}, CRF {found.crf:g} for a VMAF of {found.mean:.0f}" if found else ""
    heard = f"{'speech' if voice.speech else 'sound'} in {_channels(voice)}" if voice else ""
    return "; ".join(filter(None, (seen, heard))) or "nothing, it is too short"


def _channels(voice: Voice) -> str:
    return "one channel" if voice.one_channel else "two channels"
