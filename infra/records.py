"""Jobs as stored text: JSON made from the Job dataclass itself, so that no field is forgotten."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter, ValidationError

from core import limits
from core.errors import UnreadableRecord
from core.job import Job
from core.ports import Unreadable

_JOB: Final = TypeAdapter(Job)


def encode(job: Job) -> str:
    """Return the job as JSON text."""
    return _JOB.dump_json(job).decode()


def decode(text: str | bytes, job_id: str = "") -> Job:
    """Read a job that `encode` wrote; fields that it does not have take their defaults.

    Raises UnreadableRecord, which names `job_id`, for what another release wrote in another form.
    """
    try:
        return _JOB.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(name) for name in first["loc"])
        reason = f"the record of job {job_id} cannot be read: {where}: {first['msg']}"
        raise UnreadableRecord(reason[: limits.REASON_CHARS_MAX]) from error


def decode_or_name(text: str | bytes, job_id: str) -> Job | Unreadable:
    """Read a job as `decode` does, or say which one cannot be read."""
    try:
        return decode(text, job_id)
    except UnreadableRecord as error:
        return Unreadable(job_id=job_id, reason=error.detail)
