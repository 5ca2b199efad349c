"""No order of events, losses and late workers brings a job to where it must not be.

The ledger and the sweep are the real ones, over the fakes and a clock that moves when it is told.
"""
# ruff: noqa: D102 - a rule's name is its sentence

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core import events as ev
from core import limits
from core.errors import (
    AlreadyExists,
    ChecksumMismatch,
    ConflictingUpload,
    Gone,
    InvalidTransition,
    LeaseHeld,
    LeaseLost,
    LecternError,
    NotDue,
    NotFound,
    NotReady,
    StaleMessage,
    Unavailable,
    WorkerLost,
)
from core.job import (
    RESTARTABLE,
    UNFINISHED,
    Job,
    Policy,
    State,
    output_key,
    run_prefixes,
    source_key,
)
from core.messages import Message, Topic
from core.transitions import TRANSITIONS, message_of
from functions.sweep import remove_orphans, wake_jobs
from tests.fakes import a_failure, a_world, an_encoded, an_upload, put, sha256_of

POLICY: Final = Policy(
    lease_s=30, confirm_ttl_s=600, store_retry_for_s=1800, republish_after_s=60, keep_record_s=7200
)
GRACE_S: Final = 120.0
ROUNDS_MAX: Final = 300
"""Rounds of sweep and work in which every job must have come to its end."""
RESULT: Final = b"a result"
WITH_OUTPUT: Final = frozenset({State.STORING, State.STORED, State.STORE_FAILED})

# What the holder of a lease may report: said once more, and not read from the table.
ENCODING: Final = frozenset({"renew", "release", "encode", "retry", "fail"})
DELIVERING: Final = frozenset({"renew", "release", "deliver", "defer", "refuse"})
MAY_REPORT: Final = {
    State.PROCESSING: ENCODING,
    State.STORING: DELIVERING,
    State.COMPLETED: DELIVERING - {"renew"},
}
LEADS_TO: Final = {
    (State.PROCESSING, "release"): State.QUEUED,
    (State.PROCESSING, "encode"): State.STORING,
    (State.PROCESSING, "retry"): State.QUEUED,
    (State.PROCESSING, "fail"): State.FAILED,
    (State.STORING, "release"): State.STORING,
    (State.STORING, "deliver"): State.STORED,
    (State.STORING, "defer"): State.STORING,
    (State.STORING, "refuse"): State.STORE_FAILED,
}

JOB_IDS: Final = ("one", "two", "three", "four", "five")
job_ids = st.sampled_from(JOB_IDS)
organizations = st.sampled_from(["org-1", "org-1", "org-1", "org-2"])
recordings = st.sampled_from([b"some bytes", b"some bytes", b"other bytes"])
mostly_not = st.sampled_from([False, False, False, True])
reports = st.sampled_from(sorted(ENCODING | DELIVERING))
delays = st.sampled_from([1.0, 5.0, 60.0, 300.0])
seconds = st.sampled_from([0.5, 5.0, 29.5, 30.0, 31.0, 60.0, 61.0, 300.0, 601.0, 7201.0])


@dataclass(slots=True)
class Held:
    """A claim as its worker remembers it; it may be void by now."""

    job: Job
    until: float
    finished: bool = False


def is_unsent_after_another(job: Job) -> bool:
    """Tell whether a confirmation can only be about the run that the id had before."""
    if job.state is not State.STORING or not job.former or job.delivery is None:
        return False
    return job.claims == 0 and job.delivery.attempts == 0


class AnyOrder(RuleBasedStateMachine):
    """Callers, workers (late ones too), an operator, the sweep, faults, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.world = a_world(policy=POLICY)
        self.ledger = self.world.ledger
        self.runs = itertools.count(1)
        self.held: list[Held] = []
        self.last: dict[str, Job] = {}
        self.strays: set[str] = set()

    # Callers
    @initialize(steps=st.lists(st.integers(0, 2), min_size=2, max_size=len(JOB_IDS)))
    def begin(self, steps: list[int]) -> None:
        for job_id, count in zip(JOB_IDS, steps, strict=False):
            self.receive(job_id, "org-1", b"some bytes")
            for _ in range(count):
                self.take_the_next_step(job_id)

    @rule(job_id=job_ids, organization=organizations, data=recordings)
    def receive(self, job_id: str, organization: str, data: bytes) -> None:
        run = run_name(next(self.runs))
        upload = an_upload(job_id, run=run, organization_id=organization, data=data)
        before = self.job(job_id)
        with contextlib.suppress(Unavailable):
            put(self.world.objects, source_key(run), data)
            error = self.attempt(lambda: self.ledger.receive(upload))
            if before is None or (
                before.organization_id == organization and before.state in RESTARTABLE
            ):
                self.expect(error, None)
                self.expect_message(job_id, error)
                return
            same = (before.organization_id, before.source.sha256) == (organization, sha256_of(data))
            self.expect(error, None if same else ConflictingUpload)
            if same and before.state is State.STORE_FAILED:
                self.expect_message(job_id, error)
            else:
                assert self.job(job_id) is before
            self.world.objects.delete(source_key(run))

    @rule(job_id=job_ids, data=st.sampled_from([None, RESULT, b"other"]))
    def confirm(self, job_id: str, data: bytes | None) -> None:
        before = self.job(job_id)
        sha256 = sha256_of(data) if data else None
        error = self.attempt(lambda: self.ledger.apply(job_id, ev.Confirmed(sha256=sha256)))
        if before is None:
            self.expect(error, NotFound)
        elif before.state is State.EXPIRED:
            self.expect(error, Gone)
        elif before.state not in WITH_OUTPUT | {State.COMPLETED} or is_unsent_after_another(before):
            self.expect(error, NotReady)
        elif data == b"other":
            self.expect(error, ChecksumMismatch)
        else:
            self.expect(error, None)
            assert self.present(job_id).state is State.COMPLETED
            assert error or before.cleaned or not self.objects_of(before)

    @rule(job_id=job_ids)
    def cancel(self, job_id: str) -> None:
        before = self.job(job_id)
        error = self.attempt(lambda: self.ledger.apply(job_id, ev.Cancelled()))
        if before is None:
            self.expect(error, NotFound)
        else:
            self.expect(error, None if before.state is State.QUEUED else InvalidTransition)

    @rule(job_id=job_ids)
    def redeliver(self, job_id: str) -> None:
        before = self.job(job_id)
        error = self.attempt(lambda: self.ledger.apply(job_id, ev.Redelivered()))
        if before is None:
            self.expect(error, NotFound)
        elif before.state in WITH_OUTPUT:
            self.expect(error, None)
            self.expect_message(job_id, error)
        else:
            self.expect(error, InvalidTransition)

    # Workers
    @rule(topic=st.sampled_from(Topic), acknowledges=st.booleans())
    def take_from_the_bus(self, topic: Topic, acknowledges: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        with contextlib.suppress(Unavailable):
            handout = self.world.bus.receive(topic, lease_s=POLICY.lease_s)
            if handout is None:
                return
            error = self.claim(handout.message)
            if isinstance(error, NotDue):
                delay_s = error.due_at - self.world.clock.now()
                self.world.bus.nack(handout, delay_s=delay_s)
            elif acknowledges:
                self.world.bus.ack(handout)

    @precondition(lambda self: self.unfinished())
    @rule(pick=st.integers(0, len(JOB_IDS) - 1))
    def claim_and_go_silent(self, pick: int) -> None:
        waiting = self.unfinished()
        self.claim_without_a_message(waiting[pick % len(waiting)])

    def claim_without_a_message(self, job_id: str) -> None:
        if job := self.job(job_id):
            self.claim(message_of(job))

    @rule(job_id=job_ids, topic=st.sampled_from(Topic), run=st.integers(1, 5))
    def claim_with_a_message_from_earlier(self, job_id: str, topic: Topic, run: int) -> None:
        self.claim(Message(topic=topic, job_id=job_id, run=run_name(run)))

    @rule(job_id=job_ids)
    def lose_worker_after_worker(self, job_id: str) -> None:
        for _ in range(limits.CLAIMS_MAX + 1):
            self.claim_without_a_message(job_id)
            self.world.clock.advance(POLICY.lease_s)

    @rule(job_id=job_ids)
    def lose_the_message_to_the_dead_letters(self, job_id: str) -> None:
        if job := self.job(job_id):
            self.bury(message_of(job))

    @rule(job_id=job_ids)
    def lose_every_worker_and_then_the_message(self, job_id: str) -> None:
        for _ in range(limits.CLAIMS_MAX):
            self.claim_without_a_message(job_id)
            self.world.clock.advance(POLICY.lease_s)
        self.lose_the_message_to_the_dead_letters(job_id)

    @rule(job_id=job_ids, topic=st.sampled_from(Topic), run=st.integers(1, 5))
    def bury_a_message_from_earlier(self, job_id: str, topic: Topic, run: int) -> None:
        self.bury(Message(topic=topic, job_id=job_id, run=run_name(run)))

    @rule(job_id=job_ids)
    def take_the_next_step(self, job_id: str) -> None:
        """Claim and finish, as most often happens."""
        self.claim_and_report(job_id, "encode", "deliver", 0.0)

    @precondition(lambda self: self.unfinished())
    @rule(
        pick=st.integers(0, len(JOB_IDS) - 1),
        encoding=st.sampled_from(sorted(ENCODING)),
        delivering=st.sampled_from(sorted(DELIVERING)),
        delay_s=delays,
    )
    def take_any_step(self, pick: int, encoding: str, delivering: str, delay_s: float) -> None:
        waiting = self.unfinished()
        self.claim_and_report(waiting[pick % len(waiting)], encoding, delivering, delay_s)

    def claim_and_report(self, job_id: str, encoding: str, delivering: str, delay_s: float) -> None:
        claims = len(self.held)
        self.claim_without_a_message(job_id)
        if len(self.held) > claims:
            held = self.held[-1]
            kind = encoding if held.job.state is State.PROCESSING else delivering
            self.report(held, kind, delay_s, tidy=True)

    @precondition(lambda self: self.held)
    @rule(back=st.integers(1, 3), tidy=st.booleans())
    def finish_a_step(self, back: int, tidy: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        held = self.held[-min(back, len(self.held))]
        kind = "encode" if held.job.state is State.PROCESSING else "deliver"
        self.report(held, kind, 0.0, tidy=tidy)

    @precondition(lambda self: self.held)
    @rule(back=st.integers(1, 5), kind=reports, delay_s=delays)
    def report_anything(self, back: int, kind: str, delay_s: float) -> None:
        self.report(self.held[-min(back, len(self.held))], kind, delay_s, tidy=False)

    # Time, the sweep, and faults
    @rule(s=seconds)
    def wait(self, s: float) -> None:
        self.world.clock.advance(s)

    @rule()
    def sweep(self) -> None:
        lossy = self.world.jobs.loses_answer
        wake_jobs(self.ledger)
        assert lossy or self.world.jobs.due(self.world.clock.now(), limit=9) == []
        with contextlib.suppress(Unavailable):
            remove_orphans(self.ledger, grace_s=GRACE_S)

    @rule(broken=mostly_not)
    def break_or_mend_the_bus(self, broken: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        self.world.bus.broken = broken

    @rule(broken=mostly_not)
    def break_or_mend_the_object_store(self, broken: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        self.world.objects.broken = broken

    @rule()
    def let_the_next_writer_die_after_its_write(self) -> None:
        self.world.jobs.loses_answer = True

    # What always holds
    @invariant()
    def each_job_is_where_an_allowed_way_has_led(self) -> None:
        present = {job.job_id: job for job in self.world.jobs.all()}
        for job_id, old in self.last.items():
            self.check_way(old, present.get(job_id))
        for job in present.values():
            self.check_history(job)
        self.last = present

    @invariant()
    def each_run_has_one_owner(self) -> None:
        for job in self.world.jobs.all():
            assert self.world.jobs.owner(job.run) == job.job_id

    @invariant()
    def at_most_one_worker_holds_a_job(self) -> None:
        now = self.world.clock.now()
        holders = [held.job.job_id for held in self.held if held.until > now and not held.finished]
        assert len(holders) == len(set(holders))

    @invariant()
    def no_object_is_deleted_too_early_or_kept_too_long(self) -> None:
        keys = self.world.objects.keys()
        for job in self.world.jobs.all():
            if self.needs_its_source(job):
                assert job.source.key in keys, f"{job.state} without a source"
            if job.state in WITH_OUTPUT:
                assert job.output is not None
                assert job.output.key in keys, f"{job.state} without an output"
            if job.cleaned:
                assert self.objects_of(job) <= self.strays, "cleaned, yet objects are left"

    @invariant()
    def every_job_will_be_looked_at_again_before_long(self) -> None:
        now = self.world.clock.now()
        for job in self.world.jobs.all():
            assert math.isfinite(job.wake_at)
            if job.state in UNFINISHED:
                assert job.wake_at <= max(now, job.due_at) + limits.REPUBLISH_MAX_S

    def teardown(self) -> None:
        """Without faults, sweep and workers bring every job to its end, and nothing is left."""
        self.world.bus.broken = self.world.objects.broken = self.world.jobs.loses_answer = False
        for _ in range(ROUNDS_MAX):
            wake_jobs(self.ledger)
            self.work_off()
            self.each_job_is_where_an_allowed_way_has_led()
            self.no_object_is_deleted_too_early_or_kept_too_long()
            jobs = self.world.jobs.all()
            if not jobs:
                break
            wake_at = min(job.wake_at for job in jobs)
            self.world.clock.advance(max(wake_at - self.world.clock.now(), 1.0))
        assert self.world.jobs.all() == [], "a job never came to its end"
        self.world.clock.advance(GRACE_S + 1)
        remove_orphans(self.ledger, grace_s=GRACE_S)
        assert self.world.objects.keys() == set(), "objects are left behind"

    # How it is done
    def job(self, job_id: str) -> Job | None:
        return self.world.jobs.get(job_id)

    def present(self, job_id: str) -> Job:
        job = self.job(job_id)
        assert job is not None
        return job

    def unfinished(self) -> list[str]:
        return [job.job_id for job in self.world.jobs.all() if job.state in UNFINISHED]

    def objects_of(self, job: Job) -> set[str]:
        return {key for key in self.world.objects.keys() if key.startswith(run_prefixes(job.run))}  # noqa: SIM118 - a method of the fake, not of a dict

    def attempt(self, act: Callable[[], object]) -> LecternError | None:
        """Return the typed error that `act` raises; any other ends the test."""
        self.faulty = self.world.jobs.loses_answer or self.world.objects.broken
        try:
            act()
        except LecternError as error:
            return error
        return None

    def expect(self, error: LecternError | None, kind: type[LecternError] | None) -> None:
        if kind is not None:
            assert type(error) is kind, f"{error!r} in place of {kind.__name__}"
        elif error is not None:
            assert self.faulty, f"refused by {error!r}"
            assert type(error) is Unavailable

    def expect_message(self, job_id: str, error: LecternError | None) -> None:
        """A step that begins is published at once, not only by the next sweep."""
        if error is None and not self.world.bus.broken:
            job = self.present(job_id)
            at = self.world.bus.next_at(message_of(job))
            assert at is not None, f"nobody is told of {job.state}"
            assert at <= max(job.due_at, self.world.clock.now() + POLICY.lease_s)

    def claim(self, message: Message) -> LecternError | None:
        before, now = self.job(message.job_id), self.world.clock.now()
        claimed: list[Job] = []
        error = self.attempt(lambda: claimed.append(self.ledger.claim(message)))
        if before is None or before.state not in UNFINISHED or message_of(before) != message:
            self.expect(error, StaleMessage)
        elif before.lease_until is not None and before.lease_until > now:
            self.expect(error, LeaseHeld)
        elif before.due_at > now:
            self.expect(error, NotDue)
        elif before.claims >= limits.CLAIMS_MAX:
            assert isinstance(error, WorkerLost) or self.faulty
        else:
            self.expect(error, None)
            for job in claimed:
                assert job.fence == before.fence + 1
                self.held.append(Held(job=job, until=now + POLICY.lease_s))
        return error

    def bury(self, message: Message) -> None:
        """Have the bus give a message up; only a job that cannot be claimed any more fails."""
        before, now = self.job(message.job_id), self.world.clock.now()
        event = ev.Buried(message=message, failure=a_failure("dead_letter"))
        error = self.attempt(lambda: self.ledger.apply(message.job_id, event))
        if before is None:
            self.expect(error, NotFound)
        elif before.state not in UNFINISHED or message_of(before) != message:
            self.expect(error, StaleMessage)
        elif before.lease_until is not None and before.lease_until > now:
            self.expect(error, LeaseHeld)
        elif before.due_at > now:
            self.expect(error, NotDue)
        elif before.claims >= limits.CLAIMS_MAX:
            self.expect(error, None)
            assert self.present(message.job_id).state in {State.FAILED, State.STORE_FAILED}
            return
        else:
            self.expect(error, None)
        if before is not None:
            assert self.present(message.job_id).state is before.state

    def report(self, held: Held, kind: str, delay_s: float, *, tidy: bool) -> None:
        """Have a worker say something under its fence; only who holds the lease is heard."""
        if kind == "encode" and not self.commit_output(held):
            return
        before = self.job(held.job.job_id)
        event = event_of(kind, held.job, delay_s)
        error = self.attempt(lambda: self.ledger.apply(held.job.job_id, event))
        if before is None or not holds(held, before, kind):
            self.expect(error, NotFound if before is None else LeaseLost)
            assert self.job(held.job.job_id) is before
            if tidy and kind == "encode":
                with contextlib.suppress(Unavailable):
                    self.world.objects.delete(output_key(held.job.run, held.job.fence))
            return
        self.expect(error, None)
        after = self.present(held.job.job_id)
        assert after.fence == before.fence
        if kind == "renew":
            assert after.lease_until == after.wake_at == self.world.clock.now() + POLICY.lease_s
            held.until = self.world.clock.now() + POLICY.lease_s if error is None else held.until
            return
        held.finished = True
        if before.state is not State.COMPLETED:
            assert after.state is LEADS_TO[before.state, kind]
            assert after.lease_until is None
        if after.state in UNFINISHED:
            self.expect_message(held.job.job_id, error)

    def commit_output(self, held: Held) -> bool:
        """Commit the object that an encode makes; each worker encodes once."""
        key = output_key(held.job.run, held.job.fence)
        try:
            put(self.world.objects, key, RESULT)
        except (AlreadyExists, Unavailable):
            return False
        job = self.job(held.job.job_id)
        if job is None or job.run != held.job.run or job.cleaned:
            self.strays.add(key)
        return True

    def work_off(self) -> None:
        """Do all that the bus has, as workers without trouble do."""
        for topic in Topic:
            while (handout := self.world.bus.receive(topic, lease_s=POLICY.lease_s)) is not None:
                error = self.claim(handout.message)
                if isinstance(error, NotDue):
                    delay_s = error.due_at - self.world.clock.now()
                    self.world.bus.nack(handout, delay_s=max(delay_s, 1.0))
                    continue
                if error is None:
                    kind = "encode" if topic is Topic.TRANSCODE else "deliver"
                    self.report(self.held[-1], kind, 0.0, tidy=True)
                self.world.bus.ack(handout)

    def needs_its_source(self, job: Job) -> bool:
        if job.state is State.FAILED:
            failed_at = max(
                (line.at for line in job.history if line.event in {"Failed", "Poisoned"}),
                default=0.0,
            )
            return self.world.clock.now() < failed_at + POLICY.confirm_ttl_s
        return job.state in UNFINISHED | WITH_OUTPUT

    def check_way(self, old: Job, new: Job | None) -> None:
        if new is None:
            assert old.cleaned
            # No worker sleeps for as long as a record is kept.
            self.held = [held for held in self.held if held.job.job_id != old.job_id]
            return
        assert new.fence >= old.fence
        assert new.organization_id == old.organization_id
        assert new.updated_at >= old.updated_at
        if new.run != old.run:
            assert new.state is not old.state or old.state in RESTARTABLE | {State.QUEUED}
        if len(new.history) < limits.HISTORY_MAX:
            assert new.history[: len(old.history)] == old.history

    def check_history(self, job: Job) -> None:
        assert job.history[-1].state is job.state
        assert len(job.history) <= limits.HISTORY_MAX
        assert job.history[-1].at <= self.world.clock.now()
        for one, two in itertools.pairwise(job.history):
            assert one.at <= two.at
            if two.event == "Received":
                assert one.state in RESTARTABLE
            elif len(job.history) < limits.HISTORY_MAX:
                assert TRANSITIONS[one.state][getattr(ev, two.event)] is two.state


def run_name(number: int) -> str:
    """Return the name of a run, such that each is the beginning of the next."""
    return "run-" + "1" * number


def holds(held: Held, job: Job, kind: str) -> bool:
    """Tell whether the job's record still knows of this claim, and the report has a place."""
    return (
        (job.run, job.fence) == (held.job.run, held.job.fence)
        and job.lease_until is not None
        and kind in MAY_REPORT.get(job.state, ())
    )


def event_of(kind: str, job: Job, delay_s: float) -> ev.Event:
    """Return the event of a worker's report."""
    fence = job.fence
    events: dict[str, ev.Event] = {
        "renew": ev.Renewed(fence=fence, progress=50),
        "release": ev.Released(fence=fence),
        "encode": an_encoded(job.run, fence, data=RESULT),
        "retry": ev.Retried(fence=fence, failure=a_failure("encoder_killed"), delay_s=delay_s),
        "fail": ev.Failed(fence=fence, failure=a_failure()),
        "deliver": ev.Delivered(fence=fence),
        "defer": ev.DeliveryDeferred(fence=fence, outcome="answered 500", delay_s=delay_s),
        "refuse": ev.DeliveryRefused(fence=fence, failure=a_failure("store_gone")),
    }
    return events[kind]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=300, stateful_step_count=50, deadline=None, database=None, print_blob=True
)
