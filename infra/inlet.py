"""A request's body on its way in: bounded in time, and what is refused is dropped politely."""

from __future__ import annotations

import io
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from gunicorn.http.errors import ParseException

from core import limits
from core.errors import TruncatedUpload
from infra.http_begun import ENVIRON, Begun, Unbegun

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from _typeshed.wsgi import WSGIEnvironment

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Inlet(io.RawIOBase):
    """Stands in for `wsgi.input`.

    It answers `Expect: 100-continue` with the first read, so that a request refused before is
    refused without its body; it gives up on a client that stops sending, or when it is told to
    from another thread; and it never reads past the announced length. What breaks off raises
    TruncatedUpload or ends early: the reader compares the bytes with the announced length.

    Under a worker that takes requests back the first read raises `infra.http_begun.Unbegun` where
    it would wait for the beginning of the body.
    """

    def __init__(self, environ: WSGIEnvironment) -> None:
        super().__init__()
        self._stream = environ["wsgi.input"]
        self._socket = _plain_socket(environ)
        self._left = _announced(environ)
        self._expects = environ.get("HTTP_EXPECT", "").lower() == "100-continue"
        self._begun: Begun | None = environ.get(ENVIRON) if self._socket else None
        self._heard_at = time.monotonic()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer` as far as there are bytes; return how many."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def read(self, size: int = -1, /) -> bytes:
        """Return `size` bytes, fewer only at the end, all for -1. Raises TruncatedUpload."""
        if size < 0:
            return self.readall()
        wanted = size
        if self._left is not None:
            wanted = min(wanted, self._left)
        if wanted == 0:
            return b""
        data = self._read(wanted)
        if self._left is not None:
            self._left -= len(data)
        if len(data) < wanted:
            self._left = 0
        return data

    def drain(self) -> None:
        """Drop the rest of a body, after the answer is sent, so that the client gets to see it.

        At most `limits.DRAIN_BYTES_MAX` bytes and `limits.DRAIN_S_MAX` seconds. Under gunicorn
        `infra.http_worker` does that, without a thread.
        """
        small = self._left is not None and self._left <= limits.SMALL_BODY_BYTES
        if self._left == 0 or (small and not self._expects) or self._socket is not None:
            return
        with suppress(OSError, ParseException, TruncatedUpload):
            self._drop_stream()

    def silent_s(self) -> float:
        """Return for how long less than `limits.PROGRESS_BYTES` have come."""
        return time.monotonic() - self._heard_at

    def give_up(self) -> None:
        """Let the body end here; whatever thread reads it hears of that at once."""
        if self._socket is not None:
            with suppress(OSError):  # the client has gone by itself
                self._socket.shutdown(socket.SHUT_RD)

    def bound_answer(self, seconds: float) -> None:
        """Let each piece of the answer be written in so many seconds, or break off there.

        For this request only: `infra.http_worker` begins the next one without a bound.
        """
        if self._socket is not None:
            self._socket.settimeout(seconds)

    def _read(self, wanted: int) -> bytes:
        pieces = []
        while wanted > 0:
            step = min(wanted, limits.PROGRESS_BYTES)
            data = self._read_step(step)
            self._heard_at = time.monotonic()
            pieces.append(data)
            wanted -= len(data)
            if len(data) < step:
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_step(self, wanted: int) -> bytes:
        try:
            self._prepare()
            data: bytes = self._stream.read(wanted)
        except (OSError, ParseException) as error:
            self._left = 0
            raise TruncatedUpload(
                f"the body broke off or stood still for {limits.UPLOAD_STALL_S:.0f} s; "
                "send it again"
            ) from error
        return data

    def _prepare(self) -> None:
        if self._socket is None:
            return
        self._socket.settimeout(limits.UPLOAD_STALL_S)
        if self._expects:
            self._expects = False
            self._socket.sendall(_CONTINUE)
        begun, self._begun = self._begun, None
        if begun is not None and not begun.has_begun:
            raise Unbegun

    def _drop_stream(self) -> None:
        deadline = time.monotonic() + limits.DRAIN_S_MAX
        for _ in range(limits.DRAIN_BYTES_MAX // limits.CHUNK_BYTES):
            if time.monotonic() > deadline or not self.read(limits.CHUNK_BYTES):
                return


def leave_continue_to_app(_worker: object, request: Any) -> None:
    """Keep gunicorn from answering `Expect: 100-continue` before the key was looked at.

    To be set as gunicorn's `pre_request` hook. Without it the interim answer is sent twice,
    which HTTP allows.
    """
    request._expected_100_continue = False  # noqa: SLF001 - gunicorn has no setting for it


def _announced(environ: WSGIEnvironment) -> int | None:
    """Return the bytes to come, or None for a chunked body, which the server ends itself."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isascii() and length.isdigit():
        return int(length)
    chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
    return None if chunked and environ.get("wsgi.input_terminated") else 0


def _plain_socket(environ: WSGIEnvironment) -> socket.socket | None:
    """Return the connection, where gunicorn shows it and it carries nothing but this request."""
    connection = environ.get("gunicorn.socket")
    plain = type(connection) is socket.socket
    return connection if plain and environ["SERVER_PROTOCOL"].startswith("HTTP/1") else None
