"""Cloud Storage's resumable upload protocol, from the sender's side.

A session's URL carries its own authority and lives for a week. What the server has persisted
it says itself, so after any doubt (a cut connection, a lost answer) it is asked first.
https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import requests
from google.api_core.exceptions import RetryError
from google.api_core.retry import Retry, if_exception_type

from core.errors import Unavailable
from core.limits import KIB

CHUNK_MULTIPLE: Final = 256 * KIB
"""Every chunk but the last must be a multiple of this many bytes."""
_RESUME_INCOMPLETE: Final = 308
_CLIENT_CLOSED: Final = 499
_ENDED: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE, _CLIENT_CLOSED})
_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_RANGE: Final = re.compile(r"bytes=0-(\d+)")

Resource = Mapping[str, Any]
"""An object's metadata in the JSON API's own terms."""


class Refused(Exception):
    """The precondition does not hold: the key is taken."""


class SessionEnded(Exception):
    """The server does not know the session any more: cancelled, or a week old."""


class _Passing(Exception):
    """Worth another try within the session."""


class ResumableUpload:
    """One session. Takes chunks in order, resumes where a cut left it, ends in one object."""

    def __init__(
        self,
        url: str,
        *,
        http: requests.Session,
        retry: Retry,
        timeout: tuple[float, float],
    ) -> None:
        self._url = url
        self._http = http
        self._retry = retry.with_predicate(if_exception_type(_Passing))
        self._timeout = timeout
        self._start = 0
        self._persisted = 0
        self._in_doubt = False

    def send(self, chunk: bytes) -> None:
        """Have the server persist `chunk`, a multiple of CHUNK_MULTIPLE bytes."""
        self._transfer(chunk, final=False, headers={})
        self._start += len(chunk)

    def finish(self, chunk: bytes, *, crc32c: str) -> Resource:
        """Send the last chunk and return the object; the server itself compares the checksum.

        Raises Refused or SessionEnded; after a lost answer also for an object that is there.
        """
        resource = self._transfer(chunk, final=True, headers={"x-goog-hash": f"crc32c={crc32c}"})
        if resource is None:
            raise Unavailable("Cloud Storage took every byte and made no object; send it again")
        return resource

    def cancel(self) -> None:
        """Ask the server to drop the session; if it does not hear it, the session just ages."""
        try:
            self._http.delete(self._url, timeout=self._timeout).close()
        except requests.RequestException:
            return

    def _transfer(
        self, chunk: bytes, *, final: bool, headers: Mapping[str, str]
    ) -> Resource | None:
        end = self._start + len(chunk)
        total = str(end) if final else "*"

        def attempt() -> Resource | None:
            if self._in_doubt and (resource := self._put(b"", f"bytes */{total}", headers)):
                return resource
            if self._persisted == end and not final:
                return None
            self._in_doubt = True
            rest = chunk[self._persisted - self._start :]
            resource = self._put(rest, _content_range(self._persisted, end, total), headers)
            if resource is None and (final or self._persisted < end):
                raise _Passing("a part was persisted")
            self._in_doubt = False
            return resource

        try:
            return self._retry(attempt)()
        except RetryError as error:
            raise Unavailable("Cloud Storage does not take the upload; try again") from error

    def _put(self, body: bytes, content_range: str, headers: Mapping[str, str]) -> Resource | None:
        """Return the finished object, or None while the server wants more."""
        try:
            response = self._http.put(
                self._url,
                data=body,
                headers={**headers, "Content-Range": content_range},
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise _Passing(type(error).__name__) from error
        return self._answer(response)

    def _answer(self, response: requests.Response) -> Resource | None:
        status = response.status_code
        if status in {HTTPStatus.OK, HTTPStatus.CREATED}:
            resource: Resource = response.json()
            return resource
        if status == _RESUME_INCOMPLETE:
            self._note_persisted(response.headers.get("Range"))
            return None
        if status == HTTPStatus.PRECONDITION_FAILED:
            raise Refused
        if status in _ENDED:
            raise SessionEnded
        if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _Passing(str(status))
        raise Unavailable(f"Cloud Storage refuses the upload with {status}")

    def _note_persisted(self, header: str | None) -> None:
        match = _RANGE.fullmatch(header or "")
        self._persisted = int(match[1]) + 1 if match else 0
        if self._persisted < self._start:
            raise Unavailable("Cloud Storage lost a part of the upload; send it again")


def _content_range(start: int, end: int, total: str) -> str:
    return f"bytes {start}-{end - 1}/{total}" if start < end else f"bytes */{total}"
