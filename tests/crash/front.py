"""What stands before the services: takes what Google calls them with, to wherever they are now.

As Cloud Run's front end does, it answers for a service that is not there, or that dies before it
has answered. As Pub/Sub may, it brings some messages twice, at the same time, and buries some:
those are lost to their step, and brought to the dead-letter function until it has taken them. It
is a place of points too: in mid-request, and after an answer that the caller will not hear.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from tests.crash.watchman import Watchman, taker_of

ROUTES: Final = {
    "/push/transcode": ("transcoder", "/push/transcode"),
    "/push/deliver": ("courier", "/push/deliver"),
    "/sweep": ("sweep", "/"),
    "/finalized": ("finalized", "/"),
    "/dead-letter": ("dead-letter", "/"),
}
"""Paths of the front: the service behind it, and the path there."""
_TWICE_EVERY: Final = 3
"""Of so many pushes one is brought twice."""
_BURIED_EVERY: Final = 7
"""Of so many pushes one is buried; less often than services die it would hardly be met."""
_TRIES: Final = 100
_PAUSE_S: Final = 0.2
"""Between tries at the dead-letter function."""
_CALL_S: Final = 30.0


@dataclass(slots=True, kw_only=True)
class Front:
    """Knows where the services are, and who of them is to die when."""

    places: Path
    watchman: Watchman
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    twice: int = 0
    buried: int = 0
    _pushes: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _closed: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Bring the request to its service and return the status for the caller."""
        pushed = path.startswith("/push/")
        number = next(self._pushes) if pushed else 1
        if number % _BURIED_EVERY == 0:
            self.buried += 1
            self._begin(self._bury, headers, body)
            return HTTPStatus.NO_CONTENT
        if number % _TWICE_EVERY == 0:
            self.twice += 1
            self._begin(self._bring, path, headers, body, None)
        status = self._bring(path, headers, body, path if pushed else None)
        self.statuses[path, status] += 1
        return status

    def close(self) -> None:
        """Bury no more, and join all threads."""
        self._closed.set()
        for thread in self._threads:
            thread.join()

    def _begin(self, act: Callable[..., object], *words: object) -> None:
        thread = threading.Thread(target=act, args=words)
        self._threads.append(thread)
        thread.start()

    def _bury(self, headers: dict[str, str], body: bytes) -> None:
        for _ in range(_TRIES):
            status = self._bring("/dead-letter", headers, body, "/dead-letter")
            if status < HTTPStatus.BAD_REQUEST or self._closed.wait(_PAUSE_S):
                return

    def _bring(self, path: str, headers: dict[str, str], body: bytes, point: str | None) -> int:
        name, there = ROUTES[path]
        try:
            port = json.loads(self.places.read_text())[name]
            call = http.client.HTTPConnection("127.0.0.1", port, timeout=_CALL_S)
            with contextlib.closing(call):
                return self._call(call, there, headers, body, point)
        except TimeoutError:
            return HTTPStatus.GATEWAY_TIMEOUT
        except (OSError, http.client.HTTPException):
            return HTTPStatus.BAD_GATEWAY

    def _call(
        self,
        call: http.client.HTTPConnection,
        there: str,
        headers: dict[str, str],
        body: bytes,
        point: str | None,
    ) -> int:
        call.putrequest("POST", there)
        for name, value in headers.items():
            call.putheader(name, value)
        call.endheaders()
        call.send(body[: len(body) // 2])
        victim = None
        if point:
            victim = self._taker(call) if self.watchman.expects(point) else None
            self._passed(f"{point} half", victim)
        call.send(body[len(body) // 2 :])
        status = call.getresponse().status
        if point and self._passed(f"{point} answered", victim):
            return HTTPStatus.BAD_GATEWAY
        return status

    def _passed(self, call: str, victim: int | None) -> bool:
        """Pass a point; a call that was under way when the plan was made is none: whose is it?"""
        if victim is None and self.watchman.expects(call):
            return False
        return self.watchman.passed(call, lambda: victim)

    def _taker(self, call: http.client.HTTPConnection) -> int:
        """Return who works on the call: it takes a while to find out, and is asked for in time."""
        assert call.sock is not None
        return taker_of(call.sock.getsockname()[1])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    front: Front

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent where a caller hung up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kept = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in {"host", "connection", "accept-encoding", "transfer-encoding"}
        }
        kept["Content-Length"] = str(len(body))
        self.send_response(self.server.front.answer(self.path, kept, body))
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextlib.contextmanager
def standing(front: Front) -> Iterator[str]:
    """Let callers in while the block runs; gives the URL."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.front = front
        thread = threading.Thread(target=server.serve_forever, name="front")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            front.close()
