"""Connecting to public addresses only, and to the very address that was looked at."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from core.addresses import is_odd_number, is_public

Dial = Callable[[tuple[str, int], float], socket.socket]
"""Connects to host and port within so many seconds for each address; raises OSError."""


class NotPublic(OSError):
    """The host has no public address."""


def dial_any(address: tuple[str, int], timeout_s: float) -> socket.socket:
    """Connect to whatever the host's name stands for."""
    return socket.create_connection(address, timeout_s)


def dial_public(address: tuple[str, int], timeout_s: float) -> socket.socket:
    """Connect to a public address of the host; raises NotPublic where it has none.

    The name is looked up once: a second look-up might say something else. Of several addresses
    those that are not public are passed over.
    """
    host, port = address
    if is_odd_number(host):
        raise NotPublic("the host is a number in a form that hides which")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = NotPublic("no address of the host is public")
    for family, kind, protocol, _, where in found:
        if not is_public(str(where[0])):
            continue
        try:
            return _connected(family, kind, protocol, where, timeout_s)
        except OSError as error:
            failure = error
    raise failure


def _connected(
    family: int, kind: int, protocol: int, where: tuple[object, ...], timeout_s: float
) -> socket.socket:
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(socket.socket(family, kind, protocol))
        connection.settimeout(timeout_s)
        connection.connect(where)
        stack.pop_all()
        return connection
