"""Keep this process's memory and environment from its own children.

A child of the same user may read `/proc/<parent>/environ` and `/proc/<parent>/mem`, where the
service's keys are, unless the parent is marked as not dumpable. The mark goes to forked
processes and ends with `exec`. It does not stop root. It does not cover other processes with the
same environment either: in a container this service is the first process, without an init.
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
