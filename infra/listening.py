"""The port of a service that is its container's only listener."""

from __future__ import annotations

import socket

from infra.settings import Settings, SettingsError


def bound(settings: Settings) -> socket.socket:
    """Return a socket that has the address of the settings but does not listen yet.

    Callers are refused until it does. Raises SettingsError.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"PORT: cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        ) from None
    return listener
