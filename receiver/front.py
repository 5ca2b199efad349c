"""The receiver's processes in its container.

    callers ── HTTP/2 or HTTP/1.1 ──▶ HAProxy ── Unix socket ──▶ app (gunicorn, one worker)

Both are children of this process, which only waits. When one of them ends, the other is stopped
and the container ends with it: the platform starts another. All that is written to disk lies in
one private folder for temporary files.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from core.ports import EventLog
from receiver.processes import Child, Signals, fork, give_memory_back

Serve = Callable[[Path, Callable[[], None]], None]
"""Serves the app on a Unix socket until SIGTERM, and calls back when it can take requests."""

STOP_S: Final = 8
"""From the request to stop until open requests are cut off; Cloud Run kills after 10 s."""
APP_STOP_S: Final = 1
"""What the app has after that to clean up behind those that were cut off."""
_START_S: Final = 120.0
"""From the start until the app must be ready; Cloud Run waits 240 s by itself."""
_LATE_S: Final = 0.4
"""What a process may be late in ending by itself before it is killed."""
_TURN_S: Final = 0.5
"""What callers have to see that the port closes, before the app takes no more requests."""
_GLANCE_S: Final = 0.02
_SBIN: Final = "/usr/local/sbin:/usr/sbin"
"""Where Debian has HAProxy; not in the search path of every user."""


class Ended(Exception):
    """A process of the container ended by itself or did not start; the message says which."""


def find_haproxy() -> str:
    """Return the path of the program; raises Ended."""
    found = shutil.which("haproxy", path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")
    if found is None:
        raise Ended("haproxy is not installed: install Debian's package haproxy")
    return found


@dataclass(slots=True, kw_only=True)
class Front:
    """Both processes. `listener` is bound, and listens from when the app is ready.

    `configuration` returns the text of HAProxy's for the path of the app's socket.
    """

    haproxy: str
    listener: socket.socket
    serve: Serve
    configuration: Callable[[Path], str]
    log: EventLog
    _signals: Signals = field(default_factory=Signals)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; raises Ended when a process ends before."""
        with self._signals, tempfile.TemporaryDirectory(prefix="front-") as name:
            ready, tell = os.pipe()
            app = fork("app", partial(self._become_app, Path(name), tell))
            os.close(tell)
            try:
                self._await_ready(app, ready)
                if not self._signals.stop:
                    self._serve_callers(app, Path(name))
            finally:
                os.close(ready)
                self._end(app, signal.SIGTERM, STOP_S + APP_STOP_S)

    def _become_app(self, folder: Path, tell: int) -> None:
        def on_ready() -> None:
            with contextlib.suppress(OSError):  # a later worker: nobody listens any more
                os.write(tell, b"r")

        self.listener.close()
        give_memory_back()
        self.serve(_socket_in(folder), on_ready)

    def _become_haproxy(self, folder: Path) -> NoReturn:
        """Run HAProxy without this process's environment: it holds secrets."""
        file = folder / "haproxy.cfg"
        file.write_text(self.configuration(_socket_in(Path())))
        os.chdir(folder)  # a socket's path is short by nature: HAProxy's is relative
        self.listener.set_inheritable(True)
        os.dup2(1, 2)
        os.execve(self.haproxy, [self.haproxy, "-db", "-f", str(file)], {})  # noqa: S606

    def _await_ready(self, app: Child, ready: int) -> None:
        """Return when the app is ready or this process shall stop."""

        def is_over() -> bool:
            return self._signals.stop or bool(select.select([ready], [], [], 0)[0])

        if not self._signals.wait(is_over, also=(ready,), timeout_s=_START_S):
            raise Ended(f"the app was not ready after {_START_S:.0f} s")
        if not self._signals.stop and not os.read(ready, 1):
            self._signals.wait(lambda: not app.alive(), timeout_s=_LATE_S)
            raise _ended(app)

    def _serve_callers(self, app: Child, folder: Path) -> None:
        proxy = fork("haproxy", partial(self._become_haproxy, folder))
        try:
            while not _listens(self.listener):
                self._watch(app, proxy, timeout_s=_GLANCE_S)
            host, port, *_ = self.listener.getsockname()
            self.listener.close()  # only HAProxy's is left, so the port closes with it
            self.log.emit("service.listening", host=host, port=port)
            self._watch(app, proxy, timeout_s=None)
            self._let_requests_end(app, proxy)
        finally:
            self._end(proxy, signal.SIGTERM, 0)

    def _let_requests_end(self, app: Child, proxy: Child) -> None:
        """Return when no request is open, at the latest after all that were have been cut off.

        HAProxy closes the port and cuts off by itself; but it also waits for callers that only
        keep a connection open, so it is the app's end that tells.
        """
        proxy.signal(signal.SIGUSR1)
        if not self._signals.wait(lambda: not proxy.alive(), timeout_s=_TURN_S):
            app.signal(signal.SIGTERM)
            self._signals.wait(lambda: not app.alive(), timeout_s=STOP_S + APP_STOP_S - _TURN_S)
            self._signals.wait(lambda: not proxy.alive(), timeout_s=_LATE_S)

    def _watch(self, *children: Child, timeout_s: float | None) -> None:
        """Wait for the request to stop; raises Ended when a child ends before."""

        def is_over() -> bool:
            return self._signals.stop or not all(child.alive() for child in children)

        self._signals.wait(is_over, timeout_s=timeout_s)
        if not self._signals.stop:
            for child in children:
                if not child.alive():
                    raise _ended(child)

    def _end(self, child: Child, number: int, seconds: float) -> None:
        """Ask a child to stop and give it so long; then kill what is left of it."""
        child.signal(number)
        if not self._signals.wait(lambda: not child.alive(), timeout_s=seconds + _LATE_S):
            self.log.emit("front.killed", process=child.name)
        child.kill()


def _socket_in(folder: Path) -> Path:
    return folder / "app.sock"


def _listens(listener: socket.socket) -> bool:
    return bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _ended(child: Child) -> Ended:
    return Ended(f"{child.name} ended with status {child.status}")
