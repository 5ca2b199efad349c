"""The step of an image: made, committed with its variants, delivered, and withdrawn."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from core import views
from core.errors import MediaTooComplex, TooLarge, UnsupportedType
from core.events import Claimed
from core.job import Job, State
from core.messages import Message, Topic
from core.order import Order
from core.receipt import receipt
from tests.fake_press import SOURCE, FakePress, raising
from tests.fakes import FakeCourier, World, a_world, an_upload, put
from transcoder.deliver import Deliver
from transcoder.dispatch import Done, dispatch
from transcoder.transcode import Transcode


@pytest.fixture
def world() -> World:
    return received(a_world())


def received(world: World, **asked: object) -> World:
    """Receive an image."""
    put(world.objects, "uploads/run-1/source", SOURCE)
    upload = an_upload("video-1", run="run-1", data=SOURCE)
    source = replace(upload.source, container="png")
    world.ledger.receive(replace(upload, source=source, order=Order(**asked)))  # type: ignore[arg-type] # a test's words
    return world


def transcode(world: World, folder: Path, press: FakePress) -> object:
    step = Transcode(ledger=world.ledger, press=press, scratch=folder, stop=lambda: False)
    message = Message(topic=Topic.TRANSCODE, job_id="video-1", run="run-1")
    return dispatch(step, message, clock=world.clock, log=world.log)


def job(world: World) -> Job:
    return world.ledger.read("video-1")


def test_an_image_is_made_once_and_without_a_word_of_sound_or_pieces(
    world: World, tmp_path: Path
) -> None:
    press = FakePress()
    assert transcode(world, tmp_path, press) == Done()
    assert press.did == ["picture"]
    now = job(world)
    assert (now.state, now.warnings) == (State.STORING, ("a colour",))
    assert now.output is not None
    assert (now.output.key, now.output.media_type) == ("outputs/run-1/1.png", "image/png")
    assert (now.output.media.video_codec, now.output.media.duration_s) == ("png", 0.0)
    assert views.status(now)["pieces" if now.board else "state"] == "storing"


def test_variants_are_committed_beside_it_and_shown(tmp_path: Path) -> None:
    world = received(a_world(), variants=("thumbnail", "original", "medium"), image_format="webp")
    transcode(world, tmp_path, FakePress())
    output = job(world).output
    assert output is not None
    assert [each.key for each in output.variants] == [
        "outputs/run-1/1-thumbnail.webp",
        "outputs/run-1/1-medium.webp",
    ]
    keys = {item.key for item in world.objects.list("outputs/")}
    assert keys == {output.key, *(each.key for each in output.variants)}
    shown = views.status(job(world))["output"]
    assert isinstance(shown, dict)
    assert [each["name"] for each in shown["variants"]] == ["thumbnail", "medium"]


def test_the_webhook_gets_the_variants_as_fields_of_their_own(tmp_path: Path) -> None:
    world = received(a_world(), variants=("thumbnail",))
    transcode(world, tmp_path, FakePress())
    courier = FakeCourier()
    step = Deliver(
        ledger=world.ledger,
        courier=courier,
        interrupting=contextlib.nullcontext,
        jitter=lambda: 0.0,
    )
    message = Message(topic=Topic.DELIVER, job_id="video-1", run="run-1")
    assert dispatch(step, message, clock=world.clock, log=world.log) == Done()
    (parcel,) = courier.parcels
    assert (parcel.file_name, parcel.content_type) == ("run-1.png", "image/png")
    assert [(each.name, each.file_name) for each in parcel.enclosures] == [
        ("thumbnail", "run-1-thumbnail.png")
    ]
    assert courier.enclosed == [[b"a thumbnail image"]]


def test_the_receipt_tells_how_alike_the_image_is(world: World, tmp_path: Path) -> None:
    transcode(world, tmp_path, FakePress())
    said = receipt(job(world))
    assert said["quality"] == {"ssim": 0.999, "ssim_low": 0.97}
    assert isinstance(said["encoder"], dict)
    assert said["encoder"]["preset"] == "image high"


@pytest.mark.parametrize("error", [UnsupportedType("a tiff"), TooLarge("x"), MediaTooComplex("y")])
def test_an_image_that_cannot_be_taken_fails_with_its_reason(
    world: World, tmp_path: Path, error: Exception
) -> None:
    assert transcode(world, tmp_path, FakePress(raising(error))) == Done()
    now = job(world)
    assert now.state is State.FAILED
    assert now.failure is not None
    assert (now.failure.code, now.failure.reason) == (error.code, str(error))  # type: ignore[attr-defined] # all of the tree


def test_who_was_overtaken_leaves_no_variant_behind(tmp_path: Path) -> None:
    world = received(a_world(), variants=("thumbnail",))

    def overtake(_folder: Path) -> None:
        world.clock.advance(world.ledger.policy.lease_s)
        world.ledger.apply("video-1", Claimed())

    transcode(world, tmp_path, FakePress(overtake))
    assert list(world.objects.list("outputs/")) == []
