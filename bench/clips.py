"""Recordings to measure with, made without encoding anything."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from bench import machine
from core import limits
from lectern.demo_lecture import LECTURE

_BLOCK_BYTES: Final = 4 * limits.MIB


def looped_lecture(seconds: float, to: Path) -> Path:
    """Write the shipped lecture over and over, `seconds` long."""
    return _copied(["-stream_loop", "-1", "-i", str(LECTURE)], seconds, to)


def cut(source: Path, seconds: float, to: Path) -> Path:
    """Write the first `seconds` of `source`."""
    return _copied(["-i", str(source)], seconds, to)


def noise_mp4(size: int, to: Path) -> Path:
    """Write `size` random bytes that begin like the shipped lecture, and get them onto the disk.

    It is taken for an MP4 at the door and fails at its probe, at once: it has no index.
    """
    head = _first_box(LECTURE)
    data_bytes = size - len(head)
    with to.open("wb") as file:
        file.write(head)
        file.write(data_bytes.to_bytes(4, "big") + b"mdat")
        while left := size - file.tell():
            file.write(os.urandom(min(left, _BLOCK_BYTES)))
        file.flush()
        os.fsync(file.fileno())
    return to


def _first_box(source: Path) -> bytes:
    with source.open("rb") as file:
        size = file.read(4)
        return size + file.read(int.from_bytes(size, "big") - 4)


def _copied(source: list[str], seconds: float, to: Path) -> Path:
    quiet = ["-v", "error", "-nostdin", "-y"]
    taken = ["-t", f"{seconds:g}", "-map", "0:v:0", "-map", "0:a:0?", "-c", "copy"]
    subprocess.run(
        [str(machine.encoder()), *quiet, *source, *taken, "-movflags", "+faststart", str(to)],
        check=True,
    )
    return to
