"""Jobs as tables for a person."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from core.job import Job, MediaSummary
from core.views import saved_percent

_UNIT = 1000
_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """Return a number of bytes with a decimal unit, such as `12.3 MB`."""
    for unit in _UNITS[:-1]:
        if count < _UNIT:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= _UNIT
    return f"{count:.1f} {_UNITS[-1]}"


def job_list(jobs: Iterable[Job]) -> None:
    """Print one line a job."""
    table = Table("video_id", "organization", "state", "progress", "source", "output", "changed")
    for job in jobs:
        table.add_row(
            job.job_id,
            job.organization_id,
            job.state,
            f"{job.progress} %",
            size(job.source.size),
            size(job.output.size) if job.output else "",
            local_time(job.updated_at),
        )
    Console().print(table)


def one_job(job: Job) -> None:
    """Print all that is known of a job."""
    console = Console()
    console.print(_facts(job))
    console.print(history(job))


def history(job: Job) -> Table:
    """Return the job's history as a table."""
    table = Table("time", "after", "event", "state", "note", title="History")
    for change in job.history:
        after_s = change.at - job.created_at
        note = change.note or ""
        table.add_row(local_time(change.at), f"{after_s:.1f} s", change.event, change.state, note)
    return table


def media(summary: MediaSummary | None) -> str:
    """Return resolution, codecs and duration in a few words."""
    if summary is None:
        return "not probed yet"
    sound = summary.audio_codec or "no sound"
    if not summary.shown:
        return f"{sound} without a picture, {summary.duration_s:.1f} s"
    return (
        f"{summary.width}x{summary.height}, {summary.video_codec} + {sound}, "
        f"{summary.duration_s:.1f} s"
    )


def local_time(at: float) -> str:
    """Return seconds since the epoch as date and time of day here."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _facts(job: Job) -> Table:
    table = Table(show_header=False, title=job.job_id)
    table.add_row("organization", job.organization_id)
    table.add_row("state", f"{job.state} ({job.progress} %)")
    table.add_row("source", f"{size(job.source.size)}, {media(job.source.media)}")
    if job.output:
        saved = saved_percent(job.source.size, job.output.size)
        table.add_row("output", f"{size(job.output.size)}, {media(job.output.media)}")
        table.add_row("saved", f"{saved} % ({job.output.action} in {job.output.work_s:.1f} s)")
    if job.delivery:
        table.add_row("delivery", f"{job.delivery.attempts} attempts, {job.delivery.last_outcome}")
        table.add_row("delivery id", job.delivery_id)
    if job.failure:
        table.add_row("failure", f"{job.failure.code}: {job.failure.reason}")
    for warning in job.warnings:
        table.add_row("warning", warning)
    table.add_row("files", "deleted" if job.cleaned else "kept")
    return table
