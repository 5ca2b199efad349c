"""Which errors each operation answers with, as the API's description has them."""

from __future__ import annotations

from typing import Final

from core import errors, problems
from receiver.schemas import Node, reference

_ALWAYS: Final = (errors.LecternError,)
_BEHIND_KEY: Final = (errors.Unauthorized, errors.TooManyGuesses, *_ALWAYS)
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
    "compress": (
        errors.MissingField,
        errors.InvalidId,
        errors.InvalidField,
        errors.MalformedMultipart,
        errors.TruncatedUpload,
        errors.UnsupportedType,
        errors.OverLimit,
        errors.ConflictingUpload,
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
    "setFile": (
        errors.NotFound,
        errors.Gone,
        errors.Busy,
        errors.Unavailable,
        *_ALWAYS,
    ),
    "status": (errors.InvalidId, errors.Unavailable, *_BEHIND_KEY),
    "metrics": (errors.Unavailable, *_BEHIND_KEY),
    "openapi": _BEHIND_KEY,
    "health": _ALWAYS,
    "ready": _ALWAYS,
}


def responses(operation: str, ok: Node, *, status: int = 200) -> Node:
    """Return the answers of an operation: the good one, and its errors by their status."""
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
