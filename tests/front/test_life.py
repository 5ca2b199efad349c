"""How the receiver's processes start, stop and die together."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest

from core import limits
from receiver import front
from tests.front import http2
from tests.front.process import KEYS, STOPPED_S, THREADS, Served, served, start
from tests.front.tools import need_haproxy
from tests.http import forms
from tests.http.forms import Lecture
from tests.service.harness import KEY, session_members, until

_BODY = Lecture(data=forms.recording(2_000_000)).body()
_UPLOAD = {**KEYS, "Content-Type": forms.CONTENT_TYPE, "Content-Length": str(len(_BODY))}


def test_an_idle_receiver_ends_at_once_and_leaves_nothing(own: Served) -> None:
    with http2.client(own.connect()) as caller, own.connect() as other:
        caller.request(1, "/health", {}, "GET")
        assert caller.status(1) == 200
        other.sendall(b"GET /health HTTP/1.1\r\nHost: lectern\r\n\r\n")
        assert other.recv(12) == b"HTTP/1.1 200"
        began = time.monotonic()
        assert own.stop() == 0
        assert time.monotonic() - began < front.STOP_S / 2
    assert own.members() == {}
    assert sorted(path.name for path in own.folder.parent.iterdir()) == ["data", "data.log"]


def test_an_open_upload_may_end_while_new_callers_are_refused(own: Served) -> None:
    port = own.port
    with http2.client(own.connect()) as caller:
        _begin(own, caller)
        own.process.send_signal(signal.SIGTERM)
        until(lambda: not _accepts(port), "the end of the port")
        caller.send(1, _BODY[len(_BODY) // 2 :], last=True)
        assert caller.status(1) == 200
    assert own.wait() == 0
    assert forms.recording(2_000_000) in own.objects()


def test_an_upload_that_does_not_end_is_cut_off_in_time(own: Served) -> None:
    with http2.client(own.connect()) as caller:
        _begin(own, caller)
        began = time.monotonic()
        assert own.stop() == 0
        assert front.STOP_S - 1 < time.monotonic() - began < STOPPED_S
    assert (own.partials(), own.objects(), own.members()) == ([], [], {})


@pytest.mark.parametrize("victim", ["app", "haproxy"])
def test_when_a_process_dies_all_end_with_an_error(own: Served, victim: str) -> None:
    os.kill(own.child(victim), signal.SIGKILL)
    assert own.wait() == 1
    assert f"{victim} ended with status -9" in own.log.read_text()
    assert own.members() == {}


def test_nothing_outlives_a_parent_that_is_killed(own: Served) -> None:
    own.process.kill()
    own.process.wait(STOPPED_S)
    until(lambda: not own.members(), "the end of the children")


def test_haproxy_is_given_no_secrets(own: Served) -> None:
    environment = Path(f"/proc/{own.child('haproxy')}/environ").read_bytes()
    assert KEY.encode() not in environment
    assert b"LECTERN" not in environment


def test_a_port_that_is_taken_stops_the_start_with_one_line(tmp_path: Path) -> None:
    need_haproxy()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start("receiver", tmp_path / "data", PORT=str(port))
        assert process.wait(30) == 1
    (line,) = (tmp_path / "data.log").read_text().splitlines()
    assert line.startswith(f"receiver: PORT: cannot listen on 127.0.0.1:{port}")


def test_an_app_that_cannot_start_ends_with_an_error(tmp_path: Path) -> None:
    need_haproxy()
    (tmp_path / "data").write_text("in the way of the folder")
    process = start("receiver", tmp_path / "data")
    assert process.wait(30) == 1
    assert "app ended with status" in (tmp_path / "data.log").read_text()
    assert session_members(process.pid) == {}


@pytest.mark.timeout(60)
def test_a_head_that_does_not_come_is_cut_off(running: Served) -> None:
    """The four wait at the same time: that takes `limits.HEAD_S`."""
    whole_head = b"GET /health HTTP/1.1\r\nHost: lectern\r\nX-Slow: "
    beginnings = (b"", whole_head, http2.PREFACE, http2.PREFACE + b"\0\0\0\4\0\0\0\0\0\0\0\x30\1\4")
    callers = [running.connect() for _ in beginnings]
    try:
        for caller, beginning in zip(callers, beginnings, strict=True):
            caller.sendall(beginning)
        began = time.monotonic()
        answers = [_rest(caller) for caller in callers]
        assert time.monotonic() - began < 2 * limits.HEAD_S
    finally:
        for caller in callers:
            caller.close()
    assert answers[1].startswith(b"HTTP/1.1 408")


def test_what_is_not_http_is_refused_and_told(own: Served) -> None:
    """What the app refuses is told by the app alone."""
    with own.connect() as caller:
        head = b"POST /video/receive HTTP/1.1\r\nHost: lectern\r\nContent-Length: 20000000\r\n\r\n"
        caller.sendall(head + bytes(1_000_000))
        assert caller.recv(12) == b"HTTP/1.1 401"
    with own.connect() as caller:
        caller.sendall(b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n")
        assert _rest(caller).startswith(b"HTTP/1.1 400")
    assert own.stop() == 0
    (event,) = own.events("front.unanswered")
    assert (event["severity"], event["status"]) == ("WARNING", "400")


def test_more_requests_than_threads_are_told_to_come_again(own: Served) -> None:
    worker = psutil.Process(own.child("app")).children()[0]
    asked = b"GET /health HTTP/1.1\r\nHost: lectern\r\nConnection: close\r\n\r\n"
    callers = [own.connect() for _ in range(THREADS + 1)]
    worker.suspend()
    for caller in callers:
        caller.sendall(asked)
    ready, _, _ = select.select(callers, [], [], 30)
    (refused,) = ready
    head, _, body = _rest(refused).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503")
    assert b"application/problem+json" in head
    assert b"retry-after" in head.lower()
    assert json.loads(body)["code"] == "unavailable"
    worker.resume()
    answers = [_rest(caller) for caller in callers if caller is not refused]
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    for caller in callers:
        caller.close()


def test_the_confirmer_is_a_service_of_its_own(tmp_path: Path) -> None:
    with served("confirmer", tmp_path / "data") as confirmer:
        assert confirmer.get("/health").json() == {"status": "ok"}
        ready = confirmer.get("/ready").json()
        assert ready == {"status": "ready", "checks": {"jobs": {"ok": True}}}
        assert confirmer.get("/video/confirm").status_code == 405
        assert confirmer.get("/status/video-1").status_code == 404
        assert confirmer.stop() == 0
        assert confirmer.members() == {}


def _begin(service: Served, caller: http2.Client) -> None:
    caller.request(1, "/video/receive", _UPLOAD, "POST")
    caller.send(1, _BODY[: len(_BODY) // 2])
    until(service.partials, "an unfinished object")


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def _rest(caller: socket.socket) -> bytes:
    """Return all that comes until the server closes the connection."""
    caller.settimeout(30)
    found = b""
    while got := caller.recv(65_536):
        found += got
    return found
