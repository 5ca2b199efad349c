"""A TCP proxy that cuts connections: what a train ride does to an upload."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_PIECE = 256 * 1024
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close send a reset."""


@dataclass(slots=True)
class CuttingProxy:
    """Passes everything on to `target`, and hangs up after so many bytes from the client.

    `cuts` says after how many bytes since the last cut; when all are used up it cuts no more.
    """

    target: tuple[str, int]
    cuts: list[int]
    url: str = ""
    made: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _passed: int = 0

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=[client], daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        """Pass on both ways until one end or a cut; closing is what makes the cut."""
        with client, socket.create_connection(self.target) as server:
            back = threading.Thread(target=_pass_back, args=(server, client), daemon=True)
            back.start()
            if self._pass_on(client, server):
                for end in (client, server):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
            back.join()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> bool:
        """Return whether it is time for a cut."""
        with contextlib.suppress(OSError):
            while data := client.recv(_PIECE):
                allowed = self._allowed(len(data))
                server.sendall(data[:allowed])
                if allowed < len(data):
                    return True
            server.shutdown(socket.SHUT_WR)
        return False

    def _allowed(self, count: int) -> int:
        with self._lock:
            if not self.cuts or self._passed + count <= self.cuts[0]:
                self._passed += count
                return count
            allowed = self.cuts.pop(0) - self._passed
            self._passed = 0
            self.made += 1
            return allowed


def _pass_back(server: socket.socket, client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := server.recv(_PIECE):
            client.sendall(data)
        client.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cutting(port: int, cuts: Sequence[int]) -> Iterator[CuttingProxy]:
    """Give a proxy in front of a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = CuttingProxy(target=("127.0.0.1", port), cuts=list(cuts))
        proxy.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=proxy.serve, args=[listener])
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
