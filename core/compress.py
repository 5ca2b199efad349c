"""How the contract of `POST /compress/` spells what it answers (rows B2, B4, B5)."""

from __future__ import annotations

from typing import Final

from core import limits
from core.delivery import UNTOLD
from core.job import Job, State
from core.views import View

NOT_FOUND: Final = "not_found"
_WORDS: Final = {
    State.QUEUED: "queued",
    State.PROCESSING: "processing",
    State.STORING: "processing",
    State.STORED: "processing",
    State.COMPLETED: "completed",
}
_ENDED: Final = {
    State.CANCELLED: "it was called off",
    State.EXPIRED: "it was not confirmed in time and its files were removed",
}
"""Reasons of ends that have no failure of their own."""


def accepted(job: Job) -> View:
    """Return the immediate answer: the file and its job are durable."""
    return {"status": "accepted", "mediaId": job.job_id, "message": "Compression started"}


def status(job: Job) -> View:
    """Return how a job stands, in two members."""
    return {"mediaId": job.job_id, "status": status_word(job)}


def not_found(media_id: str) -> View:
    """Return the answer for an id that no job has; a program may look at either member."""
    return {
        "mediaId": media_id,
        "status": NOT_FOUND,
        "code": NOT_FOUND,
        "detail": f"there is no job {media_id}; check the id, or send the file first",
    }


def status_word(job: Job) -> str:
    """Return one of queued, processing, completed, db_update_failed and `failed: <reason>`.

    What is made but not yet where it belongs is `processing`: to this contract delivery is a part
    of the work. The file of a `db_update_failed` stands in the LMS's storage.
    """
    if job.state in _WORDS:
        return _WORDS[job.state]
    if job.failure is not None and job.failure.code == UNTOLD:
        return UNTOLD
    reason = job.failure.reason if job.failure is not None else _ENDED.get(job.state, job.state)
    return f"failed: {reason}"[: limits.REASON_CHARS_MAX]
