"""Recordings whose sound or picture sets in long after the other: a track that is switched on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.presets import DEFAULT
from tests.media.conftest import Media
from tests.media.looking import look

RAW = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "4", "-pix_fmt", "yuv420p"]
LATE_S = 7.0
"""More than a file's first five seconds, which is how far FFmpeg looks when it opens one."""


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("copies", [False, True])
def test_late_sound_stays_where_it_is(media: Media, suffix: str, copies: bool) -> None:  # noqa: FBT001 - a case
    """It is found to be AAC-LC for all that, before and after."""
    words = [*media.picture(seconds=9), "-itsoffset", str(LATE_S), *media.tone(seconds=2)]
    source = media.make(f"source.{suffix}", *words, *RAW, "-c:a", "aac", "-b:a", "128k")
    copied = 10**6 if copies else 0
    result = media.compress(source, replace(DEFAULT, audio_copy_rate_max=copied))
    before, after = look(source), look(result.path)
    assert before.sound_start_s is not None
    assert after.sound_start_s is not None
    assert before.sound_start_s == pytest.approx(LATE_S, abs=0.05)
    assert after.sound_start_s == pytest.approx(before.sound_start_s, abs=0.03)
    assert after.times == pytest.approx(before.times, abs=0.002)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_late_picture_stays_where_it_is(media: Media, suffix: str) -> None:
    """Its profile is known for all that."""
    words = [*media.tone(seconds=9), "-itsoffset", str(LATE_S), *media.picture(seconds=2)]
    source = media.make(f"source.{suffix}", *words, *RAW, "-c:a", "aac", "-b:a", "128k")
    before, after = look(source), look(media.compress(source).path)
    assert before.times[0] == pytest.approx(LATE_S, abs=0.05)
    assert after.times == pytest.approx(before.times, abs=0.002)
    assert after.sound_start_s == pytest.approx(0, abs=0.05)
