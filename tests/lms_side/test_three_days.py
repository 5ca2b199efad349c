"""Every outcome of a delivery over the whole schedule, on a clock that is moved by hand."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field

import pytest

from core import limits
from core.delivery import Answered, Outcome, Parcel, Unanswered
from core.errors import LeaseHeld, NotDue, StaleMessage
from core.events import Claimed, Confirmed
from core.job import Job, Policy, State, output_key, source_key
from core.messages import Message, Topic
from functions.sweep import remove_orphans, wake_jobs
from tests.fakes import FakeCourier, World, a_world, an_encoded, an_upload, put
from tests.lms_side.behaviours import BEHAVIOURS
from transcoder.deliver import Deliver

_DAY_S = 24 * 3600.0
_POLICY = Policy()
_STEPS_MAX = 5000
_ENDS = {State.STORED, State.STORE_FAILED, State.COMPLETED, State.EXPIRED}
_UNREACHABLE = ("store_failed", "store_unreachable")


@dataclass(slots=True, kw_only=True)
class Schedule:
    """One encoded recording, delivered again and again to an LMS that answers by `outcomes`."""

    outcomes: list[Outcome]
    jitter: float = 0.0
    loses_messages: bool = False
    sent_at: list[float] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    world: World = field(default_factory=a_world)

    def __post_init__(self) -> None:
        objects, ledger = self.world.objects, self.world.ledger
        put(objects, source_key("run-1"), b"a recording")
        ledger.receive(an_upload())
        fence = ledger.apply("video-1", Claimed()).fence
        put(objects, output_key("run-1", fence), b"a result")
        ledger.apply("video-1", an_encoded(fence=fence))
        self.world.bus.published.clear()

    @property
    def job(self) -> Job:
        """Return the record."""
        return self.world.ledger.read("video-1")

    def run(self, *, until: set[State] = _ENDS, for_s: float = 10 * _DAY_S) -> Job:
        """Let workers and sweeps do what is due, and time pass, until a state or for so long."""
        ends_at = self.world.clock.now() + for_s
        for _ in range(_STEPS_MAX):
            if self.job.state in until or self.world.clock.now() > ends_at:
                return self.job
            if not self._deliver():
                self._pass_time()
            wake_jobs(self.world.ledger)
        raise AssertionError("the schedule does not end")

    def _deliver(self) -> bool:
        """Make the attempt that is due, if one is."""
        bus = self.world.bus
        handout = bus.receive(Topic.DELIVER, lease_s=30)
        if handout is None:
            return False
        courier = FakeCourier([self.outcomes[0]])
        courier.on_send = self._note
        step = Deliver(
            ledger=self.world.ledger,
            courier=courier,
            interrupting=nullcontext,
            jitter=lambda: self.jitter,
        )
        try:
            step(handout.message)
        except (LeaseHeld, NotDue, StaleMessage):
            pass
        else:
            self.outcomes = self.outcomes[1:] or self.outcomes
        bus.ack(handout)
        if self.loses_messages:
            bus._letters.clear()
        return True

    def _note(self, parcel: Parcel) -> None:
        self.sent_at.append(self.world.clock.now())
        self.ids.add(parcel.delivery_id)

    def _pass_time(self) -> None:
        """Go to the next moment at which anything is due."""
        now = self.world.clock.now()
        message = Message(topic=Topic.DELIVER, job_id="video-1", run="run-1")
        moments = [self.world.bus.next_at(message), self.job.wake_at]
        later = [moment for moment in moments if moment is not None and moment > now]
        self.world.clock.advance(min(later, default=now + 60) - now)

    @property
    def pauses(self) -> list[float]:
        """Return the seconds between attempts."""
        return [
            after - before for before, after in zip(self.sent_at, self.sent_at[1:], strict=False)
        ]

    def encodes_asked(self) -> int:
        """Return how often the bus was asked for another encode."""
        return sum(message.topic is Topic.TRANSCODE for message, _ in self.world.bus.published)


def _end_of(outcome: Outcome) -> tuple[str, str | None]:
    """Return the end state that an LMS deserves that never does anything else, and its code."""
    status = outcome.status if isinstance(outcome, Answered) else 0
    ends: dict[int, tuple[str, str | None]] = {
        200: ("stored", None),
        410: ("store_failed", "store_gone"),
        413: ("store_failed", "store_too_large"),
    }
    return ends.get(status, _UNREACHABLE)


_CASES = [
    pytest.param(outcome, id=f"{kind} {number}")
    for kind, (_, outcomes) in BEHAVIOURS.items()
    for number, outcome in enumerate(outcomes)
] + [
    pytest.param(Unanswered(reason=reason), id=reason)
    for reason in (
        "name not found",
        "TLS certificate not accepted",
        "TLS handshake failed",
        "connection refused",
        "host not reachable",
        "no connection in 10 s",
        "address not public, as OUTBOUND_PUBLIC_ONLY asks for",
    )
]


@pytest.mark.parametrize("loses_messages", [False, True], ids=["", "the bus loses all"])
@pytest.mark.parametrize("outcome", _CASES)
def test_an_lms_that_never_changes_gets_the_whole_schedule_and_one_end(
    outcome: Outcome,
    loses_messages: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Attempts are spaced, bounded, all of one delivery, and nothing is encoded again or lost."""
    schedule = Schedule(outcomes=[outcome], loses_messages=loses_messages)
    job = schedule.run()
    code = job.failure.code if job.failure else None
    assert (job.state.value, code) == _end_of(outcome)
    assert schedule.encodes_asked() == 0
    assert schedule.ids == {job.delivery_id}
    assert job.output is not None
    assert schedule.world.objects.open(job.output.key)  # it can be delivered again
    if _end_of(outcome) != _UNREACHABLE:
        assert len(schedule.sent_at) == 1
        return
    _check_spacing(schedule, outcome)


def _check_spacing(schedule: Schedule, outcome: Outcome) -> None:
    asked_s = (outcome.retry_after_s or 0.0) if isinstance(outcome, Answered) else 0.0
    asked_s = min(asked_s, limits.RETRY_AFTER_MAX_S)
    longest_s = max(limits.DELIVERY_MAX_DELAY_S, asked_s)
    late_s = limits.REPUBLISH_MAX_S if schedule.loses_messages else 1.0
    window_s = schedule.sent_at[-1] - schedule.sent_at[0]
    assert _POLICY.store_retry_for_s <= window_s <= _POLICY.store_retry_for_s + late_s + 60
    assert all(pause <= longest_s + late_s for pause in schedule.pauses)
    assert all(pause >= max(asked_s, limits.DELIVERY_FIRST_DELAY_S) - 1 for pause in
               schedule.pauses[:-1])  # fmt: skip
    fewest = 3 if asked_s > limits.DELIVERY_MAX_DELAY_S else 20
    assert fewest <= len(schedule.sent_at) <= 60


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_the_pauses_double_from_5_s_to_4_h_and_are_stretched_by_at_most_a_quarter(
    jitter: float,
) -> None:
    schedule = Schedule(outcomes=[Answered(status=500)], jitter=jitter)
    schedule.run()
    stretch = 1 + limits.JITTER * jitter
    for number, pause in enumerate(schedule.pauses[:-1]):
        assert pause == pytest.approx(min(5.0 * 2**number, 14_400) * stretch, abs=1)


@pytest.mark.parametrize("failures", [1, 2, 5, 10, 20, 25])
def test_an_lms_that_comes_back_gets_the_recording(failures: int) -> None:
    """Whatever it did before, in whatever order: one 200 is enough, and then the confirmation."""
    bad = [
        outcome
        for _, outcomes in BEHAVIOURS.values()
        for outcome in outcomes
        if _end_of(outcome) == _UNREACHABLE
        and not (isinstance(outcome, Answered) and (outcome.retry_after_s or 0) > 1000)
    ]
    schedule = Schedule(outcomes=[*bad[-failures:], Answered(status=200)])
    assert schedule.run().state is State.STORED
    assert len(schedule.sent_at) == failures + 1
    schedule.world.ledger.apply("video-1", Confirmed())
    assert schedule.job.state is State.COMPLETED
    assert list(schedule.world.objects.list("")) == []


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_a_confirmation_ends_the_schedule_whenever_it_comes(when: str) -> None:
    """The LMS may have taken a delivery whose answer was lost: its word counts."""
    schedule = Schedule(outcomes=[Unanswered(reason="connection lost before the answer")])
    if when != "before":
        schedule.run(for_s=3600 if when == "between" else 10 * _DAY_S)
    schedule.world.ledger.apply("video-1", Confirmed())
    sent = len(schedule.sent_at)
    for _ in range(5):
        schedule.world.clock.advance(_DAY_S)
        schedule._deliver()
        wake_jobs(schedule.world.ledger)
    assert schedule.job.state is State.COMPLETED
    assert len(schedule.sent_at) == sent
    assert list(schedule.world.objects.list("")) == []


def test_a_result_that_was_never_taken_is_removed_in_the_end_and_not_before() -> None:
    schedule = Schedule(outcomes=[Answered(status=500)])
    assert schedule.run().state is State.STORE_FAILED
    began = schedule.world.clock.now()
    assert schedule.run(until={State.EXPIRED}).state is State.EXPIRED
    assert schedule.world.clock.now() - began >= _POLICY.confirm_ttl_s
    remove_orphans(schedule.world.ledger, grace_s=3600)
    assert list(schedule.world.objects.list("")) == []
