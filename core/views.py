"""What a caller gets to see of a job."""

from __future__ import annotations

from datetime import UTC, datetime

from core.board import Board
from core.job import Change, Failure, Job, MediaSummary, Rendition, Source, State

View = dict[str, object]


def status(job: Job, *, manifest_url: str | None = None) -> View:
    """Return the job as JSON values: sizes in bytes, times as RFC 3339 in UTC.

    `manifest_url` opens its set of renditions, if it has one and the objects are still there.
    """
    return {
        "video_id": job.job_id,
        "organization_id": job.organization_id,
        "state": job.state.value,
        "progress": job.progress,
        **_pieces(job.board),
        "created_at": timestamp(job.created_at),
        "updated_at": timestamp(job.updated_at),
        "source": _source(job.source),
        "output": _output(job.output, job.source) if job.output else None,
        **_set(job.output, manifest_url),
        "delivery": _delivery(job),
        "failure": _failure(job.failure) if job.failure else None,
        "warnings": list(job.warnings),
        "history": [_change(change) for change in job.history],
    }


def timestamp(at: float) -> str:
    """Return seconds since the epoch as RFC 3339 in UTC, with milliseconds."""
    moment = datetime.fromtimestamp(at, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def saved_percent(before: int, after: int) -> float:
    """Return by how much of `before` bytes `after` is smaller, to a tenth of a percent."""
    return round(100 * (1 - after / before), 1) if before else 0.0


def _pieces(board: Board | None) -> View:
    return {"pieces": {"made": len(board.done), "of": board.pieces}} if board else {}


def _source(source: Source) -> View:
    return {
        "bytes": source.size,
        "sha256": source.sha256,
        "container": source.container,
        **_media(source.media),
    }


def _output(output: Rendition, source: Source) -> View:
    return {
        "bytes": output.size,
        "sha256": output.sha256,
        **_media(output.media),
        "action": output.action,
        "saved_percent": saved_percent(source.size, output.size),
        "work_s": round(output.work_s, 3),
        **_variants(output),
    }


def _variants(output: Rendition) -> View:
    """Return an image's other sizes; nothing for a recording."""
    if not output.variants:
        return {}
    listed = [
        {
            "name": each.name,
            "bytes": each.size,
            "sha256": each.sha256,
            "width": each.width,
            "height": each.height,
        }
        for each in output.variants
    ]
    return {"variants": listed}


def _set(output: Rendition | None, manifest_url: str | None) -> View:
    if output is None or output.ladder is None:
        return {}
    made = output.ladder
    said: View = {
        "manifest_url": manifest_url,
        "files": made.files,
        "bytes": made.size,
        "renditions": [
            {
                "name": track.name,
                "width": track.width,
                "height": track.height,
                "codecs": track.codecs,
                "bytes": track.size,
                "average_bits_per_s": track.average_rate,
                "peak_bits_per_s": track.peak_rate,
            }
            for track in made.tracks
        ],
    }
    return {"set": said}


def _media(media: MediaSummary | None) -> View:
    if media is None:
        return {}
    return {
        "width": media.width,
        "height": media.height,
        "duration_s": round(media.duration_s, 3),
        "video_codec": media.video_codec,
        "audio_codec": media.audio_codec,
    }


def _delivery(job: Job) -> View | None:
    if job.delivery is None:
        return None
    waits = job.state is State.STORING and job.lease_until is None
    return {
        "delivery_id": job.delivery_id,
        "attempts": job.delivery.attempts,
        "last_outcome": job.delivery.last_outcome,
        "next_attempt_at": timestamp(job.due_at) if waits else None,
        **({"path": job.delivery.path} if job.delivery.path else {}),
    }


def _failure(failure: Failure) -> View:
    return {"code": failure.code, "reason": failure.reason}


def _change(change: Change) -> View:
    return {
        "at": timestamp(change.at),
        "event": change.event,
        "state": change.state.value,
        "note": change.note,
    }
