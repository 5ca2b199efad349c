"""The use case behind `POST /video/receive`: from a body on the wire to a durable job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from core import limits
from core.errors import Busy, ConflictingUpload, StoreFull, TruncatedUpload, Unavailable
from core.job import Job, source_key, subtitles_key
from core.ledger import Ledger
from core.submission import Upload
from receiver.intake import LONGER, Bounds, Dialect, Intake, too_large
from receiver.multipart import Form, boundary_of


def _unheard(_name: str, _value: str) -> None:
    """Take no notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A request's body: `announced` bytes, or None for a chunked one.

    `read(n)` returns n bytes, fewer only at the end. `traceparent` is the request's span. `heard`
    is told the form's fields as they come.
    """

    content_type: str | None
    announced: int | None
    read: Callable[[int], bytes]
    traceparent: str | None = None
    heard: Callable[[str, str], None] = _unheard


def submit(body: Body, *, ledger: Ledger, run: str, dialect: Dialect, bounds: Bounds) -> Job:
    """Store an upload under `run` and return the job that answers for it.

    When this returns, source and record are durable. Whatever it raises (the 400 family,
    ConflictingUpload, TooLarge, Busy, Unavailable), nothing of the upload stays, or the sweep
    finds it as an orphan.
    """
    boundary, max_bytes = boundary_of(body.content_type), bounds.max_bytes
    if body.announced is not None and body.announced > max_bytes + limits.FORM_OVERHEAD_BYTES:
        raise too_large(max_bytes)
    try:
        with Intake(
            objects=ledger.objects,
            run=run,
            dialect=dialect,
            bounds=bounds,
            expected_bytes=body.announced,
            heard=body.heard,
        ) as intake:
            _stream(body, Form(boundary, intake, longer=LONGER), intake, max_bytes)
            upload = replace(intake.commit(), traceparent=body.traceparent)
        return _record(ledger, upload)
    except StoreFull as error:
        raise Busy(
            "there is no room for this recording now; send it again later",
            retry_after_s=limits.BUSY_RETRY_S,
        ) from error


def _stream(body: Body, form: Form, intake: Intake, max_bytes: int) -> None:
    arrived = 0
    while data := body.read(intake.chunk_bytes):
        arrived += len(data)
        if arrived > max_bytes + limits.FORM_OVERHEAD_BYTES:
            raise too_large(max_bytes)
        form.feed(data)
    if body.announced is not None and arrived < body.announced:
        raise TruncatedUpload(
            f"{arrived} of {body.announced} bytes arrived; send the recording again"
        )
    form.finish()


def _record(ledger: Ledger, upload: Upload) -> Job:
    """Write the job. After any other error the record may stand: then only the sweep knows."""
    try:
        job = ledger.receive(upload)
    except ConflictingUpload:
        _delete(ledger, upload)
        raise
    if job.run != upload.run:
        _delete(ledger, upload)
    return job


def _delete(ledger: Ledger, upload: Upload) -> None:
    try:
        ledger.objects.delete(source_key(upload.run))
        if upload.order.subtitles:
            ledger.objects.delete(subtitles_key(upload.run))
    except Unavailable as error:
        ledger.log.emit("upload.left_to_sweep", job_id=upload.job_id, reason=error.detail)
