"""The client for LMS backends, against a service that says what it is told to say."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.serving import WSGIRequestHandler, make_server

from core import limits
from lectern.client import (
    PAUSE_MAX_S,
    POLL_S,
    TRIES,
    JobEnded,
    LecternClient,
    LecternRefused,
    LecternUnreachable,
)

KEY = "0123456789abcdef"


def problem(code: str, status: int, **headers: str) -> ResponseReturnValue:
    """Return an error as the service words it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"type": "about:blank", "title": "No", "status": status, "code": code}
    content_type = {"Content-Type": "application/problem+json"}
    return {**body, "detail": "Do better."}, status, named | content_type


@dataclass
class Service:
    """A stand-in for Lectern: says what is in `says`, then answers as if all went well."""

    url: str = ""
    says: deque[ResponseReturnValue | None] = field(default_factory=deque)
    states: deque[str] = field(default_factory=deque)
    calls: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)

    def app(self) -> Flask:
        """Return the three routes."""
        app = Flask(__name__)
        app.before_request(self._before)
        app.add_url_rule("/video/receive", view_func=self._receive, methods=["POST"])
        app.add_url_rule("/video/confirm", view_func=self._confirm, methods=["POST"])
        app.add_url_rule("/status/<video_id>", view_func=self._status)
        return app

    def _before(self) -> ResponseReturnValue | None:
        self.calls.append((request.method, request.path, request.form.to_dict()))
        if request.headers.get("X-Internal-Service-Key") != KEY:
            return problem("unauthorized", 401)
        if not self.says:
            return None
        said = self.says.popleft()
        if said is None:
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return said or ""

    def _receive(self) -> ResponseReturnValue:
        data = request.files["file"].read()
        self.digests.append(hashlib.sha256(data).hexdigest())
        return {"status": "queued", "video_id": request.form["video_id"]}

    def _confirm(self) -> ResponseReturnValue:
        return {"status": "completed", "video_id": request.form["video_id"]}

    def _status(self, video_id: str) -> ResponseReturnValue:
        state = self.states.popleft() if len(self.states) > 1 else self.states[0]
        failure = {"code": "no_video_stream", "reason": "only sound"} if state == "failed" else None
        return {"video_id": video_id, "state": state, "progress": 1, "failure": failure}


class Quiet(WSGIRequestHandler):
    """Writes no log."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    """Yield the service, listening."""
    service = Service()
    server = make_server("127.0.0.1", 0, service.app(), threaded=True, request_handler=Quiet)
    service.url = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    yield service
    server.shutdown()
    thread.join()


@pytest.fixture
def pauses() -> list[float]:
    """Return where the client's pauses are noted instead of being made."""
    return []


@pytest.fixture
def client(service: Service, pauses: list[float]) -> Iterator[LecternClient]:
    """Yield a client of the service."""
    with LecternClient(service.url + "/", KEY, timeout_s=10) as client:
        client._sleep = pauses.append
        yield client


@pytest.fixture
def lecture(tmp_path: Path) -> Path:
    """Return a file of three megabytes."""
    path = tmp_path / "Vorlesung über Bäume.mp4"
    path.write_bytes(bytes(range(256)) * 12 * limits.KIB)
    return path


def test_a_recording_is_sent_whole(client: LecternClient, service: Service, lecture: Path) -> None:
    answer = client.receive(lecture, video_id="lecture-42", organization_id="uni-1")
    assert answer == {"status": "queued", "video_id": "lecture-42"}
    assert service.digests == [hashlib.sha256(lecture.read_bytes()).hexdigest()]
    fields = {"video_id": "lecture-42", "organization_id": "uni-1"}
    assert service.calls == [("POST", "/video/receive", fields)]


def test_progress_is_told_up_to_the_end(client: LecternClient, lecture: Path) -> None:
    heard: list[tuple[int, int]] = []
    client.receive(
        lecture,
        video_id="lecture-42",
        organization_id="uni-1",
        on_progress=lambda sent, total: heard.append((sent, total)),
    )
    assert heard[-1][0] == heard[-1][1] > lecture.stat().st_size
    assert heard == sorted(heard)
    assert len(heard) > 10


def test_a_recording_is_sent_again_from_its_start(
    client: LecternClient, service: Service, lecture: Path
) -> None:
    service.says.extend([None, problem("busy", 429, Retry_After="7")])
    client.receive(lecture, video_id="lecture-42", organization_id="uni-1")
    assert len(service.calls) == 3
    assert service.digests == [hashlib.sha256(lecture.read_bytes()).hexdigest()]


def test_confirming_may_name_a_digest(client: LecternClient, service: Service) -> None:
    assert client.confirm("lecture-42") == {"status": "completed", "video_id": "lecture-42"}
    client.confirm("lecture-42", sha256="ab")
    assert [fields for _, _, fields in service.calls] == [
        {"video_id": "lecture-42"},
        {"video_id": "lecture-42", "sha256": "ab"},
    ]


def test_an_id_stays_one_piece_of_the_path(client: LecternClient, service: Service) -> None:
    service.states.append("queued")
    for video_id in ("a:b+c@d", "a?b#c"):
        assert client.status(video_id)["video_id"] == video_id


def test_a_refusal_carries_what_the_service_said(client: LecternClient, service: Service) -> None:
    service.says.append(problem("not_ready", 409))
    with pytest.raises(LecternRefused, match=r"409 not_ready: Do better\.") as raised:
        client.confirm("lecture-42")
    refusal = raised.value
    assert (refusal.code, refusal.status, refusal.detail) == ("not_ready", 409, "Do better.")
    assert len(service.calls) == 1


@pytest.mark.parametrize("body", ["<html>Bad luck</html>", "[]", ""])
def test_a_proxy_s_page_is_a_refusal_too(
    client: LecternClient, service: Service, body: str
) -> None:
    service.says.append((body, 500))
    with pytest.raises(LecternRefused) as raised:
        client.confirm("lecture-42")
    assert (raised.value.code, raised.value.status) == ("http_500", 500)


def test_a_redirect_is_a_refusal(client: LecternClient, service: Service) -> None:
    service.says.append(("", 302, {"Location": "/status/lecture-42"}))
    with pytest.raises(LecternRefused):
        client.confirm("lecture-42")
    assert len(service.calls) == 1


def test_a_wrong_key_is_told(service: Service) -> None:
    with (
        LecternClient(service.url, "wrong") as stranger,
        pytest.raises(LecternRefused, match="unauthorized"),
    ):
        stranger.status("lecture-42")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_passing_refusal_is_waited_out(
    client: LecternClient, service: Service, pauses: list[float], status: int
) -> None:
    service.says.extend([problem("busy", status, Retry_After="7")] * 2)
    assert client.confirm("lecture-42")["status"] == "completed"
    assert len(pauses) == 2
    assert all(7 <= pause <= PAUSE_MAX_S for pause in pauses)


@pytest.mark.parametrize("asked", ["86400", "soon", "-1", "²"])
def test_a_pause_is_never_longer_than_its_bound(
    client: LecternClient, service: Service, pauses: list[float], asked: str
) -> None:
    service.says.append(problem("busy", 503, Retry_After=asked))
    client.confirm("lecture-42")
    assert len(pauses) == 1
    assert 0 <= pauses[0] <= PAUSE_MAX_S


def test_a_lasting_refusal_is_reported_after_some_tries(
    client: LecternClient, service: Service
) -> None:
    service.says.extend([problem("busy", 429)] * (TRIES + 1))
    with pytest.raises(LecternRefused, match="busy"):
        client.confirm("lecture-42")
    assert len(service.calls) == TRIES


def test_a_service_that_is_not_there_is_reported_after_some_tries(pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with LecternClient(f"http://127.0.0.1:{port}", KEY) as client:
        client._sleep = pauses.append
        with pytest.raises(LecternUnreachable, match="did not answer"):
            client.status("lecture-42")
    assert len(pauses) == TRIES - 1


def test_a_file_that_is_not_there_is_said_at_once(client: LecternClient, service: Service) -> None:
    with pytest.raises(FileNotFoundError):
        client.receive(Path("no-such-file"), video_id="v", organization_id="o")
    assert service.calls == []


def test_waiting_ends_with_the_state_and_tells_of_the_way(
    client: LecternClient, service: Service, pauses: list[float]
) -> None:
    service.states.extend(["queued", "processing", "stored"])
    heard: list[str] = []
    status = client.wait(
        "lecture-42",
        until={"stored", "completed"},
        timeout_s=60,
        on_status=lambda status: heard.append(status["state"]),
    )
    assert status["state"] == "stored"
    assert heard == ["queued", "processing", "stored"]
    assert pauses == [POLL_S] * 2


def test_waiting_for_what_will_not_come_ends_at_once(
    client: LecternClient, service: Service
) -> None:
    service.states.extend(["processing", "failed"])
    with pytest.raises(JobEnded, match="failed: only sound") as raised:
        client.wait("lecture-42", until={"completed"}, timeout_s=60)
    assert raised.value.status["state"] == "failed"


def test_waiting_ends_in_time(client: LecternClient, service: Service) -> None:
    service.states.append("processing")
    with pytest.raises(TimeoutError, match="still processing after 0 s"):
        client.wait("lecture-42", until={"completed"}, timeout_s=0)


def test_proxies_of_the_environment_are_not_used(
    client: LecternClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    service.states.append("queued")
    assert client.status("lecture-42")["state"] == "queued"


def test_a_session_of_the_caller_s_own_is_used(service: Service) -> None:
    session = requests.Session()
    with LecternClient(service.url, KEY, session=session) as client:
        client.confirm("lecture-42")
    assert session.headers["X-Internal-Service-Key"] == KEY
