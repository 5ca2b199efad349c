"""Subtitles that come with a recording: checked at the door, kept beside it, put into its set."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from core import limits
from core.errors import NotFound
from core.events import Confirmed
from core.job import State, source_key, subtitles_key
from core.ports import ObjectInfo
from core.subtitles import parse
from receiver.intake import Intake
from tests.fake_press import SOURCE, FakePress
from tests.fakes import World, a_world
from tests.http.door import MAX_BYTES, Door, a_door, assert_problem
from tests.http.forms import Lecture, file, form, recording, text
from tests.sets.world import job, transcode
from transcoder.ladder.texts import Sidecar

SRT = "1\r\n00:00:00,500 --> 00:00:02,000\r\nGrüße\r\n"
VTT = "WEBVTT\n\n00:00.500 --> 00:02.000\nGrüße\n"
ASKED = text("renditions", "hls")


@pytest.fixture
def door() -> Door:
    return a_door()


def sent(*parts: bytes) -> bytes:
    return form(*parts, *Lecture(data=recording()).parts())


@pytest.mark.parametrize(
    "part",
    [
        text("subtitles", SRT),
        text("subtitles", VTT),
        file(SRT.encode("cp1252"), name="subtitles", filename="talk.srt"),
        file(SRT.encode("utf-16"), name="subtitles", filename="talk.srt"),
    ],
)
def test_they_are_kept_byte_for_byte_beside_the_recording(door: Door, part: bytes) -> None:
    """As a text field or as a file, before or after the recording, in any encoding."""
    parts = [ASKED, part, text("subtitles_language", "de"), *Lecture().parts()]
    for body in (form(*parts), form(*reversed(parts))):
        assert door.receive(body).status_code == 200
    with door.world.objects.open(subtitles_key("run-1")) as kept:
        assert kept.read() == part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
    order = door.world.ledger.read("video-1").order
    assert (order.ladder, order.subtitles, order.subtitles_language) == ("hls", True, "de")


def test_who_sleeps_over_subtitles_that_may_be_gone_records_nothing(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are there before the recording, and are taken for an orphan before it is."""
    keep = Intake._keep_subtitles

    def slow(self: Intake, words: str) -> ObjectInfo:
        kept = keep(self, words)
        door.world.clock.advance(door.world.ledger.policy.record_within_s + 1)
        return kept

    monkeypatch.setattr(Intake, "_keep_subtitles", slow)
    response = door.receive(sent(ASKED, text("subtitles", SRT)))
    assert_problem(response, 503, "unavailable")
    with pytest.raises(NotFound):
        door.world.ledger.read("video-1")


def test_the_same_recording_again_leaves_no_second_copy(door: Door) -> None:
    body = sent(ASKED, text("subtitles", SRT))
    for _ in range(2):
        assert door.receive(body).status_code == 200
    assert door.world.objects.keys() == {source_key("run-1"), subtitles_key("run-1")}


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((ASKED, text("subtitles", "hello")), "SRT or WebVTT"),
        ((ASKED, text("subtitles", "1\n00:00:00 -> x --> y\nhello\n")), "line 2"),
        ((text("subtitles", SRT),), "renditions"),
        ((ASKED, text("subtitles", SRT), text("subtitles_language", "German")), "BCP 47"),
        ((ASKED, text("subtitles", SRT), text("subtitles", SRT)), "twice"),
        ((ASKED, text("subtitles_language", "de")), "comes with subtitles only"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(
    door: Door, parts: tuple[bytes, ...], words: str
) -> None:
    problem = assert_problem(door.receive(sent(*parts)), 400, "invalid_field")
    assert words in problem["detail"]
    assert door.world.objects.keys() == set()


def test_they_have_a_bound_of_their_own(door: Door) -> None:
    cue = "00:00:00,500 --> 00:00:02,000\nhello\n\n"
    most = limits.SUBTITLES_BYTES_MAX
    fitting = (cue * (most // len(cue)))[:most].encode().ljust(most)
    whole = sent(ASKED, file(fitting, name="subtitles"))
    assert door.receive(whole).status_code == 200
    over = sent(ASKED, file(fitting + b" ", name="subtitles"))
    problem = assert_problem(door.receive(over), 400, "malformed_multipart")
    assert str(most) in problem["detail"]
    other = sent(text("quality", "x" * (limits.FIELD_BYTES_MAX + 1)))
    assert_problem(door.receive(other), 400, "malformed_multipart")


def test_a_recording_of_the_largest_size_may_have_them() -> None:
    """What the form has besides counts as its overhead."""
    door = a_door()
    body = form(
        ASKED,
        file(VTT.encode().ljust(limits.SUBTITLES_BYTES_MAX), name="subtitles"),
        *Lecture(data=recording(MAX_BYTES)).parts(),
    )
    assert door.receive(body).status_code == 200


@pytest.mark.parametrize("tag", ["<a" * 990, "<" + "a" * 1990, "{\\" * 990, "<" * 1999])
def test_text_made_to_be_slow_is_read_in_time_that_grows_with_it(tag: str) -> None:
    """A megabyte of tags that never end: half a second of CPU time.

    In steps that grow with the square of a cue it would be ten and more.
    """
    cue = f"00:00:00,500 --> 00:00:02,000\n{tag}\n\n"
    data = (cue * (limits.SUBTITLES_BYTES_MAX // len(cue))).encode()
    before_s = time.thread_time()
    assert len(parse(data)) > 500
    assert time.thread_time() - before_s < 5


def world_with_subtitles() -> World:
    world = a_world()
    door = a_door(world=world)
    parts = (ASKED, text("subtitles", SRT), text("subtitles_language", "de"))
    door.receive(form(*parts, *Lecture(data=recording()).parts()))
    world.objects._objects[source_key("run-1")] = (SOURCE, world.clock.now())
    return world


def test_the_worker_gets_them_and_they_go_with_the_run(tmp_path: Path) -> None:
    world, press = world_with_subtitles(), FakePress()
    transcode(world, tmp_path, press)
    assert press.sidecars == [Sidecar(data=SRT.encode(), language="de")]
    world.ledger.apply("video-1", Confirmed())
    assert world.objects.keys() == set()


def test_lost_subtitles_cost_the_set_and_not_the_result(tmp_path: Path) -> None:
    world = world_with_subtitles()
    world.objects.delete(subtitles_key("run-1"))
    transcode(world, tmp_path, FakePress())
    assert job(world).state is State.STORING
    assert job(world).warnings[-1].startswith("no set of renditions was made")
