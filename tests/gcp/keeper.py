"""Runs an emulator for as long as any process holds a shared lock on a file.

The lock goes with its holder, also by SIGKILL, so no test run leaves an emulator behind.
Usage: keeper.py LOCKED_FILE STATE_FILE LOG_FILE COMMAND...
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path


def keep(locked: Path, state: Path, log: Path, argv: list[str]) -> None:
    """Run `argv` until the lock is free, then remove `state` and kill its process group."""
    with log.open("ab") as sink, locked.open("ab") as lock:
        emulator = subprocess.Popen(argv, stdout=sink, stderr=sink, start_new_session=True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state.unlink(missing_ok=True)
        finally:
            os.killpg(emulator.pid, signal.SIGKILL)
            emulator.wait()


if __name__ == "__main__":
    keep(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
