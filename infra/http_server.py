"""gunicorn as every HTTP service runs it: threads, one process, and no connection for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from infra.http_worker import BoundedWorker
from infra.inlet import leave_continue_to_app

__all__ = ["BoundedWorker", "Gunicorn", "PlainLogger", "serve", "serve_built"]

_KEEPALIVE_S: Final = 5
_CONNECTIONS_MAX: Final = 4000
"""Open connections; above that the one that has been silent for longest makes room."""


def serve(app: Flask, *, handle: int, threads: int, grace_s: int) -> None:
    """Serve on the listening socket behind the file handle until SIGTERM.

    Open requests have `grace_s` seconds to end then.
    """
    options = _options(f"fd://{handle}", threads=threads, grace_s=grace_s)
    Gunicorn(app, {**options, "preload_app": True}).run()


def serve_built(
    build: Callable[[], Flask],
    *,
    bind: str,
    threads: int,
    grace_s: int,
    on_ready: Callable[[], None] = lambda: None,
    unbegun_max: int = BoundedWorker.unbegun_max,
) -> None:
    """Serve as `serve` does what `build` returns, which is called in the worker process.

    So clients that do not survive a fork, such as gRPC's, are made after it. `bind` is gunicorn's
    word for an address: `unix:PATH` or `fd://HANDLE`. A `build` that raises ends it with a status
    that is not 0. `on_ready` is called in the worker whenever one can take requests.
    `unbegun_max` (see `BoundedWorker`) is for a service that is given few requests at once.
    """

    def tell(_worker: object) -> None:
        on_ready()

    options = _options(bind, threads=threads, grace_s=grace_s)
    worker = type("Worker", (BoundedWorker,), {"unbegun_max": unbegun_max})
    Gunicorn(build, {**options, "worker_class": worker, "post_worker_init": tell}).run()


def _options(bind: str, *, threads: int, grace_s: int) -> dict[str, Any]:
    return {
        "bind": bind,
        "worker_class": BoundedWorker,
        "workers": 1,
        "threads": threads,
        "worker_connections": _CONNECTIONS_MAX,
        "graceful_timeout": grace_s,
        "keepalive": _KEEPALIVE_S,
        "timeout": 0,  # a service without CPU for a while, as an idle one is, is not dead
        "loglevel": "warning",
        "logger_class": PlainLogger,
        "control_socket_disable": True,
        "pre_request": leave_continue_to_app,
    }


class PlainLogger(Logger):  # type: ignore[misc] # gunicorn ships no types
    """Lets gunicorn's own words go the way of all other lines, in their form."""

    def setup(self, cfg: Any) -> None:
        """Do as gunicorn does, then leave the writing to the root logger."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class Gunicorn(BaseApplication):  # type: ignore[misc] # gunicorn ships no types
    """gunicorn with options from code alone: no command line, no configuration file.

    Instead of an application it may be given what builds one; see `serve_built`.
    """

    def __init__(self, app: Flask | Callable[[], Flask], options: dict[str, Any]) -> None:
        self._app = app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        """Set the options; gunicorn checks each."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Return the application; without `preload_app` gunicorn asks in the worker."""
        return self._app if isinstance(self._app, Flask) else self._app()
