"""The schemas of the API's description (JSON Schema 2020-12)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core import compress, limits
from core.job import State
from receiver import examples

Node = Mapping[str, object]

_TIME: Final[Node] = {"type": "string", "format": "date-time"}
_COUNT: Final[Node] = {"type": "integer", "minimum": 0}
_SECONDS: Final[Node] = {"type": "number", "minimum": 0}
_TEXT: Final[Node] = {"type": "string"}
UPLOAD_ID: Final[Node] = {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"}
_ID_PATTERN: Final = "^[A-Za-z0-9][A-Za-z0-9._~:@+=-]*$"


def reference(name: str) -> Node:
    """Return a reference to the schema `name`."""
    return {"$ref": f"#/components/schemas/{name}"}


def all_schemas() -> Node:
    """Return every schema by its name."""
    states = [state.value for state in State]
    return {
        "Id": {**_TEXT, "pattern": _ID_PATTERN, "maxLength": limits.ID_CHARS_MAX},
        "Sha256": {**_TEXT, "pattern": "^[0-9a-fA-F]{64}$"},
        "State": {"type": "string", "enum": states},
        "Queued": _answer(State.QUEUED),
        "Completed": _answer(State.COMPLETED),
        "Accepted": _object(
            {"status": {"const": "accepted"}, "mediaId": reference("Id"), "message": _TEXT}
        ),
        "MediaStatus": _object({"mediaId": reference("Id"), "status": _media_status()}),
        "Unknown": _object(
            {
                "mediaId": reference("Id"),
                "status": {"const": compress.NOT_FOUND},
                "code": {"const": compress.NOT_FOUND},
                "detail": _TEXT,
            }
        ),
        "Announced": _announced(),
        "Upload": _upload(),
        "Job": _job(),
        "Source": _object(_file(), optional=_media()),
        "Output": _output(),
        "RenditionSet": _rendition_set(),
        "SetManifest": _set_manifest(),
        "Delivery": _delivery(),
        "Failure": _object({"code": _TEXT, "reason": _TEXT}),
        "Change": _object(
            {"at": _TIME, "event": _TEXT, "state": reference("State"), "note": _nullable(_TEXT)}
        ),
        "Health": _object({"status": {"const": "ok"}}),
        "Readiness": _readiness(),
        "Problem": _problem(),
    }


def _job() -> Node:
    return _object(
        {
            "video_id": reference("Id"),
            "organization_id": reference("Id"),
            "state": reference("State"),
            "progress": {"type": "integer", "minimum": 0, "maximum": 100},
            "created_at": _TIME,
            "updated_at": _TIME,
            "source": reference("Source"),
            "output": _nullable(reference("Output")),
            "delivery": _nullable(reference("Delivery")),
            "failure": _nullable(reference("Failure")),
            "warnings": {"type": "array", "items": _TEXT},
            "history": {"type": "array", "items": reference("Change")},
        },
        optional={
            "pieces": _object({"made": _COUNT, "of": _COUNT}),
            "set": reference("RenditionSet"),
        },
    )


def _media_status() -> Node:
    words = "queued|processing|completed|db_update_failed|failed: .*"
    return {**_TEXT, "pattern": f"^({words})$"}


def _announced() -> Node:
    return _object(
        {
            "upload_id": UPLOAD_ID,
            "upload_url": {"type": "string", "format": "uri", "description": "Keep it secret."},
            "expires_at": _TIME,
            "max_bytes": _COUNT,
            "video_id": reference("Id"),
        }
    )


def _upload() -> Node:
    statuses = ["open", "received", "refused"]
    return _object(
        {
            "upload_id": UPLOAD_ID,
            "status": {"type": "string", "enum": statuses},
            "video_id": reference("Id"),
        },
        optional={
            "size": _COUNT,
            "received_bytes": _COUNT,
            "expires_at": _TIME,
            "state": _nullable(reference("State")),
            "code": _TEXT,
            "reason": _TEXT,
        },
    )


def _output() -> Node:
    return _object(
        {
            **{name: kind for name, kind in _file().items() if name != "container"},
            **_media(),
            "action": {"type": "string", "enum": ["encoded", "remuxed", "kept"]},
            "saved_percent": {"type": "number"},
            "work_s": _SECONDS,
        },
        optional={"variants": {"type": "array", "items": _variant()}},
    )


def _variant() -> Node:
    return _object(
        {
            "name": _TEXT,
            "bytes": _COUNT,
            "sha256": reference("Sha256"),
            "width": _COUNT,
            "height": _COUNT,
        }
    )


def _rendition_set() -> Node:
    rendition = _object(
        {
            "name": _TEXT,
            "width": _COUNT,
            "height": _COUNT,
            "codecs": _TEXT,
            "bytes": _COUNT,
            "average_bits_per_s": _COUNT,
            "peak_bits_per_s": _COUNT,
        }
    )
    return _object(
        {
            "manifest_url": {
                **_nullable({"type": "string", "format": "uri"}),
                "description": "Keep it secret: it opens the set to whoever has it.",
            },
            "files": _COUNT,
            "bytes": _COUNT,
            "renditions": {"type": "array", "items": rendition},
        }
    )


def _set_manifest() -> Node:
    url: Node = {"type": "string", "format": "uri"}
    file = _object(
        {
            "path": _TEXT,
            "url": url,
            "bytes": _COUNT,
            "sha256": reference("Sha256"),
            "content_type": _TEXT,
            "role": _TEXT,
        }
    )
    subtitles = _object({"language": _nullable(_TEXT), "url": url})
    entry_points = _object(
        {"hls": url, "dash": url, "poster": url, "storyboard": url, "chapters": url},
        optional={"subtitles": {"type": "array", "items": subtitles}},
    )
    return _object(
        {
            "format": {"const": 1},
            "video_id": reference("Id"),
            "expires_at": _TIME,
            "duration_s": _SECONDS,
            "bytes": _COUNT,
            "entry_points": entry_points,
            "renditions": {"type": "array", "items": {"type": "object"}},
            "warnings": {"type": "array", "items": _TEXT},
            "files": {"type": "array", "items": file},
        }
    )


def _delivery() -> Node:
    return _object(
        {
            "delivery_id": {**_TEXT, "description": "The `webhook-id` of every attempt."},
            "attempts": _COUNT,
            "last_outcome": _nullable(_TEXT),
            "next_attempt_at": _nullable(_TIME),
        },
        optional={"path": {**_TEXT, "description": "Where SFTP has put the result."}},
    )


def _readiness() -> Node:
    check = _object({"ok": {"type": "boolean"}}, optional={"reason": _TEXT})
    return _object(
        {
            "status": {"enum": ["ready", "not_ready"]},
            "checks": {"type": "object", "additionalProperties": check},
        }
    )


def _problem() -> Node:
    return _object(
        {
            "type": {"type": "string", "format": "uri"},
            "title": _TEXT,
            "status": {"type": "integer"},
            "code": {**_TEXT, "description": "Stable; what a program should look at."},
            "detail": {**_TEXT, "description": "What to do next, for a person."},
        },
        optional={"error_id": _TEXT},
    ) | {"examples": [*examples.PROBLEMS]}


def _file() -> Node:
    return {"bytes": _COUNT, "sha256": reference("Sha256"), "container": _TEXT}


def _media() -> Node:
    return {
        "width": _COUNT,
        "height": _COUNT,
        "duration_s": _SECONDS,
        "video_codec": _TEXT,
        "audio_codec": _nullable(_TEXT),
    }


def _answer(state: State) -> Node:
    return _object({"status": {"const": state.value}, "video_id": reference("Id")})


def _object(required: Node, *, optional: Node | None = None) -> dict[str, object]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def _nullable(schema: Node) -> Node:
    return {"oneOf": [schema, {"type": "null"}]}
