"""A record, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core import events as ev
from core import limits
from core.errors import (
    ConflictingUpload,
    LeaseHeld,
    LeaseLost,
    NotDue,
    NotFound,
    NotReady,
    StaleMessage,
    Unavailable,
    WorkerLost,
)
from core.job import Job, Policy, State, cut_key, output_key, source_key
from core.ledger import Ledger
from core.messages import Message, Topic
from core.submission import Upload
from core.transitions import message_of
from tests.fakes import (
    MemoryJobStore,
    World,
    a_failure,
    a_media_summary,
    a_world,
    an_encoded,
    an_upload,
    put,
)

JOB_ID = "video-1"
PIECES = 9


@pytest.fixture
def world() -> World:
    return a_world()


def send(world: World, upload: Upload) -> Job:
    """Commit an upload's object and record it."""
    put(world.objects, upload.source.key, b"a recording")
    return world.ledger.receive(upload)


def claim(world: World) -> Job:
    """Claim the job's present step."""
    return world.ledger.claim(message_of(world.ledger.read(JOB_ID)))


def cut(world: World, *, pieces: int) -> Job:
    """Bring a job to `processing` in pieces, whose messages are lost."""
    send(world, an_upload())
    job = claim(world)
    event = ev.PiecesCut(
        fence=job.fence,
        plan_key=cut_key(job.run, job.fence),
        pieces=pieces,
        source_media=a_media_summary(),
    )
    job = world.ledger.apply(JOB_ID, event)
    waiting(world)
    return job


def encode(world: World) -> Job:
    """Bring a received job to `storing`."""
    job = claim(world)
    put(world.objects, output_key(job.run, job.fence), b"a result")
    return world.ledger.apply(JOB_ID, an_encoded(job.run, job.fence))


def fail(world: World) -> Job:
    """Bring a received job to `failed`."""
    return world.ledger.apply(JOB_ID, ev.Failed(fence=claim(world).fence, failure=a_failure()))


def waiting(world: World) -> list[Message]:
    """Take and acknowledge all messages that are due."""
    messages = []
    for topic in Topic:
        while handout := world.bus.receive(topic, lease_s=30):
            world.bus.ack(handout)
            messages.append(handout.message)
    return messages


# Records
def test_an_unknown_job_is_not_found(world: World) -> None:
    with pytest.raises(NotFound, match="there is no job nobody"):
        world.ledger.read("nobody")
    with pytest.raises(NotFound, match="there is no job nobody"):
        world.ledger.apply("nobody", ev.Confirmed())
    assert world.jobs.all() == []


def test_a_received_job_is_recorded_and_published(world: World) -> None:
    job = send(world, an_upload())
    assert world.ledger.read(JOB_ID) == job
    assert job.created_at == world.clock.now()
    assert waiting(world) == [Message(topic=Topic.TRANSCODE, job_id=JOB_ID, run="run-1")]


def test_the_same_bytes_again_return_the_run_that_is_there(world: World) -> None:
    first = send(world, an_upload())
    waiting(world)
    assert send(world, an_upload(run="run-2")) == first
    assert waiting(world) == []


def test_other_bytes_leave_the_record_as_it_is(world: World) -> None:
    first = send(world, an_upload())
    with pytest.raises(ConflictingUpload):
        send(world, an_upload(run="run-2", data=b"other"))
    assert world.ledger.read(JOB_ID) == first


def test_what_is_refused_changes_nothing(world: World) -> None:
    job = send(world, an_upload())
    waiting(world)
    with pytest.raises(NotReady):
        world.ledger.apply(JOB_ID, ev.Confirmed())
    with pytest.raises(LeaseLost):
        world.ledger.apply(JOB_ID, ev.Delivered(fence=0))
    assert world.ledger.read(JOB_ID) == job
    assert waiting(world) == []
    assert world.objects.keys() == {source_key("run-1")}


def test_effects_happen_once_however_often_the_store_tries(world: World) -> None:
    ledger = Ledger(
        jobs=Hesitant(),
        bus=world.bus,
        objects=world.objects,
        clock=world.clock,
        log=world.log,
        policy=Policy(),
    )
    ledger.receive(an_upload())
    assert len(world.bus.published) == 1
    assert world.log.names() == ["job.received"]
    assert ledger.claim(message_of(ledger.read(JOB_ID))).fence == 1


class Hesitant(MemoryJobStore):
    """Tries each change twice, as a store may whose first commit lost a race."""

    def update(self, job_id: str, change: Callable[[Job | None], Job]) -> Job:
        """Call `change` once in vain."""
        change(self.get(job_id))
        return super().update(job_id, change)


# Claims
def test_a_message_takes_the_step_that_it_names(world: World) -> None:
    send(world, an_upload())
    [message] = waiting(world)
    job = world.ledger.claim(message)
    assert (job.state, job.fence) == (State.PROCESSING, 1)
    encode_again = world.ledger.apply(JOB_ID, an_encoded("run-1", 1))
    [message] = waiting(world)
    assert message == message_of(encode_again)
    assert world.ledger.claim(message).fence == 2


@pytest.mark.parametrize(
    "message",
    [
        Message(topic=Topic.TRANSCODE, job_id="nobody", run="run-1"),
        Message(topic=Topic.TRANSCODE, job_id=JOB_ID, run="run-0"),
        Message(topic=Topic.DELIVER, job_id=JOB_ID, run="run-1"),
    ],
)
def test_a_message_of_another_step_or_run_is_stale(world: World, message: Message) -> None:
    job = send(world, an_upload())
    with pytest.raises(StaleMessage):
        world.ledger.claim(message)
    assert world.ledger.read(JOB_ID) == job


def test_a_message_is_stale_once_its_step_is_done(world: World) -> None:
    first = message_of(send(world, an_upload()))
    second = message_of(encode(world))
    with pytest.raises(StaleMessage):
        world.ledger.claim(first)
    world.ledger.apply(JOB_ID, ev.Confirmed())
    with pytest.raises(StaleMessage):
        world.ledger.claim(second)


def test_a_step_in_hand_or_not_due_is_not_handed_over(world: World) -> None:
    message = message_of(send(world, an_upload()))
    world.ledger.claim(message)
    with pytest.raises(LeaseHeld):
        world.ledger.claim(message)
    world.ledger.apply(JOB_ID, ev.Retried(fence=1, failure=a_failure(), delay_s=60.0))
    with pytest.raises(NotDue):
        world.ledger.claim(message)
    world.clock.advance(60)
    assert world.ledger.claim(message).fence == 2


def test_a_job_that_takes_worker_after_worker_is_given_up(world: World) -> None:
    message = message_of(send(world, an_upload()))
    for _ in range(limits.CLAIMS_MAX):
        world.ledger.claim(message)
        world.clock.advance(world.ledger.policy.lease_s)
    with pytest.raises(WorkerLost):
        world.ledger.claim(message)
    assert world.ledger.read(JOB_ID).state is State.FAILED
    assert world.objects.keys() == {source_key("run-1")}


# A bus that does not answer
def test_a_message_that_was_not_published_is_left_to_the_sweep(world: World) -> None:
    world.bus.broken = True
    job = send(world, an_upload())
    assert world.ledger.read(JOB_ID) == job
    assert "bus.unavailable" in world.log.names()
    world.bus.broken = False
    world.clock.advance(world.ledger.policy.republish_after_s)
    world.ledger.apply(JOB_ID, ev.Woken())
    assert waiting(world) == [message_of(job)]


def test_a_silent_bus_is_asked_once_for_all_pieces_of_a_recording(world: World) -> None:
    """Each call may take as long as the adapter's patience, and the sweep has three minutes."""
    job = cut(world, pieces=PIECES)
    asked = world.bus.asked
    world.bus.broken = True
    world.clock.advance(world.ledger.policy.republish_after_s)
    world.ledger.apply(JOB_ID, ev.Woken())
    assert world.bus.asked == asked + 1
    assert world.log.names().count("bus.unavailable") == 1
    world.bus.broken = False
    world.clock.advance(limits.REPUBLISH_MAX_S)
    world.ledger.apply(JOB_ID, ev.Woken())
    assert len(waiting(world)) == PIECES
    assert world.ledger.read(JOB_ID).board == job.board


# Deleting
def test_a_confirmation_deletes_all_objects_of_the_run_and_no_other(world: World) -> None:
    send(world, an_upload())
    encode(world)
    for key in ("pieces/run-1/1/0.mkv", "outputs/run-1/0.mp4", "uploads/run-10/source"):
        put(world.objects, key, b"x")
    job = world.ledger.apply(JOB_ID, ev.Confirmed())
    assert job.state is State.COMPLETED
    assert world.objects.keys() == {"uploads/run-10/source"}
    assert world.ledger.read(JOB_ID).cleaned


def test_a_confirmation_that_could_not_delete_is_finished_by_the_next(world: World) -> None:
    send(world, an_upload())
    encode(world)
    world.objects.broken = True
    with pytest.raises(Unavailable):
        world.ledger.apply(JOB_ID, ev.Confirmed())
    job = world.ledger.read(JOB_ID)
    assert (job.state, job.cleaned) == (State.COMPLETED, False)
    world.objects.broken = False
    world.ledger.apply(JOB_ID, ev.Confirmed())
    assert world.objects.keys() == set()
    assert world.ledger.read(JOB_ID).cleaned


def test_the_sweep_finishes_it_too(world: World) -> None:
    send(world, an_upload())
    encode(world)
    world.objects.broken = True
    with pytest.raises(Unavailable):
        world.ledger.apply(JOB_ID, ev.Confirmed())
    world.objects.broken = False
    world.clock.advance(world.ledger.policy.republish_after_s)
    world.ledger.apply(JOB_ID, ev.Woken())
    assert world.objects.keys() == set()
    assert world.ledger.read(JOB_ID).cleaned


def test_a_restart_deletes_the_old_run_and_not_the_new(world: World) -> None:
    send(world, an_upload())
    fail(world)
    waiting(world)
    job = send(world, an_upload(run="run-2", data=b"other"))
    assert (job.state, job.run, job.fence) == (State.QUEUED, "run-2", 1)
    assert world.objects.keys() == {source_key("run-2")}
    assert not world.ledger.read(JOB_ID).cleaned
    assert waiting(world) == [message_of(job)]


def test_a_restart_is_published_although_the_old_run_cannot_be_deleted(world: World) -> None:
    send(world, an_upload())
    fail(world)
    waiting(world)
    put(world.objects, source_key("run-2"), b"a recording")
    world.objects.broken = True
    job = world.ledger.receive(an_upload(run="run-2"))
    assert waiting(world) == [message_of(job)]


def test_what_is_deleted_without_a_record_is_told_in_the_log(world: World) -> None:
    world.ledger._discard(ev.Discard(job_id="nobody", run="run-1"))
    assert world.log.names() == ["job.clean_unrecorded"]


def test_a_record_is_forgotten_when_its_time_is_up(world: World) -> None:
    send(world, an_upload())
    world.ledger.apply(JOB_ID, ev.Cancelled())
    world.clock.advance(world.ledger.policy.keep_record_s)
    world.ledger.apply(JOB_ID, ev.Woken())
    assert world.jobs.all() == []


# The log
def test_every_change_is_told_once_with_its_fields(world: World) -> None:
    send(world, an_upload())
    world.clock.advance(2.5)
    claim(world)
    name, fields = world.log.events[-1]
    assert (name, fields["job_id"], fields["organization_id"]) == ("job.claimed", JOB_ID, "org-1")
    assert (fields["state"], fields["fence"]) == ("processing", 1)
    assert fields["duration_s"] == 2.5
    world.ledger.apply(JOB_ID, ev.Failed(fence=1, failure=a_failure()))
    assert world.log.names() == ["job.received", "job.claimed", "job.failed"]
    assert world.log.events[-1][1]["note"] == "encode_failed: ffmpeg refused the file"


def test_a_confirmation_is_told_before_the_cleaning_that_follows(world: World) -> None:
    send(world, an_upload())
    encode(world)
    world.ledger.apply(JOB_ID, ev.Confirmed())
    world.ledger.apply(JOB_ID, ev.Confirmed())
    assert world.log.names()[-2:] == ["job.confirmed", "job.cleaned"]


def test_renewals_and_what_changes_nothing_are_not_told(world: World) -> None:
    send(world, an_upload())
    claim(world)
    world.log.events.clear()
    world.ledger.apply(JOB_ID, ev.Renewed(fence=1, progress=10))
    world.ledger.apply(JOB_ID, ev.Woken())
    send(world, an_upload(run="run-2"))
    assert world.log.events == []


def told(world: World, event: str) -> dict[str, object]:
    """Return the fields of the one event of that name."""
    (fields,) = (fields for name, fields in world.log.events if name == event)
    return fields


def test_heartbeats_do_not_shorten_the_time_that_a_step_took(world: World) -> None:
    send(world, an_upload())
    job = claim(world)
    for _ in range(9):
        world.clock.advance(10)
        world.ledger.apply(JOB_ID, ev.Renewed(fence=1, progress=10))
    put(world.objects, output_key(job.run, job.fence), b"a result")
    world.ledger.apply(JOB_ID, an_encoded(job.run, job.fence))
    fields = told(world, "job.encoded")
    assert fields["duration_s"] == 90
    assert (fields["state_before"], fields["state_before_s"]) == ("processing", 90)


def test_a_result_is_told_with_what_it_cost(world: World) -> None:
    send(world, an_upload())
    encode(world)
    assert told(world, "job.received").items() >= {"source_bytes": 11, "container": "mp4"}.items()
    assert (
        told(world, "job.encoded").items()
        >= {
            "action": "encoded",
            "source_bytes": 11,
            "output_bytes": 8,
            "saved_percent": 27.3,
            "source_duration_s": 12.04,
            "work_s": 3.5,
            "speed": 3.44,
        }.items()
    )


def test_a_deferred_callback_is_told_with_its_reason_and_its_next_time(world: World) -> None:
    send(world, an_upload())
    encode(world)
    world.clock.advance(7)
    assert claim(world).delivery is not None
    event = ev.DeliveryDeferred(fence=2, outcome="answered 500", delay_s=20)
    world.ledger.apply(JOB_ID, event)
    fields = told(world, "job.deliverydeferred")
    assert fields.items() >= {"attempt": 1, "reason": "answered 500", "next_in_s": 20}.items()
    assert "state_before" not in fields


@pytest.mark.parametrize(
    "event",
    [ev.Retried(fence=1, failure=a_failure(), delay_s=60), ev.Failed(fence=1, failure=a_failure())],
)
def test_a_failure_is_told_with_its_code_and_reason(
    world: World, event: ev.Retried | ev.Failed
) -> None:
    send(world, an_upload())
    claim(world)
    world.ledger.apply(JOB_ID, event)
    fields = told(world, f"job.{type(event).__name__.lower()}")
    assert (fields["code"], fields["reason"]) == ("encode_failed", "ffmpeg refused the file")
    assert fields["attempt"] == 1


def test_a_job_that_must_be_published_again_says_how_long_it_has_waited(world: World) -> None:
    send(world, an_upload())
    world.clock.advance(600)
    world.ledger.apply(JOB_ID, ev.Woken())
    fields = told(world, "job.woken")
    assert (fields["state"], fields["waited_s"], fields["claims"]) == ("queued", 600, 0)
    claim(world)
    assert told(world, "job.claimed").items() >= {"waited_s": 600, "duration_s": 600}.items()


def test_a_step_whose_worker_vanished_has_waited_since_its_lease_ended(world: World) -> None:
    send(world, an_upload())
    claim(world)
    world.clock.advance(world.ledger.policy.lease_s + 45)
    world.ledger.apply(JOB_ID, ev.Woken())
    fields = told(world, "job.woken")
    assert (fields["state"], fields["waited_s"], fields["claims"]) == ("processing", 45, 1)


def test_a_job_that_begins_anew_counts_no_time_of_its_earlier_life(world: World) -> None:
    send(world, an_upload())
    fail(world)
    world.clock.advance(86_400)
    world.log.events.clear()
    send(world, an_upload(run="run-2"))
    fields = told(world, "job.received")
    assert fields["duration_s"] == 0
    assert "state_before" not in fields


def test_a_confirmation_is_told_with_the_time_of_the_whole_handshake(world: World) -> None:
    send(world, an_upload())
    encode(world)
    world.clock.advance(500)
    world.ledger.apply(JOB_ID, ev.Confirmed())
    fields = told(world, "job.confirmed")
    assert (fields["total_s"], fields["state_before"]) == (500, "storing")
