"""Damaged recordings: what can be saved is saved, and what is missing is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import DamagedSource
from core.presets import LECTURE
from tests.media.conftest import Media
from tests.media.looking import look
from tests.media.test_bad_recordings import cut
from tests.media.test_made_recordings import RAW

VP8 = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M", "-c:a", "libopus"]
LIVE = {
    "source.webm": [*VP8, "-f", "webm", "-live", "1"],
    "source.mp4": [*RAW, "-c:a", "aac", "-g", "10", "-movflags", "frag_keyframe+empty_moov"],
}
"""Recorders that write as they go, and announce no end."""
TOLD = "the file breaks off after"


def recording(media: Media, name: str, codec: list[str]) -> Path:
    return media.make(name, *media.picture("160x120", seconds=4), *media.tone(seconds=4), *codec)


@pytest.mark.parametrize("name", LIVE)
def test_a_recorder_that_died_costs_only_what_it_did_not_write(name: str, media: Media) -> None:
    """The sender can do no better: there is no whole file to send."""
    source = cut(recording(media, name, LIVE[name]), 0.6)
    result = media.compress(source)
    assert result.warnings[0].startswith(TOLD)
    assert 1.5 < result.media.duration_s < 3
    assert look(result.path).times[-1] > 1.5


@pytest.mark.parametrize("name", LIVE)
def test_a_recorder_that_ended_well_is_not_slandered(name: str, media: Media) -> None:
    result = media.compress(recording(media, name, LIVE[name]))
    assert result.warnings == ()
    assert result.media.duration_s == pytest.approx(4, abs=0.1)


def test_a_file_that_announces_more_is_refused_unless_salvage_is_asked_for(media: Media) -> None:
    """Somebody may have the whole of it."""
    words = [*RAW, "-c:a", "aac", "-movflags", "+faststart"]
    source = cut(recording(media, "source.mp4", words), 0.7)
    with pytest.raises(DamagedSource):
        media.compress(source)
    result = media.compress(source, replace(LECTURE, salvage=True))
    assert 2 < result.media.duration_s < 3.5
    announced, *_ = result.warnings
    assert "announces 4.0 s" in announced
    assert "s are missing" in announced


def holed(path: Path, begin: float, end: float) -> Path:
    """Write zeros over a part of the media data, as a dying disk gives them back."""
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    first, last = (start + int((len(data) - start) * share) for share in (begin, end))
    data[first:last] = bytes(last - first)
    path.write_bytes(data)
    return path


def test_pictures_that_cannot_be_decoded_are_counted(media: Media) -> None:
    words = [*RAW, "-g", "25", "-c:a", "pcm_s16le", "-movflags", "+faststart"]
    source = holed(recording(media, "source.mov", words), 0.4, 0.6)
    result = media.compress(source)
    assert result.warnings[0].startswith("the source is damaged in places")
    assert [word for word in result.warnings if "of 100 pictures are lost" in word]
    times = look(result.path).times
    assert times[0] == pytest.approx(0, abs=0.001)
    assert times[-1] == pytest.approx(3.96, abs=0.001)


def test_an_end_that_cannot_be_decoded_is_measured(media: Media) -> None:
    words = [*RAW, "-g", "25", "-c:a", "pcm_s16le", "-movflags", "+faststart"]
    source = holed(recording(media, "source.mov", words), 0.7, 1.0)
    result = media.compress(source)
    assert [word for word in result.warnings if "s of the picture are lost" in word]


def test_more_than_half_lost_is_refused(media: Media) -> None:
    words = [*RAW, "-g", "25", "-c:a", "pcm_s16le", "-movflags", "+faststart"]
    source = holed(recording(media, "source.mov", words), 0.3, 1.0)
    with pytest.raises(DamagedSource):
        media.compress(source)


def test_lost_sound_is_told(media: Media) -> None:
    gap = ["-af", "aselect='lt(t,1)+gte(t,2.5)'", *RAW, "-c:a", "flac"]
    result = media.compress(recording(media, "source.mkv", gap))
    (told,) = result.warnings
    assert told == "the sound has gaps of 1.5 s in all: they are silent"
