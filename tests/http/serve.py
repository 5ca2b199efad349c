"""Runs the front door behind a real gunicorn: `serve.py SOCKET_HANDLE FOLDER`.

Objects lie in the folder, jobs in memory; the key and the limits are those of `door`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from flask import Flask, Response, g

import confirmer.routes
import receiver.routes
from core import limits
from core.job import Policy
from core.keys import KeyRing
from core.ledger import Ledger
from infra import health, http_server
from infra.clock import SystemClock, new_id
from infra.embedded.objects import FolderObjectStore
from infra.embedded.sessions import FolderSessions
from infra.http import new_app
from receiver import content, uploads
from receiver.admission import Admission
from receiver.uploads import UploadSettings
from tests.fakes import MemoryBus, MemoryJobStore, RecordingLog
from tests.http.door import KEY, ROOMY

MAX_BYTES = 80_000_000
THREADS = 8
UPLOADS = 5
LARGE = "/large"
LARGE_BYTES = 64 * limits.MIB
PIECE_S = 0.5
UNBEGUN_MAX = "UNBEGUN_MAX"
"""The variable that says how many requests may wait for their bodies to begin."""


def _app(folder: Path) -> Flask:
    clock, log = SystemClock(), RecordingLog()
    objects = FolderObjectStore(folder, clock=clock)
    ledger = Ledger(
        jobs=MemoryJobStore(),
        bus=MemoryBus(clock),
        objects=objects,
        clock=clock,
        log=log,
        policy=Policy(),
    )
    app = new_app("receiver", keys=KeyRing([KEY]), log=log, open_rules={content.RULE, LARGE})
    bounds = replace(
        ROOMY, files=replace(ROOMY.files, max_video_bytes=MAX_BYTES), max_uploads_at_once=UPLOADS
    )
    admission = Admission(jobs=ledger.jobs, clock=clock, bounds=bounds)
    sessions = FolderSessions(folder, objects=objects)
    app.register_blueprint(
        receiver.routes.blueprint(ledger=ledger, new_id=new_id, admission=admission)
    )
    app.register_blueprint(
        uploads.blueprint(
            ledger=ledger,
            sessions=sessions,
            new_id=new_id,
            admission=admission,
            settings=UploadSettings(ttl_s=3600),
        )
    )
    app.register_blueprint(
        content.blueprint(ledger=ledger, sessions=sessions, inlet=sessions, admission=admission)
    )
    app.add_url_rule(LARGE, "large", view_func=_large)
    app.register_blueprint(health.blueprint({}))
    app.register_blueprint(confirmer.routes.blueprint(ledger=ledger))
    return app


def _large() -> Response:
    """Answer more than sockets hold, each piece of it bounded as the files of a set are."""
    g.inlet.bound_answer(PIECE_S)
    pieces = (bytes(limits.CHUNK_BYTES) for _ in range(LARGE_BYTES // limits.CHUNK_BYTES))
    return Response(pieces, headers={"Content-Length": str(LARGE_BYTES)})


def main(handle: str, folder: str, *deadlines: str) -> None:
    """Serve until SIGTERM; `deadlines` are seconds for a request's head and for the whole."""
    if deadlines:
        names = ("HEAD_S", "UPLOAD_S_MAX")
        for name, seconds in zip(names, deadlines, strict=True):
            setattr(limits, name, float(seconds))
    http_server.serve_built(
        lambda: _app(Path(folder)),
        bind=f"fd://{handle}",
        threads=THREADS,
        grace_s=1,
        unbegun_max=int(os.environ.get(UNBEGUN_MAX, "1000")),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
