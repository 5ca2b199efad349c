"""Every error that Lectern names, in one tree.

LecternError
├── BadRequest 400         MissingField, InvalidId, InvalidField, MalformedMultipart,
│                          TruncatedUpload, UnsupportedType, OverLimit
├── Unauthorized 401
├── NotFound 404
├── MethodNotAllowed 405
├── Conflict 409           ConflictingUpload, NotReady, ChecksumMismatch
├── Gone 410
├── TooLarge 413
├── Busy 429               TooManyGuesses
├── Unavailable 503        StoreFull, UnreadableRecord, UnreadablePlan
├── MediaError             the file's own fault, final: UnreadableMedia, NoVideoStream,
│                          DamagedSource, MediaTooComplex, EncodeFailed, BadOutput
├── PassingFailure         worth another try: EncoderKilled, EncoderMissing, EncoderStalled,
│                          StepTimedOut, ScratchFull, WorkerLost
├── Interrupted            the worker must stop: hand the step back, no try is spent
└── ProtocolError          a rule between workers: AlreadyExists, MissingObject, LeaseLost,
                           LeaseHeld, NotDue, StaleMessage, InvalidTransition, BadMessage

`code` is stable and part of the API; the message says what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class LecternError(Exception):
    """Base of all errors: a stable code, an HTTP status, and whether trying again may help.

    `outage` is true where what a step rests on is at fault, so that the error says nothing of the
    file and must not cost it.
    """

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    outage: ClassVar[bool] = False

    @property
    def detail(self) -> str:
        """Return the message for the caller."""
        return str(self)


class BadRequest(LecternError):
    """The request cannot be taken as it is; sending it again unchanged will not help."""

    code = "bad_request"
    http_status = 400


class MissingField(BadRequest):
    """A required form field is absent or empty."""

    code = "missing_field"


class InvalidId(BadRequest):
    """An id is empty, too long, or has characters that are not allowed."""

    code = "invalid_id"


class InvalidField(BadRequest):
    """A form field is given twice, or its value has the wrong form."""

    code = "invalid_field"


class MalformedMultipart(BadRequest):
    """The body is not multipart/form-data as RFC 7578 has it."""

    code = "malformed_multipart"


class TruncatedUpload(BadRequest):
    """The body ended before its closing boundary or before its announced length."""

    code = "truncated_upload"


class UnsupportedType(BadRequest):
    """The file's content is none of the accepted containers, whatever its name says."""

    code = "unsupported_type"


class OverLimit(BadRequest):
    """The upload is over its size limit, in the words of a contract that knows no 413."""

    code = "too_large"


class Unauthorized(LecternError):
    """No key, or one that is not on the key ring."""

    code = "unauthorized"
    http_status = 401


class NotFound(LecternError):
    """There is no job under this id."""

    code = "not_found"
    http_status = 404


class MethodNotAllowed(LecternError):
    """The path is right, but not with this method; the `Allow` header names those it takes."""

    code = "method_not_allowed"
    http_status = 405


class Conflict(LecternError):
    """The request contradicts what is already recorded."""

    code = "conflict"
    http_status = 409


class ConflictingUpload(Conflict):
    """The id is taken by other bytes or by another organization."""

    code = "conflicting_upload"


class NotReady(Conflict):
    """The job has no output that could be confirmed."""

    code = "not_ready"


class ChecksumMismatch(Conflict):
    """The caller's digest is not that of the stored result; nothing was deleted."""

    code = "checksum_mismatch"


class Gone(LecternError):
    """Its time was up, or it was called off; its files were removed."""

    code = "expired"
    http_status = 410


class TooLarge(LecternError):
    """The upload is over its size limit."""

    code = "too_large"
    http_status = 413


class Busy(LecternError):
    """A bound of the service is reached for now; `retry_after_s` says when to come again."""

    code = "busy"
    http_status = 429
    retryable = True

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyGuesses(Busy):
    """Too many wrong keys came from this address; for a while none of it is looked at."""

    code = "too_many_wrong_keys"


class Unavailable(LecternError):
    """A store or the bus does not answer; the same request may succeed later.

    `told` is what callers hear of it: the words of the error itself are for the log.
    """

    code = "unavailable"
    http_status = 503
    retryable = True
    outage = True
    told: ClassVar[str] = "a store or the bus does not answer; send the request again"


class StoreFull(Unavailable):
    """The object store has no room left for this object."""

    code = "store_full"


class UnreadableRecord(Unavailable):
    """What is recorded cannot be read by this release, as after a rollback; it is left alone."""

    told = "this was recorded by another release of the service; ask again when it is back"


class UnreadablePlan(Unavailable):
    """A recording's pieces were planned by another release, in a form that this one does not know.

    A worker of that release may take what this one gives back; if none does it is cut anew.
    """


class MediaError(LecternError):
    """The file itself is at fault: trying again with the same bytes will not help."""

    code = "bad_media"
    http_status = 422


class UnreadableMedia(MediaError):
    """The probe could not read the file as the container that its first bytes claim."""

    code = "unreadable_media"


class NoVideoStream(MediaError):
    """The file has neither picture nor sound, only cover art, text or data."""

    code = "no_video_stream"


class DamagedSource(MediaError):
    """The file holds less than it announces, or breaks off."""

    code = "damaged_source"


class MediaTooComplex(MediaError):
    """The file's pixels, duration, streams or memory need are over a limit."""

    code = "media_too_complex"


class EncodeFailed(MediaError):
    """FFmpeg refused the file."""

    code = "encode_failed"


class BadOutput(MediaError):
    """The encoder said success, but its output is not what the plan promised."""

    code = "bad_output"


class PassingFailure(LecternError):
    """A step failed for a reason that may pass."""

    code = "passing_failure"
    retryable = True


class EncoderKilled(PassingFailure):
    """The encoder was ended by a signal that it did not ask for."""

    code = "encoder_killed"


class EncoderMissing(PassingFailure):
    """A program that the step needs could not be started: a bad release, or no memory for it."""

    code = "encoder_missing"
    outage = True


class EncoderStalled(PassingFailure):
    """The encoder made no progress for the length of the stall budget."""

    code = "encoder_stalled"


class StepTimedOut(PassingFailure):
    """The step used up its wall-clock budget."""

    code = "step_timed_out"


class ScratchFull(PassingFailure):
    """The worker's own disk has no room left."""

    code = "scratch_full"
    outage = True


class WorkerLost(PassingFailure):
    """Worker after worker vanished while it held this job."""

    code = "worker_lost"


class Interrupted(LecternError):
    """The worker was told to stop; the step is handed back as it was."""

    code = "interrupted"
    retryable = True


class ProtocolError(LecternError):
    """A rule between workers, stores and the bus; never shown to an HTTP caller as it is."""

    code = "protocol_error"


class AlreadyExists(ProtocolError):
    """The object was committed before; the first commit stands."""

    code = "already_exists"


class MissingObject(ProtocolError):
    """The store has no committed object under this key.

    A step that misses one is tried again: a store that was mended or mounted since may have it.
    """

    code = "missing_object"
    retryable = True


class LeaseLost(ProtocolError):
    """Another worker holds the job under a higher fence, or nobody may work on it any more."""

    code = "lease_lost"


class LeaseHeld(ProtocolError):
    """Another worker holds the job and its lease has not run out."""

    code = "lease_held"


class NotDue(ProtocolError):
    """The step may not start before `due_at` (seconds since the epoch)."""

    code = "not_due"

    def __init__(self, message: str, *, due_at: float) -> None:
        super().__init__(message)
        self.due_at = due_at


class StaleMessage(ProtocolError):
    """The message asks for a step that the job no longer needs; drop it."""

    code = "stale_message"


class InvalidTransition(ProtocolError):
    """The job's state does not know this event."""

    code = "invalid_transition"


class BadMessage(ProtocolError):
    """A bus message cannot be read: unknown kind, version or field."""

    code = "bad_message"
