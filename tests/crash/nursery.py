"""`python -m tests.crash.nursery`: has the product imported, and forks process trees from that.

A tree of five processes costs seconds of CPU to start, nearly all of it imports. Forked, it costs
a tenth of that, and its processes are as real: they have pids, sessions and locks of their own,
and die of SIGKILL. What runs in them is `lectern up` itself; only the way in which its supervisor
begins a process is another.

Speaks JSON lines: each on stdin is a request, each on stdout its answer. It ends with its stdin.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

PRODUCT: Final = (
    "lectern.cli",
    "lectern.up",
    "lectern.server",
    "lectern.lifeline",
    "functions.main",
    "transcoder.main",
    "infra.hidden",
    "infra.wiring",
    "infra.webhook",
    "gunicorn.workers.gthread",
    "tests.crash.points",
    "tests.crash.scenery",
)
CLOUD: Final = ("infra.gcp.bus", "infra.gcp.clients", "infra.gcp.jobs", "infra.gcp.objects",
                "infra.gcp.sessions", "tests.crash.cloud_tree")  # fmt: skip
PUSH: Final = ("functions_framework", "functions.entry", "infra.push_server",
               "transcoder.service", "tests.crash.push_tree")  # fmt: skip
SFTP: Final = ("infra.sftp", "infra.announcing", "tests.crash.sftp_points")

_PR_SET_CHILD_SUBREAPER: Final = 36
"""From linux/prctl.h: orphans of the trees become children of this process, which reaps them."""


class Forked:
    """A forked child with the part of `subprocess.Popen` that the supervisor uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status as Popen does: a signal's number is negative."""
        return self._reap(os.WNOHANG)

    def wait(self) -> int | None:
        """Wait for the end."""
        return self._reap(0)

    def terminate(self) -> None:
        """Send SIGTERM."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def fork(act: Callable[[], object]) -> Forked:
    """Run `act` in a forked child, whose exit status is that of a program."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        _end_with(act)
    return Forked(pid)


def _end_with(act: Callable[[], object]) -> NoReturn:
    code = 1
    try:
        act()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:  # noqa: BLE001 - the child's outermost frame
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def start_forked(lifeline: int, pass_fds: Sequence[int], run: Callable[[], object]) -> Forked:
    """Begin a process of the tree: what `Supervisor._start` does, without exec and imports."""

    def act() -> None:
        os.setpgid(0, 0)
        close_others({*pass_fds, lifeline})
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        run()

    return fork(act)


def start_role(argv: Sequence[str], lifeline: int) -> None:
    """Run what `python -m lectern run ...` runs."""
    from lectern.cli import main  # noqa: PLC0415 - only where it runs

    words = [*map(str, argv[3:]), "--lifeline", str(lifeline)]  # after python -m lectern
    sys.argv = ["lectern", *words]
    main(args=words, prog_name="lectern", standalone_mode=False)


def close_others(kept: set[int]) -> None:
    """Close what exec would close; the standard streams stay."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(name))


def tree(kind: str, environment: Mapping[str, str], log: str) -> Callable[[], None]:
    """Return what the first process of a tree does: `up`, or the roles over the emulators."""

    def act() -> None:
        os.setsid()
        close_others(set())
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sink = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        os.close(sink)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["lectern", "up"]
        _prepare()
        if kind in {"cloud", "push"}:
            importlib.import_module(f"tests.crash.{kind}_tree").run()  # they need the `gcp` extra
            return
        from lectern.cli import main  # noqa: PLC0415 - only where it runs

        main(args=["up"], prog_name="lectern", standalone_mode=False)

    return act


def _prepare() -> None:
    """Put stand-ins and a forking supervisor in place, and watched ports if they are armed."""
    from core import limits  # noqa: PLC0415 - in the tree's own process
    from infra import wiring  # noqa: PLC0415 - the same
    from lectern.supervisor import Program, Supervisor  # noqa: PLC0415 - the same
    from tests.crash import points, scenery  # noqa: PLC0415 - the same

    if points.ARM in os.environ:
        points.install(wiring)
    scenery.install(wiring)
    limits.RESTART_PAUSES_S = (0.05,) * 4  # type: ignore[misc] # dozens of deaths are planned here

    def start(self: Supervisor, program: Program) -> Forked:
        lifeline = self._lifeline[0]
        return start_forked(lifeline, program.pass_fds, lambda: start_role(program.argv, lifeline))

    setattr(Supervisor, "_start", start)  # noqa: B010 - a method of the product's


class Household:
    """The trees that were forked, and whoever of them has lost its parent."""

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._running: set[int] = set()
        self._ends: dict[int, int] = {}

    def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Do as a request says."""
        self._reap()
        match asked["do"]:
            case "start":
                child = fork(tree(asked["kind"], asked["environment"], asked["log"]))
                self._running.add(child.pid)
                return {"pid": child.pid}
            case "poll":
                return {"code": self._ends.get(asked["pid"])}
            case _:
                used = resource.getrusage(resource.RUSAGE_CHILDREN)
                own = resource.getrusage(resource.RUSAGE_SELF)
                return {"cpu_s": sum((used.ru_utime, used.ru_stime, own.ru_utime, own.ru_stime))}

    def end(self) -> None:
        """Kill what still runs."""
        self._reap()
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Take the exit status of whoever has ended."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._ends[ended[0]] = os.waitstatus_to_exitcode(ended[1])
                self._running.discard(ended[0])


def serve(requests: Iterator[str]) -> None:
    """Answer requests until there are no more."""
    household = Household()
    try:
        for line in requests:
            sys.stdout.write(json.dumps(household.answer(json.loads(line))) + "\n")
            sys.stdout.flush()
    finally:
        household.end()


def main() -> None:
    """Import the product, then serve."""
    more = {"--cloud": CLOUD, "--push": PUSH, "--sftp": SFTP}
    for name in sum((names for word, names in more.items() if word in sys.argv), PRODUCT):
        importlib.import_module(name)
    gc.freeze()
    serve(iter(sys.stdin.readline, ""))


if __name__ == "__main__":
    main()
