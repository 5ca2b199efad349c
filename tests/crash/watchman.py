"""Kills from outside: whoever serves a tree's requests, or brings them, knows best when."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psutil

from tests.crash.points import Counting, has_come, kill
from tests.service.harness import session_members, until

_DEAD_S: Final = 10.0
_FOUND_S: Final = 10.0


class Watchman:
    """Counts points of `role` under a tree's plan, and kills a process at the chosen one.

    It lives in the test's own process, which outlives all kills.
    """

    def __init__(self, arm_file: Path, role: str) -> None:
        self._counting = Counting(arm_file)
        self._role = role

    def expects(self, calls: str) -> bool:
        """Tell whether the chosen point begins with `calls`."""
        with self._counting.lock:
            plan = self._counting.plan()
            return plan is not None and (plan.point or "").startswith(f"{self._role} {calls} ")

    def passed(self, call: str, victim: Callable[[], int | None]) -> bool:
        """Note the point; tell whether the victim was killed at it, and then it is dead."""
        with self._counting.lock:
            plan = self._counting.plan()
            if plan is None:
                return False
            point = f"{self._role} {call} #{self._counting.number(call)}"
            if not has_come(point, plan) or (pid := victim()) is None:
                return False
            session = os.getsid(pid)
            kill(pid, plan)
            until(lambda: pid not in session_members(session), f"{pid} dead", timeout_s=_DEAD_S)
            return True


def caller_from(port: int) -> int:
    """Return the process of this machine that has a connection from that port."""

    def find() -> int | None:
        return _process(lambda each: bool(each.laddr) and each.laddr.port == port)

    return until(find, "who calls", timeout_s=_FOUND_S)


def taker_of(port: int) -> int:
    """Return the process that has accepted the connection which comes from that port."""

    def find() -> int | None:
        return _process(lambda each: bool(each.raddr) and each.raddr.port == port)

    return until(find, "who takes the request", timeout_s=_FOUND_S)


def _process(fits: Callable[[Any], bool]) -> int | None:
    own = os.getpid()
    pids = (each.pid for each in psutil.net_connections("tcp4") if fits(each))
    return next((int(pid) for pid in pids if pid and pid != own), None)
