"""`GET /health` and `GET /ready` of every HTTP service, for the platform's probes."""

from __future__ import annotations

import threading
from collections.abc import Collection
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, jsonify

from core import limits
from core.errors import LecternError
from core.ports import Checks, Clock, ReadinessCheck
from infra.clock import SystemClock

_Results = dict[str, dict[str, object]]
_SYSTEM_CLOCK: Final = SystemClock()


def blueprint(checks: Checks, *, clock: Clock = _SYSTEM_CLOCK) -> Blueprint:
    """Return both routes: `/health` asks nothing, `/ready` runs `checks`.

    `/ready` is answered 503 while one of them fails, with the reason under its name. They run
    at most once in `limits.GLANCE_S`, and hold up one request: anybody may ask. Who asks while
    they run is told the last results; before there are any, 503 without a check.
    """
    readiness = _Readiness(checks, clock)
    routes = Blueprint("health", __name__)
    routes.add_url_rule("/health", "health", view_func=_health)
    routes.add_url_rule("/ready", "ready", view_func=readiness.answer)
    return routes


def some(checks: Checks, names: Collection[str]) -> Checks:
    """Return the checks of these names: what a service does not rest on must not stop it."""
    return {name: checks[name] for name in names}


def _health() -> Response:
    return jsonify(status="ok")


class _Readiness:
    """Runs the checks, one thread at a time, and remembers their results for a moment."""

    def __init__(self, checks: Checks, clock: Clock) -> None:
        self._checks = checks
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[float, _Results] | None = None

    def answer(self) -> Response:
        results = self._results()
        well = results is not None and all(result["ok"] for result in results.values())
        response = jsonify(status="ready" if well else "not_ready", checks=results or {})
        response.status_code = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
        return response

    def _results(self) -> _Results | None:
        if not self._lock.acquire(blocking=False):
            return None if self._kept is None else self._kept[1]
        try:
            now = self._clock.now()
            if self._kept is None or not 0 <= now - self._kept[0] < limits.GLANCE_S:
                results = {name: _run(check) for name, check in self._checks.items()}
                self._kept = self._clock.now(), results
            return self._kept[1]
        finally:
            self._lock.release()


def _run(check: ReadinessCheck) -> dict[str, object]:
    """Run a check; only an error of the tree has words that are fit for an open path."""
    try:
        check()
    except LecternError as error:
        return {"ok": False, "reason": error.detail[: limits.REASON_CHARS_MAX]}
    except Exception as error:  # noqa: BLE001 - a check may raise anything, and says so by it
        return {"ok": False, "reason": f"failed with {type(error).__name__}"}
    return {"ok": True}
