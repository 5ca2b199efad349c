"""The delivery step: one attempt at handing a result back; the next one is another message.

By webhook an attempt is one request. By SFTP the file is put in place first, and telling the LMS
where it stands is a step of its own: it is repeated without sending the file again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import partial

from core import limits
from core.delivery import Outcome, Unanswered, judge, parcel_of
from core.errors import Interrupted, MissingObject, Unavailable
from core.events import DeliveryDeferred, DeliveryRefused, Placed, Released
from core.job import Failure, Job
from core.ledger import Ledger
from core.messages import Message
from core.order import Delivery
from core.ports import Announcer, Courier, Depot, Links, ObjectReader, ObjectStore
from core.remote import is_image, notice_of, remote_files
from core.sets import MANIFEST, grant_of
from transcoder.heartbeat import Heartbeat


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Handles `Topic.DELIVER`. Inside `interrupting()` a stop request raises Interrupted.

    `links` makes the URLs of sets of renditions.
    """

    ledger: Ledger
    courier: Courier
    interrupting: Callable[[], AbstractContextManager[None]]
    jitter: Callable[[], float]
    by_file: ByFile | None = None
    links: Links | None = None

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

    def _record(self, job: Job, outcome: Outcome | Placed) -> None:
        """Judge by the record as it is now: a redelivery may have opened a new window."""
        if isinstance(outcome, Placed):
            self.ledger.apply(job.job_id, outcome)
            return
        now = self.ledger.clock.now()
        present = replace(self.ledger.read(job.job_id), fence=job.fence)
        event = judge(outcome, present, now, self.ledger.policy, jitter=self.jitter())
        self.ledger.apply(job.job_id, event)

    def _send(self, job: Job) -> Outcome | Placed:
        now = self.ledger.clock.now()
        grant = grant_of(job, now, self.ledger.policy)
        manifest_url = self.links.url(grant, MANIFEST) if self.links and grant else None
        if job.order.delivery is Delivery.SFTP:
            if self.by_file is None:
                return Unanswered(reason="SFTP delivery is not set up here: set SFTP_HOST")
            with self.interrupting():
                return self.by_file(job, now, manifest_url)
        parcel = parcel_of(job, now, manifest_url=manifest_url)
        key = job.output.key if job.output else ""
        with ExitStack() as files:
            body = files.enter_context(self.ledger.objects.open(key))
            enclosed = [
                files.enter_context(self.ledger.objects.open(each.key))
                for each in parcel.enclosures
            ]
            with self.interrupting():
                return self.courier.send(parcel, body, enclosed)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByFile:
    """Puts results into the LMS's storage and tells it where they are.

    `videos` and `images` are absolute folders there; recordings without a picture are videos too.
    """

    objects: ObjectStore
    depot: Depot
    announcer: Announcer
    videos: str
    images: str

    def __call__(self, job: Job, now: float, manifest_url: str | None = None) -> Outcome | Placed:
        """Do what comes next; raises MissingObject and Unavailable where the result is at fault."""
        if job.delivery is not None and job.delivery.path is not None:
            folder, _, _ = job.delivery.path.rpartition("/")
            notice = replace(notice_of(job, folder, now), manifest_url=manifest_url)
            return self.announcer.announce(notice)
        return self._place(job)

    def _place(self, job: Job) -> Outcome | Placed:
        """Put every file in place, the result itself last."""
        folder = self.images if job.output and is_image(job.output) else self.videos
        files = remote_files(job, folder)
        for file in files:
            opened = partial(self._open, file.key)
            placed = self.depot.place(file.path, opened, size=file.size)
            if isinstance(placed, Unanswered):
                return placed
        return Placed(fence=job.fence, path=files[-1].path)

    def _open(self, key: str, start: int) -> AbstractContextManager[ObjectReader]:
        return self.objects.open(key, start=start)


def _unread(job: Job, error: Unavailable) -> DeliveryDeferred:
    """Put the attempt off: our own store is at fault, and the LMS was not reached."""
    return DeliveryDeferred(
        fence=job.fence, outcome=f"not sent: {error.detail}", delay_s=limits.RETRY_DELAYS_S[0]
    )


def _vanished(job: Job) -> DeliveryRefused:
    reason = "the output is no longer in the store; send the recording again under another id"
    return DeliveryRefused(fence=job.fence, failure=Failure(code="output_missing", reason=reason))
