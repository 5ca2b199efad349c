"""Find out which fences of the sandbox stand on this machine: by looking from inside, once."""

from __future__ import annotations

import errno
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core import limits
from core.errors import LecternError
from transcoder import landlock
from transcoder.runner import Bounds, Collector, run

_LOOK_S: Final = 20.0
_ANSWER_BYTES: Final = 4 * limits.KIB
_SECCOMP_MODE_FILTER: Final = 2
_INSIDE: Final = """
import ctypes, json, os
try:
    os.listdir("/")
    refused = 0
except OSError as error:
    refused = error.errno
try:
    network = os.readlink("/proc/self/ns/net")
except OSError:
    network = ""
calls = getattr(ctypes.CDLL(None), "prctl", lambda *_: 0)(21, 0, 0, 0, 0)
print(json.dumps({"refused": refused, "network": network, "calls": calls}))
"""
"""What a program in the sandbox sees; 21 is PR_GET_SECCOMP of <linux/prctl.h>."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fences:
    """`files` is the version of Landlock's interface, 0 where it does not stand."""

    files: int
    calls: bool
    network: bool

    def __str__(self) -> str:
        """Return them in words, for logs and `lectern doctor`."""
        standing = [f"files (Landlock {self.files})"] if self.files else []
        standing += [name for name in ("calls", "network") if getattr(self, name)]
        return ", ".join(standing) or "none"


def standing(python: str) -> Fences:
    """Return what stands around a program that is started now; takes about 0.1 s.

    A sandbox that cannot start at all has no fences.
    """
    try:
        seen = json.loads(_heard([python, "-I", "-S", "-c", _INSIDE], python))
    except (LecternError, ValueError):
        seen = {"refused": 0, "network": "", "calls": 0}
    return _fences(seen)


def starts(program: Path, python: str) -> bool:
    """Return whether `program -version` says something there: it finds its own libraries."""
    try:
        return bool(_heard([str(program), "-version"], python))
    except LecternError:
        return False


def _fences(seen: dict[str, Any]) -> Fences:
    try:
        ours = str(Path("/proc/self/ns/net").readlink())
    except OSError:
        ours = ""
    return Fences(
        files=landlock.version() if seen["refused"] == errno.EACCES else 0,
        calls=seen["calls"] == _SECCOMP_MODE_FILTER,
        network=bool(seen["network"]) and seen["network"] != ours,
    )


def _heard(argv: list[str], python: str) -> bytes:
    answer = Collector(most=_ANSWER_BYTES)
    with tempfile.TemporaryDirectory() as folder:
        run(
            argv,
            folder=Path(folder),
            python=python,
            bounds=Bounds(
                memory_bytes=limits.ENCODE_MEMORY_BYTES,
                file_bytes=0,
                deadline=time.monotonic() + _LOOK_S,
            ),
            listener=answer,
            stop=lambda: False,
        )
    return bytes(answer.data)
