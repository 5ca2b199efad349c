"""The roles of `lectern up` over the emulators, under the product's supervisor.

On Google Cloud they are services of their own, which `tests/compose` and `tests/e2e` run as such.
Here they are one tree, so that it can be killed as often and as cheaply as the embedded one: the
adapters, the steps and the sweep are the product's.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from core import limits
from core.messages import Topic
from infra import http_server, logging, wiring
from infra.links import ADDRESS_FILE
from infra.settings import load
from lectern import lifeline
from lectern.server import create_app
from lectern.supervisor import Program, Supervisor
from tests.crash.nursery import Forked, start_forked
from transcoder.stopping import StopSignal


def run() -> None:
    """Run the tree until SIGTERM."""
    settings = load()
    logging.configure(style=settings.log_format, level=settings.log_level, cloud_project=None)
    stop = StopSignal()
    stop.install()
    settings.lectern_data_dir.mkdir(parents=True, exist_ok=True)
    with socket.create_server((settings.host, settings.port)) as listener:
        _announce(settings.lectern_data_dir, listener)
        handle = listener.fileno()
        programs = [
            Program(name="http", argv=("http", str(handle)), pass_fds=(handle,)),
            *(Program(name=role, argv=(role,)) for role in (*map(str, Topic), "clock")),
        ]
        setattr(Supervisor, "_start", _start)  # noqa: B010 - as `tests.crash.nursery` does
        Supervisor(programs=programs, stop=stop, log=logging.StructuredLog()).run()


def _announce(folder: Path, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    draft = folder / ".address"
    draft.write_text(f"http://{host}:{port}")
    draft.replace(folder / ADDRESS_FILE)


def _start(self: Supervisor, program: Program) -> Forked:
    watched = self._lifeline[0]

    def act() -> None:
        lifeline.watch(watched)
        _run_role(program.argv)

    return start_forked(watched, program.pass_fds, act)


def _run_role(argv: Sequence[str]) -> None:
    sys.argv = ["lectern", "run", *argv]
    if argv[0] == "http":
        _serve(int(argv[1]))
        return
    from functions.main import run_clock  # noqa: PLC0415 - only where it runs
    from transcoder.main import run as work  # noqa: PLC0415 - the same

    stop = StopSignal()
    stop.install()
    parts = wiring.connect(load())
    if argv[0] == "clock":
        run_clock(parts, stop)
    else:
        work(parts, Topic(argv[0]), stop)


def _serve(handle: int) -> None:
    """Serve both HTTP services; connections are made in the worker, after gunicorn's fork."""
    threads = load().receiver_threads
    http_server.serve_built(
        lambda: create_app(wiring.connect(load())),
        bind=f"fd://{handle}",
        threads=threads,
        grace_s=int(limits.STOP_S - 3),
    )
