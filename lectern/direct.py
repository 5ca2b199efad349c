"""Sends a file to a resumable session's URL, and goes on where a cut left it.

The protocol is Cloud Storage's, which Lectern's own URLs speak too:
https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final

import requests

_RESUME_INCOMPLETE: Final = 308
_RANGE: Final = re.compile(r"bytes=0-(\d+)")
_DONE: Final = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})
_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_LOST: Final = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)
_FIRST_PAUSE_S: Final = 0.5


class Stuck(Exception):
    """Time after time not one more byte was taken."""


class SessionRefused(Exception):
    """The session's server says no; `response` has its words."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(str(response.status_code))
        self.response = response


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A file on its way to `url`.

    Gives up after `tries` attempts in a row that brought nothing forward; the pauses between
    them double up to `pause_max_s`. `on_progress` hears the bytes that are safe, and all.
    """

    session: requests.Session
    url: str
    path: Path
    timeout_s: float
    tries: int
    pause_max_s: float
    sleep: Callable[[float], None]
    on_progress: Callable[[int, int], object] | None = None

    def run(self) -> None:
        """Return when every byte is safe; raises Stuck, SessionRefused and OSError."""
        size, held, in_vain = self.path.stat().st_size, 0, 0
        while held < size:
            before = held
            held = self._go_on(held, size, ask=in_vain > 0)
            if self.on_progress and held > before:
                self.on_progress(held, size)
            in_vain = 0 if held > before else in_vain + 1
            if in_vain >= self.tries:
                raise Stuck(f"{held} of {size} bytes are safe")
            if in_vain:
                self.sleep(min(_FIRST_PAUSE_S * 2 ** (in_vain - 1), self.pause_max_s))

    def _go_on(self, held: int, size: int, *, ask: bool) -> int:
        """Send what is missing, with `ask` after asking; return what is safe as far as known."""
        if ask:
            held = self._ask(held, size)
        if held == size:
            return size
        try:
            answer = self._send(held, size)
        except _LOST:
            return self._ask(held, size)
        return _safe(answer, held, size)

    def _ask(self, held: int, size: int) -> int:
        try:
            return _safe(self._put(b"", f"bytes */{size}"), held, size)
        except _LOST:
            return held

    def _send(self, start: int, size: int) -> requests.Response:
        with self.path.open("rb") as file:
            file.seek(start)
            return self._put(_Rest(file, size - start), f"bytes {start}-{size - 1}/{size}")

    def _put(self, body: bytes | _Rest, content_range: str) -> requests.Response:
        return self.session.put(
            self.url,
            data=body,
            headers={"Content-Range": content_range},
            timeout=self.timeout_s,
            allow_redirects=False,
        )


def without_keys(session: requests.Session) -> requests.Session:
    """Return a session that goes the same ways as `session`, and knows none of its keys.

    A session's URL carries its own authority: the service key and an ID token are not for its
    server, which may be another's.
    """
    bare = requests.Session()
    bare.trust_env = session.trust_env
    bare.proxies, bare.verify, bare.cert = session.proxies, session.verify, session.cert
    for prefix, adapter in session.adapters.items():
        bare.mount(prefix, adapter)
    return bare


class _Rest:
    """The rest of an open file, with its length, as requests wants a body."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._length = length

    def __len__(self) -> int:
        return self._length

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes."""
        return self._file.read(count)


def _safe(answer: requests.Response, held: int, size: int) -> int:
    status = answer.status_code
    if status in _DONE:
        return size
    if status == _RESUME_INCOMPLETE:
        match = _RANGE.fullmatch(answer.headers.get("Range", ""))
        return int(match[1]) + 1 if match else 0
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return held
    raise SessionRefused(answer)
