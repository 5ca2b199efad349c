"""Wraps the ports of a running service: notes each call, and dies at a chosen one.

A point is `role port.method when #n`: the n-th such call in a process of that role, before it
begins or after it has returned.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.service.harness import kill_session

TRACE = "LECTERN_CRASH_TRACE"
KILL_AT = "LECTERN_CRASH_AT"
KILL_ALONE = "LECTERN_CRASH_ALONE"
_POLLED = frozenset({"receive", "due", "list", "discard_partials", "counts", "depth", "recent"})
"""Asked again and again: a point only where something came of it."""
_seen: Counter[str] = Counter()
_lock = threading.Lock()


def install(wiring: ModuleType) -> None:
    """Let `wiring` hand out watched ports from now on."""
    connect, courier = wiring.connect, wiring.courier

    def watched_connect(settings: Any) -> Any:
        parts = connect(settings)
        ledger = parts.ledger
        ports = {name: _Watched(getattr(ledger, name), name) for name in ("jobs", "bus", "objects")}
        return replace(parts, ledger=replace(ledger, **ports))

    setattr(wiring, "connect", watched_connect)  # noqa: B010 - a module's attribute
    setattr(wiring, "courier", lambda settings: _Watched(courier(settings), "courier"))  # noqa: B010


class _Watched:
    """Passes everything on to `target`, with a point before and after each call."""

    def __init__(self, target: Any, name: str) -> None:
        self._target = target
        self._name = name

    def __getattr__(self, method: str) -> Any:
        attribute = getattr(self._target, method)
        return self._call(method, attribute) if callable(attribute) else attribute

    def _call(self, method: str, function: Callable[..., Any]) -> Callable[..., Any]:
        name = f"{self._name}.{method}"

        def call(*args: Any, **kwargs: Any) -> Any:
            if method not in _POLLED:
                _pass(f"{name} before")
            result = function(*args, **kwargs)
            if isinstance(result, AbstractContextManager):
                return _entered(result, name)
            if method not in _POLLED or result:
                _pass(f"{name} after")
            return result

        return call


@contextmanager
def _entered(context: AbstractContextManager[Any], name: str) -> Iterator[_Watched]:
    with context as value:
        yield _Watched(value, name)


def _pass(call: str) -> None:
    """Note the point, and die if it is the chosen one. The heartbeat's calls vary with time."""
    if threading.current_thread().name == "heartbeat":
        return
    role = sys.argv[2] if len(sys.argv) > 2 else sys.argv[-1]
    with _lock:
        _seen[call] += 1
        point = f"{role} {call} #{_seen[call]}"
    with open(os.environ[TRACE], "a", encoding="ascii") as trace:  # noqa: PTH123 - runs in the service
        trace.write(point + "\n")
    if os.environ.get(KILL_AT) == point:
        _die(Path(os.environ[TRACE] + ".died"))


def _die(mark: Path) -> None:
    """Kill the whole tree, or with KILL_ALONE this process, once; what follows it lives."""
    if KILL_ALONE not in os.environ:
        kill_session(os.getsid(0))
    with suppress(FileExistsError):
        mark.touch(exist_ok=False)
        os.kill(os.getpid(), signal.SIGKILL)
