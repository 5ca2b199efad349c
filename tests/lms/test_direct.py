"""The client's direct upload, against a session that says what it is told to say."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from lectern.direct import Sending, SessionRefused, Stuck

SIZE = 1000
Saying = Callable[["Server", bytes], requests.Response]


@dataclass
class Server:
    """Stands in for a requests session: keeps bytes, or does what is next in `says`."""

    data: bytearray = field(default_factory=bytearray)
    says: deque[Saying] = field(default_factory=deque)
    ranges: list[str] = field(default_factory=list)

    def put(self, _url: str, *, data: Any, headers: Any, **_options: Any) -> requests.Response:
        """Take a PUT."""
        assert set(headers) == {"Content-Range"}
        self.ranges.append(headers["Content-Range"])
        body = data if isinstance(data, bytes) else data.read()
        if self.says:
            return self.says.popleft()(self, body)
        return take(self, body)


def answer(status: int, **headers: str) -> requests.Response:
    """Return a response."""
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers)
    return response


def take(server: Server, body: bytes) -> requests.Response:
    """Keep all of the body and answer as Cloud Storage does."""
    server.data += body
    if len(server.data) == SIZE:
        return answer(200)
    held = {"Range": f"bytes=0-{len(server.data) - 1}"} if server.data else {}
    return answer(308, **held)


def cut_after(count: int) -> Saying:
    """Keep so many bytes of the next PUT and break the connection."""

    def cut(server: Server, body: bytes) -> requests.Response:
        server.data += body[:count]
        raise requests.ConnectionError

    return cut


def say(status: int) -> Saying:
    """Answer with a status and keep nothing."""
    return lambda _server, _body: answer(status)


@pytest.fixture
def pauses() -> list[float]:
    """Return where pauses are noted."""
    return []


@pytest.fixture
def lecture(tmp_path: Path) -> Path:
    """Return a file."""
    path = tmp_path / "lecture.mp4"
    path.write_bytes(bytes(range(250)) * 4)
    return path


def sending(server: Server, lecture: Path, pauses: list[float]) -> Sending:
    """Return a transfer to the server."""
    return Sending(
        session=server,  # type: ignore[arg-type] # has all that is used of one
        url="http://there/session",
        path=lecture,
        timeout_s=1,
        tries=3,
        pause_max_s=0.8,
        sleep=pauses.append,
    )


def test_a_file_goes_in_one_put(lecture: Path, pauses: list[float]) -> None:
    server = Server()
    sending(server, lecture, pauses).run()
    assert server.data == lecture.read_bytes()
    assert (server.ranges, pauses) == ([f"bytes 0-999/{SIZE}"], [])


def test_after_a_cut_it_asks_and_sends_the_rest_without_a_pause(
    lecture: Path, pauses: list[float]
) -> None:
    server = Server(says=deque([cut_after(300), take, cut_after(1)]))
    sending(server, lecture, pauses).run()
    assert server.data == lecture.read_bytes()
    assert server.ranges == [
        "bytes 0-999/1000",
        "bytes */1000",
        "bytes 300-999/1000",
        "bytes */1000",
        "bytes 301-999/1000",
    ]
    assert pauses == []


def test_a_lost_last_answer_is_asked_for(lecture: Path, pauses: list[float]) -> None:
    server = Server(says=deque([cut_after(SIZE)]))
    sending(server, lecture, pauses).run()
    assert server.ranges[-1] == "bytes */1000"
    assert server.data == lecture.read_bytes()


def test_a_busy_server_is_asked_again_after_longer_and_longer_pauses(
    lecture: Path, pauses: list[float]
) -> None:
    server = Server(says=deque([say(503), take, say(429)]))
    sending(server, lecture, pauses).run()
    assert server.data == lecture.read_bytes()
    assert pauses == [0.5, 0.8]


def test_it_gives_up_when_nothing_moves(lecture: Path, pauses: list[float]) -> None:
    server = Server(says=deque([cut_after(0)] * 50))
    with pytest.raises(Stuck):
        sending(server, lecture, pauses).run()
    assert len(pauses) == 2


def test_a_refusal_is_final(lecture: Path, pauses: list[float]) -> None:
    server = Server(says=deque([say(413)]))
    with pytest.raises(SessionRefused):
        sending(server, lecture, pauses).run()
    assert len(server.ranges) == 1
