"""How loud the result is, and what was done to the sound for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.media.conftest import Media
from tests.media.listening import heard, measured

VOICE = "sin(2*PI*220*t)*gt(sin(2*PI*3*t),0.2)"
"""Syllables: a tone that is there for less than half of the time, three times a second."""
KNOCK = "0.9*lt(abs(t-3.5),0.0005)"
CHORD = "(sin(2*PI*220*t)+sin(2*PI*277*t)+sin(2*PI*330*t))/3"


def sound(media: Media, expression: str, seconds: float = 4) -> Path:
    """Return a WAVE file of a formula."""
    source = ["-f", "lavfi", "-i", f"aevalsrc={expression}:s=48000:d={seconds}".replace(",", r"\,")]
    return media.make("source.wav", *source)


@pytest.mark.parametrize("level", [0.05, 0.9], ids=["quiet", "loud"])
def test_a_voice_is_brought_to_its_loudness(media: Media, level: float) -> None:
    made = measured(media.compress(sound(media, f"{level}*{VOICE}")).path)
    assert made.lufs == pytest.approx(-16, abs=0.7)
    assert made.peak <= -1.5


def test_a_knock_on_the_desk_does_not_decide_how_loud_the_lecture_is(media: Media) -> None:
    """The knock is held down; the voice beside it is as loud as anywhere, and where it was."""
    source = sound(media, f"0.06*{VOICE}+{KNOCK}", 5)
    result = media.compress(source).path
    made, before, after = measured(result), heard(source), heard(result)
    assert made.lufs == pytest.approx(-16, abs=1.5)
    assert made.peak <= -1.5
    syllables = before.onsets(0.03, apart_s=0.25)
    assert len(syllables) == 15
    assert after.onsets(0.12, apart_s=0.25) == pytest.approx(syllables, abs=0.003)


def test_music_keeps_its_dynamics(media: Media) -> None:
    """It becomes louder by the same factor everywhere, and only as far as its peaks allow."""
    source = sound(media, f"0.15*{CHORD}+if(lt(mod(t,2),0.01),0.5*sin(2*PI*400*t),0)")
    before, made = measured(source), measured(media.compress(source).path)
    assert made.lufs - before.lufs == pytest.approx(made.peak - before.peak, abs=0.5)
    assert made.lufs > before.lufs + 1
    assert made.peak <= -1.5


def test_a_quiet_hum_is_not_blown_up(media: Media) -> None:
    source = sound(media, f"0.01*{CHORD}")
    gained = measured(media.compress(source).path).lufs - measured(source).lufs
    assert gained == pytest.approx(6, abs=0.5)


def test_an_empty_room_stays_as_it_is(media: Media) -> None:
    source = sound(media, f"0.0008*{VOICE}")
    assert measured(media.compress(source).path).lufs == pytest.approx(
        measured(source).lufs, abs=0.5
    )


def test_silence_is_taken(media: Media) -> None:
    assert max(heard(media.compress(sound(media, "0")).path).channels[0]) == 0


def test_a_picture_is_not_encoded_anew_for_its_sounds_sake(media: Media) -> None:
    """Louder sound would make this small recording larger: picture and sound are copied."""
    tight = ["-c:v", "libx264", "-preset", "slow", "-crf", "45", "-pix_fmt", "yuv420p"]
    voice = ["-f", "lavfi", "-i", f"aevalsrc=0.05*{VOICE}:s=48000:d=2".replace(",", r"\,")]
    quiet = ["-c:a", "aac", "-b:a", "16k", "-ac", "2"]
    source = media.make("source.mp4", *media.picture(), *voice, *tight, *quiet)
    result = media.compress(source)
    assert (result.action, result.size <= source.stat().st_size) == ("remuxed", True)
