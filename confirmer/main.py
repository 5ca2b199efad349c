"""The confirmer's entry: the WSGI application that ends the handshake."""

from __future__ import annotations

from typing import Final

from flask import Flask

from confirmer.routes import blueprint
from infra import health
from infra.http import new_app
from infra.wiring import Wiring

RESTS_ON: Final = ("jobs",)
"""What the confirmer needs to be ready. It only deletes objects, which leaves the store's check
out: that one writes."""


def create_app(parts: Wiring) -> Flask:
    """Return the confirmer as a WSGI application."""
    app = new_app(
        "confirmer", keys=parts.keys, log=parts.log, proxies=parts.settings.forwarded_hops
    )
    app.register_blueprint(blueprint(ledger=parts.ledger))
    app.register_blueprint(health.blueprint(health.some(parts.checks, RESTS_ON)))
    return app
