"""Errors as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from core import limits
from core.errors import Busy, LecternError, Unavailable

MEDIA_TYPE: Final = "application/problem+json"


def problem(error: LecternError, *, error_id: str | None = None) -> dict[str, object]:
    """Return the answer's body: `code` is stable, `detail` says what to do next.

    `error_id` names the event under which an internal error was logged.
    """
    status = HTTPStatus(error.http_status)
    body: dict[str, object] = {
        "type": f"urn:lectern:problem:{error.code}",
        "title": status.phrase,
        "status": status.value,
        "code": error.code,
        "detail": error.detail,
    }
    return body if error_id is None else {**body, "error_id": error_id}


def retry_after_s(error: LecternError) -> int | None:
    """Return the whole seconds after which the same request may succeed, or None."""
    if isinstance(error, Busy):
        return error.retry_after_s
    return limits.UNAVAILABLE_RETRY_S if isinstance(error, Unavailable) else None
