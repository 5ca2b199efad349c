"""Sets of renditions, handed out by URLs that carry their own authority.

Paths lie below the capability as they do in the set, so playlists lead on by themselves and a
player can begin with `master.m3u8`. Pages of any origin may read them: the URL is the authority.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, g, jsonify, request

from core import limits
from core.errors import (
    BadMessage,
    Busy,
    Gone,
    MissingObject,
    NotFound,
    Unavailable,
)
from core.job import set_key
from core.ledger import Ledger
from core.ports import Clock, Links, ObjectReader, ReadSigner
from core.sets import (
    MANIFEST,
    SetFile,
    SetGrant,
    StoredSet,
    is_kept,
    manifest,
    max_age_s,
    read_stored,
)

RULE: Final = "/sets/<capability>/<path:path>"
"""Answers without a service key."""
_SENT_ON: Final = frozenset({"segment", "init"})
"""Roles of files that a player may be sent on for; texts are read by pages that expect our word."""
_SHOWN: Final = "Accept-Ranges, Content-Length, Content-Range, ETag"
_WHOLE_DAY_S: Final = "86400"
_PIECE_S: Final = 10.0
"""Seconds for a client to take a piece of `limits.CHUNK_BYTES`: it reads 26 KB/s at least.

Slower ones would hold the places of others for as long as a request may last."""
_URLS_REMEMBERED: Final = 4096
"""Signed URLs, of about 1 KB each."""
_URL_LEFT_S: Final = 60.0
"""Seconds that a remembered URL is good for at least when it is told again."""


def blueprint(
    *, ledger: Ledger, links: Links, signer: ReadSigner | None, at_once: int
) -> Blueprint:
    """Return the route. At most `at_once` files are on their way at a time."""
    views = _Views(
        ledger=ledger,
        links=links,
        sent_on=_SentOn(signer, ledger.clock) if signer is not None else None,
        places=threading.BoundedSemaphore(at_once),
        known=_Known(ledger),
    )
    routes = Blueprint("sets", __name__)
    routes.add_url_rule(
        RULE, "get", view_func=views.get, methods=["GET"], provide_automatic_options=False
    )
    routes.add_url_rule(RULE, "preflight", view_func=_preflight, methods=["OPTIONS"])
    routes.after_request(_to_any_origin)
    return routes


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Bytes from `start` up to `end`; `is_part` where the caller asked for just these."""

    start: int
    end: int
    is_part: bool = False

    @property
    def size(self) -> int:
        """Return how many they are."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class _Views:
    ledger: Ledger
    links: Links
    sent_on: _SentOn | None
    places: threading.BoundedSemaphore
    known: _Known

    def get(self, capability: str, path: str) -> Response:
        grant = self._granted(capability)
        stored, video_id = self.known(grant)
        g.job_id = video_id
        if path == MANIFEST:
            return self._manifest(grant, stored, video_id)
        file = stored.files.get(path)
        if file is None:
            raise NotFound("the set has no such file; its manifest names all that it has")
        return self._file(grant, file)

    def _granted(self, capability: str) -> SetGrant:
        grant = self.links.grant(capability)
        if grant is None:
            raise NotFound("there is no such set; take its URL from the delivery or the status")
        if self.ledger.clock.now() >= grant.expires_at:
            raise Gone("the URL's time is up; ask for the status of the recording for a new one")
        return grant

    def _manifest(self, grant: SetGrant, stored: StoredSet, video_id: str) -> Response:
        return jsonify(
            manifest(
                stored,
                video_id=video_id,
                expires_at=grant.expires_at,
                url=lambda path: self.links.url(grant, path),
            )
        )

    def _file(self, grant: SetGrant, file: SetFile) -> Response:
        if request.if_none_match.contains_weak(file.sha256):
            return self._described(grant, file, Response(status=HTTPStatus.NOT_MODIFIED))
        span = read_span(file)
        if span is None:
            return _beyond(file)
        if request.method == "HEAD":
            return self._described(grant, file, _sized(Response(), file, span))
        if elsewhere := self._elsewhere(grant, file):
            return elsewhere
        return self._described(grant, file, _sized(self._streamed(file, span), file, span))

    def _elsewhere(self, grant: SetGrant, file: SetFile) -> Response | None:
        """Send the caller on to the object store, if that can hand the file out by itself."""
        if self.sent_on is None or file.role not in _SENT_ON:
            return None
        if file.size < limits.SET_SENT_ON_BYTES:
            return None
        try:
            url = self.sent_on.remembered(grant, file)
            if url is None:
                with _place(self.places):  # signing may take as long as sending
                    url = self.sent_on.signed(grant, file)
        except Unavailable as error:
            self.ledger.log.emit("sets.not_signed", reason=error.detail)
            return None
        response = Response(status=HTTPStatus.FOUND)
        response.headers["Location"] = url
        return response

    def _streamed(self, file: SetFile, span: Span) -> Response:
        """Open the file before anything is answered, and hold a place until all is sent."""
        held = ExitStack()
        try:
            held.enter_context(_place(self.places))
            reader = held.enter_context(self.ledger.objects.open(file.key, start=span.start))
        except MissingObject as error:
            held.close()
            raise _gone() from error
        except BaseException:
            held.close()
            raise
        g.inlet.bound_answer(_PIECE_S)
        response = Response(_pieces(reader, span.size))
        response.call_on_close(held.close)
        return response

    def _described(self, grant: SetGrant, file: SetFile, response: Response) -> Response:
        age_s = max_age_s(grant, self.ledger.clock.now())
        response.headers["Cache-Control"] = f"private, max-age={age_s}, immutable"
        response.headers["Accept-Ranges"] = "bytes"
        response.content_type = file.media_type
        response.set_etag(file.sha256)
        return response


class _SentOn:
    """URLs that the object store hands files out by, the last ones remembered.

    None outlives the grant that it is told for.
    """

    def __init__(self, signer: ReadSigner, clock: Clock) -> None:
        self._signer = signer
        self._clock = clock
        self._guard = threading.Lock()
        self._urls: OrderedDict[tuple[str, str], tuple[float, str]] = OrderedDict()

    def remembered(self, grant: SetGrant, file: SetFile) -> str | None:
        """Return a URL that was signed before and is good for a while yet."""
        with self._guard:
            ends_at, url = self._urls.get((file.key, file.media_type), (0.0, ""))
        left_s = ends_at - self._clock.now()
        return url if left_s >= _URL_LEFT_S and ends_at <= grant.expires_at else None

    def signed(self, grant: SetGrant, file: SetFile) -> str:
        """Return a new URL, and remember it; raises Unavailable."""
        now = self._clock.now()
        left_s = max(min(grant.expires_at - now, limits.SET_SIGNED_S), 1.0)
        url = self._signer.read_url(file.key, media_type=file.media_type, expires_s=left_s)
        name = file.key, file.media_type
        with self._guard:
            self._urls[name] = now + left_s, url
            self._urls.move_to_end(name)
            while len(self._urls) > _URLS_REMEMBERED:
                self._urls.popitem(last=False)
        return url


class _Known:
    """The manifests of sets that were asked for lately, each held against its job again and again.

    A manifest never changes, so it is read once; whether the set is still kept is looked up at
    most once in `limits.GLANCE_S`.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._clock: Clock = ledger.clock
        self._guard = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], tuple[float, str, StoredSet]] = OrderedDict()

    def __call__(self, grant: SetGrant) -> tuple[StoredSet, str]:
        """Return the set and its `video_id`; raises Gone and Unavailable."""
        name = grant.run, grant.fence
        now = self._clock.now()
        with self._guard:
            held = self._kept.get(name)
        if held is not None and 0 <= now - held[0] < limits.GLANCE_S:
            return held[2], held[1]
        try:
            video_id = self._video_id(grant)
        except Gone:
            with self._guard:
                self._kept.pop(name, None)
            raise
        stored = held[2] if held is not None else self._read(grant)
        with self._guard:
            self._kept[name] = now, video_id, stored
            self._kept.move_to_end(name)
            while len(self._kept) > limits.SETS_REMEMBERED:
                self._kept.popitem(last=False)
        return stored, video_id

    def _video_id(self, grant: SetGrant) -> str:
        jobs = self._ledger.jobs
        video_id = jobs.owner(grant.run)
        if video_id is None or not is_kept(jobs.get(video_id), grant):
            raise _gone()
        return video_id

    def _read(self, grant: SetGrant) -> StoredSet:
        key, most = set_key(grant.run, grant.fence, MANIFEST), limits.SET_MANIFEST_BYTES_MAX
        try:
            with self._ledger.objects.open(key) as body:
                if body.size > most:
                    raise Unavailable(f"a manifest of {body.size} bytes, more than {most}")
                data = b"".join(_pieces(body, body.size))
        except MissingObject as error:
            raise _gone() from error
        try:
            return read_stored(data, run=grant.run, fence=grant.fence)
        except BadMessage as error:
            raise Unavailable(error.detail) from error


def read_span(file: SetFile) -> Span | None:
    """Return what the request asks for of `file`; None for a range beyond its end.

    A header that cannot be understood, several ranges, or a range of another state of the file
    (`If-Range`) are passed over, as RFC 9110, 14.2 lets a server do: the whole file is sent.
    """
    whole = Span(start=0, end=file.size)
    asked, only_if = request.range, request.if_range
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return whole
    if only_if is not None and only_if.date is not None:
        return whole
    if only_if is not None and only_if.etag not in (None, file.sha256):
        return whole
    found = asked.range_for_length(file.size)
    if found is None:
        return None
    return replace(whole, start=found[0], end=found[1], is_part=True)


def _sized(response: Response, file: SetFile, span: Span) -> Response:
    response.headers["Content-Length"] = str(span.size)
    if span.is_part:
        response.status_code = HTTPStatus.PARTIAL_CONTENT
        response.headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{file.size}"
    return response


def _beyond(file: SetFile) -> Response:
    response = Response(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
    response.headers["Content-Range"] = f"bytes */{file.size}"
    return response


def _pieces(reader: ObjectReader, size: int) -> Iterator[bytes]:
    """Yield `size` bytes; raises Unavailable where the object has fewer."""
    left = size
    while left:
        data = reader.read(min(left, limits.CHUNK_BYTES))
        if not data:
            raise Unavailable(f"the stored object lacks its last {left} bytes")
        left -= len(data)
        yield data


@contextmanager
def _place(places: threading.BoundedSemaphore) -> Iterator[None]:
    if not places.acquire(blocking=False):
        raise Busy(
            "too many files are on their way at once; ask again", retry_after_s=limits.SET_RETRY_S
        )
    try:
        yield
    finally:
        places.release()


def _gone() -> Gone:
    return Gone("the set was deleted: its result was confirmed, or its time was up")


def _preflight(capability: str, path: str) -> Response:
    """Let a page ask for ranges; whether the URL opens anything it is told when it does."""
    del capability, path
    response = Response(status=HTTPStatus.NO_CONTENT)
    response.headers["Access-Control-Allow-Methods"] = "GET, HEAD"
    response.headers["Access-Control-Allow-Headers"] = "If-None-Match, If-Range, Range"
    response.headers["Access-Control-Max-Age"] = _WHOLE_DAY_S
    return response


def _to_any_origin(response: Response) -> Response:
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Expose-Headers"] = _SHOWN
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
