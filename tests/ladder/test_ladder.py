"""Which renditions a recording gets, and what a set is refused for."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from core.ladder import FULL, HLS, RUNGS, Ladder, LadderPlan, ladder_plan
from core.media import MediaInfo
from core.segments import File, Segment, SetEvidence, Track, set_verdict
from tests.unit.media_facts import audio, recording, video

FILE = File(name="00000.m4s", size=75_000, sha256="0" * 64)


def sizes(info: MediaInfo, ladder: Ladder = HLS) -> list[tuple[int, int]]:
    return [(v.video.width, v.video.height) for v in ladder_plan(info, ladder).variants]


@pytest.mark.parametrize(
    ("changes", "made"),
    [
        ({}, [(1920, 1080), (1280, 720), (854, 480)]),
        ({"rotation": 90}, [(1080, 1920), (720, 1280), (480, 854)]),
        ({"width": 3840, "height": 2160}, [(1920, 1080), (1280, 720), (854, 480)]),
        ({"width": 1024, "height": 768}, [(960, 720), (640, 480)]),
        ({"width": 1600, "height": 900}, [(1600, 900), (1280, 720), (854, 480)]),
        ({"width": 640, "height": 360}, [(640, 360)]),
        ({"width": 321, "height": 241}, [(320, 240)]),
        ({"width": 720, "height": 576, "sar": Fraction(64, 45)}, [(1024, 576), (854, 480)]),
    ],
)
def test_no_rendition_has_more_lines_than_the_source(
    changes: dict[str, Any], made: list[tuple[int, int]]
) -> None:
    """The short side counts, as displayed; a source between two rungs is a rung of its own."""
    assert sizes(recording(video(**changes), audio())) == made


def test_the_full_ladder_has_eight_rungs() -> None:
    """From 2160 lines down to 144."""
    made = sizes(recording(video(width=3840, height=2160), audio()), FULL)
    assert made == [
        (3840, 2160), (2560, 1440), (1920, 1080), (1280, 720),
        (854, 480), (640, 360), (426, 240), (256, 144),
    ]  # fmt: skip


def test_no_rendition_gets_more_bits_than_its_source_has() -> None:
    """A source of 100 kb/s needs no bound of six megabits."""
    lean = ladder_plan(recording(video(size=250_000), audio()), HLS)
    rates = [variant.video.rate_max for variant in lean.variants]
    assert rates[0] == 100_000
    assert rates == sorted(rates, reverse=True)
    rich = ladder_plan(recording(video(size=50_000_000), audio()), HLS)
    assert [v.video.rate_max for v in rich.variants] == [r.rate_max for r in RUNGS[2:5]]


def test_all_renditions_are_told_the_same_moments() -> None:
    """The encoder makes no key picture of its own."""
    plan = ladder_plan(recording(), HLS)
    assert {v.video.keyframe_every_s for v in plan.variants} == {plan.segment_s}
    assert all("min-keyint" in v.video.x264 for v in plan.variants)


def test_a_day_has_a_bounded_storyboard_and_is_looked_at_less_often() -> None:
    """Two hundred pictures, and 14,400 looks."""
    day = recording(video(end_s=86_400.0), audio(end_s=86_400.0))
    plan = ladder_plan(day, HLS)
    assert 86_400 / plan.tile_s <= 200
    assert 86_400 * plan.look_fps <= 14_400


def test_a_recording_without_a_picture_has_no_ladder() -> None:
    """It is sound."""
    with pytest.raises(ValueError, match="picture"):
        ladder_plan(recording(audio()), HLS)


# --- the verdict ------------------------------------------------------------------------------
def segment(number: int, timescale: int, **changes: Any) -> Segment:
    """Return the segment `number` of 6 s."""
    start, ticks = number * 6 * timescale, min(6, 20 - number * 6) * timescale
    made = Segment(
        file=FILE, start=start, end=start + ticks, decode=start, duration=ticks,
        samples=30 * ticks // timescale, syncs=1, sync=True, whole=True,
    )  # fmt: skip
    return replace(made, **changes)


def track(name: str, size: tuple[int, int], **changes: Any) -> Track:
    """Return 20 s of a rendition, as it should be."""
    scale = 48_000 if name == "audio" else 15_360
    made = Track(
        name=name, kind="audio" if name == "audio" else "video",
        codecs="mp4a.40.2" if name == "audio" else "avc1.640028", timescale=scale,
        width=size[0], height=size[1], channels=0, sample_rate=0, shift=0, init=FILE,
        segments=tuple(segment(number, scale) for number in range(4)),
    )  # fmt: skip
    return replace(made, **changes)


def evidence(plan: LadderPlan, **changes: Any) -> SetEvidence:
    """Return what a faultless set gives."""
    videos = tuple(track(v.name, (v.video.width, v.video.height)) for v in plan.variants)
    made = SetEvidence(
        plan=plan, source=recording(), videos=videos, audio=track("audio", (0, 0)), frames=600
    )
    return replace(made, **changes)


PLAN = ladder_plan(recording(), HLS)
TOP = track("1080p", (1920, 1080))
REST = (track("720p", (1280, 720)), track("480p", (854, 480)))


def spoiled(**changes: Any) -> SetEvidence:
    """Return evidence whose second segment of the first rendition is not as it should be."""
    segments = list(TOP.segments)
    segments[1] = replace(segments[1], **changes)
    return evidence(PLAN, videos=(replace(TOP, segments=tuple(segments)), *REST))


def test_a_faultless_set_passes() -> None:
    """No defect is found where there is none."""
    assert set_verdict(evidence(PLAN)) == ()


@pytest.mark.parametrize(
    ("faulty", "word"),
    [
        (spoiled(sync=False), "cannot be decoded by itself"),
        (spoiled(syncs=2), "inside of its segments"),
        (spoiled(whole=False), "other bytes than its samples"),
        (spoiled(start=6 * 15_360 + 512), "720p is not cut where 1080p is"),
        (spoiled(decode=6 * 15_360 + 512), "do not follow each other"),
        (spoiled(samples=179), "599 frames, not 600"),
        (spoiled(start=0), "begins before the one in front"),
        (evidence(PLAN, frames=None), "frames, not None"),
        (evidence(PLAN, videos=REST), "there are 2 renditions, not 3"),
        (evidence(PLAN, audio=None), "sound was planned and is missing"),
        (evidence(PLAN, audio=track("audio", (0, 0), codecs="mp4a.40.5")), "mp4a.40.5"),
        (evidence(PLAN, videos=(replace(TOP, width=1918), *REST)), "1918x1080 pixels"),
        (evidence(PLAN, videos=(replace(TOP, segments=TOP.segments[:3]), *REST)), "lasts 18.000"),
        (evidence(PLAN, videos=(replace(TOP, segments=()), *REST)), "has no segments"),
        (
            evidence(PLAN, source=recording(video(start_s=0.2, end_s=20.2), audio())),
            "sound and picture moved",
        ),
    ],
)
def test_a_set_with_a_fault_is_refused(faulty: SetEvidence, word: str) -> None:
    """Each fault is named."""
    assert word in "; ".join(set_verdict(faulty))


def test_the_peak_counts_neighbours_that_last_about_a_target_duration() -> None:
    """A short last segment does not count alone, but with the one before it."""
    small, large = replace(FILE, size=1_000), replace(FILE, size=90_000)
    files = (small, large, small, large)
    segments = tuple(replace(s, file=f) for s, f in zip(TOP.segments, files, strict=True))
    made = replace(TOP, segments=segments)
    assert made.durations_s == (6, 6, 6, 2)
    assert made.peak_rate(6) == 120_000
    assert made.peak_rate(4) == 8 * 90_000 // 2
