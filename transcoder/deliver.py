"""The delivery step: one attempt at the store webhook; the next one is another message."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from core import limits
from core.delivery import Outcome, judge, parcel_of
from core.errors import Interrupted, MissingObject, Unavailable
from core.events import DeliveryDeferred, DeliveryRefused, Released
from core.job import Failure, Job
from core.ledger import Ledger
from core.messages import Message
from core.ports import Courier
from transcoder.heartbeat import Heartbeat


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Handles `Topic.DELIVER`. Inside `interrupting()` a stop request raises Interrupted."""

    ledger: Ledger
    courier: Courier
    interrupting: Callable[[], AbstractContextManager[None]]
    jitter: Callable[[], float]

    def __call__(self, message: Message) -> None:
        """Make one attempt; raises what `dispatch` knows to dispose of."""
        job = self.ledger.claim(message)
        with Heartbeat(self.ledger, job):
            try:
                outcome = self._send(job)
            except Interrupted:
                self.ledger.apply(job.job_id, Released(fence=job.fence))
                raise
            except MissingObject:
                self.ledger.apply(job.job_id, _vanished(job))
                return
            except Unavailable as error:
                self.ledger.apply(job.job_id, _unread(job, error))
                return
            self._record(job, outcome)

    def _record(self, job: Job, outcome: Outcome) -> None:
        """Judge by the record as it is now: a redelivery may have opened a new window."""
        now = self.ledger.clock.now()
        present = replace(self.ledger.read(job.job_id), fence=job.fence)
        event = judge(outcome, present, now, self.ledger.policy, jitter=self.jitter())
        self.ledger.apply(job.job_id, event)

    def _send(self, job: Job) -> Outcome:
        parcel = parcel_of(job, self.ledger.clock.now())
        key = job.output.key if job.output else ""
        with self.ledger.objects.open(key) as body, self.interrupting():
            return self.courier.send(parcel, body)


def _unread(job: Job, error: Unavailable) -> DeliveryDeferred:
    """Put the attempt off: our own store is at fault, and the LMS was not reached."""
    return DeliveryDeferred(
        fence=job.fence, outcome=f"not sent: {error.detail}", delay_s=limits.RETRY_DELAYS_S[0]
    )


def _vanished(job: Job) -> DeliveryRefused:
    reason = "the output is no longer in the store; send the recording again under another id"
    return DeliveryRefused(fence=job.fence, failure=Failure(code="output_missing", reason=reason))
