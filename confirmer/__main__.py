"""`python -m confirmer`: the end of the handshake as a service of its own."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Final, NoReturn

from flask import Flask

from confirmer.main import create_app
from infra import http_server, logging, required, settings, wiring
from infra.hidden import hide
from infra.listening import bound
from infra.settings import Settings, SettingsError

THREADS: Final = 8
"""A confirmation is short: two fields and a few calls of the stores."""
_GRACE_S: Final = 8
"""Seconds that open requests have after SIGTERM; Cloud Run kills after 10."""


def main() -> NoReturn:
    """Serve until SIGTERM and exit with status 0; with another if the service cannot start."""
    os.umask(0o077)
    hide()
    try:
        chosen = settings.load()
        required.check_secret(chosen, "internal_service_key")
        logging.configure(
            style=chosen.log_format,
            level=chosen.log_level,
            cloud_project=chosen.google_cloud_project or None,
        )
        listener = bound(chosen)
    except SettingsError as error:
        sys.exit(f"confirmer: {error}")
    host, port, *_ = listener.getsockname()
    http_server.serve_built(
        partial(_build, chosen, host=host, port=port),
        bind=f"fd://{listener.detach()}",  # gunicorn closes it
        threads=THREADS,
        grace_s=_GRACE_S,
        unbegun_max=2,  # of six that Cloud Run gives it at once
    )
    sys.exit(0)


def _build(chosen: Settings, *, host: str, port: int) -> Flask:
    """Connect in the worker's process: gRPC's clients survive no fork."""
    parts = wiring.connect(chosen)
    parts.log.emit("service.listening", host=host, port=port)
    return create_app(parts)


if __name__ == "__main__":
    main()
