"""What an LMS may do on a connection, and what the courier must make of it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Final

from core import limits
from core.delivery import Answered, Outcome, Unanswered
from tests.lms_side.stub import Script, reset, take

SHORT_S: Final = 0.4
"""The courier's patience with a pause, in these tests."""
TOTAL_S: Final = 0.8
"""And with an attempt as a whole."""


def says(text: bytes) -> Script:
    """Read the delivery, then send these bytes and close."""

    def play(connection: socket.socket, _over: threading.Event) -> None:
        take(connection)
        connection.sendall(text)

    return play


def _answer(status: str, *headers: str, body: bytes = b"") -> Script:
    lines = (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", "")
    return says("\r\n".join(lines).encode() + body)


def _without_end(opening: bytes, again: bytes, *, pause_s: float = 0.0) -> Script:
    """Read the delivery and send `again` until the other side has had enough."""

    def play(connection: socket.socket, over: threading.Event) -> None:
        take(connection)
        connection.sendall(opening)
        while not over.wait(pause_s) if pause_s else not over.is_set():
            connection.sendall(again)

    return play


def _before_reading(act: Callable[[socket.socket], object]) -> Script:
    def play(connection: socket.socket, over: threading.Event) -> None:
        act(connection)
        over.wait()

    return play


def _after_reading(act: Callable[[socket.socket], object]) -> Script:
    def play(connection: socket.socket, over: threading.Event) -> None:
        take(connection)
        act(connection)
        over.wait()

    return play


def _reset_after(count: int) -> Script:
    def play(connection: socket.socket, _over: threading.Event) -> None:
        left = count
        while left > 0 and (data := connection.recv(min(left, 65536))):
            left -= len(data)
        reset(connection)

    return play


def _never_reads(connection: socket.socket, over: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    over.wait()


def _reads_slowly(connection: socket.socket, over: threading.Event) -> None:
    while not over.wait(0.05) and connection.recv(1024):
        pass


def _says_early(text: bytes) -> Script:
    def play(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(1000)
        connection.sendall(text)
        with contextlib.suppress(OSError):
            while not over.is_set() and connection.recv(65536):
                pass

    return play


def _half_close(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)


_LOST: Final = Unanswered(reason="connection lost before the answer")
_NOT_HTTP: Final = Unanswered(reason="the answer is not HTTP")
_NO_ANSWER: Final = Unanswered(reason=f"no answer in {SHORT_S:g} s")
_UNREAD: Final = Unanswered(reason=f"nothing read in {SHORT_S:g} s")
_UNFINISHED: Final = Unanswered(reason=f"not finished in {TOTAL_S:g} s")
_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

Row = tuple[Script, tuple[Outcome, ...]]
BEHAVIOURS: Final[dict[str, Row]] = {
    # --- honest answers ---------------------------------------------------------------------
    "200": (_answer("200 OK"), (Answered(status=200),)),
    "200 without a reason": (says(b"HTTP/1.1 200\r\n\r\n"), (Answered(status=200),)),
    "200 in HTTP/1.0": (says(b"HTTP/1.0 200 OK\r\n\r\n"), (Answered(status=200),)),
    "201, which does not count": (_answer("201 Created"), (Answered(status=201),)),
    "204, which does not count": (_answer("204 No Content"), (Answered(status=204),)),
    "410": (_answer("410 Gone"), (Answered(status=410),)),
    "413": (_answer("413 Too Large"), (Answered(status=413),)),
    "404": (_answer("404 Not Found"), (Answered(status=404),)),
    "500": (_answer("500 Oh"), (Answered(status=500),)),
    "599": (_answer("599 Strange"), (Answered(status=599),)),
    # --- asking for patience ----------------------------------------------------------------
    "429, seconds": (
        _answer("429 Slow", "Retry-After: 120"),
        (Answered(status=429, retry_after_s=120),),
    ),
    "429, a date": (
        _answer(
            "429 Slow",
            "Date: Mon, 07 Nov 2044 10:00:00 GMT",
            "Retry-After: Mon, 07 Nov 2044 12:00:00 GMT",
        ),
        (Answered(status=429, retry_after_s=7200),),
    ),
    "429, a year": (
        _answer("429 Slow", "Retry-After: 31536000"),
        (Answered(status=429, retry_after_s=31_536_000),),
    ),
    "429, a date of long ago": (
        _answer("429 Slow", "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT"),
        (Answered(status=429, retry_after_s=0),),
    ),
    "429, below nothing": (_answer("429 Slow", "Retry-After: -5"), (Answered(status=429),)),
    "429, no number": (_answer("429 Slow", "Retry-After: NaN"), (Answered(status=429),)),
    "429, more than all": (
        _answer("429 Slow", f"Retry-After: {'9' * 300}"),
        (Answered(status=429),),
    ),
    "429, said twice": (
        _answer("429 Slow", "Retry-After: 60", "Retry-After: 120"),
        (Answered(status=429), Answered(status=429, retry_after_s=60)),
    ),
    "503, at once": (
        _answer("503 Busy", "Retry-After: 0"),
        (Answered(status=503, retry_after_s=0),),
    ),
    # --- sending elsewhere ------------------------------------------------------------------
    "redirect to the metadata address": (
        _answer("307 Go", "Location: http://169.254.169.254/latest/meta-data/"),
        (Answered(status=307),),
    ),
    "redirect to this machine": (
        _answer("308 Go", "Location: http://127.0.0.1:1/"),
        (Answered(status=308),),
    ),
    "redirect to a file": (
        _answer("302 Go", "Location: file:///etc/passwd"),
        (Answered(status=302),),
    ),
    "an upgrade": (
        says(b"HTTP/1.1 101 Switch\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
        (Answered(status=101), _LOST),
    ),
    # --- at length --------------------------------------------------------------------------
    "200 with a body without end": (
        _without_end(b"HTTP/1.1 200 OK\r\n\r\n", bytes(65536)),
        (Answered(status=200),),
    ),
    "500 with a gigabyte announced": (
        _without_end(
            f"HTTP/1.1 500 Oh\r\nContent-Length: {limits.GIB}\r\n\r\n".encode(), bytes(65536)
        ),
        (Answered(status=500),),
    ),
    "200 with fewer bytes than announced": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"),
        (Answered(status=200),),
    ),
    "200 with two lengths": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        (Answered(status=200),),
    ),
    "200 with a length that is none": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        (Answered(status=200),),
    ),
    "200 with broken chunks": (
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        (Answered(status=200),),
    ),
    "200 that drips its body": (
        _without_end(b"HTTP/1.1 200 OK\r\n\r\n", b".", pause_s=0.05),
        (Answered(status=200),),
    ),
    "headers that drip": (
        _without_end(b"HTTP/1.1 200 OK\r\nX: ", b".", pause_s=0.05),
        (_NO_ANSWER, _UNFINISHED),
    ),
    "a status line that drips": (
        _without_end(b"HTTP", b"/", pause_s=0.05),
        (_NO_ANSWER, _UNFINISHED),
    ),
    "a huge header": (
        says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"),
        (_NOT_HTTP,),
    ),
    "thousands of headers": (
        says(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n"),
        (_NOT_HTTP,),
    ),
    "interim answers without end": (
        _without_end(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
        (_NO_ANSWER, _UNFINISHED, _NOT_HTTP),
    ),
    "some interim answers, then 200": (
        says(b"HTTP/1.1 102 Processing\r\n\r\n" * 5 + _OK),
        (Answered(status=200),),
    ),
    # --- no HTTP ----------------------------------------------------------------------------
    "HTTP/0.9": (says(b"stored, thank you\n"), (_NOT_HTTP,)),
    "another protocol": (says(b"220 mail.example ESMTP ready\r\n"), (_NOT_HTTP,)),
    "bytes": (says(bytes(range(256)) * 10), (_NOT_HTTP,)),
    "a status that is none": (says(b"HTTP/1.1 2xx OK\r\n\r\n"), (_NOT_HTTP,)),
    "a status of four digits": (says(b"HTTP/1.1 2000 OK\r\n\r\n"), (_NOT_HTTP,)),
    "HTTP/2 frames": (says(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"), (_NOT_HTTP, _LOST)),
    "a line feed and nothing more": (says(b"\n"), (_NOT_HTTP, _LOST)),
    # --- closing ----------------------------------------------------------------------------
    "closed without a word": (says(b""), (_LOST,)),
    "closed in the status line": (says(b"HTTP/1.1 20"), (_LOST, _NOT_HTTP)),
    "closed within the headers": (says(b"HTTP/1.1 200 OK\r\nContent-Le"), (_LOST,)),
    "half closed without a word": (_after_reading(_half_close), (_LOST,)),
    "half closed before reading": (
        _before_reading(_half_close),
        (Unanswered(reason="connection lost while sending"), _LOST),
    ),
    "reset at once": (
        _reset_after(0),
        (
            Unanswered(reason="connection lost while sending"),
            Unanswered(reason="connection lost while connecting"),
            _LOST,
        ),
    ),
    "reset within the head": (
        _reset_after(50),
        (Unanswered(reason="connection lost while sending"), _LOST),
    ),
    "reset within the body": (
        _reset_after(1_000_000),
        (Unanswered(reason="connection lost while sending"), _LOST),
    ),
    "reset after the body": (_after_reading(reset), (_LOST,)),
    # --- too soon, too late -----------------------------------------------------------------
    "200 before the upload ends": (
        _says_early(_OK),
        (Unanswered(reason="answered 200 before the whole file was sent"),),
    ),
    "413 before the upload ends": (
        _says_early(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"),
        (Answered(status=413),),
    ),
    "nothing read": (_never_reads, (_UNREAD, _UNFINISHED)),
    "read in drips": (_reads_slowly, (_UNREAD, _UNFINISHED)),
    "no answer": (_after_reading(lambda _connection: None), (_NO_ANSWER, _UNFINISHED)),
    "a second answer behind the first": (
        says(_OK + b"HTTP/1.1 500 Oh\r\n\r\n"),
        (Answered(status=200),),
    ),
    "an offer to keep the connection": (
        _answer("200 OK", "Connection: keep-alive", "Keep-Alive: timeout=999"),
        (Answered(status=200),),
    ),
}
"""Each behaviour with the outcomes that it may have, the usual one first."""
