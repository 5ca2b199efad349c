"""The services of Google Cloud that are called, none that pulls: one tree, over the emulators.

`transcoder` and `courier` take Pub/Sub's pushes, `http` is both doors, the others are functions.
Each has its own socket and its own folder, as its container has. The sockets are the first
process's: who calls a service that was killed alone waits for the next one, and while the tree is
dead nobody answers. `tests.crash.front` stands before them.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import functions_framework
from flask import Flask

from core import limits
from infra import http_server, logging, push_server, wiring
from infra.links import ADDRESS_FILE
from infra.settings import load
from lectern import lifeline
from lectern.server import create_app
from lectern.supervisor import Program, Supervisor
from tests.crash.nursery import Forked, start_forked
from tests.service.harness import ROOT
from transcoder.main import clear_scratch
from transcoder.service import THREADS, create_service
from transcoder.stopping import StopSignal

PUSHED: Final = {"transcoder": "transcode", "courier": "deliver"}
FUNCTIONS: Final = {
    "sweep": "sweep",
    "finalized": "upload_finalized",
    "dead-letter": "dead_letter",
}
PLACES_FILE: Final = "places"
"""In the tree's folder: the port of each service in the present life."""
_GRACE_S: Final = int(limits.STOP_S - 3)
_FUNCTION_THREADS: Final = 4


def run() -> None:
    """Run the tree until SIGTERM."""
    settings = load()
    folder = settings.lectern_data_dir
    logging.configure(style=settings.log_format, level=settings.log_level, cloud_project=None)
    stop = StopSignal()
    stop.install()
    names = ("http", *PUSHED, *FUNCTIONS)
    sockets = {name: socket.create_server((settings.host, 0), backlog=64) for name in names}
    ports = {name: each.getsockname()[1] for name, each in sockets.items()}
    _write(folder / PLACES_FILE, json.dumps(ports))
    _write(folder / ADDRESS_FILE, f"http://{settings.host}:{ports['http']}")
    programs = [
        Program(name=name, argv=(name, str(each.fileno())), pass_fds=(each.fileno(),))
        for name, each in sockets.items()
    ]
    setattr(Supervisor, "_start", _start)  # noqa: B010 - as `tests.crash.nursery` does
    Supervisor(programs=programs, stop=stop, log=logging.StructuredLog()).run()


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}")
    draft.write_text(text)
    draft.replace(path)


def _start(self: Supervisor, program: Program) -> Forked:
    watched = self._lifeline[0]

    def act() -> None:
        lifeline.watch(watched)
        _run_role(program.argv)

    return start_forked(watched, program.pass_fds, act)


def _run_role(argv: Sequence[str]) -> None:
    role, handle = argv[0], int(argv[1])
    sys.argv = ["lectern", "run", role]
    folder = Path(os.environ["LECTERN_DATA_DIR"]) / role
    os.environ["LECTERN_DATA_DIR"] = str(folder)
    if role in PUSHED:
        os.environ["PUSH_STEPS"] = PUSHED[role]
        push_server.serve(_build, handle=handle, threads=THREADS, grace_s=_GRACE_S)
    build = partial(_function, FUNCTIONS[role]) if role in FUNCTIONS else _doors
    threads = _FUNCTION_THREADS if role in FUNCTIONS else load().receiver_threads
    http_server.serve_built(build, bind=f"fd://{handle}", threads=threads, grace_s=_GRACE_S)


def _build() -> push_server.Service:
    """Do what `python -m transcoder` does in its worker."""
    parts = wiring.connect(load())
    clear_scratch(parts)
    return create_service(parts)


def _function(target: str) -> Flask:
    """Do what functions-framework's process does, in the worker."""
    source = str(ROOT / "functions" / "entry.py")
    app: Flask = functions_framework.create_app(target, source)  # type: ignore[no-untyped-call] # it ships none
    return app


def _doors() -> Flask:
    return create_app(wiring.connect(load()))
