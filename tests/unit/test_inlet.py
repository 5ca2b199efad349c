"""A body on its way in, over a pair of sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest

from core import limits
from core.errors import TruncatedUpload
from infra.inlet import Inlet, leave_continue_to_app


class Wire:
    """Two ends of a connection; the server's end is read as gunicorn reads it."""

    def __init__(self) -> None:
        self.client, self.server = socket.socketpair()
        self.client.settimeout(10)
        self.file = self.server.makefile("rb")

    def inlet(self, announced: int | None, **environ: str) -> Inlet:
        """Return the inlet of a request on this connection."""
        framing = {"HTTP_TRANSFER_ENCODING": "chunked"}
        length = {"CONTENT_LENGTH": str(announced)}
        return Inlet(
            {
                "wsgi.input": self.file,
                "wsgi.input_terminated": True,
                "gunicorn.socket": self.server,
                "SERVER_PROTOCOL": "HTTP/1.1",
                **(framing if announced is None else length),
                **environ,
            }
        )

    def close(self) -> None:
        """Close both ends."""
        self.file.close()
        self.client.close()
        self.server.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


def test_it_never_reads_past_the_announced_length(wire: Wire) -> None:
    wire.client.sendall(b"bodyGET / HTTP/1.1")
    inlet = wire.inlet(4)
    assert (inlet.read(100), inlet.read(100)) == (b"body", b"")


def test_a_body_without_a_length_is_empty_unless_it_is_chunked() -> None:
    environ: dict[str, Any] = {"wsgi.input": BytesIO(b"x"), "SERVER_PROTOCOL": "HTTP/1.1"}
    assert Inlet(environ).read(10) == b""
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    assert Inlet({**environ, **chunked}).read(10) == b"x"


def test_all_of_it_can_be_read_at_once_and_into_a_buffer() -> None:
    environ: dict[str, Any] = {"wsgi.input": BytesIO(b"xyz"), "CONTENT_LENGTH": "3"}
    assert Inlet(environ).read() == b"xyz"
    environ["wsgi.input"] = BytesIO(b"xyz")
    buffer = bytearray(2)
    inlet = Inlet(environ)
    assert (inlet.readable(), inlet.readinto(buffer), bytes(buffer)) == (True, 2, b"xy")


def test_a_client_that_stands_still_is_given_up(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UPLOAD_STALL_S", 0.05)
    wire.client.sendall(b"half")
    with pytest.raises(TruncatedUpload):
        wire.inlet(8).read(8)


def test_the_client_is_told_to_go_on_with_the_first_read_only(wire: Wire) -> None:
    inlet = wire.inlet(4, HTTP_EXPECT="100-Continue")
    wire.client.sendall(b"body")
    inlet.read(2)
    inlet.read(2)
    wire.server.shutdown(socket.SHUT_WR)
    assert wire.client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert wire.client.recv(100) == b""


def test_a_body_that_was_read_leaves_the_connection_open(wire: Wire) -> None:
    wire.client.sendall(b"body")
    inlet = wire.inlet(4)
    inlet.read(4)
    inlet.drain()
    wire.server.sendall(b"still open")
    assert wire.client.recv(100) == b"still open"


def test_what_is_left_of_a_body_is_left_to_the_server_that_has_the_connection(wire: Wire) -> None:
    wire.client.sendall(b"x" * 1000)
    wire.inlet(limits.SMALL_BODY_BYTES * 8).drain()
    wire.server.settimeout(5)
    assert len(wire.server.recv(2000)) == 1000


def test_a_reader_hears_at_once_that_its_body_is_given_up(wire: Wire) -> None:
    wire.client.sendall(b"half")
    inlet = wire.inlet(8)
    giving_up = threading.Timer(0.05, inlet.give_up)
    giving_up.start()
    assert inlet.read(8) == b"half"
    giving_up.join()


def test_silence_is_counted_from_the_last_piece(wire: Wire) -> None:
    inlet = wire.inlet(8)
    time.sleep(0.05)
    before = inlet.silent_s()
    wire.client.sendall(b"half")
    inlet.read(4)
    assert inlet.silent_s() < before


def test_without_a_socket_the_stream_is_dropped_within_the_same_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "DRAIN_BYTES_MAX", 2 * limits.CHUNK_BYTES)
    body = BytesIO(bytes(limits.CHUNK_BYTES * 5))
    Inlet({"wsgi.input": body, "CONTENT_LENGTH": str(limits.CHUNK_BYTES * 5)}).drain()
    assert body.tell() == 2 * limits.CHUNK_BYTES


def test_the_hook_leaves_the_interim_answer_to_the_app() -> None:
    request = SimpleNamespace(_expected_100_continue=True)
    leave_continue_to_app(None, request)
    assert not request._expected_100_continue
