"""Headers that every call to an LMS sends or reads."""

from __future__ import annotations

import http.client
import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Final

_SECONDS: Final = re.compile(r"[0-9]{1,9}")


def user_agent() -> str:
    """Return what calls name themselves by: `Lectern/` and the version."""
    try:
        return f"Lectern/{version('lectern')}"
    except PackageNotFoundError:
        return "Lectern/unknown"


def retry_after_s(response: http.client.HTTPResponse) -> float | None:
    """Return `Retry-After` in seconds from now; both forms of RFC 9110, 10.2.3.

    A date is held against the answer's own `Date`, so that the LMS's clock may be wrong.
    """
    value = (response.getheader("Retry-After") or "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _epoch_s(value)
    if until is None:
        return None
    now = _epoch_s(response.getheader("Date") or "")
    return max(0.0, until - (time.time() if now is None else now))


def _epoch_s(http_date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
