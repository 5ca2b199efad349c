"""How the functions answer: every error as problem+json, every request with one event.

Left to itself functions-framework answers a defect with the exception's words, and an event that
it cannot read with all of the request's headers and body.
"""

from __future__ import annotations

import contextlib
import secrets
import time
import traceback
from collections.abc import Callable, Iterator
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
    Unavailable,
)
from core.ports import EventLog

_EVENT_BYTES_MAX: Final = 16 * limits.MIB
"""Bytes of a request: a Pub/Sub message of 10,000,000 bytes in base64, with its attributes."""
_WORDS: Final[dict[int, LecternError]] = {
    error.http_status: error
    for error in (
        NotFound("there is nothing here; POST to /"),
        MethodNotAllowed("this function is called with POST"),
        TooLarge(f"a request has at most {_EVENT_BYTES_MAX} bytes"),
    )
}
_UNREADABLE: Final = "the request is no CloudEvent that can be read; see https://cloudevents.io"


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Mark the function's own work: what fails inside is a defect, not a bad request."""
    g.running = True
    yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Goes around the view that functions-framework makes of a function.

    `span` returns the request's own span for its `traceparent` header.
    """

    log: EventLog
    span: Callable[[str | None], str]

    def install(self, app: Flask) -> None:
        """Prepare the framework's app."""
        app.config["MAX_CONTENT_LENGTH"] = _EVENT_BYTES_MAX
        app.before_request(self._begin)
        app.after_request(self._leave)
        app.teardown_request(self._forget)
        app.register_error_handler(LecternError, self._refuse)
        app.register_error_handler(HTTPException, self._refuse_http)
        app.register_error_handler(Exception, self._fail)

    def _begin(self) -> None:
        g.began = time.monotonic()
        g.bound = contextlib.ExitStack()
        g.bound.enter_context(
            self.log.bind(traceparent=self.span(request.headers.get(trace.HEADER)))
        )

    def _leave(self, response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        self.log.emit(
            "http.request",
            method=request.method,
            route=request.url_rule.rule if request.url_rule else "unmatched",
            status=response.status_code,
            code=g.get("code"),
            duration_s=round(time.monotonic() - g.began, 4),
        )
        return response

    def _forget(self, _error: BaseException | None) -> None:
        if "bound" in g:
            g.bound.close()

    def _refuse(self, error: LecternError) -> Response:
        if error.http_status == LecternError.http_status:
            return self._fail(error)
        if isinstance(error, Unavailable):
            self.log.emit("http.unavailable", code=error.code, reason=error.detail)
            error = type(error)(error.told)
        elif isinstance(error, BadRequest):
            self.log.emit("event.malformed", reason=error.detail)
        return _answer(error)

    def _refuse_http(self, error: HTTPException) -> Response:
        status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self._fail(error)
        answer = self._refuse(_WORDS.get(status, BadRequest(_UNREADABLE)))
        if allow := dict(error.get_headers()).get("Allow"):
            answer.headers["Allow"] = allow
        return answer

    def _fail(self, error: Exception) -> Response:
        """Answer a defect with an error id, or what the framework stumbled over as unreadable."""
        if "running" not in g:
            return self._refuse(BadRequest(_UNREADABLE))
        error_id = secrets.token_hex(8)
        lines = "".join(traceback.format_exception(error))[-limits.TRACE_CHARS_MAX :]
        self.log.emit(
            "http.internal_error", error_id=error_id, error=type(error).__name__, trace=lines
        )
        words = f"something went wrong here; the log has it under error_id {error_id}"
        return _answer(LecternError(words), error_id=error_id)


def _answer(error: LecternError, *, error_id: str | None = None) -> Response:
    g.code = error.code
    response = jsonify(problems.problem(error, error_id=error_id))
    response.status_code = error.http_status
    response.content_type = problems.MEDIA_TYPE
    if (retry_after_s := problems.retry_after_s(error)) is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response
