"""What a program in the sandbox must be able to read so that it can run at all."""

from __future__ import annotations

import site
import sys
from functools import cache
from pathlib import Path
from typing import Final

from transcoder.child import ROOMS

EVERYTHING: Final = "/"
_SYSTEM: Final = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"),
    *("/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/usr/share/zoneinfo"),
    *("/sys/devices/system/cpu", "/sys/devices/system/node", "/proc/cpuinfo", "/proc/meminfo"),
    *("/proc/sys/vm/overcommit_memory", "/dev/urandom"),
)
"""Libraries, the clock's zone, the machine's processors and memory, random numbers. Nothing of
it is a secret. FFmpeg, PyAV and libvips were watched: they open nothing else that they need."""


def readable(program: str, *, python: str) -> tuple[str, ...]:
    """Return the files and folders that `program` reads; `python` also reads Lectern's own code.

    A script in a program's place may start and read whatever it likes, which nobody can know:
    for that it is everything.
    """
    if _is_script(program):
        return (EVERYTHING,)
    return (program, *_beside(program, is_python=program == python))


def _is_script(program: str) -> bool:
    try:
        with Path(program).open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


@cache
def _beside(program: str, *, is_python: bool) -> tuple[str, ...]:
    """Return all but the program itself: what is there, once, and not what lies in another."""
    wanted = [Path(path) for path in _SYSTEM] + _libraries(Path(program).resolve())
    if is_python:
        wanted += _of_python()
    there = {path.resolve() for path in wanted if path.exists()}
    return tuple(sorted(str(path) for path in there if not there & set(path.parents)))


def _libraries(program: Path) -> list[Path]:
    """Return where a program has its own libraries: `…/bin/ffmpeg` has them in `…/lib`."""
    if program.parent.name != "bin":
        return []
    return [program.parents[1] / name for name in ("lib", "lib64")]


def _of_python() -> list[Path]:
    """Return the parts of this Python, which the children run too, with its packages."""
    libraries = [Path(sys.base_prefix) / name for name in ("lib", sys.platlibdir)]
    packages = [Path(path) for path in site.getsitepackages()]
    return [Path(sys.prefix) / "pyvenv.cfg", *libraries, *packages, *ROOMS.values()]
