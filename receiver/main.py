"""The receiver's entry: the WSGI application of the front door."""

from __future__ import annotations

from typing import Final

from flask import Flask

from core.ports import Checks
from infra import health
from infra.clock import new_id
from infra.http import new_app
from infra.settings import Settings
from infra.wiring import Wiring
from receiver import content, routes, sets, uploads
from receiver.admission import Admission
from receiver.intake import Bounds
from receiver.routes import ReceiveLimits
from receiver.uploads import UploadSettings

RESTS_ON: Final = ("store", "jobs", "bus")
"""What the receiver by itself needs to be ready: it starts no FFmpeg."""


def sets_at_once(settings: Settings) -> int:
    """Return how many files of sets may be on their way: half of the threads that uploads leave."""
    return max((settings.receiver_threads - settings.max_uploads_at_once) // 2, 1)


def create_app(parts: Wiring, *, checks: Checks | None = None, own_proxies: int = 0) -> Flask:
    """Return the receiver as a WSGI application; `checks` stand in for all that is wired.

    `own_proxies` stand between the operator's and this one, and name whom they speak for.
    """
    app = new_app(
        "receiver",
        keys=parts.keys,
        log=parts.log,
        open_rules={content.RULE, sets.RULE},
        proxies=parts.settings.forwarded_hops + own_proxies,
    )
    ledger, sessions = parts.ledger, parts.sessions
    admission = Admission(jobs=ledger.jobs, clock=ledger.clock, bounds=_limits(parts.settings))
    app.register_blueprint(
        routes.blueprint(ledger=ledger, new_id=new_id, admission=admission, links=parts.links)
    )
    app.register_blueprint(
        uploads.blueprint(
            ledger=ledger,
            sessions=sessions,
            new_id=new_id,
            admission=admission,
            settings=UploadSettings(
                ttl_s=parts.settings.upload_ttl_s, public_url=parts.settings.public_url
            ),
        )
    )
    if parts.inlet is not None:
        app.register_blueprint(
            content.blueprint(
                ledger=ledger, sessions=sessions, inlet=parts.inlet, admission=admission
            )
        )
    if parts.links is not None:
        app.register_blueprint(
            sets.blueprint(
                ledger=ledger,
                links=parts.links,
                signer=parts.read_signer,
                at_once=sets_at_once(parts.settings),
            )
        )
    app.register_blueprint(health.blueprint(parts.checks if checks is None else checks))
    return app


def _limits(settings: Settings) -> ReceiveLimits:
    return ReceiveLimits(
        files=Bounds(
            max_video_bytes=settings.max_video_bytes,
            max_image_bytes=settings.max_image_bytes,
            orders=settings.order_rules,
        ),
        max_unfinished_jobs=settings.max_queued_jobs,
        max_uploads_at_once=settings.max_uploads_at_once,
    )
