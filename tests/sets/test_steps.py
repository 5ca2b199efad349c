"""A job with a set, step by step over fakes: made, committed, handed back, never in the way."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.delivery import Answered, Outcome
from core.errors import (
    BadOutput,
    EncoderKilled,
    EncoderStalled,
    Interrupted,
    LecternError,
    NoVideoStream,
    StepTimedOut,
    Unavailable,
)
from core.events import Confirmed, Woken
from core.job import State, output_key, set_key
from core.order import Order
from core.placement import Notice, Placed, PlaceOutcome, notice_text
from core.ports import ObjectInfo, ObjectReader
from core.sets import MANIFEST, SetGrant
from tests.fake_press import SET_FILES, FakePress, raising
from tests.fakes import FakeCourier, MemoryObjectStore, World
from tests.http.door import LINKS, a_door
from tests.sets.world import BY_FILE, a_world_with, deliver, job, transcode
from transcoder.bounded import BoundedPress, Budget
from transcoder.deliver import ByFile

DAY_S = 24 * 3600
OF_SET = {set_key("run-1", 1, name) for name in (*SET_FILES, MANIFEST)}


@pytest.fixture
def world() -> World:
    return a_world_with()


def opened(url: str | None) -> SetGrant | None:
    """Return what a manifest's URL opens."""
    assert url is not None
    capability, _, name = url.removeprefix("https://lectern.example/sets/").partition("/")
    assert name == MANIFEST
    return LINKS.grant(capability)


def test_a_set_that_was_ordered_is_committed_beside_the_result(
    world: World, tmp_path: Path
) -> None:
    transcode(world, tmp_path, FakePress())
    after = job(world)
    assert after.state is State.STORING
    assert after.output is not None
    made = after.output.ladder
    assert made is not None
    assert world.objects.keys() >= OF_SET | {output_key("run-1", 1)}
    assert (made.files, made.size) == (3, sum(len(data) for *_, data in SET_FILES.values()))
    assert [(track.name, track.height) for track in made.tracks] == [("720p", 720)]
    assert after.warnings == ("a warning", "from the set")
    assert list(tmp_path.iterdir()) == []


def test_without_an_order_none_is_made(tmp_path: Path) -> None:
    world, press = a_world_with(Order()), FakePress()
    transcode(world, tmp_path, press)
    assert press.did == ["whole"]
    output = job(world).output
    assert output is not None
    assert output.ladder is None
    courier = FakeCourier()
    deliver(world, courier)
    assert courier.parcels[0].manifest_url is None


def test_the_manifest_is_committed_last(world: World, tmp_path: Path) -> None:
    """Whoever finds it finds the whole set."""
    order: list[str] = []
    upload = world.objects.upload

    def noting(key: str, path: Path) -> ObjectInfo:
        order.append(key)
        return upload(key, path)

    world.objects.upload = noting  # type: ignore[method-assign] # a spy
    transcode(world, tmp_path, FakePress())
    assert order[0] == output_key("run-1", 1)
    assert order[-1] == set_key("run-1", 1, MANIFEST)
    assert set(order) == OF_SET | {order[0]}


def full(_folder: Path) -> None:
    raise OSError(errno.ENOSPC, "no space left")


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (raising(NoVideoStream("a ladder needs a picture")), "a ladder needs a picture"),
        (raising(BadOutput("the set is not what was planned")), "not what was planned"),
        (raising(StepTimedOut("the step did not end in time")), "did not end in time"),
        (raising(ZeroDivisionError("a defect")), "the worker failed over it"),
        (full, "the worker failed over it (OSError)"),
    ],
)
def test_a_set_that_cannot_be_made_costs_a_warning_and_not_the_result(
    world: World, tmp_path: Path, act: Callable[[Path], None], words: str
) -> None:
    press = FakePress()
    press.set_act = act
    transcode(world, tmp_path, press)
    after = job(world)
    assert after.state is State.STORING
    assert after.output is not None
    assert after.output.ladder is None
    assert after.warnings[0] == "a warning"
    assert after.warnings[1].startswith("no set of renditions was made: ")
    assert words in after.warnings[1]
    assert not world.objects.keys() & OF_SET
    assert "set.failed" in world.log.names()
    courier = FakeCourier()
    deliver(world, courier)
    assert job(world).state is State.STORED
    assert courier.parcels[0].manifest_url is None


PASSING = [EncoderKilled("killed"), EncoderStalled("stalled"), Unavailable("away")]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: error.code)
def test_a_set_is_tried_again_after_what_may_pass(
    world: World, tmp_path: Path, error: LecternError
) -> None:
    press = FakePress()
    press.set_act = raising(error)
    for delay_s in (60, 300, 900):
        transcode(world, tmp_path, press)
        assert job(world).state is State.QUEUED
        world.clock.advance(delay_s)
    press.set_act = None
    transcode(world, tmp_path, press)
    after = job(world)
    assert after.output is not None
    assert after.output.ladder is not None


@pytest.mark.parametrize("error", PASSING, ids=lambda error: error.code)
def test_a_set_is_given_up_rather_than_the_result(
    world: World, tmp_path: Path, error: LecternError
) -> None:
    press = FakePress()
    press.set_act = raising(error)
    began = world.clock.now()
    while job(world).state is State.QUEUED:
        transcode(world, tmp_path, press)
        world.clock.advance(900)
    assert world.clock.now() - began < 2 * 3600
    after = job(world)
    assert after.state is State.STORING
    assert after.output is not None
    assert after.output.ladder is None
    assert after.warnings[-1] == f"no set of renditions was made: {error}"


def test_a_pushed_step_that_has_no_time_for_the_set_delivers_without_it(
    world: World, tmp_path: Path
) -> None:
    """What cannot be made in pieces, such as a copied picture, has what is left of one step."""
    fake = FakePress()
    fake.set_act = raising(StepTimedOut("the encoder used up its time"))
    now = time.monotonic()
    press = BoundedPress(
        press=lambda _budget_s: fake,
        budget=Budget(step_s=540, encode_by=now + 450, end=now + 540),
        job_timeout_s=3600,
    )
    transcode(world, tmp_path, press)
    deliver(world)
    after = job(world)
    assert (after.state, after.retries) == (State.STORED, 0)
    assert "within the 540 s that a pushed message may take" in after.warnings[-1]


def test_a_store_without_room_for_the_set_keeps_the_result_and_nothing_else(
    tmp_path: Path,
) -> None:
    world = a_world_with()
    world.objects._capacity_bytes = 50_000
    transcode(world, tmp_path, FakePress())
    after = job(world)
    assert after.state is State.STORING
    assert after.warnings[-1].startswith("no set of renditions was made: no room")
    assert not world.objects.keys() & OF_SET


def test_a_worker_that_is_stopped_meanwhile_hands_the_step_back(
    world: World, tmp_path: Path
) -> None:
    press = FakePress()
    press.set_act = raising(Interrupted("told to stop"))
    transcode(world, tmp_path, press)
    assert (job(world).state, job(world).claims) == (State.QUEUED, 0)
    transcode(world, tmp_path, FakePress())
    output = job(world).output
    assert output is not None
    assert output.ladder is not None
    assert output.ladder.fence == 2


def test_a_worker_that_was_overtaken_withdraws_the_set_too(world: World, tmp_path: Path) -> None:
    """The lease runs out while the set is being made, and another worker takes the job."""

    def overtake(_folder: Path) -> None:
        world.clock.advance(world.ledger.policy.lease_s + 1)
        transcode(world, tmp_path, FakePress())

    press = FakePress()
    press.set_act = overtake
    transcode(world, tmp_path, press)
    output = job(world).output
    assert output is not None
    assert output.key == output_key("run-1", 2)
    assert list(world.objects.list("outputs/run-1/1")) == []


def test_each_attempt_brings_a_url_that_lives_as_long_as_the_objects(
    world: World, tmp_path: Path
) -> None:
    transcode(world, tmp_path, FakePress())
    courier = FakeCourier([Answered(status=503), Answered(status=200)])
    first_at = world.clock.now()
    deliver(world, courier)
    world.clock.advance(5)
    deliver(world, courier)
    grants = [opened(parcel.manifest_url) for parcel in courier.parcels]
    assert grants == [
        SetGrant(run="run-1", fence=1, expires_at=int(first_at + DAY_S)),
        SetGrant(run="run-1", fence=1, expires_at=int(first_at + 5 + DAY_S)),
    ]
    assert job(world).wake_at == first_at + 5 + DAY_S
    assert "sets/" not in repr(courier.parcels[0])


def test_the_confirmation_deletes_the_set(world: World, tmp_path: Path) -> None:
    transcode(world, tmp_path, FakePress())
    deliver(world)
    world.ledger.apply("video-1", Confirmed())
    assert world.objects.keys() == set()


# --- by file ----------------------------------------------------------------------------------
@dataclass
class Storage:
    """A Depot and an Announcer that take everything."""

    notices: list[Notice] = field(default_factory=list)

    def place(
        self,
        path: str,
        source: Callable[[int], AbstractContextManager[ObjectReader]],
        *,
        size: int,
    ) -> PlaceOutcome:
        """Take the file."""
        with source(0) as body:
            assert body.size == size
        assert path.startswith("/videos/")
        return Placed(sent=size)

    def announce(self, notice: Notice) -> Outcome:
        """Take note."""
        self.notices.append(notice)
        return Answered(status=204)


@pytest.fixture
def storage() -> Storage:
    return Storage()


def by_file(objects: MemoryObjectStore, storage: Storage) -> ByFile:
    return ByFile(
        objects=objects, depot=storage, announcer=storage, videos="/videos", images="/images"
    )


def test_by_file_the_lms_is_told_the_url_and_the_set_waits_for_it(
    tmp_path: Path, storage: Storage
) -> None:
    """The result is in the LMS's storage, but the set is here: it must outlive the notice."""
    world = a_world_with(BY_FILE)
    transcode(world, tmp_path, FakePress())
    ways = by_file(world.objects, storage)
    deliver(world, by_file=ways)
    deliver(world, by_file=ways)
    assert job(world).state is State.COMPLETED
    (notice,) = storage.notices
    said = json.loads(notice_text(notice))
    assert said["filePath"] == "/videos/run-1.mp4"
    grant = opened(said["manifestUrl"])
    assert grant is not None
    assert grant.expires_at == int(job(world).wake_at)
    assert world.objects.keys() >= OF_SET


def test_by_file_the_url_opens_the_set_of_a_completed_job(tmp_path: Path, storage: Storage) -> None:
    """Until the LMS confirms by the front door too, or the time is up."""
    world = a_world_with(BY_FILE)
    transcode(world, tmp_path, FakePress())
    ways = by_file(world.objects, storage)
    deliver(world, by_file=ways)
    deliver(world, by_file=ways)
    door = a_door(world=world)
    said = door.get("/status/video-1?detail").get_json()
    assert said["state"] == "completed"
    path = said["set"]["manifest_url"].removeprefix("https://lectern.example")
    assert door.client.get(path).status_code == 200
    assert door.confirm({"video_id": "video-1"}).status_code == 200
    world.clock.advance(1)
    assert door.client.get(path).status_code == 410
    assert door.get("/status/video-1?detail").get_json()["set"]["manifest_url"] is None


@pytest.mark.parametrize("event", [Confirmed(), Woken()])
def test_by_file_a_confirmation_or_its_time_ends_the_set(
    tmp_path: Path, storage: Storage, event: Confirmed | Woken
) -> None:
    world = a_world_with(BY_FILE)
    transcode(world, tmp_path, FakePress())
    ways = by_file(world.objects, storage)
    deliver(world, by_file=ways)
    deliver(world, by_file=ways)
    world.clock.advance(DAY_S)
    world.ledger.apply("video-1", event)
    assert world.objects.keys() == set()
    assert job(world).cleaned
