"""The confirmer's route."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Final

from flask import Blueprint, Response, g, jsonify, request
from werkzeug.formparser import FormDataParser

from confirmer.confirm import confirm, read_confirmation
from core import limits
from core.errors import BadRequest, TooLarge, TruncatedUpload
from core.job import State
from core.ledger import Ledger

_JSON: Final = "application/json"
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")


def blueprint(*, ledger: Ledger) -> Blueprint:
    """Return the route by which an LMS confirms that it has a result."""

    def video_confirm() -> Response:
        confirmation = read_confirmation(_fields())
        g.job_id = confirmation.video_id
        g.job = job = confirm(confirmation, ledger=ledger)
        return jsonify(status=State.COMPLETED.value, video_id=job.job_id)

    routes = Blueprint("confirmer", __name__)
    routes.add_url_rule("/video/confirm", "confirm", view_func=video_confirm, methods=["POST"])
    return routes


def _fields() -> Mapping[str, Sequence[object]]:
    """Return the fields of the request's body, each with all its values."""
    data = _body()
    if not data:
        return {}
    if request.mimetype == _JSON:
        return _members(data)
    if request.mimetype not in _FORMS:
        raise BadRequest(f"send the fields as {_FORMS[0]} or {_JSON}")
    _, form, _ = FormDataParser().parse(
        BytesIO(data), request.mimetype, len(data), request.mimetype_params
    )
    return form.to_dict(flat=False)


def _body() -> bytes:
    """Return the whole body: what is cut could name another job than was meant."""
    announced, most = request.content_length, limits.CONFIRM_BYTES_MAX
    if announced is None or announced <= most:
        data: bytes = request.stream.read(most + 1)
        if announced is not None and len(data) < announced:
            raise TruncatedUpload(f"{len(data)} of {announced} bytes arrived; send it again")
        if len(data) <= most:
            return data
    raise TooLarge(f"a confirmation has at most {most} bytes")


def _members(data: bytes) -> Mapping[str, Sequence[object]]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not valid JSON") from error
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object")
    return {str(name): (value,) for name, value in body.items()}
