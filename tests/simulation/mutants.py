"""Bugs that were planted on purpose, each of which the simulation must find.

A mutant replaces one rule of the product inside a block; the product itself knows of none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, cast

import core.board
import core.delivery
import core.job
import core.submission
import core.transitions
import core.uploads
import functions.sweep
import tests.simulation.actors
import transcoder.deliver
from core import events as ev
from core.board import Board
from core.declarations import Outcome, settle
from core.delivery import Answered, Unanswered
from core.job import UNFINISHED, Job, source_key
from core.ledger import Ledger
from receiver import submit as receiving
from tests.simulation.mutants_beside import BESIDE, both
from tests.simulation.stage import replaced
from tests.simulation.stores import SimJobs
from transcoder.transcode import Transcode

Mutant = Callable[[], AbstractContextManager[None]]


def the_fence_check_is_dropped() -> AbstractContextManager[None]:
    """A worker commits whatever became of its lease."""
    return replaced(core.transitions, "_guard_fence", lambda _job, _event: None)


def a_held_job_is_claimed() -> AbstractContextManager[None]:
    """A second worker takes a job whose lease has not run out."""
    return replaced(core.transitions, "_guard_claim", lambda _job, _now: None)


def the_sweep_ignores_leases() -> AbstractContextManager[None]:
    """Waking a job takes it from its worker."""
    before = core.transitions._woken

    def woken(job: Job, now: float, policy: Any) -> ev.Step:
        fields, effects = before(job, now, policy)
        return {**fields, "lease_until": None}, effects

    guard = core.transitions._is_void

    def is_void(job: Job, event: ev.Event, now: float) -> bool:
        woken_in_hand = isinstance(event, ev.Woken) and job.lease_until is not None
        return not woken_in_hand and guard(job, event, now)

    unbound = both(
        replaced(core.transitions, "_woken", woken),
        replaced(core.transitions, "_is_void", is_void),
    )
    return both(unbound, replaced(tests.simulation.actors, "wake_jobs", _wake_all))


def messages_go_out_before_the_record() -> AbstractContextManager[None]:
    """What is published may never come to be recorded."""
    before = Ledger._change

    def change(self: Ledger, job_id: str, decide: Any) -> Job:
        _, effects = decide(self.jobs.get(job_id), self.clock.now())
        for effect in effects:
            if isinstance(effect, ev.Publish):
                self._publish(effect)
        return before(self, job_id, decide)

    return replaced(Ledger, "_change", change)


def the_source_goes_with_the_encode() -> AbstractContextManager[None]:
    """The source is deleted before the LMS has confirmed."""
    before = Transcode._commit

    def commit(self: Transcode, job: Job, result: Any) -> None:
        before(self, job, result)
        if isinstance(result, ev.Encoded):
            self.ledger.objects.delete(job.source.key)

    return replaced(Transcode, "_commit", commit)


def the_record_comes_before_the_output() -> AbstractContextManager[None]:
    """The output is put into the store after it was recorded."""
    before = Transcode._encoded

    def encoded(self: Transcode, *made: Any) -> Any:
        ledger = replace(self.ledger, objects=cast("Any", _Nowhere()))
        return before(replace(self, ledger=ledger), *made)

    return replaced(Transcode, "_encoded", encoded)


def a_lost_answer_costs_the_output() -> AbstractContextManager[None]:
    """A worker that was told LeaseLost deletes its output without asking what is recorded."""

    def withdraw(self: Transcode, _job: Job, key: str) -> None:
        self.ledger.objects.delete(key)

    return replaced(Transcode, "_withdraw", withdraw)


def a_redelivery_has_another_id() -> AbstractContextManager[None]:
    """The LMS cannot tell that it has had the result before."""

    def delivery_id(job: Job) -> str:
        return f"msg_{job.run}.{job.delivery.since if job.delivery else 0:.0f}"

    return replaced(Job, "delivery_id", property(delivery_id))


def a_confirmation_of_other_bytes_counts() -> AbstractContextManager[None]:
    """The digest of a confirmation is not looked at."""
    before = core.transitions._guard_confirm

    def guard(job: Job, event: ev.Confirmed) -> None:
        before(job, replace(event, sha256=None))

    return replaced(core.transitions, "_guard_confirm", guard)


def no_answer_counts_as_yes() -> AbstractContextManager[None]:
    """A callback that timed out is taken for one that was answered 200."""
    before = core.delivery.judge

    def judge(outcome: Any, *args: Any, **named: Any) -> Any:
        if isinstance(outcome, Unanswered):
            outcome = Answered(status=200)
        return before(outcome, *args, **named)

    return replaced(transcoder.deliver, "judge", judge)


def orphans_have_no_grace() -> AbstractContextManager[None]:
    """A source is taken for an orphan while its record is being written."""
    before = functions.sweep.remove_orphans

    def remove(ledger: Ledger, *, grace_s: float) -> Any:
        return before(ledger, grace_s=0 * grace_s)

    return replaced(tests.simulation.actors, "remove_orphans", remove)


def a_late_source_still_becomes_a_job() -> AbstractContextManager[None]:
    """A source that may be gone as an orphan is recorded all the same."""
    before = core.submission._begin

    def begin(upload: Any, now: float, policy: Any, *, fence: int) -> Any:
        return before(replace(upload, committed_at=None), now, policy, fence=fence)

    return replaced(core.submission, "_begin", begin)


def pieces_count_twice() -> AbstractContextManager[None]:
    """A piece that two workers made counts for two."""
    before = core.board.made

    def made(board: Board, number: int, **spent: float) -> Board:
        if number not in board.done:
            return before(board, number, **spent)
        return replace(board, done=(*board.done, number))

    return replaced(core.board, "made", made)


def late_claims_of_a_piece_count() -> AbstractContextManager[None]:
    """A worker that has lost its piece acts on that of the next one."""
    return replaced(core.board, "_held", lambda board, number, _claim: board.piece(number))


def a_duplicate_deletes_the_original() -> AbstractContextManager[None]:
    """The second of two equal uploads takes the first one's source away."""

    def record(ledger: Ledger, upload: Any) -> Job:
        job = ledger.receive(upload)
        if job.run != upload.run:
            ledger.objects.delete(source_key(job.run))
        return job

    return replaced(receiving, "_record", record)


def a_new_run_begins_with_old_fences() -> AbstractContextManager[None]:
    """Fences begin at 0 again when an id is used again."""
    before = core.submission._begin

    def begin(upload: Any, now: float, policy: Any, *, fence: int) -> Any:
        return before(upload, now, policy, fence=0 * fence)

    return replaced(core.submission, "_begin", begin)


def an_upload_is_settled_before_its_record() -> AbstractContextManager[None]:
    """A direct upload counts as received, and dies before there is a job."""
    before = core.uploads._decide

    def decide(declared: Any, ledger: Ledger, sessions: Any) -> Outcome:
        if any(item.key == source_key(declared.run) for item in ledger.objects.list("uploads/")):
            settle(ledger.objects, declared.run, Outcome(video_id=declared.video_id))
        return before(declared, ledger, sessions)

    return replaced(core.uploads, "_decide", decide)


def lost_messages_stay_lost() -> AbstractContextManager[None]:
    """The sweep publishes nothing again."""
    before = core.transitions._woken

    def woken(job: Job, now: float, policy: Any) -> ev.Step:
        fields, effects = before(job, now, policy)
        return fields, () if job.state in UNFINISHED else effects

    return replaced(core.transitions, "_woken", woken)


def records_are_forgotten_at_once() -> AbstractContextManager[None]:
    """A terminal job keeps no record."""
    before = core.transitions._step

    def step(job: Job, event: ev.Event, now: float, policy: Any) -> ev.Step:
        return before(job, event, now, replace(policy, keep_record_s=1.0))

    return replaced(core.transitions, "_step", step)


def a_passing_failure_ends_the_job() -> AbstractContextManager[None]:
    """The first failure is the last."""

    def after(job: Job, error: Any, *_rules: Any) -> ev.Failed:
        failure = core.job.Failure(code=error.code, reason="no second try")
        return ev.Failed(fence=job.fence, failure=failure)

    import transcoder.transcode as module  # noqa: PLC0415 - its name is the class's, too

    return replaced(module, "after_failure", after)


class _Nowhere:
    def upload(self, key: str, path: object) -> None:
        """Keep nothing."""


def _wake_all(ledger: Ledger) -> None:
    for job_id in list(cast("SimJobs", ledger.jobs).held):
        ledger.apply(job_id, ev.Woken())


MUTANTS: Final[Mapping[str, Mutant]] = {
    mutant.__name__: mutant
    for mutant in (
        the_fence_check_is_dropped,
        a_held_job_is_claimed,
        the_sweep_ignores_leases,
        messages_go_out_before_the_record,
        the_source_goes_with_the_encode,
        the_record_comes_before_the_output,
        a_lost_answer_costs_the_output,
        a_redelivery_has_another_id,
        a_confirmation_of_other_bytes_counts,
        no_answer_counts_as_yes,
        orphans_have_no_grace,
        a_late_source_still_becomes_a_job,
        pieces_count_twice,
        late_claims_of_a_piece_count,
        a_duplicate_deletes_the_original,
        a_new_run_begins_with_old_fences,
        an_upload_is_settled_before_its_record,
        lost_messages_stay_lost,
        records_are_forgotten_at_once,
        a_passing_failure_ends_the_job,
        *BESIDE,
    )
}
