"""Slow, lying and broken clients against a real server."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterator
from typing import Final

import pytest

from core import limits
from tests.api.served import (
    Served,
    a_lecture,
    answers,
    head,
    serving,
    wait_until,
)
from tests.http import forms
from tests.http.door import KEY
from tests.http.serve import THREADS

CROWD = int(os.environ.get("LECTERN_CROWD", "500"))
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close send a reset."""
_PROMPT_S = 5.0
"""What an answer may take on a machine that does many things; a stopped service takes minutes."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run one service for all that leaves it well."""
    with serving(tmp_path_factory.mktemp("served")) as service:
        yield service


# --- crowds ---------------------------------------------------------------------------------------

_CROWDS = {
    "silent": b"",
    "half heads": b"POST /video/receive HTTP/1.1\r\nHost: x\r\n",
    "empty lines": b"\r\n\r\n\r\n",
    "short bodies that do not come": head("Content-Length: 900", path="/video/confirm") + b"video",
    "refused bodies": head("Content-Length: 9999999", key="") + b"x" * 100,
    "uploads": head("Content-Length: 9999999") + b"--lectern",
    "chunked uploads": head("Transfer-Encoding: chunked") + b"9\r\n--lectern",
    "uploads in many codings": head("Transfer-Encoding: gzip, Chunked") + b"9\r\n--lectern",
    "asking first": head("Content-Length: 9999999", "Expect: 100-continue"),
    "chunked confirmations": head("Transfer-Encoding: chunked", path="/video/confirm")
    + b"5\r\nvideo",
    "confirmations that ask first": head(
        "Content-Length: 900", "Expect: 100-continue", path="/video/confirm"
    ),
    "chunked announcements": head("Transfer-Encoding: chunked", path="/uploads").replace(
        forms.CONTENT_TYPE.encode(), b"application/json"
    ),
    "announcements that are too long": head("Content-Length: 9999999", path="/uploads").replace(
        forms.CONTENT_TYPE.encode(), b"application/json"
    ),
}
"""What each of a crowd sends before it falls silent; all but one kind of them has a good key."""
_BEGUN: Final = head("Content-Length: 9999999") + a_lecture(forms.recording(40_000)).body()[:20_000]
"""An upload of which so much has come that it has a place."""


@pytest.mark.parametrize("kind", list(_CROWDS))
def test_a_crowd_of_idle_clients_does_not_stop_the_next(served: Served, kind: str) -> None:
    """Health, status and a newcomer's upload are answered at once, and well."""
    with contextlib.ExitStack() as stack:
        for _ in range(CROWD):
            stack.enter_context(served.connect()).sendall(_CROWDS[kind])
        for path, status in (("/health", 200), ("/status/nobody", 404)):
            began = time.monotonic()
            assert served.get(path).status_code == status
            assert time.monotonic() - began < _PROMPT_S
        began = time.monotonic()
        assert served.upload().status_code == 200
        assert time.monotonic() - began < _PROMPT_S


_UNFINISHED = {
    "a length": (("Content-Length: 900",), b"video"),
    "a length with zeros": ((f"Content-Length: {'0' * 40}900",), b"video"),
    "a length with spaces": (("Content-Length: \t 900 \t",), b"video"),
    "a length and an old coding": (("Transfer-Encoding: gzip", "Content-Length: 900"), b"video"),
    "a length and no coding": (("Transfer-Encoding: identity", "Content-Length: 900"), b"video"),
    "a length too long": (("Content-Length: 90000",), b"video"),
    "a length, and asking": (("Content-Length: 900", "Expect: 100-continue"), b""),
    "a length, and asking twice": (
        ("Content-Length: 900", "Expect: 100-continue", "Expect: 100-continue"),
        b"",
    ),
    "chunks": (("Transfer-Encoding: chunked",), b"5\r\nvideo\r\n"),
    "chunks in several codings": (("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"), b"5"),
    "chunks, and asking": (("Transfer-Encoding: chunked", "Expect: 100-continue"), b""),
    "chunks without anything": (("Transfer-Encoding: chunked",), b""),
    "a chunk's size without an end": (("Transfer-Encoding: chunked",), b"5" * 10),
    "a chunk's extension without an end": (("Transfer-Encoding: chunked",), b"5;" + b"a" * 9000),
    "a chunk without an end": (("Transfer-Encoding: chunked",), b"5\r\nvid"),
    "a chunk's end cut in two": (("Transfer-Encoding: chunked",), b"5\r\nvideo\r"),
    "a trailer without an end": (("Transfer-Encoding: chunked",), b"0\r\nDigest: x\r\n"),
    "a last chunk cut in two": (("Transfer-Encoding: chunked",), b"0\r\n"),
    "padded chunks": (("Transfer-Encoding: chunked",), b"1;%b\r\nx\r\n" % (b"e" * 99) * 1000),
}
_ROUTES = {
    "/video/receive": "POST",
    "/compress/": "POST",
    "/video/confirm": "POST",
    "/uploads": "POST",
    "/uploads/nobody/complete": "POST",
    "/status/nobody": "GET",
    "/health": "GET",
}


@pytest.mark.parametrize("kind", list(_UNFINISHED))
def test_no_way_to_leave_a_body_unfinished_holds_a_thread(served: Served, kind: str) -> None:
    """On any route, with a good key, by more clients than there are threads for each."""
    headers, begin = _UNFINISHED[kind]
    with contextlib.ExitStack() as stack:
        for path, method in _ROUTES.items():
            sent = head(*headers, path=path, method=method) + begin
            if path == "/uploads":
                sent = sent.replace(forms.CONTENT_TYPE.encode(), b"application/json")
            for _ in range(THREADS + 1):
                client = stack.enter_context(served.connect())
                with contextlib.suppress(ConnectionError):  # refused before all was sent
                    client.sendall(sent)
        began = time.monotonic()
        assert served.get("/health").status_code == 200
        assert served.upload().status_code == 200
        assert time.monotonic() - began < _PROMPT_S


def test_a_crowd_of_uploads_that_stop_halfway_gives_way(served: Served) -> None:
    """They hold all places until they have been silent for `GIVE_WAY_S`, and no other thread."""
    with contextlib.ExitStack() as stack:
        for _ in range(CROWD):
            stack.enter_context(served.connect()).sendall(_BEGUN)
        began = time.monotonic()
        assert served.get("/health").status_code == 200
        assert time.monotonic() - began < _PROMPT_S
        first = served.upload()
        if first.status_code != 200:
            assert (first.status_code, first.headers["Retry-After"]) == (429, "30")
        wait_until(
            lambda: served.upload().status_code == 200, seconds=limits.GIVE_WAY_S + 2 * _PROMPT_S
        )


def test_an_upload_whose_body_comes_late_is_taken(served: Served) -> None:
    """It was looked at, given back, and is answered once: by length, in chunks, and when asked."""
    body = a_lecture(forms.recording(50_000)).body()
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    ways = {
        f"Content-Length: {len(body)}": body,
        "Transfer-Encoding: chunked": chunks,
        f"Content-Length: {len(body)}\r\nExpect: 100-continue": body,
        "Transfer-Encoding: chunked\r\nExpect: 100-continue": chunks,
    }
    for framing, sent in ways.items():
        with served.connect() as connection:
            connection.sendall(head(framing, "Connection: close"))
            if "Expect" in framing:
                assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            for path in ("/health", "/health"):  # each passes through the loop after the head
                assert served.get(path).status_code == 200
            connection.sendall(sent[:20])
            assert served.get("/health").status_code == 200
            connection.sendall(sent[20:])
            found = answers(connection)
        assert [status for status, _ in found] == [200], (framing, found)


def test_more_connections_than_are_kept_cost_those_that_were_silent_for_longest(
    served: Served,
) -> None:
    """The four thousand first make room for the one that says something."""
    crowd = 4_100
    with contextlib.ExitStack() as stack:
        for _ in range(crowd):
            stack.enter_context(served.connect())
        began = time.monotonic()
        assert served.get("/health").status_code == 200
        assert time.monotonic() - began < _PROMPT_S
    assert served.is_well()


# --- slow and broken ------------------------------------------------------------------------------


def test_a_request_that_comes_byte_by_byte_is_served(served: Served) -> None:
    body = a_lecture(forms.recording(100)).body()
    whole = head(f"Content-Length: {len(body)}", "Connection: close") + body
    with served.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(whole)):
            connection.sendall(whole[at : at + 1])
        assert [status for status, _ in answers(connection)] == [200]


@pytest.mark.parametrize("how", ["closed", "reset", "half closed"])
def test_a_request_that_breaks_off_anywhere_leaves_nothing(served: Served, how: str) -> None:
    """In its head, between head and body, in each part of its form, and before its last byte."""
    body = a_lecture().body()
    whole = head(f"Content-Length: {len(body)}") + body
    for at in range(0, len(whole), 61):
        with served.connect() as connection:
            connection.sendall(whole[:at])
            if how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            elif how == "half closed":
                connection.shutdown(socket.SHUT_WR)
                assert {status for status, _ in answers(connection)} <= {400}
    wait_until(lambda: served.unfinished() == [])
    wait_until(served.is_well)


def test_several_requests_in_one_go_are_answered_in_their_order(served: Served) -> None:
    first, second = a_lecture(), a_lecture()
    requests = [
        head(f"Content-Length: {len(lecture.body())}") + lecture.body()
        for lecture in (first, second)
    ]
    last = head("Connection: close", path="/status/nobody", method="GET")
    found = served.say(b"".join([*requests, last]), end=False)
    assert [status for status, _ in found] == [200, 200, 404]
    assert [body["video_id"] for _, body in found[:2]] == [first.video_id, second.video_id]


# --- lengths that lie -----------------------------------------------------------------------------

_BODY = b"video_id=nobody"
_SMUGGLED = head(path="/status/smuggled", method="GET")
_FRAMINGS: dict[str, tuple[bytes, set[int]]] = {
    "both length and chunks": (
        head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + _SMUGGLED,
        {400},
    ),
    "chunks, then length": (
        head("Transfer-Encoding: chunked", "Content-Length: 500") + b"0\r\n\r\n" + _SMUGGLED,
        {400},
    ),
    "two lengths": (head("Content-Length: 4", "Content-Length: 40") + _BODY + _SMUGGLED, {400}),
    "two equal lengths": (head("Content-Length: 4", "Content-Length: 4") + _BODY, {400}),
    "a list of lengths": (head("Content-Length: 4, 4") + _BODY, {400}),
    "a signed length": (head("Content-Length: +4") + _BODY, {400}),
    "a negative length": (head("Content-Length: -4") + _BODY, {400}),
    "a length in hexadecimal": (head("Content-Length: 0x4") + _BODY, {400}),
    "a length with a line feed in it": (head("Content-Length: 4\n0") + _BODY, {400}),
    "a length without a number": (head("Content-Length: ") + _BODY, {400}),
    "a length of other digits": (head("Content-Length: \xb2") + _BODY, {400}),
    "a length beyond all numbers": (head(f"Content-Length: {'9' * 40}") + _BODY, {400, 413}),
    "a coding that does not exist": (head("Transfer-Encoding: xchunked") + _BODY, {400, 501}),
    "chunked, said twice": (head("Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n", {400}),
    "chunked with a tab": (head("Transfer-Encoding:\tchunked, identity") + b"0\r\n\r\n", {400}),
    "a space before the colon": (head("Transfer-Encoding : chunked") + b"0\r\n\r\n", {400}),
    "a folded header": (head("Transfer-Encoding:", " chunked") + b"0\r\n\r\n", {400}),
    "chunks in HTTP/1.0": (
        head("Transfer-Encoding: chunked").replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
        {400},
    ),
    "a chunk's size that is none": (head("Transfer-Encoding: chunked") + b"zz\r\nabc\r\n", {400}),
    "a chunk's size below nothing": (head("Transfer-Encoding: chunked") + b"-5\r\nabc\r\n", {400}),
    "a chunk's size with a prefix": (head("Transfer-Encoding: chunked") + b"0x5\r\nabc", {400}),
    "a chunk's size beyond all": (
        head("Transfer-Encoding: chunked") + b"f" * 100 + b"\r\nabc",
        {400},
    ),
    "a chunk's size without an end": (head("Transfer-Encoding: chunked") + b"1" * 9000, {400}),
    "a chunk longer than it says": (
        head("Transfer-Encoding: chunked") + b"3\r\nabcdef\r\n0\r\n\r\n",
        {400},
    ),
    "chunks with bare line feeds": (head("Transfer-Encoding: chunked") + b"3\nabc\n0\n\n", {400}),
    "no last chunk": (head("Transfer-Encoding: chunked") + b"3\r\nabc\r\n", {400}),
}


@pytest.mark.parametrize("kind", list(_FRAMINGS))
def test_a_body_whose_end_is_in_doubt_is_refused_and_ends_the_connection(
    served: Served, kind: str
) -> None:
    """What follows it is never read as a request: that is what smugglers want."""
    data, allowed = _FRAMINGS[kind]
    found = served.say(data)
    assert len(found) == 1, found
    assert found[0][0] in allowed, found


def test_what_is_left_of_a_refused_body_is_never_a_request(served: Served) -> None:
    """A confirmation hidden in the body of a refused upload confirms nothing."""
    hidden = head("Content-Length: 0", path="/metrics", method="GET")
    for size in (len(hidden), 20_000, 70_000, 1_000_000):
        data = hidden + b"x" * (size - len(hidden))
        found = served.say(head(f"Content-Length: {size}", key="") + data)
        assert [status for status, _ in found][:1] == [401]
        assert len(found) == 1


def test_a_length_below_the_body_leaves_a_rest_that_is_no_request(served: Served) -> None:
    body = a_lecture().body()
    found = served.say(head(f"Content-Length: {len(body) - 100}") + body)
    assert (found[0][0], found[0][1]["code"]) == (400, "truncated_upload")
    assert [status for status, _ in found[1:]] in ([], [400])


def test_an_answer_to_an_expectation_comes_once_and_only_to_whom_it_is_due(served: Served) -> None:
    body = a_lecture().body()
    expecting = head(f"Content-Length: {len(body)}", "Expect: 100-continue", "Connection: close")
    with served.connect() as connection:
        connection.sendall(expecting)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert [status for status, _ in answers(connection)] == [200]
    other = head(f"Content-Length: {len(body)}", "Expect: 200-ok", "Connection: close")
    assert [status for status, _ in served.say(other, body)] in ([200], [417])


# --- heads ----------------------------------------------------------------------------------------

_HEADS: dict[str, tuple[bytes, set[int]]] = {
    "no request": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}),
    "HTTP/0.9": (b"GET /health\r\n\r\n", {400}),
    "HTTP/2 by surprise": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    "HTTP/9.9": (b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n", {400, 505}),
    "a method that does not exist": (b"BREW /health HTTP/1.1\r\nHost: x\r\n\r\n", {405}),
    "a method of bytes": (b"\xff\xfe /health HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "a path in absolute form": (b"GET http://x/status/a HTTP/1.1\r\nHost: x\r\n\r\n", {401}),
    "another host's path": (b"GET http://evil/status/a HTTP/1.1\r\nHost: x\r\n\r\n", {401}),
    "two slashes": (b"GET //status/a HTTP/1.1\r\nHost: x\r\n\r\n", {401}),
    "two slashes before an open path": (b"GET //health HTTP/1.1\r\nHost: x\r\n\r\n", {200, 401}),
    "dots": (b"GET /health/../status/a HTTP/1.1\r\nHost: x\r\n\r\n", {401}),
    "dots in code": (b"GET /health/%2e%2e/status/a HTTP/1.1\r\nHost: x\r\n\r\n", {401}),
    "a slash in code": (b"GET /health%2f..%2fstatus HTTP/1.1\r\nHost: x\r\n\r\n", {401}),
    "a parameter behind an open path": (b"GET /health;/a HTTP/1.1\r\nHost: x\r\n\r\n", {401}),
    "a NUL in code": (b"GET /health%00 HTTP/1.1\r\nHost: x\r\n\r\n", {401}),
    "a NUL": (b"GET /health\x00 HTTP/1.1\r\nHost: x\r\n\r\n", {400, 401}),
    "bytes that are no UTF-8": (b"GET /status/%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n", {401}),
    "bytes as they are": (b"GET /status/\xff HTTP/1.1\r\nHost: x\r\n\r\n", {400, 401}),
    "a star": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", {401, 400, 404}),
    "a tunnel": (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", {400, 401, 405}),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", {200, 400}),
    "a host that is none": (b"GET /health HTTP/1.1\r\nHost: a b/c@d\r\n\r\n", {200, 400}),
    "a long path": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {400, 414}),
    "a long header": (
        b"GET /health HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20_000 + b"\r\n\r\n",
        {400, 431},
    ),
    "many headers": (
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
        {400, 431},
    ),
    "a head without an end": (
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 150_000,
        {400, 431},
    ),
    "a header without a name": (b"GET /health HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n", {400}),
    "a header without a colon": (b"GET /health HTTP/1.1\r\nHost: x\r\nabc\r\n\r\n", {400}),
    "a NUL in a header": (b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n", {400}),
    "a bare carriage return": (b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\rX: y\r\n\r\n", {400}),
    "bare line feeds": (b"GET /status/a HTTP/1.1\nHost: x\n\n\r\n\r\n", {400}),
    "a key with an underscore": (
        b"GET /status/a HTTP/1.1\r\nHost: x\r\nX_API_Key: " + KEY.encode() + b"\r\n\r\n",
        {401, 400},
    ),
    "a key in two lines": (
        b"GET /status/a HTTP/1.1\r\nHost: x\r\nX-API-Key: wrong\r\nX-API-Key: "
        + KEY.encode()
        + b"\r\n\r\n",
        {401},
    ),
    "a key in the trailer": (
        b"POST /video/confirm HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\nX-API-Key: " + KEY.encode() + b"\r\n\r\n",
        {401},
    ),
    "a path out of a header": (
        b"GET /health HTTP/1.1\r\nHost: x\r\nX-Original-URL: /metrics\r\n\r\n",
        {200},
    ),
    "another script name": (
        b"GET /status/a HTTP/1.1\r\nHost: x\r\nSCRIPT_NAME: /status\r\n\r\n",
        {401, 400},
    ),
    "a key in the path": (
        f"GET /status/a?X-API-Key={KEY} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        {401},
    ),
}


@pytest.mark.parametrize("kind", list(_HEADS))
def test_a_strange_head_opens_nothing_and_breaks_nothing(served: Served, kind: str) -> None:
    """Never a 5xx, never more than one answer, and nothing behind the key without one."""
    data, allowed = _HEADS[kind]
    found = served.say(data)
    assert [status in allowed for status, _ in found] == [True], found


@pytest.mark.parametrize("text", ["a%0d%0aX-Injected:%20yes", "a%0aSet-Cookie:x=1", "%e2%80%a8"])
def test_nothing_of_a_path_becomes_a_header(served: Served, text: str) -> None:
    for path in (f"/status/{text}", f"/uploads/{text}", f"/uploads/{text}/content?token={text}"):
        answer = served.get(path)
        assert answer.status_code in {400, 404, 405}
        assert "X-Injected" not in answer.headers
        assert "Set-Cookie" not in answer.headers
