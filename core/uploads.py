"""Direct uploads: announced, put into the store by the caller itself, then made a job.

The last step, `finish_upload`, may be taken by several at once: by the caller's word that it is
done, by the store's event, by the handler that took the last byte, and by the sweep where all
of these were lost. It leads to one job or to one recorded refusal.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Final, NoReturn

from core import limits
from core.declarations import (
    Declaration,
    Outcome,
    read_declaration,
    read_outcome,
    settle,
    write_declaration,
)
from core.errors import (
    BadRequest,
    Busy,
    ConflictingUpload,
    Gone,
    InvalidField,
    LecternError,
    MissingObject,
    NotFound,
    NotReady,
    StoreFull,
    TooLarge,
    Unavailable,
    UnreadableRecord,
    UnsupportedType,
)
from core.images import ImageKind
from core.job import RESTARTABLE, Source, check_id, is_sha256, run_of, source_key
from core.ledger import Ledger
from core.order import DEFAULT, Order, check_fits, order_fields, order_of
from core.ports import DirectUploads, ObjectStore, Session
from core.sniffing import sniff, sniff_image
from core.submission import Upload
from core.views import View, timestamp

_RUN: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_TYPE: Final = re.compile(
    r"(?:video|audio|image|application)/[A-Za-z0-9][A-Za-z0-9.+_-]*(?:;[ -~]*)?"
)
_REFUSALS: Final = (BadRequest, ConflictingUpload, TooLarge)
"""What is wrong with an upload for good."""
_BY_CODE: Final[dict[str, type[LecternError]]] = {
    kind.code: kind for kind in (UnsupportedType, InvalidField, ConflictingUpload, TooLarge, Gone)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a caller says it is going to send."""

    video_id: str
    organization_id: str
    size: int
    content_type: str
    sha256: str | None = None
    traceparent: str | None = None
    order: Order = DEFAULT


def check_announcement(said: Announcement, *, max_bytes: int) -> Announcement:
    """Return what is said with its digest in lower case; `max_bytes` is for its kind of file.

    Raises InvalidId, InvalidField, TooLarge, and UnsupportedType for the type of anything else.
    """
    check_id("video_id", said.video_id)
    check_id("organization_id", said.organization_id)
    if said.size < 1:
        raise InvalidField("size must be the number of the file's bytes")
    if said.size > max_bytes:
        raise TooLarge(f"such a file may have at most {max_bytes} bytes; send a smaller one")
    if len(said.content_type) > limits.UPLOAD_TYPE_CHARS_MAX or not _TYPE.fullmatch(
        said.content_type
    ):
        raise UnsupportedType("content_type must be that of a recording or image: video/mp4")
    check_fits(said.order, is_image=announces_image(said.content_type))
    sha256 = said.sha256.lower() if said.sha256 is not None else None
    if sha256 is not None and not is_sha256(sha256):
        raise InvalidField("sha256 must be the file's SHA-256 in 64 hexadecimal digits")
    return replace(said, sha256=sha256)


def announces_image(content_type: str) -> bool:
    """Tell whether an image is announced; what comes is decided by its content."""
    return content_type.startswith("image/")


def begin_upload(
    said: Announcement, *, run: str, ledger: Ledger, sessions: DirectUploads, ttl_s: float
) -> tuple[Declaration, str]:
    """Open a session for a checked announcement; return its declaration and URL.

    Raises ConflictingUpload where that is known already, Busy where there is no room, and
    Unavailable. The declaration is durable when this returns.
    """
    _check_conflict(said, ledger)
    now = ledger.clock.now()
    session = _open(said, run, sessions, expires_at=now + ttl_s)
    declared = Declaration(
        run=run,
        video_id=said.video_id,
        organization_id=said.organization_id,
        size=said.size,
        content_type=said.content_type,
        sha256=said.sha256,
        created_at=now,
        expires_at=now + ttl_s,
        handle=session.handle,
        traceparent=said.traceparent,
        order=order_fields(said.order),
    )
    try:
        write_declaration(ledger.objects, declared)
    except StoreFull as error:
        sessions.cancel(source_key(run), session.handle)
        raise _no_room() from error
    ledger.log.emit("upload.declared", job_id=said.video_id, organization_id=said.organization_id)
    return declared, session.url


def finish_upload(run: str, *, ledger: Ledger, sessions: DirectUploads) -> str:
    """Start the job of an upload whose bytes are all there, and return its `video_id`.

    Doing it again, also at the same time, answers the same. Raises NotFound for a run that was
    never declared or is over, NotReady while bytes are missing, the refusal that ended it
    (InvalidField, UnsupportedType, ConflictingUpload, TooLarge, Gone), which is recorded and
    whose bytes are deleted, and Unavailable: then the sweep does it later.
    """
    declared = _declared(run, ledger)
    if declared is None:
        return _owner(run, ledger)
    outcome = read_outcome(ledger.objects, run)
    if outcome is None:
        outcome = _decide(declared, ledger, sessions)
    if outcome.code is not None:
        _raise(outcome)
    return outcome.video_id


def finish_object(key: str, *, ledger: Ledger, sessions: DirectUploads) -> str | None:
    """Finish the upload whose object was committed under `key`; return its `video_id`.

    For the store's events, which tell of every object: one that is no source, or the source of
    no declared upload (such as of `POST /video/receive`), is None and nothing happens. So is
    one that is refused or already over. Raises Unavailable: the event must come again.
    """
    run = run_of(key)
    if run is None or key != source_key(run) or _declared(run, ledger) is None:
        return None
    try:
        return finish_upload(run, ledger=ledger, sessions=sessions)
    except (*_REFUSALS, Gone, NotFound, NotReady):
        return None


def call_off(
    declared: Declaration, outcome: Outcome, *, ledger: Ledger, sessions: DirectUploads
) -> bool:
    """End a session that has made no object; return False if it turns out to have made one."""
    sessions.cancel(source_key(declared.run), declared.handle)
    if is_committed(ledger.objects, declared.run):
        return False
    return settle(ledger.objects, declared.run, outcome).code is not None


def cancelled(declared: Declaration) -> Outcome:
    """Return the outcome of an upload that its sender called off."""
    return Outcome(video_id=declared.video_id, code=Gone.code, reason="its sender called it off")


def expired(declared: Declaration) -> Outcome:
    """Return the outcome of an upload that was not sent by its `expires_at`."""
    return Outcome(video_id=declared.video_id, code=Gone.code, reason="it was not sent in time")


def is_run(text: str) -> bool:
    """Tell whether a caller's text can be a run, and so a part of an object's key."""
    return _RUN.fullmatch(text) is not None


def is_committed(objects: ObjectStore, run: str) -> bool:
    """Tell whether the upload's object is there as a whole."""
    return any(item.key == source_key(run) for item in objects.list(source_key(run)))


def upload_status(run: str, *, ledger: Ledger, sessions: DirectUploads) -> View:
    """Return how an upload stands: `open`, `received` or `refused`; raises NotFound."""
    declared = _declared(run, ledger)
    if declared is None:
        return _received(run, _owner(run, ledger), ledger)
    outcome = read_outcome(ledger.objects, run)
    if outcome is None:
        return {
            "upload_id": run,
            "status": "open",
            "video_id": declared.video_id,
            "size": declared.size,
            "received_bytes": sessions.persisted(source_key(run), declared.handle) or 0,
            "expires_at": timestamp(declared.expires_at),
        }
    if outcome.code is None:
        return _received(run, outcome.video_id, ledger)
    return {
        "upload_id": run,
        "status": "refused",
        "video_id": outcome.video_id,
        "code": outcome.code,
        "reason": outcome.reason,
    }


def _check_conflict(said: Announcement, ledger: Ledger) -> None:
    """Refuse now what `core.submission` would refuse after all bytes were sent."""
    job = ledger.jobs.get(said.video_id)
    if job is None:
        return
    if job.organization_id != said.organization_id:
        raise ConflictingUpload(
            f"id {said.video_id} belongs to another organization; use another id"
        )
    if job.state not in RESTARTABLE and said.sha256 not in {None, job.source.sha256}:
        raise ConflictingUpload(
            f"id {said.video_id} is {job.state} with other bytes; use another id"
        )


def _open(said: Announcement, run: str, sessions: DirectUploads, *, expires_at: float) -> Session:
    try:
        return sessions.begin(
            source_key(run),
            size=said.size,
            content_type=said.content_type,
            expires_at=expires_at,
        )
    except StoreFull as error:
        raise _no_room() from error


def _no_room() -> Busy:
    return Busy(
        "there is no room for this recording now; announce it again later",
        retry_after_s=limits.BUSY_RETRY_S,
    )


def _declared(run: str, ledger: Ledger) -> Declaration | None:
    return read_declaration(ledger.objects, run) if is_run(run) else None


def _owner(run: str, ledger: Ledger) -> str:
    """Return the job of a run whose declaration is gone, as it is after a confirmation."""
    job_id = ledger.jobs.owner(run) if is_run(run) else None
    if job_id is None:
        raise NotFound("there is no such upload; announce it with POST /uploads")
    return job_id


def _received(run: str, video_id: str, ledger: Ledger) -> View:
    job = ledger.jobs.get(video_id)
    return {
        "upload_id": run,
        "status": "received",
        "video_id": video_id,
        "state": job.state.value if job else None,
    }


def _decide(declared: Declaration, ledger: Ledger, sessions: DirectUploads) -> Outcome:
    """Examine the object and make the job, or refuse; the record comes before the outcome.

    The object of a duplicate is left to orphan removal: the job that it doubles may have failed
    meanwhile, and begun anew with this very object by the hand of another finisher.
    """
    run = declared.run
    try:
        examined, seen_at = _examine(declared, ledger.objects), ledger.clock.now()
        if not is_committed(ledger.objects, run):  # reading goes on of what is deleted meanwhile
            return _without_object(declared, ledger)
        upload = replace(examined, committed_at=seen_at)
        outcome = read_outcome(ledger.objects, run)  # another may have decided meanwhile
        if outcome is not None:
            return outcome
        job = ledger.receive(upload)
    except MissingObject:
        return _without_object(declared, ledger)
    except _REFUSALS as error:
        return _refuse(declared, error, ledger, sessions)
    received = Outcome(video_id=job.job_id)
    try:
        sessions.release(source_key(run))
        settle(ledger.objects, run, received)
    except Unavailable as error:  # the job is safe; the sweep does the rest
        ledger.log.emit("upload.left_to_sweep", job_id=job.job_id, reason=error.detail)
    return received


def _examine(declared: Declaration, objects: ObjectStore) -> Upload:
    """Read the whole object once; raises what is wrong with it, and MissingObject.

    Raises Unavailable for an order that this release does not know: another has taken it.
    """
    order = _order(declared)
    digest, size, head = hashlib.sha256(), 0, b""
    with objects.open(source_key(declared.run)) as body:
        while piece := body.read(limits.CHUNK_BYTES):
            digest.update(piece)
            size += len(piece)
            if len(head) < limits.SNIFF_BYTES:
                head += piece[: limits.SNIFF_BYTES]
    head = head[: limits.SNIFF_BYTES]
    container = sniff(head) or sniff_image(head)
    if container is None:
        raise UnsupportedType("the file's content is of another type; send a recording or an image")
    if isinstance(container, ImageKind) and size > limits.IMAGE_BYTES_MAX:
        most = limits.IMAGE_BYTES_MAX
        raise TooLarge(f"an image may have at most {most} bytes; send a smaller one")
    check_fits(order, is_image=isinstance(container, ImageKind))
    if size != declared.size:
        raise InvalidField(f"{size} bytes arrived and {declared.size} were announced")
    sha256 = digest.hexdigest()
    if declared.sha256 not in {None, sha256}:
        raise InvalidField(f"the file that arrived has sha256 {sha256}; send it again")
    return Upload(
        job_id=declared.video_id,
        organization_id=declared.organization_id,
        run=declared.run,
        source=Source(
            key=source_key(declared.run), size=size, sha256=sha256, container=container.value
        ),
        traceparent=declared.traceparent,
        order=order,
    )


def _order(declared: Declaration) -> Order:
    try:
        return order_of(declared.order)
    except (ValueError, TypeError, AttributeError) as error:
        raise UnreadableRecord(
            f"the declaration of upload {declared.run} cannot be understood: {error}"
        ) from error


def _without_object(declared: Declaration, ledger: Ledger) -> Outcome:
    """Answer where there is no object: it has not come yet, or another finished meanwhile."""
    outcome = read_outcome(ledger.objects, declared.run)
    if outcome is not None:
        return outcome
    job_id = ledger.jobs.owner(declared.run)
    if job_id is not None:
        return Outcome(video_id=job_id)
    raise NotReady("bytes are missing; ask the upload URL which, and send the rest")


def _refuse(
    declared: Declaration, error: LecternError, ledger: Ledger, sessions: DirectUploads
) -> Outcome:
    """Record the refusal, then delete the bytes; where that fails they are orphans."""
    reason = error.detail[: limits.REASON_CHARS_MAX]
    refused = Outcome(video_id=declared.video_id, code=error.code, reason=reason)
    outcome = settle(ledger.objects, declared.run, refused)
    if outcome.code is None:
        return outcome
    try:
        sessions.release(source_key(declared.run))
        ledger.objects.delete(source_key(declared.run))
    except Unavailable as failure:
        ledger.log.emit("upload.left_to_sweep", job_id=declared.video_id, reason=failure.detail)
    ledger.log.emit(
        "upload.refused",
        job_id=declared.video_id,
        organization_id=declared.organization_id,
        code=error.code,
    )
    return outcome


def _raise(outcome: Outcome) -> NoReturn:
    kind = _BY_CODE.get(outcome.code or "", BadRequest)
    raise kind(outcome.reason or "the upload was refused")
