"""The ways in which an LMS can misbehave: give them to `ExampleLms.behave`.

A behaviour handles one visit of Lectern's courier. Those that break off do so on the socket
itself, underneath HTTP.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, cast

from flask import Request, Response

from core import limits

_READ_BYTES: Final = limits.CHUNK_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request to the store webhook, and what an LMS can do with it.

    `store(later)` reads, verifies and keeps the delivery and returns the honest answer; with
    `later` the confirmation follows when that is sent. `confirm` confirms what was stored, now.
    `released` is set when a visit that hangs may go on.
    """

    request: Request
    store: Callable[[bool], Response]
    confirm: Callable[[], None]
    released: threading.Event

    @property
    def socket(self) -> socket.socket:
        """Return the connection itself."""
        return cast("socket.socket", self.request.environ["werkzeug.socket"])

    def read(self, share: float = 1.0) -> None:
        """Read and drop this share of the body."""
        left = int((self.request.content_length or 0) * share)
        while left > 0 and (data := self.request.stream.read(min(left, _READ_BYTES))):
            left -= len(data)

    def write(self, data: bytes) -> None:
        """Send raw bytes in place of an answer."""
        self.socket.sendall(data)

    def cut(self) -> Response:
        """Close the connection; what is returned reaches nobody."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        return Response()


Behaviour = Callable[[Visit], Response]


class Moment(Enum):
    """When a connection is dropped."""

    BEFORE_BODY = 0.0
    MID_BODY = 0.5
    AFTER_BODY = 1.0


def honest(visit: Visit) -> Response:
    """Store the delivery, answer 200, then confirm."""
    return visit.store(True)


def confirm_inside(visit: Visit) -> Response:
    """Store the delivery and confirm it before answering."""
    response = visit.store(False)
    visit.confirm()
    return response


def lose_answer(visit: Visit) -> Response:
    """Store the delivery, but close before the answer is sent."""
    visit.store(False)
    return visit.cut()


def hang_before_reading(visit: Visit) -> Response:
    """Read nothing until released, then behave."""
    visit.released.wait()
    return visit.store(True)


def hang_before_answering(visit: Visit) -> Response:
    """Store the delivery, and answer when released."""
    response = visit.store(True)
    visit.released.wait()
    return response


def talk_garbage(visit: Visit) -> Response:
    """Read the delivery and send something that is not HTTP."""
    visit.read()
    visit.write(b"\x16\x03\x01 220 mail.example ESMTP ready\r\n\r\n")
    return visit.cut()


def answer(status: int, **headers: str) -> Behaviour:
    """Read the delivery and answer `status`; `Retry_After="5"` becomes a header."""

    def behave(visit: Visit) -> Response:
        visit.read()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Response(f"status {status}", status, named)

    return behave


def redirect(to: str, status: int = 307) -> Behaviour:
    """Read the delivery and send the courier elsewhere."""
    return answer(status, Location=to)


def reject_early(status: int) -> Behaviour:
    """Answer without having read the body, and close."""

    def behave(visit: Visit) -> Response:
        visit.write(f"HTTP/1.1 {status} Refused\r\nContent-Length: 0\r\n\r\n".encode())
        return visit.cut()

    return behave


def drop(moment: Moment) -> Behaviour:
    """Close the connection at `moment`, having stored nothing."""

    def behave(visit: Visit) -> Response:
        visit.read(moment.value)
        return visit.cut()

    return behave


def drip_headers(every_s: float) -> Behaviour:
    """Store the delivery and send the answer's headers byte by byte, without end."""

    def behave(visit: Visit) -> Response:
        visit.store(False)
        visit.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        with contextlib.suppress(OSError):
            while not visit.released.wait(every_s):
                visit.write(b".")
        return visit.cut()

    return behave


def answer_at_length(status: int, size: int) -> Behaviour:
    """Read the delivery and answer with a body of `size` bytes."""

    def body() -> Iterator[bytes]:
        for _ in range(0, size, _READ_BYTES):
            yield bytes(_READ_BYTES)

    def behave(visit: Visit) -> Response:
        visit.read()
        return Response(body(), status)

    return behave
