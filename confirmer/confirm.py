"""The use case behind `POST /video/confirm`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.errors import InvalidField, MissingField
from core.events import Confirmed
from core.job import Job, check_id, is_sha256
from core.ledger import Ledger

_IDS: Final = ("video_id", "media_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What an LMS says: it has the result of `video_id`, whose digest is `sha256` if given."""

    video_id: str
    sha256: str | None = None


def read_confirmation(fields: Mapping[str, Sequence[object]]) -> Confirmation:
    """Return what a form or JSON object says; raises MissingField, InvalidId, InvalidField.

    Each field comes with all its values. The id may be called as either contract calls it. Fields
    that mean nothing here are ignored.
    """
    called = {name: value for name in _IDS if (value := _one(fields, name))}
    if len(called) > 1:
        raise InvalidField(f"the id is given twice, as {' and '.join(called)}")
    if not called:
        raise MissingField("the field video_id is missing or empty")
    ((name, video_id),) = called.items()
    sha256 = _one(fields, "sha256")
    if sha256 is not None and not is_sha256(sha256.lower()):
        raise InvalidField("sha256 must be the result's SHA-256 in 64 hexadecimal digits")
    return Confirmation(video_id=check_id(name, video_id), sha256=sha256)


def confirm(confirmation: Confirmation, *, ledger: Ledger) -> Job:
    """Complete the job and delete all that is stored of it; doing it again changes nothing.

    Raises NotFound, NotReady, ChecksumMismatch, Gone, and Unavailable when a store does not
    answer: then the same call again finishes what was begun.
    """
    return ledger.apply(confirmation.video_id, Confirmed(sha256=confirmation.sha256))


def _one(fields: Mapping[str, Sequence[object]], name: str) -> str | None:
    values = [value for value in fields.get(name, ()) if value is not None]
    if len(values) > 1:
        raise InvalidField(f"{name} is given twice")
    if not values:
        return None
    if not isinstance(values[0], str):
        raise InvalidField(f"{name} must be a string")
    return values[0]
