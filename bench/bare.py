"""The product's own FFmpeg command, run by itself: what the handshake is compared with."""

from __future__ import annotations

import hashlib
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import machine
from bench.report import BenchFailed
from core.media import Container, MediaInfo
from core.plan import plans
from core.presets import DEFAULT
from transcoder.command import command
from transcoder.probe import Probe
from transcoder.sandbox import ENVIRONMENT, NICENESS

SOURCE: Final = "source"
_OUTPUT: Final = "output.mp4"
_PROBE_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """One run of the bare command, and beside it the product's other work on the same files.

    `probe_s` is the probe of the source, `verdict_s` the probe and the hash of the output.
    """

    wall_s: float
    cpu: machine.Usage
    sha256: str
    probe_s: float
    verdict_s: float


def run(folder: Path) -> Bare:
    """Encode `source` in `folder` as the service would, without a sandbox; raises if that fails."""
    began = time.monotonic()
    info = _probe(folder, SOURCE)
    probe_s = time.monotonic() - began
    watch, began = machine.Watch(_children_cpu_s), time.monotonic()
    subprocess.run(
        [_program("nice"), "-n", str(NICENESS), *arguments(info)],
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    wall_s, cpu = time.monotonic() - began, watch.usage()
    began = time.monotonic()
    _probe(folder, _OUTPUT)
    sha256 = _digest(folder / _OUTPUT)
    verdict_s = time.monotonic() - began
    return Bare(wall_s=wall_s, cpu=cpu, sha256=sha256, probe_s=probe_s, verdict_s=verdict_s)


def arguments(info: MediaInfo) -> list[str]:
    """Return the command that the service would run first for this recording."""
    plan = next(plans(info, DEFAULT))
    return command(machine.encoder(), plan, SOURCE, _OUTPUT)


def _probe(folder: Path, name: str) -> MediaInfo:
    probe = Probe(
        python=sys.executable,
        folder=folder,
        deadline=time.monotonic() + _PROBE_S,
        stop=lambda: False,
    )
    return probe(name, Container.MP4)


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise BenchFailed(f"the program {name} is not installed")
    return path


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
