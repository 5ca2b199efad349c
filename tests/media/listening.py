"""Listen to a file's decoded sound, and measure it by other means than the product does."""

from __future__ import annotations

import cmath
import json
import math
import re
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av

from infra import ffmpeg


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Integrated loudness in LUFS and true peak in dBTP, a single channel heard in both ears."""

    lufs: float
    peak: float


def measured(path: Path) -> Measured:
    """Return what FFmpeg's loudnorm says of the first sound track."""
    words = [str(ffmpeg.find()), "-hide_banner", "-nostats", "-i", str(path), "-map", "0:a:0"]
    words += ["-af", "loudnorm=print_format=json:dual_mono=true", "-f", "null", "-"]
    told = subprocess.run(words, check=True, timeout=60, capture_output=True, text=True).stderr
    found = re.findall(r"\{[^{}]*\}", told)[-1]
    facts = json.loads(found)
    return Measured(lufs=float(facts["input_i"]), peak=float(facts["input_tp"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Waves:
    """Decoded sound: samples of each channel from `start_s` on, at `rate` a second."""

    start_s: float
    rate: int
    channels: tuple[list[float], ...]

    @property
    def seconds(self) -> float:
        """Return how long it lasts."""
        return len(self.channels[0]) / self.rate

    def level(self, channel: int) -> float:
        """Return a channel's mean square."""
        return sum(x * x for x in self.channels[channel]) / max(len(self.channels[channel]), 1)

    def strength(self, hertz: float, channel: int = 0) -> float:
        """Return the amplitude of a tone in the second half second."""
        part = self.channels[channel][self.rate // 2 : self.rate]
        turn = -2j * math.pi * hertz / self.rate
        return 2 * abs(sum(x * cmath.exp(turn * n) for n, x in enumerate(part))) / len(part)

    def pitch(self, channel: int = 0) -> float:
        """Return a tone's frequency, by the changes of sign in the second half second."""
        part = self.channels[channel][self.rate // 2 : self.rate]
        return sum((a > 0) != (b > 0) for a, b in pairwise(part))

    def onsets(self, over: float = 0.2, apart_s: float = 0.5) -> list[float]:
        """Return when it becomes louder than `over`, on the file's clock."""
        found: list[float] = []
        for number, sample in enumerate(self.channels[0]):
            at = self.start_s + number / self.rate
            if abs(sample) > over and (not found or at - found[-1] > apart_s):
                found.append(at)
        return found


def heard(path: Path, track: int = 0) -> Waves:
    """Decode all of a sound track; gaps in it are kept."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp")
        channels: list[list[float]] = []
        start_s, rate = 0.0, 0
        for frame in container.decode(container.streams.audio[track]):
            at = frame.time or 0.0
            for part in resampler.resample(frame):
                if not channels:
                    start_s, rate = at, part.sample_rate
                    channels = [[] for _ in part.planes]
                missing = round((at - start_s) * rate) - len(channels[0])
                gap = [0.0] * missing if missing > rate // 100 else []
                for number, plane in enumerate(part.planes):
                    channels[number] += gap
                    channels[number] += memoryview(bytes(plane)).cast("f")[: part.samples].tolist()
    return Waves(start_s=start_s, rate=rate, channels=tuple(channels))
