"""The API's description in OpenAPI 3.1, of all services together."""

from __future__ import annotations

from typing import Final

from core import limits
from core.order import FORMATS, LADDERS, VARIANTS, Delivery, QualityLevel
from core.sniffing import ACCEPTED, ACCEPTED_IMAGES
from receiver import examples, schemas
from receiver.examples import named
from receiver.refusals import responses
from receiver.schemas import Node, reference

VERSION: Final = "1.0.0"
_INTRODUCTION: Final = """\
Lectern makes lecture recordings small and playable.

1. `POST /video/receive`: send a recording.
2. Lectern sends the result to the LMS's store webhook.
3. `POST /video/confirm`: say that it is safe; Lectern then deletes all that it holds of it.
"""
_TEXT_HEADER: Final[Node] = {"schema": {"type": "string"}}
_UPLOAD: Final = {"a direct upload": examples.UPLOAD_ID}
_CONTENT_PARAMETERS: Final = (
    {
        "name": "upload_id",
        "in": "path",
        "required": True,
        "schema": schemas.UPLOAD_ID,
        **named(_UPLOAD),
    },
    {"name": "token", "in": "query", "required": True, **_TEXT_HEADER, **named(examples.TOKEN)},
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
            "/compress/": {"post": _compress("compress")},
            "/compress": {"post": _compress("compressWithoutSlash")},
            "/video/confirm": {"post": _confirm()},
            "/uploads": {"post": _begin_upload()},
            "/uploads/{upload_id}": {"get": _upload_status()},
            "/uploads/{upload_id}/complete": {"post": _complete_upload()},
            "/uploads/{upload_id}/content": {"put": _put_content(), "delete": _cancel_upload()},
            "/status/{video_id}": {"get": _status()},
            "/sets/{capability}/{path}": {"get": _set_file()},
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
            "file": _file(),
            "sha256": reference("Sha256"),
            **_order(),
            **_subtitles(),
        },
    }
    return {
        "operationId": "receive",
        "summary": "Send a recording",
        "description": (
            "The fields may come in any order. 200 means that the recording and its job are "
            "durable. The same bytes sent again under the same id are answered alike."
        ),
        "requestBody": _body({"multipart/form-data": form}, examples.RECEIVE),
        "responses": responses("receive", _json("The recording is queued.", "Queued")),
    }


def _compress(operation: str) -> Node:
    form = {
        "type": "object",
        "required": ["media_id", "file"],
        "properties": {
            "media_id": reference("Id"),
            "organization_id": reference("Id"),
            "file": _file(),
            "sha256": reference("Sha256"),
            **_order(),
            **_subtitles(),
        },
    }
    return {
        "operationId": operation,
        "summary": "Send a recording or an image by the second contract",
        "description": (
            "As `POST /video/receive`, in other words: a file over its limit is a 400, and where "
            "SFTP is set up the result is put into the LMS's storage, which is then told."
        ),
        "requestBody": _body({"multipart/form-data": form}, examples.COMPRESS),
        "responses": responses("compress", _json("The file is queued.", "Accepted")),
    }


def _file() -> Node:
    return {
        "type": "string",
        "contentMediaType": "application/octet-stream",
        "description": f"{ACCEPTED}, or {ACCEPTED_IMAGES}; the content decides, not the name.",
    }


def _order() -> Node:
    """Describe what a sender may ask for besides."""
    variants = f"^({'|'.join(VARIANTS)})(, *({'|'.join(VARIANTS)}))*$"
    return {
        "delivery": {
            "enum": [each.value for each in Delivery],
            "description": "Only where the operator lets callers choose.",
        },
        "quality": {"enum": [each.value for each in QualityLevel]},
        "renditions": {
            "enum": list(LADDERS),
            "description": "A set of renditions to stream, besides the result.",
        },
        "variants": {
            "type": "string",
            "pattern": variants,
            "description": "Of images: further sizes, comma-separated.",
        },
        "format": {"enum": list(FORMATS), "description": "Of images: what they are turned into."},
    }


def _subtitles() -> Node:
    """Describe what goes into a set of renditions besides; not for direct uploads."""
    return {
        "subtitles": {
            "type": "string",
            "maxLength": limits.SUBTITLES_BYTES_MAX,
            "description": "SRT or WebVTT, as text or as a file; with `renditions` only.",
        },
        "subtitles_language": {"type": "string", "description": "A BCP 47 tag, such as `en`."},
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
            **_order(),
        },
    }
    return {
        "operationId": "beginUpload",
        "summary": "Announce a recording that is sent in pieces or by a browser",
        "description": (
            "`upload_url` carries its own authority and speaks Cloud Storage's resumable upload "
            "protocol. The job starts by itself when the last byte has arrived."
        ),
        "requestBody": _body({"application/json": fields}, examples.ANNOUNCEMENT),
        "responses": responses(
            "beginUpload", _json("Send the bytes to `upload_url`.", "Announced"), status=201
        ),
    }


def _upload_status() -> Node:
    return {
        "operationId": "uploadStatus",
        "summary": "See how a direct upload stands",
        "parameters": [_in_path("upload_id", schemas.UPLOAD_ID, _UPLOAD)],
        "responses": responses("uploadStatus", _json("The upload as it is now.", "Upload")),
    }


def _complete_upload() -> Node:
    return {
        "operationId": "completeUpload",
        "summary": "Start the job now and hear what became of the upload",
        "description": "Doing it again answers the same.",
        "parameters": [_in_path("upload_id", schemas.UPLOAD_ID, _UPLOAD)],
        "responses": responses("completeUpload", _json("The recording is queued.", "Queued")),
    }


def _put_content() -> Node:
    content_range = {
        "name": "Content-Range",
        "in": "header",
        "schema": {"type": "string"},
        "description": "`bytes A-B/N` for a piece; `bytes */N` and no body to ask what is there.",
        **named(examples.CONTENT_RANGE),
    }
    there = {
        "description": "`bytes=0-K`; absent while nothing is there.",
        **_TEXT_HEADER,
        "example": examples.HELD,
    }
    answers = responses("putContent", _json("All bytes are there.", "Upload", examples.ALL_THERE))
    return {
        "operationId": "putContent",
        "summary": "Send bytes of a direct upload, where the service keeps them itself",
        "security": [],
        "parameters": [*_CONTENT_PARAMETERS, content_range],
        "requestBody": {"content": {"application/octet-stream": {"schema": {}}}},
        "responses": {
            **answers,
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
        "responses": responses("cancelUpload", ended, status=204),
    }


def _in_path(name: str, schema: Node, values: examples.Values) -> Node:
    return {"name": name, "in": "path", "required": True, "schema": schema, **named(values)}


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
            "`sha256` is given it must be the result's. The id may be called `media_id` as well. "
            f"At most {limits.CONFIRM_BYTES_MAX} bytes."
        ),
        "requestBody": _body(dict.fromkeys(forms, fields), examples.CONFIRMATION),
        "responses": responses("confirm", _json("Everything is deleted.", "Completed")),
    }


def _status() -> Node:
    return {
        "operationId": "status",
        "summary": "See how a recording is coming along",
        "description": (
            "What came by `POST /compress/` is answered in the words of that contract; with "
            "`?detail` it is answered like all else."
        ),
        "parameters": [
            _in_path("video_id", reference("Id"), {"a recording": examples.VIDEO_ID}),
            {
                "name": "detail",
                "in": "query",
                "schema": {"type": "string"},
                **named(examples.DETAIL),
            },
        ],
        "responses": {
            **responses("status", _status_answer()),
            "404": _json("There is no job under this id.", "Unknown"),
        },
    }


def _status_answer() -> Node:
    either = {"anyOf": [reference("Job"), reference("MediaStatus")]}
    return {
        "description": "The job as it is now.",
        "content": {
            "application/json": {"schema": either, **examples.answers("Job", "MediaStatus")}
        },
    }


def _set_file() -> Node:
    """Describe the manifest and the files of a set, which have one operation."""
    ranges = {
        "name": "Range",
        "in": "header",
        "schema": {"type": "string"},
        **named(examples.RANGE),
    }
    manifest = {"schema": reference("SetManifest"), **examples.answers("SetManifest")}
    content = {
        "application/json": manifest,
        "application/octet-stream": {"schema": {}},
    }
    whole = {
        "description": "The manifest for the path `manifest.json`, else a file in its own type.",
        "content": content,
    }
    return {
        "operationId": "setFile",
        "summary": "Read the manifest or a file of a set of renditions",
        "description": (
            "The URL of the manifest comes with the delivery and with the status; it carries its "
            "own authority. A player can begin with the path `master.m3u8` or `manifest.mpd` of "
            "the same URL. Also for HEAD, and for pages of any origin."
        ),
        "security": [],
        "parameters": [
            _in_path("capability", {"type": "string"}, examples.CAPABILITY),
            _in_path("path", {"type": "string"}, examples.SET_PATH),
            ranges,
        ],
        "responses": {
            **responses("setFile", whole),
            "206": {"description": "The range that was asked for."},
            "302": {"description": "The object store sends the file by itself: follow."},
            "304": {"description": "The file is what `If-None-Match` names."},
            "416": {"description": "The range lies beyond the end, which `Content-Range` names."},
        },
    }


def _health() -> Node:
    return {
        "operationId": "health",
        "summary": "Tell that the process is alive",
        "security": [],
        "responses": responses("health", _json("It is.", "Health")),
    }


def _ready() -> Node:
    answers = responses("ready", _json("Everything it rests on works.", "Readiness"))
    return {
        "operationId": "ready",
        "summary": "Check what the service rests on",
        "security": [],
        "responses": {
            **answers,
            "503": _json("Something does not work.", "Readiness", examples.NOT_READY),
        },
    }


def _metrics() -> Node:
    lines = {"schema": {}, **named(examples.METRICS)}
    text = {"description": "Prometheus' text format.", "content": {"text/plain": lines}}
    return {
        "operationId": "metrics",
        "summary": "Jobs by state and depth of the queues",
        "responses": responses("metrics", text),
    }


def _openapi() -> Node:
    any_object = {"schema": {"type": "object"}}
    ok = {"description": "This document.", "content": {"application/json": any_object}}
    return {
        "operationId": "openapi",
        "summary": "Describe the API",
        "responses": responses("openapi", ok),
    }


def _json(description: str, schema: str, values: examples.Values | None = None) -> Node:
    shown = named(values) if values else examples.answers(schema)
    content = {"application/json": {"schema": reference(schema), **shown}}
    return {"description": description, "content": content}


def _body(forms: Node, values: examples.Values) -> Node:
    content = {kind: {"schema": schema, **named(values)} for kind, schema in forms.items()}
    return {"required": True, "content": content}


def _key(header: str) -> Node:
    return {"type": "apiKey", "in": "header", "name": header}
