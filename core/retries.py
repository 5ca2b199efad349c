"""What becomes of a step that failed: another try later, or the end of the job.

Two kinds of passing trouble are told apart. What may lie in the file is tried a few times. An
outage of what the step rests on costs no try: it is borne for as long as callbacks are tried.
"""

from __future__ import annotations

from core import limits
from core.board import Board, OpenPiece
from core.errors import EncoderKilled, EncoderMissing, EncoderStalled, LecternError, Unavailable
from core.events import Failed, PieceFailed, PieceRetried, Retried
from core.job import Failure, Job, Policy


def after_failure(job: Job, error: LecternError, policy: Policy, now: float) -> Retried | Failed:
    """Return the event that `error` makes of a step held under `job.fence`.

    A passing reason is tried again after 60, 300, 900 s, at most `policy.max_retries` times;
    a reason that lies in the file ends the job at once. An outage is waited out, each time as
    long again as it has lasted, for `policy.store_retry_for_s`.
    """
    failure = _failure(error)
    if error.outage:
        lasted_s = _lasted_s(job, now)
        if lasted_s < policy.store_retry_for_s:
            delay_s = _outage_delay_s(lasted_s)
            return Retried(fence=job.fence, failure=failure, delay_s=delay_s, is_outage=True)
    elif error.retryable and job.retries < policy.max_retries:
        return Retried(fence=job.fence, failure=failure, delay_s=_delay_s(job.retries))
    return Failed(fence=job.fence, failure=failure)


def after_piece_failure(
    board: Board, number: int, claim: int, error: LecternError, policy: Policy, now: float
) -> PieceRetried | PieceFailed:
    """Return the event that `error` makes of a piece; each piece has its own tries."""
    failure = _failure(error)
    piece = board.piece(number)
    delay_s = None
    if error.outage:
        lasted_s = _lasted_s(piece, now)
        if lasted_s < policy.store_retry_for_s:
            delay_s = _outage_delay_s(lasted_s)
    elif error.retryable and piece.retries < policy.max_retries:
        delay_s = _delay_s(piece.retries)
    if delay_s is None:
        return PieceFailed(cut=board.cut, number=number, failure=failure, claim=claim)
    return PieceRetried(
        cut=board.cut,
        number=number,
        claim=claim,
        failure=failure,
        delay_s=delay_s,
        is_outage=error.outage,
    )


def is_worth_another_try(
    error: Exception, had: Job | OpenPiece, policy: Policy, now: float
) -> bool:
    """Tell whether to do a step of `had` again, rather than go without its set of renditions.

    In the end the result matters more: a killed encoder is tried as often as for the result itself,
    a store that is away is waited for up to an hour. Not where time or room are too little: they
    would be again, and the result has both.
    """
    if isinstance(error, EncoderKilled | EncoderStalled):
        return had.retries < policy.max_retries
    if type(error) in {Unavailable, EncoderMissing}:
        return _lasted_s(had, now) < limits.OUTAGE_RETRY_MAX_S
    return False


def _failure(error: LecternError) -> Failure:
    reason = error.detail[: limits.REASON_CHARS_MAX] or type(error).__name__
    return Failure(code=error.code, reason=reason)


def _delay_s(retries: int) -> float:
    delays = limits.RETRY_DELAYS_S
    return delays[min(retries, len(delays) - 1)]


def _lasted_s(had: Job | OpenPiece, now: float) -> float:
    """Return for how long the record has known of an outage."""
    return 0.0 if had.outage_since is None else now - had.outage_since


def _outage_delay_s(lasted_s: float) -> float:
    return min(max(lasted_s, limits.RETRY_DELAYS_S[0]), limits.OUTAGE_RETRY_MAX_S)
