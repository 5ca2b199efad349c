"""Jobs as stored text: JSON made from the Job dataclass itself, so that no field is forgotten."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from core.job import Job

_JOB: Final = TypeAdapter(Job)


def encode(job: Job) -> str:
    """Return the job as JSON text."""
    return _JOB.dump_json(job).decode()


def decode(text: str | bytes) -> Job:
    """Read a job that `encode` wrote; fields that it does not have take their defaults."""
    return _JOB.validate_json(text)
