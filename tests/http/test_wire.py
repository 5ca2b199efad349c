"""The front door behind a real gunicorn, spoken to over plain sockets and with `requests`."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from core import limits
from tests import planted
from tests.fakes import sha256_of
from tests.http import forms
from tests.http.door import KEY, KEYS
from tests.http.forms import Lecture
from tests.http.serve import LARGE_BYTES, MAX_BYTES, THREADS, UNBEGUN_MAX, UPLOADS

_ROOT = Path(__file__).parents[2]
_PATIENCE_S = 30.0
_MIB = 1024 * 1024
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close send a reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service: its port, its process and the folder of its objects."""

    port: int
    process: psutil.Process
    folder: Path
    known: frozenset[Path] = frozenset()

    @property
    def url(self) -> str:
        """Return the address of the service."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE_S)

    def partials(self) -> list[Path]:
        """Return the unfinished objects."""
        return list((self.folder / "partial").iterdir())

    def objects(self) -> list[Path]:
        """Return the objects that were committed since the test began."""
        files = {path for path in (self.folder / "objects").rglob("*") if path.is_file()}
        return sorted(files - self.known)

    def memory_bytes(self) -> int:
        """Return the proportional set size of master and worker together."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(process.memory_full_info().pss for process in family)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service on a free port."""
    with _run(tmp_path_factory.mktemp("served")) as service:
        yield service


@contextlib.contextmanager
def _run(folder: Path, *deadlines: str) -> Iterator[Service]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        handle, port = listener.fileno(), listener.getsockname()[1]
        command = [sys.executable, "-m", "tests.http.serve", str(handle), str(folder), *deadlines]
        log = folder.with_name(f"{folder.name}.log")
        with log.open("ab") as told:
            child = subprocess.Popen(
                command, cwd=_ROOT, pass_fds=[handle], stdout=told, stderr=told
            )
    service = Service(port=port, process=psutil.Process(child.pid), folder=folder)
    try:
        assert requests.get(f"{service.url}/health", timeout=_PATIENCE_S).status_code == 200
        yield service
    finally:
        child.terminate()
        try:
            child.wait(_PATIENCE_S)
        finally:
            child.kill()
            child.wait()
        planted.assert_hidden(log)


@pytest.fixture
def service(running: Service) -> Service:
    """Return the running service as this test found it."""
    return replace(running, known=frozenset(running.objects()))


def test_an_upload_with_requests_is_taken(service: Service) -> None:
    lecture = _lecture()
    answer = _post(service, lecture.body())
    assert answer.status_code == 200
    assert answer.json() == {"status": "queued", "video_id": lecture.video_id}
    assert [path.read_bytes() for path in service.objects()] == [lecture.data]


def test_a_chunked_upload_without_a_length_is_taken(service: Service) -> None:
    lecture = _lecture(data=forms.recording(700_000))
    body = lecture.body()
    pieces = (body[at : at + 999] for at in range(0, len(body), 999))
    answer = _post(service, pieces)
    assert answer.status_code == 200
    address = f"{service.url}/status/{lecture.video_id}"
    status = requests.get(address, headers=KEYS, timeout=_PATIENCE_S)
    assert status.json()["source"]["sha256"] == sha256_of(lecture.data)


def test_a_connection_is_used_again_after_an_upload_and_after_a_small_refusal(
    service: Service,
) -> None:
    with service.connect() as connection:
        for body, status in ((_lecture().body(), 200), (b"garbage", 400), (_lecture().body(), 200)):
            connection.sendall(_head(len(body)) + body)
            assert _answer(connection)[0] == status
        connection.sendall(_head(7).replace(KEY.encode(), b"wrong") + b"garbage")
        assert _answer(connection)[0] == 401
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert _answer(connection)[0] == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_closes_early_is_told_so_and_leaves_nothing(
    service: Service, *, chunked: bool
) -> None:
    body = _lecture(data=forms.recording(600_000)).body()
    with service.connect() as connection:
        if chunked:
            connection.sendall(_head(None) + b"%x\r\n" % len(body) + body[:-5000])
        else:
            connection.sendall(_head(len(body)) + body[:-5000])
        connection.shutdown(socket.SHUT_WR)
        status, problem = _answer(connection)
    assert (status, problem["code"]) == (400, "truncated_upload")
    assert (service.partials(), service.objects()) == ([], [])


def test_a_body_shorter_than_announced_is_truncated_though_its_form_is_whole(
    service: Service,
) -> None:
    body = _lecture().body()
    with service.connect() as connection:
        connection.sendall(_head(len(body) + 10) + body)
        connection.shutdown(socket.SHUT_WR)
        status, problem = _answer(connection)
    assert (status, problem["code"]) == (400, "truncated_upload")
    assert (service.partials(), service.objects()) == ([], [])


def test_a_length_shorter_than_the_form_is_truncated(service: Service) -> None:
    body = _lecture().body()
    with service.connect() as connection:
        connection.sendall(_head(len(body) - 10) + body)
        status, problem = _answer(connection)
    assert (status, problem["code"]) == (400, "truncated_upload")
    assert service.objects() == []


def test_a_broken_chunk_is_refused(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(_head(None) + b"5\r\n--lecXX")
        status, problem = _answer(connection)
    assert (status, problem["code"]) == (400, "truncated_upload")


def test_a_connection_that_is_reset_leaves_nothing_and_harms_nobody(service: Service) -> None:
    body = _lecture(data=forms.recording(_MIB)).body()
    for _ in range(UPLOADS):
        with service.connect() as connection:
            connection.sendall(_head(len(body)) + body[: len(body) // 2])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    _wait_until(lambda: service.partials() == [])
    assert _post(service, _lecture().body()).status_code == 200


@pytest.mark.parametrize("size", [4 * _MIB, 70 * _MIB])
@pytest.mark.parametrize(
    ("key", "data", "status", "code"),
    [
        ("wrong", forms.MP4_HEAD, 401, "unauthorized"),
        (KEY, b"plain text", 400, "unsupported_type"),
    ],
)
def test_requests_sees_the_refusal_of_a_body_that_it_is_still_sending(
    service: Service, size: int, key: str, data: bytes, status: int, code: str
) -> None:
    """4 MiB are drained; 70 MiB are more than is drained."""
    assert size < MAX_BYTES
    body = _lecture(data=data + bytes(size)).body()
    answer = _post(service, body, key=key)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert service.partials() == []


def test_requests_sees_that_its_upload_is_too_large(service: Service) -> None:
    answer = _post(service, _lecture(data=forms.recording(MAX_BYTES + _MIB)).body())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_an_upload_over_the_limit_in_chunks_is_refused_while_it_comes(service: Service) -> None:
    head, filler = _lecture().body()[:-30], bytes(_MIB)

    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(MAX_BYTES // _MIB + 64):
            yield filler

    answer = _post(service, pieces())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert service.partials() == []


def test_a_refusal_comes_before_the_body_is_sent(service: Service) -> None:
    """A client that looks for an answer while it sends gets it at once, and then the end."""
    with service.connect() as connection:
        connection.sendall(_head(50 * _MIB).replace(KEY.encode(), b"wrong"))
        began = time.monotonic()
        assert _answer(connection)[0] == 401
        assert connection.recv(1) == b""
        assert time.monotonic() - began < limits.DRAIN_S_MAX / 2


def test_a_client_that_asks_first_is_refused_without_its_body(service: Service) -> None:
    expect = b"Expect: 100-continue\r\n\r\n"
    for head in (_head(_MIB).replace(KEY.encode(), b"wrong"), _head(MAX_BYTES * 2)):
        with service.connect() as connection:
            connection.sendall(head[:-2] + expect)
            received = connection.recv(64)
        assert received.startswith((b"HTTP/1.1 401", b"HTTP/1.1 413")), received


def test_a_client_that_asks_first_is_told_once_to_go_on(service: Service) -> None:
    body = _lecture().body()
    with service.connect() as connection:
        connection.sendall(_head(len(body))[:-2] + b"Expect: 100-continue\r\n\r\n")
        assert connection.recv(64) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert _answer(connection)[0] == 200


def test_uploads_of_64_mb_do_not_grow_the_memory(service: Service) -> None:
    body = _lecture(data=forms.recording(64 * _MIB)).body()
    before = service.memory_bytes()
    peak = before
    senders = [threading.Thread(target=_post, args=(service, body)) for _ in range(2)]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        peak = max(peak, service.memory_bytes())
        senders[0].join(0.02)
    assert peak - before < 24 * _MIB
    assert len(service.objects()) == 1


def test_uploads_that_stand_still_do_not_keep_others_from_an_answer(service: Service) -> None:
    """Uploads have fewer places than there are threads: the rest is told to come again."""
    begun = _head(100_000) + _lecture(data=forms.recording(100_000)).body()[:20_000]
    with contextlib.ExitStack() as stack:
        for _ in range(UPLOADS + 2):  # an upload of the test before may hold a place for a moment
            stack.enter_context(service.connect()).sendall(begun)
        _wait_until(lambda: _post(service, _lecture().body()).status_code == 429)
        assert requests.get(f"{service.url}/health", timeout=_PATIENCE_S).status_code == 200
    _wait_until(lambda: _post(service, _lecture().body()).status_code == 200)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service with deadlines of a second for heads and two for whole uploads."""
    with _run(tmp_path_factory.mktemp("impatient"), "1", "2") as service:
        yield service


def test_silent_clients_without_a_key_do_not_stop_the_front_door(impatient: Service) -> None:
    """More half request heads than there are threads: each is cut off, and the rest is served."""
    with contextlib.ExitStack() as stack:
        for _ in range(THREADS + 2):
            connection = stack.enter_context(impatient.connect())
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        assert requests.get(f"{impatient.url}/health", timeout=_PATIENCE_S).status_code == 200
        assert connection.recv(100) == b""


def test_of_bodies_that_do_not_begin_the_longest_silent_give_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a proxy in front passes on a few requests at once, they must not be all of them."""
    monkeypatch.setenv(UNBEGUN_MAX, "3")
    with _run(tmp_path) as service, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(service.connect()) for _ in range(6)]
        for client in clients:
            client.sendall(_head(100_000) + b"--lectern")
        _wait_until(lambda: len(select.select(clients, [], [], 0)[0]) == 3)
        ended, _, _ = select.select(clients, [], [], 0)
        others = [client for client in clients if client not in ended]
        assert select.select(others, [], [], limits.HEAD_S / 10)[0] == [], "there is room for these"
        for client in ended:
            status, problem = _answer(client)
            assert (status, problem["code"]) == (400, "truncated_upload")
        lecture = _lecture(data=forms.recording(100_000))
        body = lecture.body()
        with service.connect() as late:
            late.sendall(_head(len(body)))
            assert requests.get(f"{service.url}/health", timeout=_PATIENCE_S).status_code == 200
            late.sendall(body)
            assert _answer(late)[0] == 200


def test_an_upload_that_trickles_is_cut_off_at_its_deadline(impatient: Service) -> None:
    """A byte now and then keeps no read from blocking for ever: the whole has a bound."""
    with impatient.connect() as connection:
        connection.sendall(_head(100_000) + b"--lectern")
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < _PATIENCE_S:
                connection.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - began < _PATIENCE_S / 2
    _wait_until(lambda: impatient.partials() == [])


def test_clients_that_take_no_answer_are_left_soon_and_quietly(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """More of them than there are threads, each of which would wait for an hour."""
    ask = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
    with _run(tmp_path) as service, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(service.connect()) for _ in range(THREADS + 2)]
        for client in clients:
            client.sendall(ask)
        assert requests.get(f"{service.url}/health", timeout=_PATIENCE_S).status_code == 200
        assert min(_count(client) for client in clients) < LARGE_BYTES
        with service.connect() as willing:
            willing.sendall(ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert _count(willing) > LARGE_BYTES
    assert "Traceback" not in capfd.readouterr().err


def _count(connection: socket.socket) -> int:
    """Return how many bytes come until the connection is closed."""
    count = 0
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(_MIB):
            count += len(data)
    return count


def _lecture(data: bytes = forms.recording()) -> Lecture:
    return Lecture(video_id=uuid.uuid4().hex, data=data)


def _post(service: Service, body: Any, *, key: str = KEY) -> requests.Response:
    return requests.post(
        f"{service.url}/video/receive",
        data=body,
        headers={"X-API-Key": key, "Content-Type": forms.CONTENT_TYPE},
        timeout=_PATIENCE_S,
    )


def _head(length: int | None) -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = (
        "POST /video/receive HTTP/1.1",
        "Host: lectern",
        f"X-API-Key: {KEY}",
        f"Content-Type: {forms.CONTENT_TYPE}",
        framing,
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def _answer(connection: socket.socket) -> tuple[int, Any]:
    response = HTTPResponse(connection, method="POST")
    response.begin()
    return response.status, json.loads(response.read())


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
