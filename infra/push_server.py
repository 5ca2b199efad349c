"""gunicorn for a service that works in its main thread and answers requests in others.

    arbiter (starts the worker, again when it dies) ── worker
        main thread    works on what requests bring, one piece after the other; hears signals
        http thread    gunicorn's loop: accepts connections
        its pool       a thread for each request

gunicorn's own workers serve in one place only: the sync worker answers nothing while it works,
and in the threaded one the work is in a thread, where no signal can interrupt it. So this is the
threaded worker with its loop moved aside. A worker that is killed is replaced within a second or
so; one that cannot start ends the arbiter with a status that is not 0.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final, NoReturn

from flask import Flask

from infra.http_server import BoundedWorker, Gunicorn, PlainLogger
from infra.inlet import leave_continue_to_app

_STOPS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
"""The arbiter passes each of them on, a terminal sends them to both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What a worker process runs.

    `work` is called in the main thread and returns some time after `close`, which is called
    from another. `on_stop` is the signal handler; it may raise what breaks off the work.
    """

    app: Flask
    work: Callable[[], None]
    close: Callable[[], None]
    on_stop: Callable[[int, FrameType | None], None]


def serve(build: Callable[[], Service], *, handle: int, threads: int, grace_s: int) -> NoReturn:
    """Serve on the bound socket behind the file handle until SIGTERM, then exit with status 0.

    The handle is gunicorn's from then on.

    `build` is called in the worker's process: gRPC's clients do not survive a fork. After
    SIGTERM open requests have `grace_s` seconds to end, then the worker is killed.
    """
    options = {
        "bind": f"fd://{handle}",
        "worker_class": _Worker,
        "workers": 1,
        "threads": threads,
        "graceful_timeout": grace_s,
        "timeout": 0,  # a container that is frozen between requests must not look hung after
        "keepalive": 0,
        "loglevel": "warning",
        "logger_class": PlainLogger,
        "control_socket_disable": True,
        "pre_request": leave_continue_to_app,
    }
    _Gunicorn(build, options).run()
    raise AssertionError("gunicorn ends by SystemExit")


class _Gunicorn(Gunicorn):
    """Builds the service in the worker, and keeps it for it."""

    def __init__(self, build: Callable[[], Service], options: dict[str, Any]) -> None:
        self._build = build
        self.service: Service | None = None
        super().__init__(self._load, options)

    def _load(self) -> Flask:
        self.service = self._build()
        return self.service.app


@dataclass(slots=True)
class _Failure:
    """What ended the loop, if it did not end by itself."""

    error: BaseException | None = field(default=None)


class _Worker(BoundedWorker):
    """Runs gunicorn's loop in a thread, and the service's work in the main one."""

    def init_signals(self) -> None:
        """Hear signals at once: gunicorn's handlers let blocking calls go on."""
        super().init_signals()
        for number in _STOPS:
            signal.signal(number, self._hear)

    def run(self) -> None:
        """Work until the loop has ended; raises what ended it."""
        service, failure = self.app.service, _Failure()
        loop = threading.Thread(target=self._loop, args=(service, failure), name="http")
        # Signals are for the main thread; the loop's own threads inherit its mask.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        loop.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            service.work()
        finally:
            self.handle_exit(signal.SIGTERM, None)
            loop.join()
        if failure.error is not None:
            raise failure.error

    def _loop(self, service: Service, failure: _Failure) -> None:
        try:
            super().run()
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            failure.error = error
        finally:
            service.close()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        """Stop accepting, then tell the service, which may raise."""
        self.handle_exit(number, frame)
        if self.app.service is not None:
            self.app.service.on_stop(number, frame)
