"""The rules of the state machine, one sentence each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, get_args

import pytest

from core import events as ev
from core import limits
from core.errors import (
    ChecksumMismatch,
    ConflictingUpload,
    Gone,
    InvalidTransition,
    LeaseHeld,
    LeaseLost,
    LecternError,
    NotDue,
    NotReady,
    StaleMessage,
)
from core.job import RESTARTABLE, UNFINISHED, Job, Policy, State
from core.messages import Topic
from core.submission import receive
from core.transitions import TRANSITIONS, advance, message_of, next_claim
from tests.fakes import a_failure, a_media_summary, an_encoded, an_upload

T0: Final = 1_800_000_000.0
LATE: Final = T0 + 10_000_000.0
"""Every lease, delay and deadline of the sample jobs has passed by then."""
POLICY: Final = Policy()
UPLOAD: Final = an_upload()
RESULT: Final = an_encoded().output
FENCED: Final = get_args(ev.Fenced)
OF_PIECES: Final = get_args(ev.OfPiece)
"""Tested in `test_piecework`: they need a job that was cut."""
EVENTS: Final = tuple(kind for kind in get_args(ev.Event) if kind not in OF_PIECES)

Effects = tuple[ev.Effect, ...]


def step(job: Job, event: ev.Event, now: float = T0) -> Job:
    """Return the job after `event`."""
    return advance(job, event, now, POLICY)[0]


def an_event(kind: type[ev.Event], fence: int) -> ev.Event:
    """Return an event of that type as a worker under `fence` would make it."""
    samples: tuple[ev.Event, ...] = (
        ev.Claimed(),
        ev.Poisoned(failure=a_failure("worker_lost")),
        a_burial(queued()),
        ev.Renewed(fence=fence, progress=40),
        ev.Released(fence=fence),
        a_cut(fence),
        an_encoded(fence=fence),
        ev.Retried(fence=fence, failure=a_failure("encoder_killed"), delay_s=60.0),
        ev.Failed(fence=fence, failure=a_failure()),
        ev.Delivered(fence=fence),
        ev.Placed(fence=fence, path="/videos/run-1.mp4"),
        ev.Accepted(fence=fence),
        ev.DeliveryDeferred(fence=fence, outcome="answered 500", delay_s=5.0),
        ev.DeliveryRefused(fence=fence, failure=a_failure("store_gone")),
        ev.Redelivered(),
        ev.Confirmed(),
        ev.Cancelled(),
        ev.Woken(),
        ev.Cleaned(run=UPLOAD.run),
    )
    return next(sample for sample in samples if type(sample) is kind)


def a_cut(fence: int) -> ev.PiecesCut:
    """Return the event of a recording that was cut into three pieces."""
    return ev.PiecesCut(
        fence=fence, plan_key="pieces/run-1/1/plan", pieces=3, source_media=a_media_summary()
    )


def event_for(job: Job, kind: type[ev.Event]) -> ev.Event:
    """Return an event of that type that fits the job, as far as its state allows."""
    return a_burial(job) if kind is ev.Buried else an_event(kind, job.fence)


def a_burial(job: Job) -> ev.Buried:
    """Return the burial of the message that asks for the job's next step."""
    return ev.Buried(message=message_of(job), failure=a_failure("dead_letter"))


def queued() -> Job:
    """Return a job that was just received."""
    return receive(None, UPLOAD, T0, POLICY)[0]


def processing() -> Job:
    """Return a job that a worker encodes under fence 1."""
    return step(queued(), ev.Claimed())


def storing() -> Job:
    """Return a job whose result waits for its first callback."""
    return step(processing(), an_encoded(fence=1))


def sending() -> Job:
    """Return a job whose callback is open under fence 2."""
    return step(storing(), ev.Claimed())


def stored() -> Job:
    """Return a job that the LMS has taken."""
    return step(sending(), ev.Delivered(fence=2))


def store_failed() -> Job:
    """Return a job that the LMS has refused."""
    return step(sending(), an_event(ev.DeliveryRefused, 2))


def failed() -> Job:
    """Return a job whose encode failed for good."""
    return step(processing(), an_event(ev.Failed, 1))


def job_in(state: State) -> Job:
    """Return a job that has come to `state` by events."""
    ways: dict[State, Callable[[], Job]] = {
        State.QUEUED: queued,
        State.PROCESSING: processing,
        State.STORING: sending,
        State.STORED: stored,
        State.COMPLETED: lambda: step(sending(), ev.Confirmed()),
        State.FAILED: failed,
        State.STORE_FAILED: store_failed,
        State.CANCELLED: lambda: step(queued(), ev.Cancelled()),
        State.EXPIRED: lambda: step(stored(), ev.Woken(), LATE),
    }
    return ways[state]()


def cleaned(job: Job, now: float = T0) -> Job:
    """Return the job after its objects are gone."""
    return step(job, ev.Cleaned(run=job.run), now)


def right_error(state: State, kind: type[ev.Event]) -> type[LecternError]:
    """Return the error of an event that has no place in `state`."""
    if kind in FENCED:
        return LeaseLost
    if kind is ev.Confirmed:
        return Gone if state is State.EXPIRED else NotReady
    if kind is ev.Buried:
        return StaleMessage
    return InvalidTransition


# The table
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", EVENTS)
def test_every_event_leads_where_the_table_says_or_raises(
    state: State, kind: type[ev.Event]
) -> None:
    job = job_in(state)
    assert job.state is state
    event = event_for(job, kind)
    if kind in TRANSITIONS[state]:
        assert step(job, event, LATE).state is TRANSITIONS[state][kind]
    else:
        with pytest.raises(right_error(state, kind)):
            step(job, event, LATE)


def test_the_table_knows_every_state() -> None:
    assert set(TRANSITIONS) == set(State)
    assert {type(an_event(kind, 1)) for kind in EVENTS} == set(EVENTS)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", EVENTS)
def test_advance_is_pure(state: State, kind: type[ev.Event]) -> None:
    job = job_in(state)
    event = event_for(job, kind)
    results = []
    for _ in range(2):
        try:
            results.append(str(advance(job, event, LATE, POLICY)))
        except LecternError as error:
            results.append(repr(error))
    assert results[0] == results[1]
    assert job == job_in(state)


@pytest.mark.parametrize("state", sorted(UNFINISHED))
def test_every_unfinished_job_will_be_looked_at_again(state: State) -> None:
    job = job_in(state)
    for kind, target in TRANSITIONS[state].items():
        if kind in OF_PIECES:
            continue
        after = step(job, event_for(job, kind), LATE)
        assert after.state is target
        assert LATE < after.wake_at < LATE + max(POLICY.confirm_ttl_s, POLICY.keep_record_s) + 1


# Receiving
def test_a_new_upload_is_queued_and_its_message_published() -> None:
    job, effects = receive(None, UPLOAD, T0, POLICY)
    assert (job.state, job.run, job.fence, job.due_at) == (State.QUEUED, UPLOAD.run, 0, T0)
    assert job.source == UPLOAD.source
    assert (job.created_at, job.updated_at, job.wake_at) == (T0, T0, T0 + 60)
    assert [line.event for line in job.history] == ["Received"]
    assert effects == (ev.Publish(message=message_of(job)),)
    assert message_of(job).topic is Topic.TRANSCODE


@pytest.mark.parametrize("state", sorted(set(State) - RESTARTABLE - {State.STORE_FAILED}))
def test_the_same_bytes_again_are_the_same_job(state: State) -> None:
    job = job_in(state)
    again = an_upload(run="run-2")
    assert receive(job, again, LATE, POLICY) == (job, ())


def test_the_same_bytes_again_deliver_a_result_that_the_lms_did_not_take() -> None:
    """An LMS that sends its recording again wants the result: nothing is encoded anew."""
    job = job_in(State.STORE_FAILED)
    again, effects = receive(job, an_upload(run="run-2"), LATE, POLICY)
    assert (again.state, again.run, again.output) == (State.STORING, job.run, job.output)
    assert effects == (ev.Publish(message=message_of(again)),)


@pytest.mark.parametrize("state", sorted(set(State) - RESTARTABLE))
def test_other_bytes_under_a_taken_id_conflict(state: State) -> None:
    with pytest.raises(ConflictingUpload):
        receive(job_in(state), an_upload(run="run-2", data=b"other"), LATE, POLICY)


@pytest.mark.parametrize("state", State)
def test_another_organization_never_gets_the_id(state: State) -> None:
    for data in (b"a recording", b"other"):
        upload = an_upload(run="run-2", organization_id="org-2", data=data)
        with pytest.raises(ConflictingUpload):
            receive(job_in(state), upload, LATE, POLICY)


@pytest.mark.parametrize("state", sorted(RESTARTABLE))
@pytest.mark.parametrize("data", [b"a recording", b"other"])
def test_a_job_that_came_to_nothing_starts_anew(state: State, data: bytes) -> None:
    old = job_in(state)
    upload = an_upload(run="run-2", data=data)
    job, effects = receive(old, upload, LATE, POLICY)
    fresh, _ = receive(None, upload, LATE, POLICY)
    history = (*old.history, *fresh.history)
    assert job == replace(fresh, fence=old.fence, history=history, former=("run-1",))
    assert set(effects) == {
        ev.Discard(job_id=old.job_id, run="run-1"),
        ev.Publish(message=message_of(job)),
    }


@pytest.mark.parametrize("state", sorted(State))
def test_a_run_that_the_id_has_left_behind_does_not_begin_again(state: State) -> None:
    """Who finished its upload may have died before saying so, and the sweep finishes it again."""
    job = replace(job_in(state), former=("run-0",))
    assert receive(job, an_upload(run="run-0", data=b"other"), LATE, POLICY) == (job, ())


def test_the_runs_that_an_id_had_are_bounded() -> None:
    job = queued()
    for number in range(limits.FORMER_RUNS_MAX + 2):
        ended = replace(job, state=State.FAILED)
        job, _ = receive(ended, an_upload(run=f"new-{number}"), LATE, POLICY)
    assert len(job.former) == limits.FORMER_RUNS_MAX
    assert job.former[-1] == f"new-{limits.FORMER_RUNS_MAX}"


@pytest.mark.parametrize("state", sorted(RESTARTABLE))
def test_the_cleaning_of_the_old_run_says_nothing_of_the_new(state: State) -> None:
    job, _ = receive(job_in(state), an_upload(run="run-2"), LATE, POLICY)
    assert advance(job, ev.Cleaned(run="run-1"), LATE, POLICY) == (job, ())


@pytest.mark.parametrize("state", sorted(RESTARTABLE))
@pytest.mark.parametrize("kind", FENCED)
def test_a_worker_of_the_old_run_cannot_touch_the_new(state: State, kind: type[ev.Event]) -> None:
    old = job_in(state)
    job, _ = receive(old, an_upload(run="run-2"), LATE, POLICY)
    for present in (job, step(job, ev.Claimed(), LATE)):
        with pytest.raises(LeaseLost):
            step(present, an_event(kind, old.fence), LATE)


# Fences and leases
def test_a_claim_takes_a_lease_under_a_new_fence() -> None:
    job = step(queued(), ev.Claimed(), T0 + 5)
    assert (job.state, job.fence, job.claims) == (State.PROCESSING, 1, 1)
    assert job.lease_until == job.wake_at == T0 + 5 + POLICY.lease_s


@pytest.mark.parametrize("job", [queued(), storing()], ids=["encode", "deliver"])
def test_a_step_in_hand_cannot_be_claimed_until_its_lease_runs_out(job: Job) -> None:
    held = step(job, ev.Claimed())
    for event in (ev.Claimed(), an_event(ev.Poisoned, 0)):
        with pytest.raises(LeaseHeld):
            step(held, event, T0 + POLICY.lease_s - 0.001)
    taken = step(held, ev.Claimed(), T0 + POLICY.lease_s)
    assert (taken.state, taken.fence, taken.claims) == (held.state, held.fence + 1, 2)


@pytest.mark.parametrize("kind", FENCED)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("wrong", [-1, 1])
def test_no_event_counts_under_any_fence_but_the_present(
    kind: type[ev.Event], state: State, wrong: int
) -> None:
    job = job_in(state)
    with pytest.raises(LeaseLost):
        step(job, an_event(kind, job.fence + wrong), LATE)


@pytest.mark.parametrize("kind", [kind for kind in FENCED if kind in TRANSITIONS[State.PROCESSING]])
def test_a_worker_that_overran_its_lease_may_commit_while_nobody_else_claimed(
    kind: type[ev.Event],
) -> None:
    step(processing(), an_event(kind, 1), T0 + POLICY.lease_s * 10)


@pytest.mark.parametrize(
    "job",
    [storing(), step(sending(), an_event(ev.DeliveryDeferred, 2))],
    ids=["encoded", "deferred"],
)
@pytest.mark.parametrize("kind", FENCED)
def test_who_has_finished_a_step_cannot_speak_for_the_next(job: Job, kind: type[ev.Event]) -> None:
    """A late heartbeat must not take the lease of a step that nobody has claimed."""
    with pytest.raises(LeaseLost):
        step(job, an_event(kind, job.fence), T0 + 1)


@pytest.mark.parametrize("job", [processing(), sending()], ids=["encode", "deliver"])
def test_a_renewal_extends_the_lease_and_stays_out_of_the_history(job: Job) -> None:
    renewed = step(job, ev.Renewed(fence=job.fence), T0 + 20)
    assert renewed.lease_until == renewed.wake_at == T0 + 20 + POLICY.lease_s
    assert (renewed.state, renewed.history) == (job.state, job.history)
    assert (renewed.fence, renewed.claims) == (job.fence, job.claims)


@pytest.mark.parametrize(
    ("told", "kept"), [(None, 30), (0, 0), (55, 55), (100, 100), (101, 100), (-1, 0)]
)
def test_a_renewal_brings_progress_within_0_and_100(told: int | None, kept: int) -> None:
    job = step(processing(), ev.Renewed(fence=1, progress=30))
    assert step(job, ev.Renewed(fence=1, progress=told)).progress == kept


@pytest.mark.parametrize("job", [processing(), sending()], ids=["encode", "deliver"])
def test_a_step_handed_back_is_due_at_once_and_cost_no_try(job: Job) -> None:
    after, effects = advance(job, ev.Released(fence=job.fence), T0 + 9, POLICY)
    assert after.state is (State.QUEUED if job.state is State.PROCESSING else State.STORING)
    assert (after.lease_until, after.claims, after.retries) == (None, job.claims - 1, job.retries)
    assert (after.due_at, after.wake_at) == (T0 + 9, T0 + 9 + 60)
    assert effects == (ev.Publish(message=message_of(after)),)


# Due times and retries
def test_a_passing_failure_is_tried_again_after_its_delay() -> None:
    event = ev.Retried(fence=1, failure=a_failure("encoder_killed", "signal 9"), delay_s=300.0)
    job, effects = advance(processing(), event, T0 + 10, POLICY)
    assert (job.state, job.retries, job.failure) == (State.QUEUED, 1, event.failure)
    assert (job.due_at, job.wake_at) == (T0 + 310, T0 + 310 + 60)
    assert (job.lease_until, job.claims, job.progress) == (None, 0, 0)
    assert effects == (ev.Publish(message=message_of(job), delay_s=300.0),)
    assert job.history[-1].note == "encoder_killed: signal 9"


def test_no_step_is_taken_before_it_is_due() -> None:
    job = step(processing(), an_event(ev.Retried, 1))
    with pytest.raises(NotDue) as early:
        step(job, ev.Claimed(), T0 + 59.9)
    assert early.value.due_at == T0 + 60
    assert step(job, ev.Claimed(), T0 + 60).state is State.PROCESSING


def test_retries_add_up_until_an_encode_succeeds() -> None:
    job, now = queued(), T0
    for number in range(1, 4):
        job = step(job, ev.Claimed(), now)
        job = step(job, an_event(ev.Retried, job.fence), now)
        now += 60
        assert job.retries == number
    job = step(step(job, ev.Claimed(), now), an_encoded(fence=4), now)
    assert (job.retries, job.failure) == (0, None)


def test_a_failed_encode_keeps_its_source_until_the_ttl() -> None:
    job, effects = advance(processing(), an_event(ev.Failed, 1), T0 + 10, POLICY)
    assert (job.state, job.failure, effects) == (State.FAILED, a_failure(), ())
    assert (job.lease_until, job.wake_at) == (None, T0 + 10 + POLICY.confirm_ttl_s)


# Poison
@pytest.mark.parametrize("job", [queued(), storing()], ids=["encode", "deliver"])
def test_a_step_that_takes_worker_after_worker_is_given_up(job: Job) -> None:
    now = T0
    for _ in range(limits.CLAIMS_MAX):
        assert next_claim(job) == ev.Claimed()
        job = step(job, ev.Claimed(), now)
        now += POLICY.lease_s
    event = next_claim(job)
    assert isinstance(event, ev.Poisoned)
    given_up = step(job, event, now)
    assert given_up.state is (State.STORE_FAILED if job.output else State.FAILED)
    assert given_up.failure is not None
    assert given_up.failure.code == "worker_lost"
    assert (given_up.lease_until, given_up.claims) == (None, 0)
    assert given_up.wake_at == kept_until(job, now)


@pytest.mark.parametrize("kind", FENCED)
def test_the_last_worker_of_a_poisoned_step_is_too_late(kind: type[ev.Event]) -> None:
    for job in (processing(), sending()):
        given_up = step(job, an_event(ev.Poisoned, 0), LATE)
        assert given_up.fence > job.fence
        for later in (given_up, *redelivered(given_up)):
            with pytest.raises(LeaseLost):
                step(later, an_event(kind, job.fence), LATE)


def redelivered(job: Job) -> list[Job]:
    """Return the job after a redelivery, where it can have one."""
    return [step(job, ev.Redelivered(), LATE)] if job.output else []


# Dead letters
def forsaken(job: Job, claims: int = limits.CLAIMS_MAX) -> tuple[Job, float]:
    """Return the job after so many lost workers, and the time when the last lease is over."""
    now = job.due_at
    for _ in range(claims):
        job = step(job, ev.Claimed(), now)
        now += POLICY.lease_s
    return job, now


@pytest.mark.parametrize("claims", [0, 1, limits.CLAIMS_MAX - 1])
@pytest.mark.parametrize("job", [queued(), storing()], ids=["encode", "deliver"])
def test_a_buried_message_fails_no_job_that_can_still_be_claimed(job: Job, claims: int) -> None:
    """An outage of hours buries messages of jobs that nothing is wrong with."""
    waiting, now = forsaken(job, claims)
    after, effects = advance(waiting, a_burial(waiting), now, POLICY)
    assert (after.state, after.failure, effects) == (waiting.state, None, ())
    assert (after.claims, after.fence, after.due_at) == (claims, waiting.fence, waiting.due_at)
    assert after.wake_at == now + POLICY.republish_after_s
    assert (after.history[-1].event, after.history[-1].note) == (
        "Buried",
        "dead_letter: ffmpeg refused the file",
    )
    assert step(after, next_claim(after), now).lease_until == now + POLICY.lease_s


@pytest.mark.parametrize("job", [queued(), storing()], ids=["encode", "deliver"])
def test_a_buried_message_fails_a_job_whose_claims_are_used_up(job: Job) -> None:
    spent, now = forsaken(job)
    after, effects = advance(spent, a_burial(spent), now, POLICY)
    assert after.state is (State.STORE_FAILED if job.output else State.FAILED)
    assert (after.failure, effects) == (a_failure("dead_letter"), ())
    assert (after.lease_until, after.wake_at) == (None, kept_until(spent, now))
    assert after.history[-1].event == "Poisoned"


def test_burials_in_a_row_leave_one_line_and_do_not_hurry_the_sweep() -> None:
    first = step(queued(), a_burial(queued()), T0 + 100)
    assert advance(first, a_burial(first), T0 + 900, POLICY) == (first, ())
    woken = step(first, ev.Woken(), T0 + 900)
    assert step(woken, a_burial(woken), T0 + 901) == woken
    claimed = step(woken, ev.Claimed(), T0 + 1000)
    again = step(claimed, a_burial(claimed), LATE)
    assert [line.event for line in again.history] == ["Received", "Buried", "Claimed", "Buried"]


def test_a_buried_message_of_a_step_in_hand_changes_nothing() -> None:
    for job in (processing(), sending()):
        with pytest.raises(LeaseHeld):
            step(job, a_burial(job), T0 + POLICY.lease_s - 0.001)


def test_a_buried_message_of_a_step_that_is_not_due_changes_nothing() -> None:
    for job in (step(processing(), an_event(ev.Retried, 1)),
                step(sending(), an_event(ev.DeliveryDeferred, 2))):  # fmt: skip
        with pytest.raises(NotDue):
            step(job, a_burial(job), job.due_at - 0.001)


def test_a_buried_message_of_an_earlier_step_or_run_says_nothing_of_the_job() -> None:
    other_run = replace(message_of(queued()), run="run-0")
    for job, message in (
        (storing(), message_of(queued())),
        (stored(), message_of(storing())),
        (failed(), message_of(queued())),
        (queued(), other_run),
        (forsaken(queued())[0], other_run),
    ):
        with pytest.raises(StaleMessage):
            step(job, ev.Buried(message=message, failure=a_failure()), LATE)


@pytest.mark.parametrize(
    ("before", "kind"),
    [
        (processing(), ev.Retried),
        (processing(), ev.Encoded),
        (sending(), ev.DeliveryDeferred),
        (sending(), ev.Delivered),
        (sending(), ev.Redelivered),
    ],
    ids=lambda value: getattr(value, "__name__", "job"),
)
def test_a_step_that_comes_to_its_end_clears_the_count_of_lost_workers(
    before: Job, kind: type[ev.Event]
) -> None:
    job = replace(before, claims=limits.CLAIMS_MAX)
    assert step(job, an_event(kind, job.fence)).claims == 0


# Encoded
def test_an_encode_is_followed_by_its_delivery() -> None:
    event = an_encoded(fence=1)
    job, effects = advance(processing(), event, T0 + 10, POLICY)
    output = replace(event.output, made_at=T0 + 10)
    assert (job.state, job.output, job.progress) == (State.STORING, output, 100)
    assert job.source == replace(UPLOAD.source, media=event.source_media)
    assert (job.lease_until, job.due_at, job.wake_at) == (None, T0 + 10, T0 + 10 + 60)
    assert job.delivery is not None
    assert (job.delivery.since, job.delivery.attempts) == (T0 + 10, 0)
    assert effects == (ev.Publish(message=message_of(job)),)
    assert message_of(job).topic is Topic.DELIVER
    assert job.history[-1].note == "encoded"


def test_warnings_are_bounded() -> None:
    event = replace(an_encoded(fence=1), warnings=tuple("abc" * 20))
    assert step(processing(), event).warnings == tuple("abc" * 20)[: limits.WARNINGS_MAX]


# Delivery
def test_every_claim_of_a_delivery_counts_as_an_attempt() -> None:
    job, now = storing(), T0
    for attempts in (1, 2, 3):
        job = step(job, ev.Claimed(), now)
        assert job.delivery is not None
        assert job.delivery.attempts == attempts
        now += POLICY.lease_s


def test_a_deferred_delivery_is_due_after_its_delay() -> None:
    event = ev.DeliveryDeferred(fence=2, outcome="answered 500", delay_s=5.0)
    job, effects = advance(sending(), event, T0 + 1, POLICY)
    assert (job.state, job.lease_until, job.due_at) == (State.STORING, None, T0 + 6)
    assert job.wake_at == T0 + 6 + 60
    assert job.delivery is not None
    assert (job.delivery.attempts, job.delivery.last_outcome) == (1, "answered 500")
    assert effects == (ev.Publish(message=message_of(job), delay_s=5.0),)
    assert job.history[-1].note == "answered 500; next in 5 s"


def test_a_taken_delivery_waits_for_its_confirmation() -> None:
    job, effects = advance(sending(), ev.Delivered(fence=2), T0 + 1, POLICY)
    assert (job.state, job.lease_until, effects) == (State.STORED, None, ())
    assert job.wake_at == T0 + 1 + POLICY.confirm_ttl_s
    assert job.delivery is not None
    assert job.delivery.last_outcome == "answered 200"


def kept_until(job: Job, now: float) -> float:
    """Return until when the files of a job that is given up at `now` are kept."""
    window = job.delivery.since + POLICY.store_retry_for_s if job.delivery else 0.0
    return max(now + POLICY.confirm_ttl_s, window)


def test_a_refused_delivery_keeps_the_output_over_the_weekend() -> None:
    """At least as long as it would have been tried, also where the first answer was the last."""
    job, effects = advance(sending(), an_event(ev.DeliveryRefused, 2), T0 + 1, POLICY)
    assert (job.state, job.output, effects) == (State.STORE_FAILED, sending().output, ())
    assert job.delivery is not None
    assert job.wake_at == job.delivery.since + POLICY.store_retry_for_s
    assert POLICY.store_retry_for_s > 2 * POLICY.confirm_ttl_s
    assert job.failure == a_failure("store_gone")
    late = job.delivery.since + POLICY.store_retry_for_s
    after = step(sending(), an_event(ev.DeliveryRefused, 2), late)
    assert after.wake_at == late + POLICY.confirm_ttl_s


def test_a_late_confirmation_of_an_earlier_result_ends_no_later_one() -> None:
    """The id has begun anew, and nobody has sent anything of the new run."""
    job = replace(storing(), former=("run-0",))
    with pytest.raises(NotReady, match="earlier"):
        advance(job, ev.Confirmed(), LATE, POLICY)
    held = step(job, ev.Claimed(), LATE)
    assert step(held, ev.Confirmed(), LATE).state is State.COMPLETED


@pytest.mark.parametrize(
    ("is_outage", "retries", "since"),
    [(False, 1, None), (True, 0, T0 + 5)],
    ids=["of the file", "of our own"],
)
def test_only_what_may_lie_in_the_file_costs_a_try(
    *, is_outage: bool, retries: int, since: float | None
) -> None:
    event = an_event(ev.Retried, 1)
    assert isinstance(event, ev.Retried)
    after = step(processing(), replace(event, is_outage=is_outage), T0 + 5)
    assert (after.retries, after.outage_since) == (retries, since)
    known = replace(processing(), outage_since=T0)
    again = step(known, replace(event, is_outage=is_outage), T0 + 5)
    assert again.outage_since == (T0 if is_outage else None)


@pytest.mark.parametrize("job", [storing(), sending(), stored(), store_failed()])
def test_a_redelivery_opens_a_new_window_under_the_same_delivery_id(job: Job) -> None:
    after, effects = advance(job, ev.Redelivered(), T0 + 9, POLICY)
    assert (after.state, after.due_at, after.failure) == (State.STORING, T0 + 9, None)
    assert after.delivery is not None
    assert (after.delivery.since, after.delivery.attempts) == (T0 + 9, 0)
    assert after.delivery_id == job.delivery_id
    assert effects == (ev.Publish(message=message_of(after)),)


def test_a_redelivery_does_not_break_into_an_open_callback() -> None:
    job = step(sending(), ev.Redelivered(), T0 + 9)
    assert job.lease_until == sending().lease_until
    with pytest.raises(LeaseHeld):
        step(job, ev.Claimed(), T0 + 10)
    assert step(job, ev.Delivered(fence=2), T0 + 11).state is State.STORED


# Confirming
@pytest.mark.parametrize("state", [State.QUEUED, State.PROCESSING, State.FAILED, State.CANCELLED])
def test_what_has_no_output_cannot_be_confirmed(state: State) -> None:
    with pytest.raises(NotReady):
        step(job_in(state), ev.Confirmed())


def test_a_retried_job_is_not_ready_either() -> None:
    with pytest.raises(NotReady):
        step(step(processing(), an_event(ev.Retried, 1)), ev.Confirmed())


def test_what_expired_is_gone() -> None:
    with pytest.raises(Gone):
        step(job_in(State.EXPIRED), ev.Confirmed(), LATE)


@pytest.mark.parametrize("job", [storing(), sending(), stored(), store_failed()])
def test_a_confirmation_completes_and_discards(job: Job) -> None:
    after, effects = advance(job, ev.Confirmed(), T0 + 9, POLICY)
    assert (after.state, after.failure, after.cleaned) == (State.COMPLETED, None, False)
    assert after.wake_at == T0 + 9 + 60
    assert effects == (ev.Discard(job_id=job.job_id, run=job.run),)


def test_confirming_twice_changes_nothing() -> None:
    job = cleaned(step(stored(), ev.Confirmed()))
    assert advance(job, ev.Confirmed(), LATE, POLICY) == (job, ())
    assert advance(job, ev.Confirmed(sha256=RESULT.sha256), LATE, POLICY) == (job, ())


def test_confirming_again_before_the_objects_are_gone_discards_again() -> None:
    job = step(stored(), ev.Confirmed())
    after, effects = advance(job, ev.Confirmed(), T0 + 1, POLICY)
    assert after.state is State.COMPLETED
    assert effects == (ev.Discard(job_id=job.job_id, run=job.run),)


@pytest.mark.parametrize(
    "job", [storing(), sending(), stored(), store_failed(), job_in(State.COMPLETED)]
)
def test_a_confirmation_of_other_bytes_is_refused(job: Job) -> None:
    with pytest.raises(ChecksumMismatch, match=RESULT.sha256):
        step(job, ev.Confirmed(sha256="0" * 64))


@pytest.mark.parametrize("sha256", [None, RESULT.sha256, RESULT.sha256.upper()])
def test_a_confirmation_may_name_the_bytes(sha256: str | None) -> None:
    assert step(stored(), ev.Confirmed(sha256=sha256)).state is State.COMPLETED


def test_a_worker_may_report_200_after_the_lms_confirmed_from_within() -> None:
    job = step(sending(), ev.Confirmed())
    after, effects = advance(job, ev.Delivered(fence=2), T0 + 1, POLICY)
    assert (after.state, after.lease_until, effects) == (State.COMPLETED, None, ())
    assert after.wake_at == job.wake_at


@pytest.mark.parametrize("kind", [ev.DeliveryDeferred, ev.DeliveryRefused, ev.Released])
def test_whatever_else_a_worker_reports_after_the_confirmation_is_void(
    kind: type[ev.Event],
) -> None:
    job = step(sending(), ev.Confirmed())
    assert advance(job, an_event(kind, 2), T0 + 1, POLICY) == (job, ())


def test_a_confirmed_job_can_not_be_kept_alive() -> None:
    with pytest.raises(LeaseLost):
        step(step(sending(), ev.Confirmed()), ev.Renewed(fence=2))


# Calling off
def test_a_cancelled_job_discards_its_source() -> None:
    job, effects = advance(queued(), ev.Cancelled(), T0 + 1, POLICY)
    assert (job.state, job.wake_at) == (State.CANCELLED, T0 + 1 + 60)
    assert effects == (ev.Discard(job_id=job.job_id, run=job.run),)


# The sweep
@pytest.mark.parametrize("state", State)
def test_nothing_wakes_before_its_time(state: State) -> None:
    job = job_in(state)
    assert advance(job, ev.Woken(), job.wake_at - 0.001, POLICY) == (job, ())


@pytest.mark.parametrize("job", [queued(), processing(), storing(), sending()])
def test_waking_an_unfinished_job_publishes_its_message_again(job: Job) -> None:
    after, effects = advance(job, ev.Woken(), job.wake_at, POLICY)
    assert effects == (ev.Publish(message=message_of(job)),)
    assert (after.state, after.history) == (job.state, job.history)
    assert after.wake_at >= job.wake_at + POLICY.republish_after_s


def test_the_pauses_between_republications_grow_to_an_hour() -> None:
    job, pauses = queued(), []
    for _ in range(10):
        after = step(job, ev.Woken(), job.wake_at)
        pauses.append(after.wake_at - job.wake_at)
        job = after
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


def test_a_long_encode_that_lost_its_worker_is_republished_as_often_as_a_short_one() -> None:
    """What counts is how long it has waited, not how long it has been worked on."""
    job = processing()
    for minute in range(60):
        job = step(job, ev.Renewed(fence=1), T0 + 60 * minute)
    after = step(job, ev.Woken(), job.wake_at)
    assert after.wake_at - job.wake_at == POLICY.republish_after_s


@pytest.mark.parametrize("job", [stored(), store_failed()], ids=["stored", "store_failed"])
def test_what_nobody_confirmed_expires_at_its_ttl(job: Job) -> None:
    after, effects = advance(job, ev.Woken(), job.wake_at, POLICY)
    assert after.state is State.EXPIRED
    assert effects == (ev.Discard(job_id=job.job_id, run=job.run),)
    assert after.history[-1].event == "Woken"


def test_a_failed_job_loses_its_source_at_its_ttl_and_stays_failed() -> None:
    after, effects = advance(failed(), ev.Woken(), T0 + POLICY.confirm_ttl_s, POLICY)
    assert (after.state, after.failure) == (State.FAILED, failed().failure)
    assert effects == (ev.Discard(job_id=after.job_id, run=after.run),)


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPIRED])
def test_discarding_is_repeated_until_it_is_recorded(state: State) -> None:
    job = job_in(state)
    for _ in range(3):
        now = job.wake_at
        job, effects = advance(job, ev.Woken(), now, POLICY)
        assert effects == (ev.Discard(job_id=job.job_id, run=job.run),)
        assert job.wake_at == now + POLICY.republish_after_s


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPIRED])
def test_a_record_is_forgotten_when_its_time_is_up(state: State) -> None:
    job = cleaned(job_in(state), LATE)
    assert (job.state, job.cleaned) == (state, True)
    assert job.wake_at == LATE + POLICY.keep_record_s
    after, effects = advance(job, ev.Woken(), job.wake_at, POLICY)
    assert effects == (ev.Forget(job_id=job.job_id, run=job.run),)
    assert after.wake_at <= job.wake_at, "a forgetting that was lost is tried again"


def test_cleaning_is_recorded_once() -> None:
    job = cleaned(job_in(State.COMPLETED))
    assert advance(job, ev.Cleaned(run=job.run), LATE, POLICY) == (job, ())


# History
def test_every_change_of_state_enters_the_history_with_its_time() -> None:
    job = step(step(stored(), ev.Confirmed(), T0 + 7), ev.Cleaned(run="run-1"), T0 + 8)
    assert [(line.event, line.state) for line in job.history] == [
        ("Received", State.QUEUED),
        ("Claimed", State.PROCESSING),
        ("Encoded", State.STORING),
        ("Claimed", State.STORING),
        ("Delivered", State.STORED),
        ("Confirmed", State.COMPLETED),
        ("Cleaned", State.COMPLETED),
    ]
    assert [line.at for line in job.history[-3:]] == [T0, T0 + 7, T0 + 8]
    assert job.updated_at == T0 + 8


def test_past_its_bound_the_history_keeps_its_first_line_and_the_newest() -> None:
    job, now, lines = queued(), T0, list(queued().history)
    for _ in range(limits.HISTORY_MAX):
        now += 60
        job = step(job, ev.Claimed(), now)
        lines.append(job.history[-1])
        job = step(job, an_event(ev.Retried, job.fence), now)
        lines.append(job.history[-1])
        now += 60
    assert len(job.history) == limits.HISTORY_MAX
    assert job.history == (lines[0], *lines[1 - limits.HISTORY_MAX :])


def test_a_history_stays_bounded_over_many_runs() -> None:
    job = queued()
    for number in range(limits.HISTORY_MAX):
        job = step(job, ev.Cancelled(), T0 + number)
        job, _ = receive(job, an_upload(run=f"later-{number}"), T0 + number, POLICY)
    assert len(job.history) == limits.HISTORY_MAX
    assert job.history[-1].event == "Received"


@pytest.mark.parametrize("kind", [ev.Retried, ev.Failed])
def test_reasons_in_the_history_are_bounded(kind: type[ev.Event]) -> None:
    long = a_failure(reason="x" * 10_000)
    event = an_event(kind, 1)
    assert isinstance(event, ev.Retried | ev.Failed)
    note = step(processing(), replace(event, failure=long)).history[-1].note
    assert note is not None
    assert len(note) == limits.REASON_CHARS_MAX
