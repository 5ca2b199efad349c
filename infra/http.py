"""The Flask application that every service is put into: keys, errors, one event a request."""

from __future__ import annotations

import secrets
import time
import traceback
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from core import limits, problems, trace
from core.errors import (
    BadRequest,
    LecternError,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from core.job import Job
from core.keys import KeyRing
from core.ports import EventLog
from core.trace import Traceparent
from infra.clock import new_span_id, new_trace_id
from infra.doorkeeper import KEY_HEADERS, Doorkeeper
from infra.inlet import Inlet

OPEN_PATHS: Final = frozenset({"/health", "/ready"})
"""Paths that answer without a key: a platform's probes carry none."""
_NAMED: Final[dict[int, type[LecternError]]] = {
    error.http_status: error for error in (NotFound, MethodNotAllowed, TooLarge)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Door:
    """What happens to a request before and after its view."""

    keeper: Doorkeeper
    log: EventLog
    open_paths: frozenset[str]
    open_rules: frozenset[str]

    def enter(self) -> None:
        """Begin a request as a span of the caller's trace, or of a new one; check its key."""
        g.began = time.monotonic()
        g.traceparent = str(_span(request.headers.get(trace.HEADER)))
        g.bound = ExitStack()
        g.bound.enter_context(self.log.bind(traceparent=g.traceparent))
        g.inlet = Inlet(request.environ)
        request.environ["wsgi.input"] = g.inlet
        request.environ["wsgi.input_terminated"] = True
        if not self._is_open():
            self.keeper.check()

    def leave(self, response: Response) -> Response:
        """Finish an answer and record its event."""
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.call_on_close(g.inlet.drain)
        self.log.emit(
            "http.request",
            method=request.method,
            route=request.url_rule.rule if request.url_rule else "unmatched",
            status=response.status_code,
            code=g.get("code"),
            duration_s=round(time.monotonic() - g.began, 4),
            **_subject(),
        )
        return response

    def forget(self, _error: BaseException | None) -> None:
        """Take the request's trace off this thread."""
        if "bound" in g:
            g.bound.close()

    def refuse(self, error: LecternError) -> Response:
        """Answer an error of the tree; what is not meant for callers becomes a plain 500."""
        if error.http_status == LecternError.http_status:
            return self.fail(error)
        if isinstance(error, Unavailable):
            self.log.emit("http.unavailable", code=error.code, reason=error.detail)
            error = type(error)(error.told)
        return _answer(error)

    def refuse_http(self, error: HTTPException) -> Response:
        """Answer what Flask refused by itself, in the same form."""
        status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self.fail(error)
        named = _NAMED.get(status, BadRequest)
        answer = _answer(named(error.description or "the request cannot be taken as it is"))
        if allow := dict(error.get_headers()).get("Allow"):
            answer.headers["Allow"] = allow
        return answer

    def fail(self, error: Exception) -> Response:
        """Answer a defect with an error id, under which its traceback is logged."""
        error_id = secrets.token_hex(8)
        trace = "".join(traceback.format_exception(error))[-limits.TRACE_CHARS_MAX :]
        self.log.emit(
            "http.internal_error", error_id=error_id, error=type(error).__name__, trace=trace
        )
        words = f"something went wrong here; the log has it under error_id {error_id}"
        return _answer(LecternError(words), error_id=error_id)

    def _is_open(self) -> bool:
        rule = request.url_rule.rule if request.url_rule else None
        return request.path in self.open_paths or rule in self.open_rules


def new_app(
    name: str,
    *,
    keys: KeyRing,
    log: EventLog,
    open_paths: frozenset[str] = OPEN_PATHS,
    open_rules: Collection[str] = (),
    proxies: int = 0,
) -> Flask:
    """Return an app without routes that checks keys and answers errors as problem+json.

    `open_paths` and what the rules `open_rules` match answer without a key. `proxies` in front are
    believed about whom they speak for.
    """
    app = Flask(name, static_folder=None)
    app.url_map.merge_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined] # Flask's default provider has it
    door = _Door(
        keeper=Doorkeeper(keys, proxies=proxies),
        log=log,
        open_paths=open_paths,
        open_rules=frozenset(open_rules),
    )
    app.before_request(door.enter)
    app.after_request(door.leave)
    app.teardown_request(door.forget)
    app.register_error_handler(LecternError, door.refuse)
    app.register_error_handler(HTTPException, door.refuse_http)
    app.register_error_handler(Exception, door.fail)
    return app


def _subject() -> Mapping[str, object]:
    """Return what the request is about: the view's `g.job`, or what it knew of it without one."""
    job: Job | None = g.get("job")
    if job is None:
        return {name: g.get(name) for name in ("job_id", "organization_id")}
    return {
        "job_id": job.job_id,
        "organization_id": job.organization_id,
        "state": job.state.value,
    }


def _answer(error: LecternError, *, error_id: str | None = None) -> Response:
    g.code = error.code
    response = jsonify(problems.problem(error, error_id=error_id))
    response.status_code = error.http_status
    response.content_type = problems.MEDIA_TYPE
    if (retry_after_s := problems.retry_after_s(error)) is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = f'ApiKey header="{KEY_HEADERS[0]}"'
    return response


def _span(header: str | None) -> Traceparent:
    parent = Traceparent.read(header)
    if parent is None:
        return Traceparent(trace_id=new_trace_id(), span_id=new_span_id())
    return parent.child(new_span_id())
