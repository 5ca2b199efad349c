"""The confirmer's entry: the WSGI application that ends the handshake."""

from __future__ import annotations

from flask import Flask

from confirmer.routes import blueprint
from infra.http import new_app
from infra.wiring import Wiring


def create_app(parts: Wiring) -> Flask:
    """Return the confirmer as a WSGI application."""
    app = new_app("confirmer", keys=parts.keys, log=parts.log)
    app.register_blueprint(blueprint(ledger=parts.ledger))
    return app
