"""Callers that send small recordings over connections of their own, as fast as they are told."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import urlsplit

from tests.http.forms import BOUNDARY, CONTENT_TYPE, MP4_HEAD, file, form, text
from tests.service.harness import KEY

_READ_BYTES: Final = 65_536
_HEADERS_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_RETRY: Final = re.compile(rb"\r\nretry-after: (\d+)", re.IGNORECASE)
_CALL_S: Final = 60.0
RECORDING_BYTES: Final = 4096
assert BOUNDARY


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one request came to; status 0 for a connection that broke."""

    video_id: str
    status: int
    retry_after_s: int | None
    took_s: float
    at: float


@dataclass(slots=True)
class Answers:
    """All answers of a run."""

    all: list[Answer] = field(default_factory=list)

    @property
    def accepted(self) -> list[str]:
        """Return the ids that were answered 200."""
        return [one.video_id for one in self.all if one.status == 200]

    @property
    def statuses(self) -> Counter[int]:
        """Return how often each status came."""
        return Counter(one.status for one in self.all)

    def latency_ms(self, share: float, status: int = 200) -> float:
        """Return a percentile of the answers of one status, in milliseconds."""
        times = sorted(one.took_s for one in self.all if one.status == status)
        return 1000 * times[min(int(share * len(times)), len(times) - 1)] if times else 0.0


class Line:
    """One connection that is kept, and opened anew when it was closed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._place = (parts.hostname or "", parts.port or 0)
        self._host = parts.netloc
        self._line: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def receive(self, video_id: str) -> Answer:
        """POST a recording that nobody else sent."""
        data = (MP4_HEAD + video_id.encode() + b" lecture" * RECORDING_BYTES)[:RECORDING_BYTES]
        body = form(text("video_id", video_id), text("organization_id", "uni-1"), file(data))
        return self.call("POST", "/video/receive", video_id, body, CONTENT_TYPE)

    def confirm(self, video_id: str) -> Answer:
        """POST a confirmation."""
        body = f"video_id={video_id}".encode()
        kind = "application/x-www-form-urlencoded"
        return self.call("POST", "/video/confirm", video_id, body, kind)

    def status(self, video_id: str) -> Answer:
        """GET a status."""
        return self.call("GET", f"/status/{video_id}", video_id, b"", None)

    def call(self, method: str, path: str, video_id: str, body: bytes, kind: str | None) -> Answer:
        """Send one request and read its answer."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nX-API-Key: {KEY}\r\n"
        head += f"Content-Type: {kind}\r\n" if kind else ""
        data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        began = time.monotonic()
        try:
            status, retry = self._ask(data)
        except OSError:
            self.close()
            status, retry = 0, None
        now = time.monotonic()
        return Answer(
            video_id=video_id, status=status, retry_after_s=retry, took_s=now - began, at=now
        )

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _ask(self, data: bytes) -> tuple[int, int | None]:
        kept = self._line is not None
        try:
            return self._exchange(data)
        except OSError:
            if not kept:
                raise
            self.close()  # a kept connection that the server closed meanwhile
            return self._exchange(data)

    def _exchange(self, data: bytes) -> tuple[int, int | None]:
        if self._line is None:
            self._line = socket.create_connection(self._place, timeout=_CALL_S)
            self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._line.sendall(data)
        answer = b""
        while (end := answer.find(_HEADERS_END)) < 0:
            answer += self._more()
        length = _LENGTH.search(answer, 0, end + 2)
        missing = end + len(_HEADERS_END) + int(length[1] if length else 0) - len(answer)
        while missing > 0:
            missing -= len(self._more())
        if b"connection: close" in answer[:end].lower():
            self.close()
        retry = _RETRY.search(answer, 0, end + 2)
        return int(answer.split(b" ", 2)[1]), int(retry[1]) if retry else None

    def _more(self) -> bytes:
        assert self._line is not None
        data = self._line.recv(_READ_BYTES)
        if not data:
            raise ConnectionResetError
        return data


def paced(url: str, *, rate: float, seconds: float, callers: int, prefix: str) -> Answers:
    """Send `rate` recordings a second, or as many as `callers` connections get answered."""
    count = int(rate * seconds)
    began = time.monotonic()

    def when(number: int) -> float:
        return began + number / rate

    return _send(url, count, callers=callers, prefix=prefix, when=when, until=began + 1.5 * seconds)


def flood(url: str, *, seconds: float, callers: int, prefix: str) -> Answers:
    """Have each connection send the next recording as soon as it was answered."""
    end = time.monotonic() + seconds
    return _send(url, 10**9, callers=callers, prefix=prefix, when=lambda _n: 0.0, until=end)


def each(
    url: str, ids: Sequence[str], act: Callable[[Line, str], Answer], *, callers: int
) -> Answers:
    """Do `act` once for each id."""
    answers = Answers()
    left = iter(ids)
    guard = threading.Lock()

    def work(_number: int) -> None:
        with Line(url) as line:
            while True:
                with guard:
                    video_id = next(left, None)
                if video_id is None:
                    return
                answers.all.append(act(line, video_id))

    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(work, range(callers)))
    return answers


def _send(
    url: str,
    count: int,
    *,
    callers: int,
    prefix: str,
    when: Callable[[int], float],
    until: float,
) -> Answers:
    answers = Answers()
    numbers = iter(range(count))
    guard = threading.Lock()

    def work(_number: int) -> None:
        with Line(url) as line:
            while time.monotonic() < until:
                with guard:
                    number = next(numbers, None)
                if number is None:
                    return
                if (pause_s := when(number) - time.monotonic()) > 0:
                    time.sleep(pause_s)
                answers.all.append(line.receive(f"{prefix}-{number}"))

    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(work, range(callers)))
    return answers
