"""What becomes of a step that failed: another try later, or the end of the job."""

from __future__ import annotations

from core import limits
from core.board import Board
from core.errors import LecternError
from core.events import Failed, PieceFailed, PieceRetried, Retried
from core.job import Failure, Job, Policy


def after_failure(job: Job, error: LecternError, policy: Policy) -> Retried | Failed:
    """Return the event that `error` makes of a step held under `job.fence`.

    A passing reason is tried again after 60, 300, 900 s, at most `policy.max_retries` times;
    a reason that lies in the file ends the job at once.
    """
    failure = _failure(error)
    if not error.retryable or job.retries >= policy.max_retries:
        return Failed(fence=job.fence, failure=failure)
    return Retried(fence=job.fence, failure=failure, delay_s=_delay_s(job.retries))


def after_piece_failure(
    board: Board, number: int, claim: int, error: LecternError, policy: Policy
) -> PieceRetried | PieceFailed:
    """Return the event that `error` makes of a piece; each piece has its own tries."""
    failure = _failure(error)
    retries = board.piece(number).retries
    if not error.retryable or retries >= policy.max_retries:
        return PieceFailed(cut=board.cut, number=number, failure=failure, claim=claim)
    return PieceRetried(
        cut=board.cut, number=number, claim=claim, failure=failure, delay_s=_delay_s(retries)
    )


def _failure(error: LecternError) -> Failure:
    reason = error.detail[: limits.REASON_CHARS_MAX] or type(error).__name__
    return Failure(code=error.code, reason=reason)


def _delay_s(retries: int) -> float:
    delays = limits.RETRY_DELAYS_S
    return delays[min(retries, len(delays) - 1)]
