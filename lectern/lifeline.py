"""A child process that must not outlive its parent, however the parent ends.

The parent holds the write end of a pipe and never writes. When it is gone, also by SIGKILL,
the child reads the end of file and asks itself to stop.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from core import limits


def watch(handle: int) -> None:
    """Stop this process when the pipe behind `handle` is closed at its other end."""
    threading.Thread(target=_watch, args=(handle,), name="lifeline", daemon=True).start()


def _watch(handle: int) -> None:
    os.read(handle, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(limits.STOP_S)
    os.kill(os.getpid(), signal.SIGKILL)
