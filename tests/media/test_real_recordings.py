"""Real recordings, from phones, cameras and screens, cut to a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.errors import UnreadableMedia
from tests.media.conftest import Media
from tests.media.looking import look, tags, tracks

Shorten = Callable[[str, float], Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A recording, the seconds to keep, and what must come of it."""

    name: str
    seconds: float
    size: tuple[int, int]
    sound: bool


CASES = [
    Case(name="lec_slides_1080p30.mp4", seconds=2, size=(1280, 720), sound=True),
    Case(name="lec_pip_1080p30.mp4", seconds=1, size=(1280, 720), sound=True),
    Case(name="cam_montage_1080p30.mp4", seconds=0.7, size=(1280, 720), sound=True),
    Case(name="screencast_term_1080p15_444.mp4", seconds=5, size=(1280, 720), sound=False),
    Case(name="phone_rot270_720p.mp4", seconds=2, size=(720, 1280), sound=True),
    Case(name="portrait_4k60_rot.mp4", seconds=9, size=(720, 1280), sound=True),
    Case(name="hdr10_pq_av1_720x1280.mp4", seconds=1, size=(720, 1280), sound=True),
    Case(name="phone_hlg10_1080p_rot_editlist.mp4", seconds=1, size=(720, 1280), sound=True),
    Case(name="vfr_360p.mp4", seconds=4, size=(640, 360), sound=True),
    Case(name="sar2x1_640x360.mp4", seconds=5, size=(1280, 360), sound=False),
    Case(name="no_duration_annexb.mkv", seconds=4, size=(1280, 720), sound=False),
    Case(name="mpeg4_960x400.avi", seconds=5, size=(960, 400), sound=True),
    Case(name="cockatoo_720p20_noaudio.mp4", seconds=3, size=(1280, 720), sound=False),
    Case(name="bbb_480p_51audio.mp4", seconds=4, size=(854, 480), sound=True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_real_recording_becomes_small_and_playable(
    case: Case, shortened: Shorten, media: Media
) -> None:
    source = shortened(case.name, case.seconds)
    result = media.compress(source)
    before, after = look(source), look(result.path)
    assert result.size == result.path.stat().st_size <= source.stat().st_size
    assert (after.size, tracks(result.path)[0]) == (case.size, "video")
    assert (result.media.width, result.media.height) == case.size
    assert (result.media.video_codec, result.media.audio_codec) == (
        "h264",
        "aac" if case.sound else None,
    )
    assert len(after.times) == len(before.times)
    assert after.times[-1] - after.times[0] == pytest.approx(
        before.times[-1] - before.times[0], abs=0.034
    )
    assert result.media.duration_s == pytest.approx(result.source_media.duration_s, abs=0.1)
    assert (after.channels == 2) is case.sound
    assert set(tags(result.path)) <= {"major_brand", "minor_version", "compatible_brands"}
    assert media.heard.percents == sorted(media.heard.percents)
    assert media.heard.percents[-1] == 100
    assert result.warnings == ()


@pytest.mark.parametrize(
    "name", ["hdr10_pq_av1_720x1280.mp4", "phone_hlg10_1080p_rot_editlist.mp4"]
)
def test_hdr_becomes_an_ordinary_picture(name: str, shortened: Shorten, media: Media) -> None:
    frame = look(media.compress(shortened(name, 0.5)).path).frames[0]
    assert (frame.format.name, frame.color_trc, frame.colorspace) == ("yuv420p", 1, 1)
    luma = bytes(frame.planes[0])
    assert 50 < sum(luma) / len(luma) < 200


@pytest.mark.parametrize("name", ["loremipsum_1920x720.png", "ultraHDR.jpg"])
def test_what_is_no_recording_is_refused(name: str, shared_media: Path, media: Media) -> None:
    with pytest.raises(UnreadableMedia):
        media.compress(shared_media / name)
