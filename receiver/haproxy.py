"""HAProxy's configuration: HTTP/2 without TLS and HTTP/1.1 on one port, streamed to the app.

Cloud Run takes requests of more than 32 MiB over HTTP/2 only, and no Python server was found that
streams uploads over it and outlives aborted ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from core import limits, problems
from core.errors import LecternError, Unavailable

_ANSWER_S: Final = 5
"""What HAProxy waits longer than the app does, so that the app's answer comes first."""
_IDLE_S: Final = 620
"""Idle connections of callers: Google's front ends keep theirs for 600 s and shall close first."""
BUFFER: Final = 64 * limits.KIB
"""Bytes that are on their way at once in each direction of a request."""
WINDOW: Final = limits.MIB
"""Bytes that a caller may send ahead in one stream: 10 MB/s at a round trip of 100 ms."""
_QUEUE_S: Final = 2
"""Wait for a thread of the app; then the caller is told to come again."""
_ANSWERS: Final[dict[int, LecternError]] = {
    502: Unavailable("the service broke off; send the request again"),
    503: Unavailable("the service is stopping or has no thread free; send the request again"),
    504: Unavailable("the service did not answer in time; send the request again"),
}
"""What HAProxy answers by itself. What is not valid HTTP gets its built-in 400 or 408: version 2.6
has no choice there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What differs from start to start.

    `handle` is the bound socket that HAProxy inherits, `app` the path of the app's Unix socket,
    `threads` the requests that the app serves at once, `stop_s` the time that open requests have
    after the request to stop.
    """

    handle: int
    app: Path
    threads: int
    stop_s: int


def configuration(layout: Layout) -> str:
    """Return the text of HAProxy's configuration file."""
    connections = 4 * layout.threads + 64  # beside uploads: callers that ask, and idle ones
    return f"""global
    maxconn {connections}
    nbthread 1
    hard-stop-after {layout.stop_s}s
    log stdout format raw daemon err
    tune.bufsize {BUFFER}
    tune.h2.max-concurrent-streams {layout.threads}
    tune.h2.initial-window-size {WINDOW}

defaults
    mode http
    log global
    log-format '{_log_format()}'
    option dontlognull
    option dontlog-normal
    option log-separate-errors
    option http-server-close
    option forwardfor
    retries 0
    timeout connect 5s
    timeout http-request {limits.HEAD_S:.0f}s
    timeout http-keep-alive {_IDLE_S}s
    timeout client {limits.UPLOAD_STALL_S + _ANSWER_S:.0f}s
    timeout queue {_QUEUE_S}s
    timeout server {limits.UPLOAD_S_MAX + _ANSWER_S:.0f}s
{_answers()}

frontend callers
    bind fd@{layout.handle}
    http-response set-log-level silent
    default_backend app

backend app
    server app unix@{layout.app} maxconn {layout.threads}
"""


def _log_format() -> str:
    """Return the form of the one kind of line: a request that the app did not get to answer.

    What it answered it has told itself, so HAProxy is silent then.
    """
    line = {
        "severity": "WARNING",
        "time": "%[date,utime(%Y-%m-%dT%H:%M:%SZ)]",
        "logger": "haproxy",
        "event": "front.unanswered",
        "method": "%HM",
        "status": "%ST",
        "how": "%tsc",
        "duration_ms": "%Ta",
    }
    return json.dumps(line)


def _answers() -> str:
    """Return a line for each answer that HAProxy gives itself, in the service's own form."""
    return "\n".join(_answer(status, error) for status, error in _ANSWERS.items())


def _answer(status: int, error: LecternError) -> str:
    title = {"title": HTTPStatus(status).phrase, "status": status}
    text = json.dumps({**problems.problem(error), **title})
    kind = f"content-type {problems.MEDIA_TYPE} hdr Retry-After {problems.retry_after_s(error)}"
    return f"    http-error status {status} {kind} string '{text}'"
