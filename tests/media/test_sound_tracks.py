"""Many channels, many tracks, and what the sender hears of those that are left out."""

from __future__ import annotations

import pytest

from tests.media.conftest import Media
from tests.media.listening import heard
from tests.media.test_made_recordings import RAW


def tones(*formulas: str, layout: str = "") -> list[str]:
    joined = "|".join(formulas).replace(",", r"\,")
    return ["-f", "lavfi", "-i", f"aevalsrc={joined}:s=48000:d=2{layout and ':c=' + layout}"]


def tone(level: float, hertz: int) -> str:
    return f"{level}*sin(2*PI*{hertz}*t)"


SIDES = (tone(0.1, 250), tone(0.1, 300))
BACK = (tone(0.1, 350), tone(0.1, 400))


def test_a_voice_in_the_middle_of_surround_sound_stays_audible(media: Media) -> None:
    """It comes in both ears alike, against the sides as ITU-R BS.775 mixes them: 3 dB down."""
    voice = tone(0.2, 1000)
    inputs = [*media.picture(), *tones(*SIDES, voice, "0", *BACK, layout="5.1")]
    source = media.make("source.mkv", *inputs, *RAW, "-c:a", "flac")
    waves = heard(media.compress(source).path)
    left, right = (waves.strength(1000, channel) for channel in (0, 1))
    assert len(waves.channels) == 2
    assert left == pytest.approx(right, rel=0.05)
    assert left / waves.strength(250) == pytest.approx(2 * 0.707, rel=0.1)
    assert left > waves.strength(350) > 0


@pytest.mark.parametrize("channels", [3, 12])
def test_channels_without_names_are_taken(channels: int, media: Media) -> None:
    """Mixing desks write as many as they have; the first has the microphone."""
    inputs = [*media.picture(), *tones(tone(0.2, 500), *["0"] * (channels - 1))]
    source = media.make("source.mov", *inputs, *RAW, "-c:a", "pcm_s16le")
    waves = heard(media.compress(source).path)
    assert waves.pitch() == pytest.approx(500, rel=0.02)


def test_sound_in_one_ear_stays_there(media: Media) -> None:
    inputs = [*media.picture(), *tones(tone(0.2, 500), "0", layout="stereo")]
    waves = heard(media.compress(media.make("source.mkv", *inputs, *RAW, "-c:a", "flac")).path)
    assert waves.level(0) > 100 * waves.level(1)


def test_a_second_track_is_left_out_and_told(media: Media) -> None:
    inputs = [*media.picture(), *media.tone(300), *media.tone(3000)]
    maps = ["-map", "0:v", "-map", "1:a", "-map", "2:a", *RAW, "-c:a", "aac"]
    result = media.compress(media.make("source.mkv", *inputs, *maps))
    assert heard(result.path).pitch() == pytest.approx(300, rel=0.05)
    assert result.warnings == ("the file has 2 sound tracks: only the first is kept",)


def test_a_second_picture_is_left_out_and_told(media: Media) -> None:
    """The camera beside the screen, as lecture recorders write it into one file."""
    inputs = [*media.picture(), *media.picture("160x120")]
    result = media.compress(media.make("source.mp4", *inputs, "-map", "0", "-map", "1", *RAW))
    assert (result.media.width, result.media.height) == (320, 240)
    assert result.warnings == ("the file has 2 pictures: only the first is kept",)


def test_a_track_of_text_that_nobody_reads_is_no_damage(media: Media) -> None:
    """FFmpeg complains of each decoder that it may not use, whether or not anybody wants it."""
    words = media.folder / "words.srt"
    words.write_text("1\n00:00:00,500 --> 00:00:01,500\nHello\n")
    inputs = [*media.picture(), "-i", str(words)]
    result = media.compress(media.make("source.mp4", *inputs, *RAW, "-c:s", "mov_text"))
    assert result.warnings == ()
