"""Tells an answer that broke off from a whole one.

Python's `http.client` takes a head that ends early for a whole one: a 200 without its last lines,
whose body then seems to be empty. Cloud Storage frames every answer that may have a body, by
`Content-Length` or in chunks, so one that does neither was cut.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import requests

_WITHOUT_BODY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


def check_head(response: requests.Response, *_args: Any, **_options: Any) -> None:
    """Raise ConnectionError for an answer whose head is not whole; a hook for `response`."""
    if response.status_code in _WITHOUT_BODY or "Transfer-Encoding" in response.headers:
        return
    length = response.headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit()):
        response.close()
        raise requests.ConnectionError("the answer's head broke off")


def watch(session: requests.Session) -> None:
    """Have every answer of a session checked."""
    session.hooks["response"].append(check_head)
