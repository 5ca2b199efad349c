"""One POST whose every step ends in time, and whose failures are told apart.

`http.client` lies underneath rather than a session with a pool: one deadline must hold for
sends and receives alike, an answer that comes before the body is sent must be seen, and each
failure must be known to be one of connecting, sending or answering. What a session would add,
redirects, proxies, .netrc and cookies, must not happen here.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import selectors
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import urlsplit

import certifi
import requests

from core import limits
from infra.addresses import Dial, NotPublic, dial_any

_CONNECT_FAILURES: Final = (
    (NotPublic, "address not public, as OUTBOUND_PUBLIC_ONLY asks for"),
    (socket.gaierror, "name not found"),
    (ssl.SSLCertVerificationError, "TLS certificate not accepted"),
    (ssl.SSLError, "TLS handshake failed"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionError, "connection lost while connecting"),
)
"""The first kind that fits has the word."""
_NOT_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_TLS_RECORD_BYTES: Final = 16 * limits.KIB
"""The most that one TLS record holds (RFC 8446, 5.1)."""
_URL_FORM: Final = "a webhook URL has the form https://host/path"


class CallFailed(Exception):
    """No usable answer came: the reason in a few words, out of a fixed stock."""

    @property
    def reason(self) -> str:
        """Return the words; they hold nothing of the URL or of what the other side sent."""
        return str(self)


class _AnsweredEarly(Exception):
    """The other side has said something while the body was still being sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a call goes. `path` may hold a query and `headers` credentials: not for logs."""

    scheme: str
    host: str
    port: int | None
    path: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        """Return scheme, host and path only."""
        return f"{self.scheme}://{self.host}:{self.port or ''}{self.path.partition('?')[0]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """Seconds for connecting, for each pause and the answer, and for the call as a whole."""

    connect_s: float
    answer_s: float
    total_s: float


def read_target(url: str) -> Target:
    """Return the parts of an http or https URL; raises ValueError without quoting it."""
    try:
        prepared = requests.Request("POST", url).prepare()
        parts = urlsplit(prepared.url or "")
        host, port = parts.hostname, parts.port
    except ValueError:  # so are all of requests' complaints about a URL
        raise ValueError(_URL_FORM) from None
    if not host or parts.scheme not in {"http", "https"}:
        raise ValueError(_URL_FORM)
    credentials = prepared.headers.get("Authorization")
    return Target(
        scheme=parts.scheme,
        host=host,
        port=port,
        path=prepared.path_url,
        headers={"Authorization": credentials} if credentials else {},
    )


def trusting_context() -> ssl.SSLContext:
    """Return a context that verifies names and chains.

    It trusts the machine's authorities (OpenSSL's SSL_CERT_FILE adds to them) and certifi's,
    which are there also where an image has none.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class _Line:
    """A connected socket whose operations all end by one deadline."""

    def __init__(self, sock: socket.socket, *, pause_s: float, ends_at: float) -> None:
        self.ended = False
        self._sock = sock
        self._pause_s = pause_s
        self._ends_at = ends_at
        self._received = b""
        self._tls = isinstance(sock, ssl.SSLSocket)

    def end_within(self, seconds: float) -> None:
        """Bring the deadline forward; it is never put off."""
        self._ends_at = min(self._ends_at, time.monotonic() + seconds)

    def sendall(self, data: bytes) -> None:
        """Send `data`, unless an answer comes meanwhile: then it stops at once."""
        left = memoryview(data)
        while left:
            self._patience_s()
            self._listen()
            try:
                # What TLS could not send must be offered again as it was: a record at a time.
                count = self._sock.send(left[:_TLS_RECORD_BYTES] if self._tls else left)
            except _NOT_NOW:
                self._wait()
            else:
                left = left[count:]

    def recv_into(self, buffer: Any) -> int:
        """Receive into `buffer` and return how many bytes; 0 is the end."""
        if self._received:
            count = min(len(buffer), len(self._received))
            buffer[:count] = self._received[:count]
            self._received = self._received[count:]
            return count
        self._arm()
        count = self._sock.recv_into(buffer)
        self.ended = count == 0
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the reading end, as http.client asks for it."""
        return io.BufferedReader(_Incoming(self))

    def close(self) -> None:
        """Do nothing: http.client would close the socket before the answer's body is read."""

    def _arm(self) -> None:
        self._sock.settimeout(self._patience_s())

    def _patience_s(self) -> float:
        left_s = self._ends_at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the deadline has passed")
        return min(left_s, self._pause_s)

    def _wait(self) -> None:
        """Return when the other side takes or sends something, whichever is first."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
            if not selector.select(self._patience_s()):
                raise TimeoutError("nothing was taken")

    def _listen(self) -> None:
        """Look for an answer without waiting; reading also swallows TLS session tickets."""
        self._sock.settimeout(0)
        try:
            data = self._sock.recv(limits.ANSWER_BYTES_MAX)
        except _NOT_NOW:
            return
        if not data:
            raise ConnectionAbortedError("closed by the other side")
        self._received += data
        if _is_final(self._received) or len(self._received) > limits.ANSWER_BYTES_MAX:
            raise _AnsweredEarly


class _Incoming(io.RawIOBase):
    """The reading end of a line."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._line.recv_into(buffer)


_SWITCHED: Final = HTTPStatus.SWITCHING_PROTOCOLS
_STATUS_CLASS_AT: Final = len("HTTP/1.1 ")


def _is_final(received: bytes) -> bool:
    """Tell an answer from an interim one (1xx), which servers may send at any time."""
    return received[_STATUS_CLASS_AT : _STATUS_CLASS_AT + 1] not in {b"", b"1"}


class _Response(http.client.HTTPResponse):
    """Passes over every interim answer: by itself `http.client` takes a 103 for the answer."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(limits.INTERIM_ANSWERS_MAX):
            version, status, reason = super()._read_status()  # type: ignore[misc] # not in its stub
            if not HTTPStatus.CONTINUE <= status < HTTPStatus.OK or status == _SWITCHED:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException("interim answers without end")


class HttpCall:
    """One call, in this order: `connect`, `upload`, `answer`, `drain`; always `close`.

    The deadline holds for all of it but the lookup of the name, which the resolver bounds, and
    for names with several addresses, each of which may take the time for connecting.
    Every method raises CallFailed; what else is raised, such as an interruption by a signal,
    passes through.
    """

    def __init__(
        self,
        target: Target,
        times: TimeLimits,
        context: ssl.SSLContext,
        dial: Dial = dial_any,
    ) -> None:
        self._target = target
        self._times = times
        self._context = context
        self._dial = dial
        self._ends_at = time.monotonic() + times.total_s
        self._sock: socket.socket | None = None
        self._http = self._connection()
        self._http.response_class = _Response
        self._broken = False

    def connect(self) -> None:
        """Connect, and shake hands where the scheme is https."""
        try:
            self._sock = self._connected()
        except OSError as error:
            raise CallFailed(self._connecting(error)) from error
        except UnicodeError as error:  # a label of the name is too long
            raise CallFailed("name not found") from error
        self._line = _Line(self._sock, pause_s=self._times.answer_s, ends_at=self._ends_at)
        self._http.sock = cast("socket.socket", self._line)

    def upload(self, headers: Mapping[str, str], body: Any) -> bool:
        """Send headers and body, and return whether all of it was sent.

        False means that the other side answered early or closed; `answer` tells which.
        """
        sent = {**self._target.headers, **headers, "Connection": "close"}
        try:
            self._http.request("POST", self._target.path, body=body, headers=sent)
        except _AnsweredEarly:
            return False
        except TimeoutError as error:
            raise CallFailed(self._timed_out("nothing read")) from error
        except OSError:
            self._broken = True
            return False
        return True

    def answer(self) -> http.client.HTTPResponse:
        """Return the answer with its headers."""
        self._line.end_within(self._times.answer_s)
        try:
            response = self._http.getresponse()
        except TimeoutError as error:
            raise CallFailed(self._timed_out("no answer")) from error
        except OSError as error:
            raise CallFailed(self._lost()) from error
        except http.client.HTTPException as error:
            raise CallFailed("the answer is not HTTP") from error
        if self._line.ended:  # http.client takes the end of the stream for that of the headers
            response.close()
            raise CallFailed(self._lost())
        return response

    def drain(self, response: http.client.HTTPResponse) -> None:
        """Read a bounded part of the answer's body, so that its sender can finish."""
        self._line.end_within(limits.ANSWER_BODY_S_MAX)
        with contextlib.suppress(OSError, http.client.HTTPException), response:
            response.read(limits.ANSWER_BYTES_MAX)

    def close(self) -> None:
        """Close the connection at whatever point it is."""
        self._http.close()
        if self._sock is not None:
            self._sock.close()

    def _connection(self) -> http.client.HTTPConnection:
        """Return what speaks HTTP once `connect` has given it a socket: it never dials itself."""
        secure, block = self._target.scheme == "https", limits.CHUNK_BYTES
        usual = http.client.HTTPS_PORT if secure else http.client.HTTP_PORT
        host, port = self._target.host, self._target.port or usual  # else ::1 is read as port 1
        if not secure:
            return http.client.HTTPConnection(host, port, blocksize=block)
        return http.client.HTTPSConnection(host, port, blocksize=block, context=self._context)

    def _connected(self) -> socket.socket:
        address = (self._http.host, self._http.port)
        connection = self._dial(address, min(self._times.connect_s, self._times.total_s))
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._target.scheme == "http":
                return connection
            return self._context.wrap_socket(connection, server_hostname=self._target.host)
        except BaseException:
            connection.close()
            raise

    def _connecting(self, error: OSError) -> str:
        if isinstance(error, TimeoutError):
            return f"no connection in {self._times.connect_s:g} s"
        words = (text for kind, text in _CONNECT_FAILURES if isinstance(error, kind))
        return next(words, "host not reachable")

    def _timed_out(self, what: str) -> str:
        if time.monotonic() >= self._ends_at:
            return f"not finished in {self._times.total_s:g} s"
        return f"{what} in {self._times.answer_s:g} s"

    def _lost(self) -> str:
        when = "while sending" if self._broken else "before the answer"
        return f"connection lost {when}"
