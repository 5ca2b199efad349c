"""Look at a file's decoded pictures and sound, not at what made it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a player would show: frame times in seconds, sizes, colours and sound."""

    times: tuple[float, ...]
    size: tuple[int, int]
    frames: tuple[Any, ...]
    sound_start_s: float | None
    sound_end_s: float | None
    sound_s: float
    channels: int | None

    def pixel(self, x: float, y: float, frame: int = 0) -> tuple[int, int, int]:
        """Return red, green and blue at shares of width and height."""
        plane = self.frames[frame].reformat(format="rgb24").planes[0]
        at = int(y * (plane.height - 1)) * plane.line_size + 3 * int(x * (plane.width - 1))
        red, green, blue = bytes(plane)[at : at + 3]
        return red, green, blue


def combing(frame: Any) -> float:
    """Return how much more neighbouring lines differ than lines of one field; about 0.5 is none."""
    plane = frame.planes[0]
    data, width = bytes(plane), plane.width
    rows = [data[y * plane.line_size :][:width] for y in range(plane.height)]
    next_line = sum(abs(a - b) for up, low in pairwise(rows) for a, b in zip(up, low, strict=True))
    fields = (*pairwise(rows[::2]), *pairwise(rows[1::2]))
    next_of_field = sum(abs(a - b) for up, low in fields for a, b in zip(up, low, strict=True))
    return next_line / next_of_field


def look(path: Path, *, keep: int = 3) -> Seen:
    """Decode all of `path`; the first `keep` frames stay to be looked at."""
    with av.open(str(path)) as container:
        frames: list[Any] = list(container.decode(container.streams.video[0]))
    sounds = _sounds(path)
    return Seen(
        times=tuple(float(frame.pts * frame.time_base) for frame in frames),
        size=(frames[0].width, frames[0].height),
        frames=tuple(frames[:keep]),
        sound_start_s=sounds[0].time if sounds else None,
        sound_end_s=sounds[-1].time + sounds[-1].samples / sounds[-1].sample_rate
        if sounds
        else None,
        sound_s=sum(sound.samples / sound.sample_rate for sound in sounds),
        channels=sounds[0].layout.nb_channels if sounds else None,
    )


def _sounds(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        return list(container.decode(container.streams.audio[0]))


def digests(path: Path) -> list[str]:
    """Return a digest of each coded picture, in the order in which they are stored."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        return [hashlib.sha256(bytes(p)).hexdigest() for p in packets if p.size]


def tags(path: Path) -> dict[str, str]:
    """Return the file's own metadata."""
    with av.open(str(path)) as container:
        return dict(container.metadata)


def tracks(path: Path) -> list[str]:
    """Return the kinds of its streams."""
    with av.open(str(path)) as container:
        return [stream.type for stream in container.streams]
