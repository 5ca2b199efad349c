"""Speak the lecture, and time it, because every picture follows the voice."""

from __future__ import annotations

import math
import subprocess
import wave
from array import array
from dataclasses import dataclass
from pathlib import Path

FPS = 30

SCRIPT: tuple[tuple[int, str], ...] = (
    (0, "Welcome. Why does a recorded lecture fit into so few bytes?"),
    (1, "An I frame is a whole picture."),
    (1, "A P frame stores only what changed."),
    (1, "A B frame looks back and ahead, and costs the least."),
    (2, "More bytes buy more quality, but each step buys less."),
    (2, "So we take the smallest file that still looks right."),
    (3, "Slides stand still, so most frames are nearly free."),
    (3, "Keep the text sharp and the voice clear. Save the rest."),
)
LEAD, GAP, TURN, TAIL = 0.4, 0.28, 0.6, 0.89  # seconds of silence around the sentences
EARLY = 0.35  # a slide turns this long before its first word
VOICE_RATE = 22050  # what espeak-ng writes
AUDIBLE = 150  # a sample louder than this belongs to the voice


@dataclass(frozen=True)
class Cue:
    """Tie one sentence to its slide and its time, so that pictures can follow the voice."""

    slide: int
    start: float
    end: float


@dataclass(frozen=True)
class Show:
    """Carry what every drawing needs to know about the spoken track."""

    cues: tuple[Cue, ...]
    levels: tuple[float, ...]

    def turn(self, slide: int) -> float:
        """Give the moment a slide comes up, a breath before its first sentence."""
        first = next(cue for cue in self.cues if cue.slide == slide)
        return first.start - EARLY if slide else 0.0

    def slide(self, now: float) -> int:
        """Find the slide on screen, so that only that one is drawn."""
        return max(cue.slide for cue in self.cues if self.turn(cue.slide) <= now)

    def since(self, cue: int, now: float, delay: float = 0.0, length: float = 0.4) -> float:
        """Ease from 0 to 1 after a sentence begins, because linear motion looks mechanical."""
        share = (now - self.cues[cue].start - delay) / length
        return ease(share)

    def level(self, now: float) -> float:
        """Give the loudness of the voice, which opens the speaker's mouth."""
        return self.levels[min(int(now * FPS), len(self.levels) - 1)]


def ease(share: float) -> float:
    """Bend a straight share into a slow start and a slow stop."""
    held = min(1.0, max(0.0, share))
    return held * held * (3 - 2 * held)


def speak(words: str, folder: Path) -> array[int]:
    """Say one sentence and cut its silent ends, which would blur the timing."""
    target = folder / "sentence.wav"
    command = ["espeak-ng", "-v", "en-gb", "-s", "184", "-p", "42", "-w", str(target), words]
    subprocess.run(command, check=True)
    with wave.open(str(target)) as sound:
        samples = array("h", sound.readframes(sound.getnframes()))
    loud = [place for place, sample in enumerate(samples) if abs(sample) > AUDIBLE]
    return samples[loud[0] : loud[-1] + 1]


def silence(seconds: float) -> array[int]:
    """Make the pauses between sentences."""
    return array("h", bytes(2 * round(seconds * VOICE_RATE)))


def perform(folder: Path) -> tuple[array[int], tuple[Cue, ...]]:
    """Speak the whole script and note when each sentence falls."""
    track, last = silence(LEAD), 0
    cues: list[Cue] = []
    for slide, words in SCRIPT:
        if cues:
            track += silence(GAP if slide == last else TURN)
        start = len(track) / VOICE_RATE
        track += speak(words, folder)
        cues.append(Cue(slide, start, len(track) / VOICE_RATE))
        last = slide
    frames = math.ceil((len(track) / VOICE_RATE + TAIL) * FPS)
    track += silence(frames / FPS - len(track) / VOICE_RATE)
    return track, tuple(cues)


def envelope(track: array[int]) -> tuple[float, ...]:
    """Measure one loudness per video frame, so that lips and voice agree."""
    step = VOICE_RATE // FPS
    peaks = [max(map(abs, track[at : at + step])) for at in range(0, len(track) - step + 1, step)]
    top = max(peaks)
    return tuple(peak / top for peak in peaks)


def record(folder: Path) -> tuple[Path, Show]:
    """Put the voice into one file for ffmpeg and its timing into a show for the slides."""
    track, cues = perform(folder)
    target = folder / "voice.wav"
    with wave.open(str(target), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(VOICE_RATE)
        sound.writeframes(track.tobytes())
    return target, Show(cues, envelope(track))
