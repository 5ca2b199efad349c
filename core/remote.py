"""Where a job's files stand in the LMS's storage, and what it is told of them."""

from __future__ import annotations

from dataclasses import dataclass

from core.delivery import file_name, media_type, variant_name
from core.job import Job, Rendition
from core.placement import Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file of a result: what it is, the object that holds it, and its path in the storage."""

    name: str
    key: str
    size: int
    path: str


def is_image(output: Rendition) -> bool:
    """Return whether the result is an image."""
    return media_type(output).startswith("image/")


def remote_files(job: Job, folder: str) -> tuple[RemoteFile, ...]:
    """Return the result and what was made beside it, under `folder`; the result comes last.

    Names are those of the run, a UUID (row B11): a run has one result, so a name stands for the
    same bytes over all attempts. Raises ValueError for a job without a result.
    """
    if job.output is None:
        raise ValueError(f"job {job.job_id} has no output")
    output = job.output
    main = RemoteFile(
        name="",
        key=output.key,
        size=output.size,
        path=_under(folder, file_name(job.run, output)),
    )
    beside = (
        RemoteFile(
            name=each.name,
            key=each.key,
            size=each.size,
            path=_under(folder, variant_name(job.run, each)),
        )
        for each in output.variants
    )
    return (*beside, main)


def notice_of(job: Job, folder: str, now: float) -> Notice:
    """Return what the LMS is told of `job`, whose files stand under `folder`."""
    *beside, main = remote_files(job, folder)
    return Notice(
        delivery_id=job.delivery_id,
        media_id=job.job_id,
        file_path=main.path,
        others=tuple((each.name, each.path) for each in beside),
        sent_at=int(now),
        traceparent=job.traceparent,
    )


def _under(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"
