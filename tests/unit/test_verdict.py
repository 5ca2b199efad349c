"""Each defect of an output is found, also when it is the only one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from core.media import Container, MediaInfo
from core.plan import Plan, plans, remux
from core.presets import DEFAULT
from core.verdict import Evidence, shortfall, verdict
from tests.unit.media_facts import audio, recording, video

SOURCE = recording()


def good() -> MediaInfo:
    """Return an output without a fault."""
    return recording(
        video(width=1280, height=720, size=900_000), audio(size=320_000), size=1_300_000
    )


def judged(output: MediaInfo, /, **changes: Any) -> tuple[str, ...]:
    plan: Plan = next(plans(SOURCE, DEFAULT))
    facts = Evidence(plan=plan, source=SOURCE, output=replace(output, index_first=True), frames=600)
    return verdict(replace(facts, **changes))


def test_a_good_output_has_no_defects() -> None:
    assert judged(good()) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"codec": "hevc"}, "codec"),
        ({"profile": "High 10"}, "profile"),
        ({"pix_fmt": "yuv444p"}, "pixels are"),
        ({"color_range": 2}, "full range"),
        ({"rotation": 90, "width": 1280}, "turned"),
        ({"sar": Fraction(2)}, "square"),
        ({"color_transfer": 16}, "HDR"),
        ({"width": 1278}, "1278x720"),
        ({"packets": 599}, "599 frames"),
        ({"end_s": 19.8}, "picture lasts"),
        ({"start_s": 0.043, "end_s": 20.043}, "moved"),
    ],
)
def test_one_fault_of_the_picture_is_one_defect(changes: dict[str, Any], words: str) -> None:
    fields = {"width": 1280, "height": 720, "size": 900_000} | changes
    output = recording(video(**fields), audio(size=320_000), size=1_300_000)
    (defect,) = judged(output)
    assert words in defect


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"codec": "mp3"}, "sound is mp3"),
        ({"profile": "HE-AAC"}, "HE-AAC"),
        ({"end_s": 19.7}, "sound lasts"),
        ({"start_s": 0.022, "end_s": 20.022}, "moved"),
        ({"start_s": -0.043, "end_s": 20.0}, "moved"),
    ],
)
def test_one_fault_of_the_sound_is_one_defect(changes: dict[str, Any], words: str) -> None:
    output = recording(good().streams[0], audio(**changes), size=1_300_000)
    (defect,) = judged(output)
    assert words in defect


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": SOURCE.size + 1}, "bytes"),
        ({"clean": False}, "breaks off"),
        ({"cut": True}, "breaks off"),
    ],
)
def test_one_fault_of_the_file_is_one_defect(changes: dict[str, Any], words: str) -> None:
    (defect,) = judged(replace(good(), **changes))
    assert words in defect


def test_an_index_at_the_end_is_a_defect() -> None:
    assert judged(good(), output=good()) == ("its index is not in front",)


def test_lost_sound_is_a_defect() -> None:
    output = recording(good().streams[0], size=1_300_000)
    assert judged(output) == ("it holds ['video'], not ['audio', 'video']",)


def test_a_stream_too_many_is_a_defect() -> None:
    output = recording(*good().streams, audio(index=2, kind="data"), size=1_300_000)
    assert len(judged(output)) == 1


def test_a_lost_picture_is_a_defect() -> None:
    output = recording(audio(), size=1_300_000)
    assert "the picture is missing" in judged(output)


@pytest.mark.parametrize("frames", [None, 0])
def test_an_encoder_that_counted_nothing_is_not_believed(frames: int | None) -> None:
    assert len(judged(good(), frames=frames)) == 1


def test_a_copied_picture_has_as_many_frames_as_its_source() -> None:
    source = good()
    plan = remux(source, DEFAULT)
    assert plan is not None
    less = recording(
        replace(source.streams[0], packets=599), source.streams[1], size=1_300_000, index_first=True
    )
    facts = Evidence(plan=plan, source=source, output=less, frames=599)
    assert verdict(facts) == ("it has 599 frames, not 600",)


def test_sound_of_a_low_rate_may_end_two_frames_late() -> None:
    assert good().container is Container.MP4
    late = recording(good().streams[0], audio(end_s=20.09), size=1_300_000)
    assert judged(late) == ()


def test_the_encoders_silence_before_the_sound_is_no_fault() -> None:
    early = recording(good().streams[0], audio(start_s=-0.021), size=1_300_000)
    assert judged(early) == ()


def test_a_damaged_source_may_leave_less_which_is_told() -> None:
    """Half of it must be left; more than the source had is never right."""
    less = recording(
        replace(good().streams[0], end_s=17.0, packets=510), audio(end_s=17.5), size=1_300_000
    )
    facts = Evidence(
        plan=next(plans(SOURCE, DEFAULT)),
        source=SOURCE,
        output=replace(less, index_first=True),
        frames=510,
        damaged=True,
    )
    assert verdict(facts) == ()
    assert shortfall(facts) == (
        "90 of 600 pictures are lost",
        "3.0 s of the picture are lost",
        "2.5 s of the sound are lost",
    )
    assert len(verdict(replace(facts, damaged=False))) >= 2
    scrap = recording(replace(good().streams[0], end_s=9.0, packets=510), size=1_300_000)
    assert judged(scrap, damaged=True, frames=510)


def test_sound_alone_is_judged_as_sound_alone() -> None:
    source = recording(audio(), size=420_000)
    plan = next(plans(source, DEFAULT))
    made = recording(audio(index=0, size=320_000), size=330_000, index_first=True)
    facts = Evidence(plan=plan, source=source, output=made, frames=None)
    assert verdict(facts) == ()
    short = recording(audio(index=0, end_s=19.7), size=330_000, index_first=True)
    assert len(verdict(replace(facts, output=short))) == 1
    assert len(verdict(replace(facts, output=replace(good(), index_first=True, size=1)))) == 1
