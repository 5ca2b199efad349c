"""What a figure was measured on."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from infra import ffmpeg, settings

ROOT: Final = Path(__file__).resolve().parents[1]
_CPUINFO: Final = Path("/proc/cpuinfo")
_NOT_BUSY: Final = frozenset({"idle", "iowait", "guest", "guest_nice"})
"""Guests are in `user` already."""


def encoder() -> Path:
    """Return the FFmpeg that the service runs; raises FfmpegMissing."""
    return ffmpeg.find(settings.load().lectern_ffmpeg)


def facts() -> dict[str, object]:
    """Return the machine, and how busy it was just before: load average over one minute."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "memory_bytes": psutil.virtual_memory().total,
        "load_before": round(psutil.getloadavg()[0], 2),
    }


def versions() -> dict[str, object]:
    """Return the versions of what was measured; `commit` is None outside a git checkout."""
    first_line = _said([str(encoder()), "-version"]).partition("\n")[0]
    return {
        "ffmpeg": first_line.removeprefix("ffmpeg version ").partition(" ")[0],
        "python": platform.python_version(),
        "commit": _said(["git", "rev-parse", "HEAD"]).strip() or None,
        "changed_since_commit": bool(_said(["git", "status", "--porcelain"]).strip()),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """CPU seconds of what is measured, and of all else: other programs and the hypervisor."""

    own_s: float
    others_s: float


class Watch:
    """Measures, from now on, the CPU time of what `own_s` tells of, and of the whole machine.

    What the benchmark's own process uses counts for nobody.
    """

    def __init__(self, own_s: Callable[[], float]) -> None:
        self._own_s = own_s
        self._began = self._now()

    def usage(self) -> Usage:
        """Return what was used since the watch began."""
        own_s, bench_s, busy_s = (
            after - before for before, after in zip(self._began, self._now(), strict=True)
        )
        return Usage(own_s=own_s, others_s=max(busy_s - bench_s - own_s, 0.0))

    def _now(self) -> tuple[float, float, float]:
        times = psutil.cpu_times()._asdict()
        busy_s = sum(seconds for name, seconds in times.items() if name not in _NOT_BUSY)
        return self._own_s(), time.process_time(), busy_s


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in _CPUINFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _said(argv: list[str]) -> str:
    """Return what a program prints, or nothing where it cannot be run."""
    try:
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
