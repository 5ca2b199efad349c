"""The routes by which a backend announces a direct upload, follows it and ends it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from core import limits
from core.errors import BadRequest, InvalidField, MissingField, TooLarge, TruncatedUpload
from core.job import State
from core.ledger import Ledger
from core.order import FIELDS, Contract, OrderRules, read_order
from core.ports import DirectUploads
from core.uploads import (
    Announcement,
    announces_image,
    begin_upload,
    check_announcement,
    finish_upload,
    upload_status,
)
from core.views import timestamp
from receiver.admission import Admission
from receiver.intake import SUBTITLES


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSettings:
    """How long a direct upload may take, and where callers reach the service if that is set."""

    ttl_s: float
    public_url: str | None = None


def blueprint(
    *,
    ledger: Ledger,
    sessions: DirectUploads,
    new_id: Callable[[], str],
    admission: Admission,
    settings: UploadSettings,
) -> Blueprint:
    """Return the routes behind the key; the bytes themselves go to the session's URL."""
    views = _Views(
        ledger=ledger, sessions=sessions, new_id=new_id, admission=admission, settings=settings
    )
    routes = Blueprint("uploads", __name__)
    routes.add_url_rule("/uploads", view_func=views.begin, methods=["POST"])
    routes.add_url_rule("/uploads/<upload_id>", view_func=views.status)
    routes.add_url_rule("/uploads/<upload_id>/complete", view_func=views.complete, methods=["POST"])
    return routes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Views:
    ledger: Ledger
    sessions: DirectUploads
    new_id: Callable[[], str]
    admission: Admission
    settings: UploadSettings

    def begin(self) -> tuple[Response, int]:
        files = self.admission.bounds.files
        said = read_announcement(_members(), g.traceparent, files.orders)
        is_image = announces_image(said.content_type)
        max_bytes = files.max_image_bytes if is_image else files.max_video_bytes
        said = check_announcement(said, max_bytes=max_bytes)
        g.job_id = said.video_id
        g.organization_id = said.organization_id
        self.admission.check_queue()
        declared, url = begin_upload(
            said,
            run=self.new_id(),
            ledger=self.ledger,
            sessions=self.sessions,
            ttl_s=self.settings.ttl_s,
        )
        answer = jsonify(
            upload_id=declared.run,
            upload_url=self._absolute(url),
            expires_at=timestamp(declared.expires_at),
            max_bytes=declared.size,
            video_id=declared.video_id,
        )
        return answer, HTTPStatus.CREATED

    def status(self, upload_id: str) -> Response:
        view = upload_status(upload_id, ledger=self.ledger, sessions=self.sessions)
        g.job_id = view["video_id"]
        return jsonify(view)

    def complete(self, upload_id: str) -> Response:
        with self.admission.transfer():
            video_id = finish_upload(upload_id, ledger=self.ledger, sessions=self.sessions)
        g.job_id = video_id
        return jsonify(status=State.QUEUED.value, video_id=video_id)

    def _absolute(self, url: str) -> str:
        if not url.startswith("/"):
            return url
        return (self.settings.public_url or request.host_url).rstrip("/") + url


def read_announcement(
    members: Mapping[str, Any], traceparent: str | None, orders: OrderRules
) -> Announcement:
    """Return what a JSON object announces; raises MissingField and InvalidField."""
    for name in ("video_id", "organization_id", "size", "content_type"):
        if members.get(name) in (None, ""):
            raise MissingField(f"the member {name} is missing or empty")
    if members.get(SUBTITLES):
        raise InvalidField("subtitles come with POST /video/receive only; leave them out")
    for name in ("video_id", "organization_id", "content_type", "sha256", *FIELDS):
        if not isinstance(members.get(name, ""), str | None):
            raise InvalidField(f"{name} must be a string")
    if type(members["size"]) is not int:
        raise InvalidField("size must be the number of the file's bytes")
    return Announcement(
        video_id=members["video_id"],
        organization_id=members["organization_id"],
        size=members["size"],
        content_type=members["content_type"],
        sha256=members.get("sha256"),
        traceparent=traceparent,
        order=read_order(
            {name: members.get(name) or "" for name in FIELDS}, Contract.HANDSHAKE, orders
        ),
    )


def _members() -> Mapping[str, Any]:
    """Return the members of the request's JSON object."""
    if request.mimetype != "application/json":
        raise BadRequest("send the announcement as application/json")
    most = limits.ANNOUNCEMENT_BYTES_MAX
    data = request.stream.read(most + 1)
    if len(data) > most:
        raise TooLarge(f"an announcement has at most {most} bytes")
    if len(data) < (request.content_length or 0):
        raise TruncatedUpload(f"{len(data)} of {request.content_length} bytes arrived")
    try:
        members = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not valid JSON") from error
    if not isinstance(members, dict):
        raise BadRequest("the body is not a JSON object")
    return members
