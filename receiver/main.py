"""The receiver's entry: the WSGI application of the front door."""

from __future__ import annotations

from flask import Flask

from infra.clock import new_id
from infra.http import new_app
from infra.wiring import Wiring
from receiver.routes import ReceiveLimits, blueprint


def create_app(parts: Wiring) -> Flask:
    """Return the receiver as a WSGI application."""
    app = new_app("receiver", keys=parts.keys, log=parts.log)
    limits = ReceiveLimits(
        max_video_bytes=parts.settings.max_video_bytes,
        max_unfinished_jobs=parts.settings.max_queued_jobs,
        max_uploads_at_once=parts.settings.max_uploads_at_once,
    )
    app.register_blueprint(
        blueprint(ledger=parts.ledger, new_id=new_id, limits=limits, checks=parts.checks)
    )
    return app
