"""Measure a media file in a sandboxed child, and read what the child says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from core import limits
from core.errors import (
    DamagedSource,
    EncodeFailed,
    EncoderMissing,
    MediaTooComplex,
    UnreadableMedia,
)
from core.media import Container, MediaInfo, Picture, Sound, Stream
from transcoder.allowed import DEMUXERS, decoders
from transcoder.answers import parsed, typed
from transcoder.child import command
from transcoder.runner import Bounds, Collector, Exit, run

_CHILD: Final = "transcoder.probe_child"
_NO_FACTS: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What comes of reading an answer that is none."""
_ANSWER_BYTES_MAX: Final = 256 * limits.KIB
"""Bytes of the child's answer: 64 streams of about 1 KiB each, with room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Measures files inside `folder`; `deadline` is on the monotonic clock."""

    python: str
    folder: Path
    deadline: float
    stop: Callable[[], bool]

    def __call__(self, name: str, container: Container) -> MediaInfo:
        """Return what the file `name` holds.

        Raises UnreadableMedia, DamagedSource for a recording without its index, MediaTooComplex,
        and what `runner.run` raises.
        """
        answer = Collector(most=_ANSWER_BYTES_MAX)
        ended = run(
            command(self.python, _CHILD, _wish(name, container)),
            folder=self.folder,
            python=self.python,
            bounds=Bounds(
                memory_bytes=limits.PROBE_MEMORY_BYTES,
                file_bytes=0,
                deadline=min(self.deadline, time.monotonic() + limits.PROBE_WALL_S),
            ),
            listener=answer,
            stop=self.stop,
        )
        facts = _facts(answer, ended)
        size = (self.folder / name).stat().st_size
        try:
            return read(facts, container, size)
        except _NO_FACTS as error:
            raise EncodeFailed("the probe's answer over this file makes no sense") from error


def read(facts: Mapping[str, Any], container: Container, size: int) -> MediaInfo:
    """Return the child's facts as MediaInfo; raises what they tell of as an error."""
    if error := facts.get("error"):
        _raise(error, facts)
    return MediaInfo(
        container=container,
        size=size,
        header_duration_s=facts["header_duration_s"],
        streams=tuple(_stream(stream) for stream in facts["streams"]),
        index_first=facts.get("index_first", False),
        cut=facts.get("cut", False),
        clean=facts["clean"],
    )


def _wish(name: str, container: Container) -> dict[str, object]:
    return {
        "file": name,
        "demuxer": DEMUXERS[container],
        "decoders": decoders(),
        "max_streams": limits.STREAMS_MAX,
        "max_pixels": limits.PIXELS_MAX,
    }


def _facts(answer: Collector, ended: Exit) -> Mapping[str, Any]:
    """A probe that dies has no words of its own: the file must have been too much for it."""
    if ended.status == 0:
        try:
            return parsed(answer.data)
        except ValueError as error:
            if answer.seen > answer.most:
                raise MediaTooComplex("the probe's answer is over its bound") from error
            raise EncodeFailed("the probe's answer over this file makes no sense") from error
    if "MemoryError" in ended.tail:
        raise MediaTooComplex("the file needs more memory than a probe may use")
    last = ended.tail.strip().splitlines()[-1:] or ["no reason given"]
    if "ModuleNotFoundError" in last[0] or "ImportError" in last[0]:
        raise EncoderMissing(f"the probe cannot run: {last[0][:100]}")
    raise EncodeFailed("the probe failed over this file")


def _raise(error: str, facts: Mapping[str, Any]) -> None:
    if error == "memory":
        raise MediaTooComplex(f"the file cannot be probed: {facts['reason']}")
    if facts.get("cut") and not facts.get("index"):
        raise DamagedSource("the file is cut off before its index; send the whole recording")
    raise UnreadableMedia(f"the file cannot be read: {facts['reason']}")


def _stream(facts: Mapping[str, Any]) -> Stream:
    picture, sound = facts["picture"], facts["sound"]
    rest = {name: value for name, value in facts.items() if name not in {"picture", "sound"}}
    made = {
        "picture": _picture(picture) if picture else None,
        "sound": typed(Sound, sound) if sound else None,
    }
    return typed(Stream, rest | made)


def _picture(facts: Mapping[str, Any]) -> Picture:
    fractions = {name: Fraction(*facts[name]) for name in ("sar", "time_base")}
    sizes = tuple((width, height) for width, height in facts["sizes"])
    picture = typed(Picture, {**facts, **fractions, "sizes": sizes})
    if min(picture.width, picture.height, picture.fps, picture.peak_fps) <= 0:
        raise ValueError("a picture without an extent")
    return picture
