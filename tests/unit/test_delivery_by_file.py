"""Delivery by SFTP as steps: the file first, then the LMS is told, each as often as it takes."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from core import compress
from core.delivery import UNTOLD, Answered, Outcome, Unanswered
from core.errors import Unavailable
from core.events import Claimed, Confirmed, Redelivered, Woken
from core.job import Job, State, Variant
from core.messages import Message, Topic
from core.order import Contract, Delivery, Order
from core.placement import Notice
from tests.fake_depot import FakeAnnouncer, FakeDepot
from tests.fakes import FakeCourier, World, a_world, an_encoded, an_upload, put
from transcoder.deliver import ByFile, Deliver
from transcoder.dispatch import Again, Done, dispatch

VIDEO = "/public_html/videos/run-1.mp4"
ORDER = Order(contract=Contract.COMPRESS, delivery=Delivery.SFTP)


@pytest.fixture
def world() -> World:
    """Return a world with one encoded job that goes by SFTP."""
    return encoded(a_world())


def encoded(world: World, *, image: bool = False) -> World:
    """Bring a job to its delivery; an image has a thumbnail beside it."""
    put(world.objects, "uploads/run-1/source", b"a recording")
    world.ledger.receive(replace(an_upload("video-1", run="run-1"), order=ORDER))
    fence = world.ledger.apply("video-1", Claimed()).fence
    event = an_encoded("run-1", fence)
    put(world.objects, event.output.key, b"a result")
    if image:
        put(world.objects, "outputs/run-1/1-thumbnail.webp", b"tiny")
        small = Variant(
            name="thumbnail",
            key="outputs/run-1/1-thumbnail.webp",
            size=4,
            sha256="0" * 64,
            width=320,
            height=180,
            suffix="webp",
        )
        output = replace(event.output, media_type="image/webp", variants=(small,))
        event = replace(event, output=output)
    world.ledger.apply("video-1", event)
    return world


def deliver(
    world: World, depot: FakeDepot, announcer: FakeAnnouncer, *, set_up: bool = True
) -> Done | Again:
    """Hand the deliver message to the step."""
    by_file = ByFile(
        objects=world.objects,
        depot=depot,
        announcer=announcer,
        videos="/public_html/videos",
        images="/public_html/images/",
    )
    step = Deliver(
        ledger=world.ledger,
        courier=FakeCourier(),
        interrupting=contextlib.nullcontext,
        jitter=lambda: 0.0,
        by_file=by_file if set_up else None,
    )
    message = Message(topic=Topic.DELIVER, job_id="video-1", run="run-1")
    return dispatch(step, message, clock=world.clock, log=world.log)


def job(world: World) -> Job:
    """Return the job as it is recorded."""
    return world.ledger.read("video-1")


def words(world: World) -> str:
    """Return the job's status in the contract's words."""
    return compress.status_word(job(world))


def to_the_end(world: World, depot: FakeDepot, announcer: FakeAnnouncer) -> int:
    """Make every attempt at its time until nothing is to be done; return how many."""
    for count in range(1000):
        now = job(world)
        if now.state is not State.STORING:
            return count
        world.clock.advance(max(now.due_at - world.clock.now(), 0))
        deliver(world, depot, announcer)
    raise AssertionError("it never ends")


def test_the_file_is_put_in_place_then_the_lms_is_told_and_nothing_stays(world: World) -> None:
    depot, announcer = FakeDepot(), FakeAnnouncer()
    assert deliver(world, depot, announcer) == Done()
    assert (job(world).state, words(world)) == (State.STORING, "processing")
    assert (depot.files, announcer.notices) == ({VIDEO: b"a result"}, [])
    deliver(world, depot, announcer)
    notice = announcer.notices[0]
    assert (notice.media_id, notice.file_path, notice.others) == ("video-1", VIDEO, ())
    assert notice.delivery_id == "msg_run-1"
    assert (job(world).state, words(world)) == (State.COMPLETED, "completed")
    assert (job(world).cleaned, list(world.objects.list(""))) == (True, [])


def test_an_image_and_its_variants_go_to_their_own_folder_the_image_last() -> None:
    world = encoded(a_world(), image=True)
    depot, announcer = FakeDepot(), FakeAnnouncer()
    to_the_end(world, depot, announcer)
    image, small = "/public_html/images/run-1.webp", "/public_html/images/run-1-thumbnail.webp"
    assert depot.placed == [small, image]
    assert announcer.notices[0].file_path == image
    assert announcer.notices[0].others == (("thumbnail", small),)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_of_the_confirmation_api_counts(world: World, status: int) -> None:
    to_the_end(world, FakeDepot(), FakeAnnouncer([Answered(status=status)]))
    assert words(world) == "completed"


def test_a_storage_that_fails_is_tried_on_the_schedule_without_telling_anybody(
    world: World,
) -> None:
    depot, announcer = FakeDepot(["the server's host key is another", "no room"]), FakeAnnouncer()
    deliver(world, depot, announcer)
    now = job(world)
    assert (now.state, now.due_at) == (State.STORING, world.clock.now() + 5)
    assert now.delivery is not None
    assert now.delivery.last_outcome == "the server's host key is another"
    assert to_the_end(world, depot, announcer) == 3
    assert (words(world), len(announcer.notices)) == ("completed", 1)


def test_telling_is_repeated_without_sending_the_file_again(world: World) -> None:
    depot = FakeDepot()
    outcomes: list[Outcome] = [Unanswered(reason="refused the connection"), Answered(status=500)]
    announcer = FakeAnnouncer([*outcomes, Answered(status=302), Answered(status=200)])
    to_the_end(world, depot, announcer)
    assert words(world) == "completed"
    assert len(depot.placed) == 1
    assert {notice.delivery_id for notice in announcer.notices} == {"msg_run-1"}
    assert len(announcer.notices) == 4


def test_an_lms_that_never_hears_ends_as_db_update_failed_with_the_file_in_place(
    world: World,
) -> None:
    depot, announcer = FakeDepot(), FakeAnnouncer([Answered(status=500)])
    attempts = to_the_end(world, depot, announcer)
    assert attempts > 20
    assert (job(world).state, words(world)) == (State.STORE_FAILED, UNTOLD)
    assert depot.files == {VIDEO: b"a result"}
    world.ledger.apply("video-1", Redelivered())
    to_the_end(world, depot, FakeAnnouncer())
    assert words(world) == "completed"


@pytest.mark.parametrize("status", [410, 413])
def test_a_final_no_of_the_confirmation_api_is_db_update_failed_at_once(
    world: World, status: int
) -> None:
    announcer = FakeAnnouncer([Answered(status=status)])
    to_the_end(world, FakeDepot(), announcer)
    assert (words(world), len(announcer.notices)) == (UNTOLD, 1)


def test_a_storage_that_never_takes_the_file_ends_as_failed_with_its_reason(world: World) -> None:
    depot = FakeDepot(["the server has no room"] * 1000)
    to_the_end(world, depot, FakeAnnouncer())
    assert job(world).state is State.STORE_FAILED
    assert words(world).startswith("failed: not taken in 259200 s and ")
    assert words(world).endswith("the server has no room")


def test_after_its_ttl_the_word_is_still_db_update_failed(world: World) -> None:
    to_the_end(world, FakeDepot(), FakeAnnouncer([Answered(status=410)]))
    world.clock.advance(job(world).wake_at - world.clock.now() + 1)
    world.ledger.apply("video-1", Woken())
    assert (job(world).state, words(world)) == (State.EXPIRED, UNTOLD)


def test_a_confirmation_from_inside_the_lms_own_handler_is_honoured(world: World) -> None:
    depot, announcer = FakeDepot(), FakeAnnouncer()

    def confirm(_notice: Notice) -> None:
        world.ledger.apply("video-1", Confirmed())

    announcer.on_announce = confirm
    to_the_end(world, depot, announcer)
    assert (words(world), job(world).cleaned) == ("completed", True)


def test_a_redelivery_while_the_lms_is_told_puts_the_file_in_place_again(world: World) -> None:
    depot, announcer = FakeDepot(), FakeAnnouncer()
    deliver(world, depot, announcer)
    announcer.on_announce = lambda _notice: _again(world, announcer)
    to_the_end(world, depot, announcer)
    assert words(world) == "completed"
    assert depot.placed == [VIDEO, VIDEO]


def _again(world: World, announcer: FakeAnnouncer) -> None:
    announcer.on_announce = None
    world.ledger.apply("video-1", Redelivered())


def test_a_worker_that_was_overtaken_places_nothing_on_record(world: World) -> None:
    depot, announcer = FakeDepot(), FakeAnnouncer()
    deliver(world, depot, announcer)
    world.ledger.apply("video-1", Confirmed())
    assert deliver(world, depot, announcer) == Done()
    assert announcer.notices == []


def test_without_sftp_set_up_the_attempt_is_put_off_and_says_so(world: World) -> None:
    deliver(world, FakeDepot(), FakeAnnouncer(), set_up=False)
    now = job(world)
    assert now.state is State.STORING
    assert now.delivery is not None
    assert "set SFTP_HOST" in (now.delivery.last_outcome or "")


def test_a_notice_that_is_answered_late_keeps_nothing_that_was_confirmed_away(world: World) -> None:
    """Even a set of renditions, which outlives a notice, goes with the confirmation."""
    depot, announcer = FakeDepot(), FakeAnnouncer()
    deliver(world, depot, announcer)

    def confirm(_notice: Notice) -> None:
        world.objects.broken = True
        with pytest.raises(Unavailable):
            world.ledger.apply("video-1", Confirmed())
        world.objects.broken = False

    announcer.on_announce = confirm
    deliver(world, depot, announcer)
    now = job(world)
    assert (now.state, now.cleaned) == (State.COMPLETED, False)
    assert now.wake_at <= world.clock.now() + world.ledger.policy.republish_after_s
