"""Sessions of direct uploads on Cloud Storage: the caller PUTs straight into the bucket.

Cloud Storage keeps a session for a week, holds it to the announced size and makes the object
only if its name is free. What it has persisted it says itself.
https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

import requests

from core import limits
from core.errors import AlreadyExists, StoreFull, Unavailable
from core.ports import Session
from infra.gcp.answers import check_head
from infra.gcp.objects import OBJECT_BYTES_MAX, CloudObjectStore
from infra.gcp.resumable import Refused

_RESUME_INCOMPLETE: Final = 308
_CLIENT_CLOSED: Final = 499
_ENDED: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE, _CLIENT_CLOSED})
_RANGE: Final = re.compile(r"bytes=0-(\d+)")
_TIMEOUT_S: Final = (limits.CONNECT_TIMEOUT_S, 60.0)
"""Seconds for the connection to open, and for an answer."""


class CloudSessions:
    """DirectUploads into the bucket of `objects`; a session's handle is its URL.

    `origin` is that of the web pages that may send: browsers show a page Cloud Storage's answers
    only if the session was begun in the name of its origin. There is one for a session.
    """

    def __init__(self, objects: CloudObjectStore, *, origin: str | None = None) -> None:
        self._objects = objects
        self._origin = origin

    def begin(self, key: str, *, size: int, content_type: str, expires_at: float) -> Session:
        """Open a session; see `core.ports.DirectUploads.begin`. The sweep ends it in time."""
        del expires_at
        if size > OBJECT_BYTES_MAX:
            raise StoreFull(f"Cloud Storage takes at most {OBJECT_BYTES_MAX} bytes an object")
        try:
            url = self._objects.session_url(
                key, content_type=content_type, size=size, origin=self._origin
            )
        except Refused as error:
            raise AlreadyExists(f"{key} was committed before") from error
        return Session(url=url, handle=url)

    def persisted(self, key: str, handle: str) -> int | None:
        """Ask Cloud Storage; the answer's `Range` names the last byte that it has."""
        answer = _call("PUT", handle, {"Content-Range": "bytes */*"})
        if answer.status_code in {HTTPStatus.OK, HTTPStatus.CREATED} | _ENDED:
            return self._committed_bytes(key)
        if answer.status_code != _RESUME_INCOMPLETE:
            raise Unavailable(f"Cloud Storage answers {answer.status_code}; try again")
        match = _RANGE.fullmatch(answer.headers.get("Range", ""))
        return int(match[1]) + 1 if match else 0

    def cancel(self, key: str, handle: str) -> None:
        """Have Cloud Storage drop the session; one that it does not know is no error."""
        del key
        status = _call("DELETE", handle, {}).status_code
        if status not in _ENDED | {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
            raise Unavailable(f"Cloud Storage answers {status}; try again")

    def release(self, key: str) -> None:
        """Do nothing: a session whose object is made holds nothing."""

    def _committed_bytes(self, key: str) -> int | None:
        sizes = [item.size for item in self._objects.list(key) if item.key == key]
        return sizes[0] if sizes else None


def _call(method: str, url: str, headers: dict[str, str]) -> requests.Response:
    """Send an empty request; the error does not quote the URL, which is a credential."""
    try:
        return requests.request(
            method,
            url,
            data=b"",
            headers={"Content-Length": "0", **headers},
            timeout=_TIMEOUT_S,
            allow_redirects=False,
            hooks={"response": check_head},
        )
    except requests.RequestException as error:
        reason = f"Cloud Storage does not answer: {type(error).__name__}; try again"
        raise Unavailable(reason) from None
