"""gunicorn's threaded worker, in which no client's silence costs a thread.

    loop       accepts, gathers each request's head and short body, closes connections
    pool       a thread for each request that is there to be served; only long bodies are read here,
               and one that has not begun is given back to the loop
    deadlines  cuts off requests whose time is over

By itself gunicorn gives every new connection to a thread that waits for its head, and lets the
loop wait two seconds for each connection that it closes: a few hundred silent clients without a
key stop such a service for minutes.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from core import limits
from infra.http_begun import ENVIRON, Begun, Unbegun

_REST_S: Final = 0.01
"""Seconds in which the rest of a refused short body is awaited, to use the connection again."""
_READ_BYTES: Final = 64 * limits.KIB
_NONE_THERE: Final = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED)
_NO_HANDLES: Final = (errno.EMFILE, errno.ENFILE)
_GLANCE_S: Final = 0.1
"""Pause between two looks at the deadlines of all that wait: there may be thousands."""
_HURRY_S: Final = 2.0
"""Seconds that each request with an unbegun body may wait, however many there are."""


class Deadlines:
    """Shuts down sockets whose time is over, whatever their thread is waiting for."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._ends: dict[socket.socket, float] = {}

    def set(self, connection: socket.socket, seconds: float) -> None:
        """Give the connection this long from now, instead of what it had."""
        with self._guard:
            self._ends[connection] = time.monotonic() + seconds

    def clear(self, connection: socket.socket) -> None:
        """Watch the connection no longer."""
        with self._guard:
            self._ends.pop(connection, None)

    def enforce(self) -> None:
        """Shut down what is past its deadline; a blocked read returns then."""
        now = time.monotonic()
        with self._guard:
            for connection in [sock for sock, end in self._ends.items() if end <= now]:
                del self._ends[connection]
                with contextlib.suppress(OSError):  # it has ended by itself
                    connection.shutdown(socket.SHUT_RDWR)


@dataclass(slots=True)
class _Coming:
    """A request of which not all is there that a thread would have to wait for."""

    since: float
    ends_at: float
    begun: Begun


@dataclass(slots=True)
class _Going:
    """A connection that was closed on this side; what comes yet is dropped.

    Closed at once, the kernel would take the answer back from a client that still sends.
    """

    ends_at: float
    left: int = limits.DRAIN_BYTES_MAX


class BoundedWorker(ThreadWorker):  # type: ignore[misc] # gunicorn ships no types
    """A worker with a bound on everything that a client may take.

    When more than `unbegun_max` requests were given back by threads because their bodies have not
    begun, those that wait for longest are ended.
    """

    unbegun_max: ClassVar[int] = 1000
    wsgi: Any

    def init_process(self) -> None:
        """Start the watch in the worker's own process."""
        self._coming: dict[TConn, _Coming] = {}
        self._served: dict[socket.socket, Begun] = {}
        self._glances_at = 0.0
        self._going: dict[TConn, _Going] = {}
        self._deadlines = Deadlines()
        threading.Thread(target=self._watch, name="deadlines", daemon=True).start()
        super().init_process()

    # --- the loop -----------------------------------------------------------------------------

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; where there are too many the longest silent one makes room."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno in _NO_HANDLES:
                self._make_room()
            elif error.errno not in _NONE_THERE:
                raise
            return
        self.nr_conns += 1
        self._await(TConn(self.cfg, client, address, listener.getsockname()))
        if self.nr_conns >= self.worker_connections:
            self._make_room()

    def on_client_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """Begin the next request of a connection that was kept."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await(conn)

    def finish_request(self, conn: TConn, served: Any) -> None:
        """Keep the connection for another request, or close it without waiting for the client."""
        self._deadlines.clear(conn.sock)
        begun = self._served.pop(conn.sock)
        if not served.cancelled() and isinstance(served.exception(), Unbegun):
            self._park(conn, begun)
            return
        if served.cancelled() or served.exception() or not served.result():
            self._close(conn)
            return
        next_request = conn.parser.unreader.take_buffered()
        if next_request:
            self._await(conn, next_request)
        else:
            super().finish_request(conn, served)

    def murder_pending(self) -> None:
        """Close what is past its time; a request whose head is whole is answered first."""
        now = time.monotonic()
        if now < self._glances_at:
            return
        self._glances_at = now + _GLANCE_S
        self._hurry(now)
        for conn in [conn for conn, coming in self._coming.items() if coming.ends_at <= now]:
            if self._coming[conn].begun.has_head:
                self._end(conn)
            else:
                self._drop(conn)
        for conn in [conn for conn, going in self._going.items() if going.ends_at <= now]:
            self._drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        waiting: list[_Coming | _Going] = [*self._coming.values(), *self._going.values()]
        for each in waiting:
            each.ends_at = min(each.ends_at, deadline)

    def _await(self, conn: TConn, data: bytes = b"") -> None:
        self._gather_from(conn, Begun(data), limits.HEAD_S)
        if self._coming[conn].begun.is_servable:
            self._serve(conn)

    def _park(self, conn: TConn, begun: Begun) -> None:
        """Wait for the body of a request as for a new one, without its thread."""
        begun.park()
        conn.parser, conn.initialized = None, False
        patience_s = min(limits.UPLOAD_STALL_S, limits.UPLOAD_S_MAX)
        self._gather_from(conn, begun, patience_s if self.alive else STOP_KEEPALIVE_LINGER)

    def _gather_from(self, conn: TConn, begun: Begun, seconds: float) -> None:
        now = time.monotonic()
        self._coming[conn] = _Coming(since=now, ends_at=now + seconds, begun=begun)
        self._listen(conn, self._gather)

    def _gather(self, conn: TConn, _socket: socket.socket) -> None:
        """Gather what comes, and have it served when no thread would have to wait for more."""
        coming = self._coming.get(conn)  # None: it made room for another a moment ago
        data = _received(conn.sock) if coming else None
        if coming is None or data is None:
            return
        begun = coming.begun
        begun.take(data)
        if begun.is_servable:
            self._serve(conn)
        elif begun.has_head and (not data or begun.is_padded):
            self._end(conn)
        elif not data:
            self._drop(conn)

    def _hurry(self, now: float) -> None:
        """End what has waited for longest with an unbegun body, where too many do."""
        parked = [coming for coming in self._coming.values() if coming.begun.is_parked]
        for coming in parked[: max(len(parked) - self.unbegun_max, 0)]:
            if now - coming.since >= _HURRY_S:
                coming.ends_at = now

    def _end(self, conn: TConn) -> None:
        """Have a request answered as if no more of it would come."""
        self._coming[conn].begun.end()
        with contextlib.suppress(OSError):
            conn.sock.shutdown(socket.SHUT_RD)
        self._serve(conn)

    def _serve(self, conn: TConn) -> None:
        self.poller.unregister(conn.sock)
        begun = self._served[conn.sock] = self._coming.pop(conn).begun
        conn.data_ready = True
        conn.init()
        conn.parser.unreader.unread(bytes(begun.data))
        self.enqueue_req(conn)

    def _close(self, conn: TConn) -> None:
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:  # the client has gone
            self.nr_conns -= 1
            conn.close()
            return
        linger_s = limits.DRAIN_S_MAX if self.alive else STOP_KEEPALIVE_LINGER
        self._going[conn] = _Going(ends_at=time.monotonic() + linger_s)
        self._listen(conn, self._lose)

    def _lose(self, conn: TConn, _socket: socket.socket) -> None:
        """Drop what a refused client still sends."""
        going = self._going.get(conn)
        data = _received(conn.sock) if going else None
        if going is not None and data is not None:
            going.left -= len(data)
            if not data or going.left <= 0:
                self._drop(conn)

    def _listen(self, conn: TConn, hear: Callable[[TConn, socket.socket], None]) -> None:
        conn.sock.setblocking(False)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(hear, conn))

    def _drop(self, conn: TConn) -> None:
        self._coming.pop(conn, None)
        self._going.pop(conn, None)
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def _make_room(self) -> None:
        """Drop the connection that has been silent, or going, for longest."""
        for waiting in (self._coming, self._going):
            if conn := next(iter(waiting), None):
                self._drop(conn)
                return

    # --- threads ------------------------------------------------------------------------------

    def load_wsgi(self) -> None:
        """Have the application know of each request what has come of it."""
        super().load_wsgi()
        self.wsgi = partial(self._answer, self.wsgi)

    def _answer(self, app: Any, environ: dict[str, Any], start_response: Any) -> Any:
        begun = self._served[environ["gunicorn.socket"]]
        if begun.is_parked:
            environ.pop("HTTP_EXPECT", None)  # it was answered the first time
        environ[ENVIRON] = begun
        return app(environ, start_response)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Bound the time of the request itself, its body included."""
        self._deadlines.set(conn.sock, limits.UPLOAD_S_MAX)
        try:
            return super().handle_request(req, conn)
        except TimeoutError as error:  # the client takes an answer too slowly; gunicorn closes
            raise StopIteration("the answer was not taken in time") from error

    def _keepalive_after(self, conn: TConn, keepalive: Any) -> bool:
        """Use the connection again only where the rest of the body is there already."""
        ends_at = time.monotonic() + _REST_S
        return bool(keepalive) and bool(conn.parser.finish_body(deadline=ends_at))

    def handle(self, conn: TConn) -> Any:
        """Bound the time in which gunicorn reads what the loop did not gather."""
        self._deadlines.set(conn.sock, limits.HEAD_S)
        return super().handle(conn)

    def _watch(self) -> None:
        while True:
            time.sleep(limits.HEAD_S / 10)
            self._deadlines.enforce()


def _received(connection: socket.socket) -> bytes | None:
    """Return what has come: nothing at the end, None where it was a false alarm."""
    try:
        return connection.recv(_READ_BYTES)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""
