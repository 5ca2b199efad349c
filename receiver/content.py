"""The URL that takes a direct upload's bytes where the service keeps them itself.

It speaks Cloud Storage's resumable upload protocol, so one client serves both: PUT the file
whole or in ranges, ask with an empty PUT and `Content-Range: bytes */N`, go on after a cut.
The token in the URL is the caller's whole authority. What is different: a range may have any
length, and DELETE is answered 204.
https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, g, jsonify, request

from core.declarations import Declaration, admits, read_declaration, read_outcome
from core.errors import Gone, InvalidField, LecternError, MissingObject, NotFound, TooLarge
from core.job import source_key
from core.ledger import Ledger
from core.ports import DirectUploads, UploadInlet
from core.uploads import call_off, cancelled, finish_upload, is_run, upload_status
from receiver.admission import Admission

RULE: Final = "/uploads/<upload_id>/content"
"""Answers without a service key."""
_RESUME_INCOMPLETE: Final = 308
_RANGE: Final = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What a PUT brings: bytes from `start` up to `end` (None: as many as come), or nothing."""

    start: int
    end: int | None
    is_query: bool = False


def blueprint(
    *, ledger: Ledger, sessions: DirectUploads, inlet: UploadInlet, admission: Admission
) -> Blueprint:
    """Return the route; only a service whose store has an inlet needs it."""
    views = _Views(ledger=ledger, sessions=sessions, inlet=inlet, admission=admission)
    routes = Blueprint("content", __name__)
    routes.add_url_rule(RULE, "put", view_func=views.put, methods=["PUT"])
    routes.add_url_rule(RULE, "cancel", view_func=views.cancel, methods=["DELETE"])
    return routes


def read_span(content_range: str | None, length: int | None, *, size: int) -> Span:
    """Return what a PUT with these headers brings to an upload of `size` bytes.

    Raises InvalidField for headers that contradict each other or what was announced, and
    TooLarge for more bytes than that.
    """
    if content_range is None:
        if length is not None and length > size:
            raise TooLarge(f"{size} bytes were announced and {length} are sent")
        return Span(start=0, end=length)
    match = _RANGE.fullmatch(content_range)
    if match is None:
        raise InvalidField("Content-Range must be `bytes A-B/N`, or `bytes */N` to ask")
    first, last, total = match.groups()
    if total not in {"*", str(size)}:
        raise InvalidField(f"{size} bytes were announced, Content-Range has {total}")
    if first is None:
        if length:
            raise InvalidField("a PUT that asks with `bytes */N` has no body")
        return Span(start=0, end=0, is_query=True)
    start, end = int(first), int(last) + 1
    if end > size:
        raise TooLarge(f"{size} bytes were announced, Content-Range goes beyond")
    if end <= start or length not in {None, end - start}:
        raise InvalidField("Content-Range and Content-Length contradict each other")
    return Span(start=start, end=end)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Views:
    ledger: Ledger
    sessions: DirectUploads
    inlet: UploadInlet
    admission: Admission

    def put(self, upload_id: str) -> Response:
        declared = self._admitted(upload_id)
        span = read_span(
            request.headers.get("Content-Range"), request.content_length, size=declared.size
        )
        held = self._persisted(declared)
        if held < declared.size and not span.is_query:
            held = self._take(declared, span)
        if held < declared.size:
            return _incomplete(held)
        return self._finished(declared)

    def cancel(self, upload_id: str) -> tuple[str, int]:
        declared = self._admitted(upload_id)
        outcome = cancelled(declared)
        if not call_off(declared, outcome, ledger=self.ledger, sessions=self.sessions):
            raise Gone("the upload is complete; there is nothing to call off")
        return "", HTTPStatus.NO_CONTENT

    def _admitted(self, upload_id: str) -> Declaration:
        """Return the upload that the URL opens; which part of it is wrong, nobody is told."""
        objects = self.ledger.objects
        declared = read_declaration(objects, upload_id) if is_run(upload_id) else None
        if declared is None or not admits(declared, request.args.get("token", "")):
            raise NotFound("there is no such upload; announce it with POST /uploads")
        g.job_id = declared.video_id
        outcome = read_outcome(objects, upload_id)
        if outcome is not None and outcome.code is not None:
            raise Gone(f"the upload has ended: {outcome.reason}")
        if outcome is None and self.ledger.clock.now() >= declared.expires_at:
            raise Gone("the upload's time is up; announce it again with POST /uploads")
        return declared

    def _persisted(self, declared: Declaration) -> int:
        if read_outcome(self.ledger.objects, declared.run) is not None:
            return declared.size
        held = self.sessions.persisted(source_key(declared.run), declared.handle)
        if held is None:
            raise Gone("the upload has ended; announce it again with POST /uploads")
        return held

    def _take(self, declared: Declaration, span: Span) -> int:
        key = source_key(declared.run)
        with self.admission.piece(declared.run, g.inlet):
            try:
                return self.inlet.append(key, start=span.start, read=request.stream.read)
            except MissingObject:  # ended meanwhile, perhaps by another PUT's last byte
                return self._persisted(declared)

    def _finished(self, declared: Declaration) -> Response:
        """Start the job. The bytes are safe whatever comes of it, so the answer is 200."""
        with suppress(LecternError):  # a refusal is in the view; for the rest there is the sweep
            finish_upload(declared.run, ledger=self.ledger, sessions=self.sessions)
        return jsonify(upload_status(declared.run, ledger=self.ledger, sessions=self.sessions))


def _incomplete(held: int) -> Response:
    response = Response(status=_RESUME_INCOMPLETE)
    if held:
        response.headers["Range"] = f"bytes=0-{held - 1}"
    return response
