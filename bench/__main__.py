"""`python -m bench`: all benchmarks, or those that are named."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from bench import encode, front, handshake, ladder, machine, status, upload
from bench.report import BenchFailed, Report, publish
from core import limits
from core.errors import LecternError
from infra.ffmpeg import FfmpegMissing
from infra.settings import SettingsError
from lectern.client import JobEnded, LecternRefused, LecternUnreachable
from lectern.demo_lecture import LECTURE
from receiver.front import Ended, find_haproxy

_ALL: Final = ("handshake", "upload", "status")
_FRONT: Final = "front"
_SLIDES: Final = "lec_slides_1080p30.mp4"
_KNOWN: Final = (
    BenchFailed,
    FfmpegMissing,
    JobEnded,
    LecternError,
    LecternRefused,
    LecternUnreachable,
    SettingsError,
    TimeoutError,
    subprocess.CalledProcessError,
)


@click.group(chain=True, context_settings={"show_default": True, "max_content_width": 100})
def main() -> None:
    """Measure the real service. Without a command: handshake, upload, status and front.

    Options may come from the environment too: BENCH_HANDSHAKE_PAIRS, BENCH_UPLOAD_MEGABYTES, …
    """


@main.command("handshake")
@click.option("--file", "files", multiple=True, help="Recording to use instead of the defaults.",
              type=click.Path(exists=True, dir_okay=False, path_type=Path))  # fmt: skip
@click.option("--media", envvar="LECTERN_TEST_MEDIA", default=machine.ROOT.parent / "shared/media",
              type=click.Path(path_type=Path), help="Folder of test recordings.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(1), default=75, help="Of each recording.")
@click.option("--pairs", type=click.IntRange(1), default=3, help="Of bare FFmpeg and handshake.")
def handshake_(files: tuple[Path, ...], media: Path, seconds: float, pairs: int) -> None:
    """Time the handshake against the bare FFmpeg command."""
    recordings = {str(file): file for file in files} or _recordings(media)
    _publish(lambda: handshake.run(recordings, seconds=seconds, pairs=pairs))


@main.command("upload")
@click.option("--megabytes", type=click.IntRange(1), default=500, help="Size of the file in MiB.")
@click.option("--repetitions", type=click.IntRange(1), default=3, help="Of the single upload.")
def upload_(megabytes: int, repetitions: int) -> None:
    """Measure speed and memory of large uploads."""
    _publish(lambda: upload.run(size=megabytes * limits.MIB, repetitions=repetitions))


@main.command("status")
@click.option("--seconds", type=click.FloatRange(1), default=10, help="Of each measuring.")
@click.option("--connections", type=click.IntRange(1), default=4, help="That ask at once.")
def status_(seconds: float, connections: int) -> None:
    """Measure how fast the status is told."""
    _publish(lambda: status.run(seconds=seconds, connections=connections))


@main.command(_FRONT)
@click.option("--megabytes", type=click.IntRange(1), default=500, help="Size of the file in MiB.")
@click.option("--repetitions", type=click.IntRange(1), default=2, help="Of each kind of upload.")
def front_(megabytes: int, repetitions: int) -> None:
    """Measure large uploads through HAProxy, over HTTP/2 and HTTP/1.1."""
    _publish(lambda: front.run(size=megabytes * limits.MIB, repetitions=repetitions))


@main.command("encode")
@click.option("--clips", envvar="CLIPS", default=machine.ROOT.parent / "shared/media",
              type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of recordings.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(2), help="Of each recording (default: all).")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Where it goes.",
              default=machine.ROOT / "docs" / "bytes-vmaf.png")  # fmt: skip
def encode_(clips: Path, seconds: float | None, plot: Path) -> None:
    """Compare bytes, VMAF and computing time with the field's own FFmpeg command."""
    _publish(lambda: encode.benchmark(clips, seconds=seconds, picture=plot, say=click.echo))


@main.command("ladder")
@click.option("--media", envvar="LECTERN_TEST_MEDIA", default=machine.ROOT.parent / "shared/media",
              type=click.Path(path_type=Path), help="Folder of test recordings.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(2), default=15, help="Of each recording.")
@click.option("--rounds", type=click.IntRange(1), default=3, help="The best one counts.")
def ladder_(media: Path, seconds: float, rounds: int) -> None:
    """Compare one run for all renditions with one run for each."""
    _publish(lambda: ladder.run(media, seconds=seconds, rounds=rounds))


def _all() -> list[str]:
    """Return all benchmarks for which there is a program."""
    try:
        find_haproxy()
    except Ended as missing:
        click.echo(f"{missing}: {_FRONT} is left out")
        return [*_ALL]
    return [*_ALL, _FRONT]


def _recordings(media: Path) -> dict[str, Path]:
    """Return the shipped lecture, and a camera-free lecture where the test media are at hand."""
    found = {"shipped lecture, looped": LECTURE}
    slides = media / _SLIDES
    if slides.is_file():
        found[slides.stem] = slides
    else:
        click.echo(f"{slides} is not there: only the shipped lecture is measured")
    return found


def _publish(measure: Callable[[], Report]) -> None:
    try:
        facts = machine.facts()
        publish(measure(), facts)
    except _KNOWN as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything is cleaned up
    main(sys.argv[1:] or _all(), auto_envvar_prefix="BENCH", prog_name="python -m bench")
