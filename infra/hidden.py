"""Keep this process's memory and environment from other processes of its user.

A process of the same user, such as a decoder that a file has taken over, may read
`/proc/PID/environ` and `/proc/PID/mem` of another, where the service's keys are, unless that one
is marked as not dumpable. The mark goes to forked processes and ends with `exec`: each program
calls `hide` before anything else, and until it does (while Python starts) it is open. It does not
stop root, and does not cover other programs with the same environment, such as the shell that
`lectern up` was started from. In the images tini comes first: the kernel marks it by itself,
because the services' user may start its file and not read it.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4
"""From <linux/prctl.h>."""


def hide() -> bool:
    """Mark this process as not dumpable; return whether the platform did it. No core dumps."""
    if sys.platform != "linux":
        return False
    failed: int = ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return not failed
