"""Measure how loud a recording is, in a sandboxed child."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from core import limits
from core.loudness import Loudness, is_speech
from core.media import MediaInfo, Stream
from transcoder.command import LEVEL_KEY, SPEECH_PIECES_A_SECOND, measurement
from transcoder.runner import Bounds, run

_LINE_BYTES_MAX: Final = 4 * limits.KIB
_LEVELS_MAX: Final = 1_000_000
"""Levels that are kept: those of a whole day, with room."""
_SILENT_DB: Final = -120.0
_KEY: Final = f"{LEVEL_KEY}=".encode("ascii")
_INTEGRATED: Final = re.compile(r"^\s+I:\s+(-?[\d.]+|-inf|-?nan) LUFS\s*$", re.MULTILINE)
_PEAK: Final = re.compile(r"^\s+Peak:\s+(-?[\d.]+|-inf|-?nan) dBFS\s*$", re.MULTILINE)


@dataclass(slots=True, kw_only=True)
class _Levels:
    """Reads the levels of short pieces from FFmpeg's output; an overlong line is dropped."""

    levels: list[float] = field(default_factory=list)
    seen: int = 0
    rest: bytes = b""

    def feed(self, data: bytes) -> None:
        self.seen += len(data)
        *lines, rest = (self.rest + data).split(b"\n")
        self.rest = rest[-_LINE_BYTES_MAX:]
        for line in lines:
            if line.startswith(_KEY) and len(self.levels) < _LEVELS_MAX:
                self.levels.append(_number(line[len(_KEY) :].decode("ascii", "replace")))

    def pulse(self) -> object:
        return self.seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """Measures the sound of files inside `folder`; `deadline` is on the monotonic clock."""

    ffmpeg: Path
    python: str
    folder: Path
    deadline: float
    stop: Callable[[], bool]

    def __call__(self, info: MediaInfo, name: str) -> MediaInfo:
        """Return `info` with the loudness of what is to be heard, or as it is.

        Sound that cannot be measured is left at its level: the encode says what is wrong with
        it. Raises what `runner.run` raises.
        """
        audio = info.audio
        if audio is None or audio.sound is None:
            return info
        levels = _Levels()
        ended = run(
            measurement(self.ffmpeg, info.container, name, audio),
            folder=self.folder,
            python=self.python,
            bounds=Bounds(
                memory_bytes=limits.ENCODE_MEMORY_BYTES,
                file_bytes=0,
                deadline=self.deadline,
                stall_s=limits.STALL_S,
            ),
            listener=levels,
            stop=self.stop,
        )
        if ended.status:
            return info
        return _with(info, audio, read(ended.tail, levels.levels))


def read(summary: str, levels_db: list[float]) -> Loudness | None:
    """Return the loudness that FFmpeg's summary tells of; None for silence, or without one."""
    integrated, peak = _last(_INTEGRATED, summary), _last(_PEAK, summary)
    if integrated is None or peak is None or peak <= _SILENT_DB:
        return None
    return Loudness(
        integrated_lufs=integrated,
        true_peak_dbtp=peak,
        speech=is_speech(levels_db, a_second=SPEECH_PIECES_A_SECOND),
    )


def _with(info: MediaInfo, audio: Stream, loudness: Loudness | None) -> MediaInfo:
    if audio.sound is None:
        return info
    heard = replace(audio, sound=replace(audio.sound, loudness=loudness))
    return replace(info, streams=tuple(heard if s is audio else s for s in info.streams))


def _last(pattern: re.Pattern[str], text: str) -> float | None:
    found = pattern.findall(text)
    return _number(found[-1]) if found else None


def _number(word: str) -> float:
    """Return a level in dB; what is no number is silence."""
    try:
        number = float(word)
    except ValueError:
        return _SILENT_DB
    return max(_SILENT_DB, number)
