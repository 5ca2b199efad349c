"""Wraps the ports of a running service: notes each call, and dies at a chosen one.

A point is `role port.method when #n`: the n-th such call in a process of that role, before it
begins or after it has returned. With INSIDE there are points within a call too: before and after
each thing that the adapter itself asks of the system, such as `inside _commit>fsync before`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any, Final

from tests.service.harness import ROOT, kill_session

TRACE = "LECTERN_CRASH_TRACE"
KILL_AT = "LECTERN_CRASH_AT"
KILL_ALONE = "LECTERN_CRASH_ALONE"
ARM: Final = "LECTERN_CRASH_ARM"
"""Names a file that says what to do from now on: a Plan, written while the service runs."""
INSIDE: Final = "LECTERN_CRASH_INSIDE"
_POLLED = frozenset({"receive", "due", "list", "discard_partials", "counts", "depth", "recent"})
"""Asked again and again: a point only where something came of it."""
_ADAPTERS: Final = str(ROOT / "infra") + os.sep
_SYSTEM: Final = frozenset({
    "link", "fsync", "utime", "unlink", "rmdir", "mkdir", "open", "touch", "replace", "rmtree",
    "copyfile", "pwrite", "write", "flock", "execute",
    "connect", "sendall", "send", "endheaders", "getresponse",
})  # fmt: skip
"""What an adapter asks of disk, database and network; to die before or after is another state."""
_CLOUD: Final = frozenset({
    "get", "update", "create", "delete", "publish", "pull", "acknowledge", "modify_ack_deadline",
    "put", "request", "get_blob", "create_resumable_upload_session", "download_to_filename",
    "download_as_bytes",
})  # fmt: skip
"""What it asks of the clients of Google Cloud."""
_GLANCES: Final = frozenset({"_has_due", "due", "fingerprint"})
"""Parts of adapters that run again and again without anything's having happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where to note points, and at which to die: with the whole tree, or alone.

    `mark` is a file that tells who died, and that it was once. A `harmless` plan kills nobody.
    """

    trace: str | None = None
    point: str | None = None
    mark: str | None = None
    alone: bool = False
    harmless: bool = False

    def to_text(self) -> str:
        """Return what stands in the file that ARM names."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})


class Counting:
    """How often each point was passed under the present plan, which is in `file` or where ARM says.

    Of several threads only one may ask at a time: hold `lock`.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.lock = threading.Lock()
        self._file = file
        self._seen: Counter[str] = Counter()
        self._plan: Plan | None = None
        self._stamp: tuple[int, int] | None = None

    def plan(self) -> Plan | None:
        """Return the plan; under a new one everything counts anew."""
        if (file := self._file or os.environ.get(ARM)) is None:
            return self._plan or self._of_environment()
        with suppress(FileNotFoundError):
            stat = os.stat(file)  # noqa: PTH116 - runs in the service
            stamp = (stat.st_ino, stat.st_mtime_ns)
            if stamp != self._stamp:
                self._stamp, self._plan = stamp, Plan(**json.loads(Path(file).read_text()))
                self._seen.clear()
        return self._plan

    def number(self, call: str) -> int:
        """Count the call and return how many there were."""
        self._seen[call] += 1
        return self._seen[call]

    def _of_environment(self) -> Plan | None:
        trace = os.environ.get(TRACE)
        self._plan = trace and Plan(  # type: ignore[assignment] # no trace, no plan
            trace=trace,
            point=os.environ.get(KILL_AT),
            mark=f"{trace}.died" if KILL_ALONE in os.environ else None,
            alone=KILL_ALONE in os.environ,
        )
        return self._plan


_counting = Counting()
_here = threading.local()


def install(wiring: ModuleType) -> None:
    """Let `wiring` hand out watched ports from now on."""
    connect, courier = wiring.connect, wiring.courier

    def watched_connect(settings: Any) -> Any:
        parts = connect(settings)
        ledger = parts.ledger
        ports = {name: Watched(getattr(ledger, name), name) for name in ("jobs", "bus", "objects")}
        return replace(
            parts,
            ledger=replace(ledger, **ports),
            sessions=Watched(parts.sessions, "sessions"),
            inlet=parts.inlet and Watched(parts.inlet, "inlet"),
        )

    setattr(wiring, "connect", watched_connect)  # noqa: B010 - a module's attribute
    setattr(wiring, "courier", lambda settings: Watched(courier(settings), "courier"))  # noqa: B010


class Watched:
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
                pass_point(f"{name} before")
            with _inside(name):
                result = function(*args, **kwargs)
            if isinstance(result, AbstractContextManager):
                return _Entered(result, name)
            if method not in _POLLED or result:
                pass_point(f"{name} after")
            return result

        return call


class _Entered(AbstractContextManager["Watched"]):
    """A context that a port gave: what it is entered as is watched too."""

    def __init__(self, context: AbstractContextManager[Any], name: str) -> None:
        self._context = context
        self._name = name

    def __enter__(self) -> Watched:
        with _inside(f"{self._name}.enter"):
            return Watched(self._context.__enter__(), self._name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        with _inside(f"{self._name}.exit"):
            return self._context.__exit__(kind, error, traceback)


@contextmanager
def _inside(name: str) -> Iterator[None]:
    """Have what the adapter does in this thread be points too, where that is asked for."""
    if INSIDE not in os.environ or sys.getprofile() is not None:
        yield
        return
    _here.call = name
    sys.setprofile(_watch)
    try:
        yield
    finally:
        sys.setprofile(None)


def _watch(frame: FrameType, event: str, argument: Any) -> None:
    """Hear of every call below a port; only those that an adapter makes of the system count."""
    if event in {"c_call", "c_return"}:
        caller, callee, known = frame, argument.__name__, _SYSTEM
    elif event != "c_exception" and frame.f_back is not None:
        caller, callee, known = frame.f_back, frame.f_code.co_name, _SYSTEM | _CLOUD
        if frame.f_code.co_filename.startswith(_ADAPTERS):
            return  # a step of the adapter's own
    else:
        return
    name = caller.f_code.co_name
    if callee not in known or name in _GLANCES:
        return
    if caller.f_code.co_filename.startswith(_ADAPTERS):
        when = "before" if event.endswith("call") else "after"
        _pass_apart(f"{_here.call} inside {name}>{callee} {when}")


def _pass_apart(call: str) -> None:
    """Pass a point without being watched meanwhile."""
    sys.setprofile(None)
    try:
        pass_point(call)
    finally:
        sys.setprofile(_watch)


def pass_point(call: str) -> None:
    """Note the point, and die if it is the chosen one. The heartbeat's calls vary with time."""
    if threading.current_thread().name == "heartbeat":
        return
    role = sys.argv[2] if len(sys.argv) > 2 else sys.argv[-1]
    with _counting.lock:
        plan = _counting.plan()
        if plan is None:
            return
        point = f"{role} {call} #{_counting.number(call)}"
    if has_come(point, plan):
        kill(os.getpid(), plan)


def has_come(point: str, plan: Plan) -> bool:
    """Note the point where that is asked for, and tell whether somebody is to die at it."""
    if plan.trace:
        with open(plan.trace, "a", encoding="ascii") as trace:  # noqa: PTH123 - runs in the service
            trace.write(point + "\n")
    return plan.point == point and not plan.harmless


def kill(pid: int, plan: Plan) -> None:
    """Kill the whole tree or that process, once where there is a mark; what follows it lives."""
    with suppress(FileExistsError):
        if plan.mark:
            _leave(plan.mark, pid)
        if not plan.alone:
            kill_session(os.getsid(pid))
        with suppress(ProcessLookupError):  # it was of that session
            os.kill(pid, signal.SIGKILL)


def _leave(mark: str, pid: int) -> None:
    """Write who dies; raises FileExistsError for a second one."""
    with open(mark, "x", encoding="ascii") as file:  # noqa: PTH123 - runs in the service
        file.write(str(pid))
