"""What becomes of a step that failed: another try later, or the end of the job."""

from __future__ import annotations

from core import limits
from core.errors import LecternError
from core.events import Failed, Retried
from core.job import Failure, Job, Policy


def after_failure(job: Job, error: LecternError, policy: Policy) -> Retried | Failed:
    """Return the event that `error` makes of a step held under `job.fence`.

    A passing reason is tried again after 60, 300, 900 s, at most `policy.max_retries` times;
    a reason that lies in the file ends the job at once.
    """
    reason = error.detail[: limits.REASON_CHARS_MAX] or type(error).__name__
    failure = Failure(code=error.code, reason=reason)
    if not error.retryable or job.retries >= policy.max_retries:
        return Failed(fence=job.fence, failure=failure)
    delays = limits.RETRY_DELAYS_S
    delay_s = delays[min(job.retries, len(delays) - 1)]
    return Retried(fence=job.fence, failure=failure, delay_s=delay_s)
