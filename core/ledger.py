"""The one way to change a job: a transaction on its record, then what follows from it.

The record is the truth. Whatever is lost between the record and its effects (a message not
published, objects not deleted, a process killed) is made good by the sweep, because every
unfinished record has a `wake_at`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from core import events as ev
from core import limits
from core.errors import LecternError, NotFound, StaleMessage, Unavailable, WorkerLost
from core.facts import told
from core.job import Job, Policy, State, run_prefixes
from core.messages import Message
from core.ports import Clock, EventLog, JobStore, MessageBus, ObjectStore
from core.submission import Upload, receive
from core.transitions import advance, needs, next_claim, next_piece_claim

Decision = tuple[Job, tuple[ev.Effect, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Applies events to jobs. Errors are those of `core.transitions` and of the stores."""

    jobs: JobStore
    bus: MessageBus
    objects: ObjectStore
    clock: Clock
    log: EventLog
    policy: Policy

    def read(self, job_id: str) -> Job:
        """Return the job; raises NotFound."""
        job = self.jobs.get(job_id)
        if job is None:
            raise _unknown(job_id)
        return job

    def receive(self, upload: Upload) -> Job:
        """Record a committed upload; raises ConflictingUpload.

        The job that is returned has another `run` than the upload when the same bytes were
        known already: then the upload's object is the caller's to delete.
        """
        return self._change(upload.job_id, lambda job, now: receive(job, upload, now, self.policy))

    def apply(self, job_id: str, event: ev.Event) -> Job:
        """Record `event` and do what follows from it; raises NotFound."""
        return self._change(
            job_id, lambda job, now: advance(_known(job, job_id), event, now, self.policy)
        )

    def claim(self, message: Message) -> Job:
        """Take the step that `message` asks for, under a new fence.

        Raises StaleMessage when the job has gone on since, LeaseHeld, NotDue, or WorkerLost
        after having given up a job that took too many workers with it.
        """
        job = self._change(message.job_id, lambda job, now: self._claim(job, message, now))
        if job.lease_until is None:
            raise WorkerLost(f"job {message.job_id} was given up as poison")
        return job

    def claim_piece(self, message: Message) -> Job:
        """Take the piece that `message` asks for; its claim is in the job's board.

        Raises StaleMessage when it is made or not needed any more, LeaseHeld, NotDue, or
        WorkerLost after having given up a job one of whose pieces took too many workers with it.
        """
        job = self._change(message.job_id, lambda job, now: self._claim_piece(job, message, now))
        if job.state is State.FAILED:
            raise WorkerLost(f"job {message.job_id} was given up as poison")
        return job

    def _claim_piece(self, job: Job | None, message: Message, now: float) -> Decision:
        if job is None or message.piece is None or not needs(job, message):
            raise StaleMessage(f"the job needs no piece {message.piece} of run {message.run}")
        return advance(job, next_piece_claim(job, message.piece), now, self.policy)

    def _claim(self, job: Job | None, message: Message, now: float) -> Decision:
        if job is None or not needs(job, message):
            raise StaleMessage(f"the job needs no {message.topic} step of run {message.run}")
        return advance(job, next_claim(job), now, self.policy)

    def _change(self, job_id: str, decide: Callable[[Job | None, float], Decision]) -> Job:
        effects: tuple[ev.Effect, ...] = ()
        before: Job | None = None

        def change(job: Job | None) -> Job:
            nonlocal effects, before
            before = job
            after, effects = decide(job, self.clock.now())
            return after

        after = self.jobs.update(job_id, change)
        self._log(before, after, effects)
        self._publish_all(effect for effect in effects if isinstance(effect, ev.Publish))
        for effect in effects:
            self._perform(effect, after)
        return after

    def _publish_all(self, effects: Iterable[ev.Publish]) -> None:
        """Publish until the bus does not answer: each further message would wait as long again."""
        for effect in effects:
            if not self._publish(effect):
                return

    def _perform(self, effect: ev.Effect, job: Job) -> None:
        match effect:
            case ev.Discard() if effect.run != job.run:
                self._discard_earlier(effect)
            case ev.Discard():
                self._discard(effect)
            case ev.Forget():
                self.jobs.forget(effect.job_id, effect.run)

    def _publish(self, effect: ev.Publish) -> bool:
        """Publish, or return False where the bus does not answer: the sweep does it later."""
        try:
            self.bus.publish(effect.message, delay_s=effect.delay_s)
        except Unavailable as error:
            self.log.emit("bus.unavailable", job_id=effect.message.job_id, reason=error.detail)
            return False
        return True

    def _discard_earlier(self, effect: ev.Discard) -> None:
        """Delete what a restarted job left, or leave it to the sweep, whose orphans they are."""
        try:
            self._delete_all(effect.run)
        except Unavailable as error:
            self.log.emit("store.unavailable", job_id=effect.job_id, reason=error.detail)

    def _delete_all(self, run: str) -> None:
        for prefix in run_prefixes(run):
            keys = (item.key for item in self.objects.list(prefix))
            while batch := tuple(islice(keys, limits.DELETE_BATCH)):
                self.objects.delete(*batch)

    def _discard(self, effect: ev.Discard) -> None:
        self._delete_all(effect.run)
        try:
            self.apply(effect.job_id, ev.Cleaned(run=effect.run))
        except LecternError as error:
            self.log.emit("job.clean_unrecorded", job_id=effect.job_id, reason=error.detail)

    def _log(self, before: Job | None, after: Job, effects: tuple[ev.Effect, ...]) -> None:
        if (said := told(before, after, effects)) is not None:
            event, fields = said
            self.log.emit(event, **fields)


def _known(job: Job | None, job_id: str) -> Job:
    if job is None:
        raise _unknown(job_id)
    return job


def _unknown(job_id: str) -> NotFound:
    return NotFound(f"there is no job {job_id}; check the id, or send the recording first")
