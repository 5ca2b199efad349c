"""Start a program that is not trusted with the file it reads.

Run as `python -I -S sandbox.py PARENT_PID AS=BYTES CPU=S FSIZE=BYTES NOFILE=N -- PROGRAM ARG…`.
It gives up what the program does not need and becomes it. Standard library only, and few modules:
it costs about 20 ms. What the platform does not offer (namespaces on macOS) is left out.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from typing import Final

NICENESS: Final = 5
"""The service answers before its encoders compute."""
ENVIRONMENT: Final = {"LC_ALL": "C", "MALLOC_ARENA_MAX": "4"}
"""All that the program gets. Few arenas: else many cores use up the address space (glibc)."""
CANNOT_START: Final = 126
"""Exit status when the program could not be started, as shells have it."""
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
"""From <linux/prctl.h> and <linux/sched.h>."""


def main(argv: list[str]) -> int:
    """Confine this process and become the program; returns only if that fails."""
    split = argv.index("--")
    parent, *bounds = argv[:split]
    program = argv[split + 1 :]
    with contextlib.suppress(OSError):
        os.setsid()
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    if sys.platform == "linux":
        _confine(int(parent))
    for bound in bounds:
        _limit(bound)
    for ignored in (signal.SIGXFSZ, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_DFL)  # Python ignores them, and the program would too
    try:
        os.execve(program[0], program, ENVIRONMENT)  # noqa: S606 - there is no shell on purpose
    except OSError as error:
        sys.stderr.write(f"cannot start the program: {error.strerror}\n")
    return CANNOT_START


def _confine(parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(CANNOT_START)  # the parent died before the kernel was told to watch it
    libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _limit(bound: str) -> None:
    """Set soft and hard limit alike; one that is lower already stays."""
    name, _, value = bound.partition("=")
    kind = getattr(resource, f"RLIMIT_{name}")
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (int(value), int(value)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
