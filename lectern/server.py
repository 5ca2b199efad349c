"""The front door of the embedded service: both HTTP services in one gunicorn, on one port."""

from __future__ import annotations

from typing import Final

from flask import Flask

import confirmer.routes
import receiver.main
from core import limits
from infra import http_server
from infra.wiring import Wiring

_GRACE_S: Final = int(limits.STOP_S - 3)
"""Seconds that open requests have left after SIGTERM, before the supervisor gets impatient."""


def create_app(parts: Wiring) -> Flask:
    """Return receiver and confirmer as one WSGI application."""
    app = receiver.main.create_app(parts)
    app.register_blueprint(confirmer.routes.blueprint(ledger=parts.ledger))
    return app


def serve(parts: Wiring, *, handle: int) -> None:
    """Serve on the listening socket behind the file handle until SIGTERM."""
    threads = parts.settings.receiver_threads
    http_server.serve(create_app(parts), handle=handle, threads=threads, grace_s=_GRACE_S)
