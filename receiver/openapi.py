"""The API's description in OpenAPI 3.1, of all services together."""

from __future__ import annotations

from typing import Final

from core import errors, limits, problems
from core.sniffing import ACCEPTED
from receiver import schemas
from receiver.schemas import Node, reference

VERSION: Final = "1.0.0"
_INTRODUCTION: Final = """\
Lectern makes lecture recordings small and playable.

1. `POST /video/receive`: send a recording.
2. Lectern sends the result to the LMS's store webhook.
3. `POST /video/confirm`: say that it is safe; Lectern then deletes all that it holds of it.
"""
_ALWAYS: Final = (errors.LecternError,)
_BEHIND_KEY: Final = (errors.Unauthorized, *_ALWAYS)
_ERRORS: Final = {
    "receive": (
        errors.MissingField,
        errors.InvalidId,
        errors.InvalidField,
        errors.MalformedMultipart,
        errors.TruncatedUpload,
        errors.UnsupportedType,
        errors.ConflictingUpload,
        errors.TooLarge,
        errors.Busy,
        errors.Unavailable,
        *_BEHIND_KEY,
    ),
    "beginUpload": (
        errors.BadRequest,
        errors.MissingField,
        errors.InvalidId,
        errors.InvalidField,
        errors.TruncatedUpload,
        errors.UnsupportedType,
        errors.ConflictingUpload,
        errors.TooLarge,
        errors.Busy,
        errors.Unavailable,
        *_BEHIND_KEY,
    ),
    "uploadStatus": (errors.NotFound, errors.Unavailable, *_BEHIND_KEY),
    "completeUpload": (
        errors.InvalidField,
        errors.UnsupportedType,
        errors.NotFound,
        errors.ConflictingUpload,
        errors.NotReady,
        errors.Gone,
        errors.TooLarge,
        errors.Busy,
        errors.Unavailable,
        *_BEHIND_KEY,
    ),
    "putContent": (
        errors.InvalidField,
        errors.TruncatedUpload,
        errors.NotFound,
        errors.Gone,
        errors.TooLarge,
        errors.Busy,
        errors.Unavailable,
        *_ALWAYS,
    ),
    "cancelUpload": (errors.NotFound, errors.Gone, errors.Unavailable, *_ALWAYS),
    "confirm": (
        errors.BadRequest,
        errors.MissingField,
        errors.InvalidId,
        errors.InvalidField,
        errors.TruncatedUpload,
        errors.NotFound,
        errors.NotReady,
        errors.ChecksumMismatch,
        errors.Gone,
        errors.TooLarge,
        errors.Unavailable,
        *_BEHIND_KEY,
    ),
    "status": (errors.InvalidId, errors.NotFound, errors.Unavailable, *_BEHIND_KEY),
    "metrics": (errors.Unavailable, *_BEHIND_KEY),
    "openapi": _BEHIND_KEY,
    "health": _ALWAYS,
    "ready": _ALWAYS,
}


_TEXT_HEADER: Final[Node] = {"schema": {"type": "string"}}
_CONTENT_PARAMETERS: Final = (
    {"name": "upload_id", "in": "path", "required": True, "schema": schemas.UPLOAD_ID},
    {"name": "token", "in": "query", "required": True, **_TEXT_HEADER},
)


def document() -> Node:
    """Return the description as JSON values."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Lectern", "version": VERSION, "description": _INTRODUCTION},
        "servers": [{"url": "/"}],
        "security": [{"internalServiceKey": []}, {"apiKey": []}],
        "paths": {
            "/video/receive": {"post": _receive()},
            "/video/confirm": {"post": _confirm()},
            "/uploads": {"post": _begin_upload()},
            "/uploads/{upload_id}": {"get": _upload_status()},
            "/uploads/{upload_id}/complete": {"post": _complete_upload()},
            "/uploads/{upload_id}/content": {"put": _put_content(), "delete": _cancel_upload()},
            "/status/{video_id}": {"get": _status()},
            "/health": {"get": _health()},
            "/ready": {"get": _ready()},
            "/metrics": {"get": _metrics()},
            "/openapi.json": {"get": _openapi()},
        },
        "components": {
            "securitySchemes": {
                "internalServiceKey": _key("X-Internal-Service-Key"),
                "apiKey": _key("X-API-Key"),
            },
            "schemas": schemas.all_schemas(),
        },
    }


def _receive() -> Node:
    form = {
        "type": "object",
        "required": ["video_id", "organization_id", "file"],
        "properties": {
            "video_id": reference("Id"),
            "organization_id": reference("Id"),
            "file": {
                "type": "string",
                "contentMediaType": "application/octet-stream",
                "description": f"{ACCEPTED}; the content decides, not the name.",
            },
            "sha256": reference("Sha256"),
        },
    }
    return {
        "operationId": "receive",
        "summary": "Send a recording",
        "description": (
            "The fields may come in any order. 200 means that the recording and its job are "
            "durable. The same bytes sent again under the same id are answered alike."
        ),
        "requestBody": _body(required={"multipart/form-data": form}),
        "responses": _responses("receive", _json("The recording is queued.", "Queued")),
    }


def _begin_upload() -> Node:
    fields = {
        "type": "object",
        "required": ["video_id", "organization_id", "size", "content_type"],
        "properties": {
            "video_id": reference("Id"),
            "organization_id": reference("Id"),
            "size": {"type": "integer", "minimum": 1},
            "content_type": {"type": "string", "maxLength": limits.UPLOAD_TYPE_CHARS_MAX},
            "sha256": reference("Sha256"),
        },
    }
    return {
        "operationId": "beginUpload",
        "summary": "Announce a recording that is sent in pieces or by a browser",
        "description": (
            "`upload_url` carries its own authority and speaks Cloud Storage's resumable upload "
            "protocol. The job starts by itself when the last byte has arrived."
        ),
        "requestBody": _body(required={"application/json": fields}),
        "responses": _responses(
            "beginUpload", _json("Send the bytes to `upload_url`.", "Announced"), status=201
        ),
    }


def _upload_status() -> Node:
    return {
        "operationId": "uploadStatus",
        "summary": "See how a direct upload stands",
        "parameters": [_in_path("upload_id", schemas.UPLOAD_ID)],
        "responses": _responses("uploadStatus", _json("The upload as it is now.", "Upload")),
    }


def _complete_upload() -> Node:
    return {
        "operationId": "completeUpload",
        "summary": "Start the job now and hear what became of the upload",
        "description": "Doing it again answers the same.",
        "parameters": [_in_path("upload_id", schemas.UPLOAD_ID)],
        "responses": _responses("completeUpload", _json("The recording is queued.", "Queued")),
    }


def _put_content() -> Node:
    content_range = {
        "name": "Content-Range",
        "in": "header",
        "schema": {"type": "string"},
        "description": "`bytes A-B/N` for a piece; `bytes */N` and no body to ask what is there.",
    }
    there = {"description": "`bytes=0-K`; absent while nothing is there.", **_TEXT_HEADER}
    responses = _responses("putContent", _json("All bytes are there.", "Upload"))
    return {
        "operationId": "putContent",
        "summary": "Send bytes of a direct upload, where the service keeps them itself",
        "security": [],
        "parameters": [*_CONTENT_PARAMETERS, content_range],
        "requestBody": {"content": {"application/octet-stream": {"schema": {}}}},
        "responses": {
            **responses,
            "308": {"description": "Send the bytes after `Range`.", "headers": {"Range": there}},
        },
    }


def _cancel_upload() -> Node:
    ended = {"description": "The upload has ended and its bytes are gone."}
    return {
        "operationId": "cancelUpload",
        "summary": "Call a direct upload off",
        "security": [],
        "parameters": [*_CONTENT_PARAMETERS],
        "responses": _responses("cancelUpload", ended, status=204),
    }


def _in_path(name: str, schema: Node) -> Node:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _confirm() -> Node:
    fields = {
        "type": "object",
        "required": ["video_id"],
        "properties": {"video_id": reference("Id"), "sha256": reference("Sha256")},
    }
    forms = ("application/x-www-form-urlencoded", "application/json", "multipart/form-data")
    return {
        "operationId": "confirm",
        "summary": "Confirm that the result is stored",
        "description": (
            "Deletes source and result, then answers. Doing it again answers the same. Where "
            f"`sha256` is given it must be the result's. At most {limits.CONFIRM_BYTES_MAX} bytes."
        ),
        "requestBody": _body(required=dict.fromkeys(forms, fields)),
        "responses": _responses("confirm", _json("Everything is deleted.", "Completed")),
    }


def _status() -> Node:
    return {
        "operationId": "status",
        "summary": "See how a recording is coming along",
        "parameters": [_in_path("video_id", reference("Id"))],
        "responses": _responses("status", _json("The job as it is now.", "Job")),
    }


def _health() -> Node:
    return {
        "operationId": "health",
        "summary": "Tell that the process is alive",
        "security": [],
        "responses": _responses("health", _json("It is.", "Health")),
    }


def _ready() -> Node:
    responses = _responses("ready", _json("Everything it rests on works.", "Readiness"))
    return {
        "operationId": "ready",
        "summary": "Check what the service rests on",
        "security": [],
        "responses": {**responses, "503": _json("Something does not work.", "Readiness")},
    }


def _metrics() -> Node:
    text = {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": {}}}}
    return {
        "operationId": "metrics",
        "summary": "Jobs by state and depth of the queues",
        "responses": _responses("metrics", text),
    }


def _openapi() -> Node:
    any_object = {"schema": {"type": "object"}}
    ok = {"description": "This document.", "content": {"application/json": any_object}}
    return {
        "operationId": "openapi",
        "summary": "Describe the API",
        "responses": _responses("openapi", ok),
    }


def _responses(operation: str, ok: Node, *, status: int = 200) -> Node:
    by_status: dict[int, list[type[errors.LecternError]]] = {}
    for error in _ERRORS[operation]:
        by_status.setdefault(error.http_status, []).append(error)
    refusals = {str(known): _refusal(by_status[known]) for known in sorted(by_status)}
    return {str(status): ok, **refusals}


def _refusal(kinds: list[type[errors.LecternError]]) -> Node:
    """Describe one status by the errors that lead to it, in their docstrings' words."""
    words = "\n".join(f"- `{kind.code}`: {_first_line(kind)}" for kind in kinds)
    narrowed = {"properties": {"code": {"enum": [kind.code for kind in kinds]}}}
    schema = {"allOf": [reference("Problem"), narrowed]}
    response: dict[str, object] = {
        "description": words,
        "content": {problems.MEDIA_TYPE: {"schema": schema}},
    }
    if any(kind.retryable for kind in kinds):
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        response["headers"] = {"Retry-After": seconds}
    return response


def _first_line(kind: type[errors.LecternError]) -> str:
    if kind is errors.LecternError:
        return "A defect of the service; `error_id` leads to the log."
    return (kind.__doc__ or "").partition("\n")[0]


def _json(description: str, schema: str) -> Node:
    content = {"application/json": {"schema": reference(schema)}}
    return {"description": description, "content": content}


def _body(*, required: Node) -> Node:
    content = {media_type: {"schema": schema} for media_type, schema in required.items()}
    return {"required": True, "content": content}


def _key(header: str) -> Node:
    return {"type": "apiKey", "in": "header", "name": header}
