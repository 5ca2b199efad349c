"""A wire that can be cut, or block, after so many bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

_READ_BYTES = 16 * 1024


def _nothing() -> None:
    """Do nothing."""


@contextlib.contextmanager
def wire_to(
    port: int,
    *,
    cut_after: int | None = None,
    block_after: int | None = None,
    then: Callable[[], object] = _nothing,
) -> Iterator[int]:
    """Give the port of a wire to `port`.

    Once a connection has carried that many bytes to the server it is cut for good, or carries
    nothing further; `then` is called at that moment.
    """
    wire = _Wire(port, cut_after, block_after, then)
    try:
        yield wire.port
    finally:
        wire.close()


class _Wire:
    def __init__(
        self,
        port: int,
        cut_after: int | None,
        block_after: int | None,
        then: Callable[[], object],
    ) -> None:
        self._to, self._cut_after, self._block_after, self._then = (
            port,
            cut_after,
            block_after,
            then,
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = [self._listener]
        self._released = threading.Event()
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def close(self) -> None:
        """Cut all connections and join all threads."""
        self._released.set()
        for each in list(self._open):
            _shut(each)
        for thread in self._threads:  # grows until the accepting one, the first, has ended
            thread.join()
        for each in self._open:
            each.close()

    def _run(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            self._open += [near, far]
            self._run(lambda a=near, b=far: self._forward(a, b))  # type: ignore[misc]  # bound now
            self._run(lambda a=near, b=far: self._back(b, a))  # type: ignore[misc]  # bound now

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while data := near.recv(_READ_BYTES):
                carried += len(data)
                if self._cut_after is not None and carried > self._cut_after:
                    self._then()
                    break
                if self._block_after is not None and carried > self._block_after:
                    self._then()
                    self._released.wait()
                    break
                far.sendall(data)
        _shut(near)
        _shut(far)

    def _back(self, far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(_READ_BYTES):
                near.sendall(data)
        _shut(near)


def _shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has ended by itself
        each.shutdown(socket.SHUT_RDWR)
