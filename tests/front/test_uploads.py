"""Uploads through the receiver's process tree, over HTTP/2 and HTTP/1.1 on one port."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.fakes import sha256_of
from tests.front import http2
from tests.front.process import KEYS, Served
from tests.front.tools import need_curl
from tests.http import forms
from tests.http.forms import Lecture
from tests.service.harness import until

_MB = 1_000_000
_VERSIONS = {"--http2-prior-knowledge": "2", "--http1.1": "1.1"}
_HEAD = {**KEYS, "Content-Type": forms.CONTENT_TYPE}

Abort = Callable[[Served, bytes], None]


@pytest.mark.parametrize("version", _VERSIONS)
def test_one_port_speaks_both_protocols(running: Served, version: str) -> None:
    assert _curl(version, "-w", " %{http_version}", f"{running.url}/health") == (
        f'{{"status":"ok"}}\n {_VERSIONS[version]}'
    )


@pytest.mark.parametrize("version", _VERSIONS)
def test_an_upload_arrives_byte_for_byte(running: Served, tmp_path: Path, version: str) -> None:
    video_id, data = str(uuid.uuid4()), forms.MP4_HEAD + os.urandom(20 * _MB)
    file = tmp_path / "lecture.mp4"
    file.write_bytes(data)
    answer = _curl(
        version, *_keys(), "-F", f"video_id={video_id}", "-F", "organization_id=o",
        "-F", f"file=@{file}", f"{running.url}/video/receive",
    )  # fmt: skip
    assert json.loads(answer) == {"status": "queued", "video_id": video_id}
    assert running.get(f"/status/{video_id}").json()["source"]["sha256"] == sha256_of(data)
    assert data in running.objects()


@pytest.mark.parametrize("version", _VERSIONS)
def test_a_refused_upload_gets_to_see_its_answer(
    running: Served, tmp_path: Path, version: str
) -> None:
    file = tmp_path / "lecture.mp4"
    file.write_bytes(forms.recording(20 * _MB))
    answer = _curl(version, "-F", f"file=@{file}", f"{running.url}/video/receive")
    assert json.loads(answer)["code"] == "unauthorized"


def test_an_upload_of_unknown_length_is_taken_over_http2(running: Served) -> None:
    lecture = _lecture()
    with http2.client(running.connect()) as caller:
        caller.request(1, "/video/receive", _HEAD, "POST")
        caller.send(1, lecture.body(), last=True)
        assert caller.status(1) == 200
    assert lecture.data in running.objects()


def test_a_body_that_is_shorter_than_announced_is_refused(running: Served) -> None:
    body = _lecture().body()
    before = len(running.objects())
    with http2.client(running.connect()) as caller:
        caller.request(1, "/video/receive", {**_HEAD, "Content-Length": str(len(body))}, "POST")
        caller.send(1, body[:-1000], last=True)
        assert caller.status(1) != 200
    _assert_nothing_left(running, before)


def test_a_cut_body_of_unknown_length_is_refused(running: Served) -> None:
    before = len(running.objects())
    with http2.client(running.connect()) as caller:
        caller.request(1, "/video/receive", _HEAD, "POST")
        caller.send(1, _lecture().body()[: -len(forms.closing())], last=True)
        assert caller.status(1) == 400
    _assert_nothing_left(running, before)


def test_uploads_share_a_connection(running: Served) -> None:
    lectures = {stream: _lecture() for stream in (1, 3, 5)}
    with http2.client(running.connect()) as caller:
        for stream, lecture in lectures.items():
            length = str(len(lecture.body()))
            caller.request(stream, "/video/receive", {**_HEAD, "Content-Length": length}, "POST")
        for start in range(0, len(lectures[1].body()), 100_000):
            for stream, lecture in lectures.items():
                piece = lecture.body()[start : start + 100_000]
                last = start + 100_000 >= len(lecture.body())
                caller.send(stream, piece, last=last)
        assert [caller.status(stream) for stream in lectures] == [200, 200, 200]
    stored = running.objects()
    assert all(lecture.data in stored for lecture in lectures.values())


def _reset(service: Served, body: bytes) -> None:
    """Cancel the stream; the connection goes on."""
    with http2.client(service.connect()) as caller:
        _begin(service, caller, body)
        caller.reset(1)
        caller.request(3, "/health", {}, "GET")
        assert caller.status(3) == 200


def _close_http2(service: Served, body: bytes) -> None:
    with http2.client(service.connect()) as caller:
        _begin(service, caller, body)


def _close_http1(service: Served, body: bytes) -> None:
    with service.connect() as caller:
        lines = [f"{name}: {value}" for name, value in _HEAD.items()]
        head = ["POST /video/receive HTTP/1.1", "Host: lectern", f"Content-Length: {len(body)}"]
        caller.sendall("\r\n".join([*head, *lines, "", ""]).encode() + body[: len(body) // 2])
        until(service.partials, "an unfinished object")


def _begin(service: Served, caller: http2.Client, body: bytes) -> None:
    """Send half of an upload, so much that its object has begun."""
    caller.request(1, "/video/receive", {**_HEAD, "Content-Length": str(len(body))}, "POST")
    caller.send(1, body[: len(body) // 2])
    until(service.partials, "an unfinished object")


@pytest.mark.parametrize("abort", [_reset, _close_http2, _close_http1])
def test_an_aborted_upload_leaves_nothing(running: Served, abort: Abort) -> None:
    before = len(running.objects())
    abort(running, _lecture().body())
    _assert_nothing_left(running, before)


def test_after_many_aborted_uploads_a_good_one_is_taken(running: Served) -> None:
    """The receiver has fewer threads than that, and takes fewer uploads at once."""
    before = len(running.objects())
    for number in range(33):
        (_reset, _close_http2, _close_http1)[number % 3](running, _lecture().body())
        until(lambda: not running.partials(), "the end of the aborted upload")
    assert len(running.objects()) == before
    lecture = _lecture()
    answer = requests.post(
        f"{running.url}/video/receive", data=lecture.body(), headers=_HEAD, timeout=30
    )
    assert answer.status_code == 200
    assert lecture.data in running.objects()


def test_headers_of_the_platform_reach_the_app(running: Served) -> None:
    trace_id = uuid.uuid4().hex
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    with http2.client(running.connect()) as caller:
        caller.request(1, "/health", headers, "GET")
        assert caller.status(1) == 200
    until(
        lambda: [e for e in running.events("http.request") if e.get("trace_id") == trace_id],
        "the request's event under its trace",
    )


def _assert_nothing_left(service: Served, objects: int) -> None:
    until(lambda: not service.partials(), "the end of the aborted upload")
    assert len(service.objects()) == objects


def _lecture() -> Lecture:
    """Return an upload of two megabytes, larger than all buffers on its way."""
    return Lecture(video_id=str(uuid.uuid4()), data=forms.MP4_HEAD + os.urandom(2 * _MB))


def _keys() -> list[str]:
    return [part for name, value in KEYS.items() for part in ("-H", f"{name}: {value}")]


def _curl(*arguments: str) -> str:
    need_curl()
    argv = ["curl", "-sS", "--max-time", "60", *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
