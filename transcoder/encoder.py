"""Run FFmpeg for one plan: follow its progress, and name what went wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core import limits
from core.errors import DamagedSource, EncodeFailed, EncoderKilled, MediaTooComplex, ScratchFull
from core.media import Container
from core.plan import Plan, VideoEncode
from transcoder.command import SEEN, command, decode_check, seen_lines
from transcoder.runner import Bounds, Exit, Outgrown, run

_MICROSECONDS: Final = 1_000_000
_LINE_BYTES_MAX: Final = 4 * limits.KIB
_DIGITS_MAX: Final = 18
"""Digits of a number in progress lines: microseconds of 30,000 years."""
_REASON_CHARS: Final = 160
_INTERRUPTED: Final = 255
"""FFmpeg's status after SIGTERM or SIGINT; it leaves a valid but short file then."""
_NOT_READ: Final = "not on whitelist"
"""What FFmpeg says of each stream whose decoder is not allowed, though nobody wants it."""
_PREFIX: Final = re.compile(r"^(\[[^\]]*\]\s*)+")
_PATH: Final = re.compile(r"(file:)?[^\s'\":]*/[^\s'\":]*|file:[^\s'\":]+")


@dataclass(slots=True, kw_only=True)
class EncoderProgress:
    """Reads `-progress` lines; `frames` is the number of frames written, as FFmpeg counts them."""

    duration_s: float
    report: Callable[[float], None]
    frames: int | None = None
    done_s: float = 0.0
    written: int = 0
    rest: bytes = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes; an overlong line is dropped."""
        *lines, rest = (self.rest + data).split(b"\n")
        self.rest = rest[-_LINE_BYTES_MAX:]
        for line in lines:
            name, _, value = line.decode("ascii", "replace").partition("=")
            digits = value.strip()
            if name == SEEN:
                self._reach(_seconds(digits))
            elif digits.isdigit() and len(digits) <= _DIGITS_MAX:
                self._take(name, int(digits))

    def _take(self, name: str, value: int) -> None:
        if name == "frame":
            self.frames = value
        elif name == "total_size":
            self.written = value
        elif name == "out_time_us":
            self._reach(value / _MICROSECONDS)

    def _reach(self, seconds: float) -> None:
        """Take the further of what two clocks say: one of them runs ahead of the other."""
        self.done_s = max(self.done_s, seconds)
        self.report(min(self.done_s / max(self.duration_s, 0.001), 1.0))

    def pulse(self) -> object:
        """Return what grows while FFmpeg works."""
        return self.frames, self.done_s, self.written


def _seconds(word: str) -> float:
    """Return the seconds of a `SEEN` line; nothing for what is no time."""
    try:
        value = float(word)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """Runs FFmpeg inside `folder`; `deadline` is on the monotonic clock."""

    ffmpeg: Path
    python: str
    folder: Path
    deadline: float
    stop: Callable[[], bool]
    stall_s: float = field(default=limits.STALL_S)

    def __call__(
        self,
        plan: Plan,
        source: str,
        output: str,
        *,
        progress: EncoderProgress,
        late_sound: bool = False,
    ) -> tuple[str, ...]:
        """Make `output` of `source` and return warnings about the source.

        With `late_sound` each frame is told, at 0.1 ms of CPU time: the output does not begin
        before the sound does, and `-progress` is silent until then.

        Raises Outgrown past `plan.size_max`, EncodeFailed, ScratchFull, MediaTooComplex,
        EncoderKilled, and what `runner.run` raises.
        """
        *argv, target = command(self.ffmpeg, plan, source, output)
        told = seen_lines("v") if late_sound and isinstance(plan.video, VideoEncode) else []
        argv += [*told, target]
        return self._warnings(self._run(argv, plan.size_max, progress))

    def check(self, name: str, *, progress: EncoderProgress) -> tuple[str, ...]:
        """Decode the MP4 `name`, whose picture was copied, and return warnings about it."""
        argv = decode_check(self.ffmpeg, Container.MP4, name)
        return self._warnings(self._run(argv, 0, progress))

    def _run(self, argv: list[str], file_bytes: int, progress: EncoderProgress) -> Exit:
        bounds = Bounds(
            memory_bytes=limits.ENCODE_MEMORY_BYTES,
            file_bytes=file_bytes,
            deadline=self.deadline,
            stall_s=self.stall_s,
        )
        return run(
            argv,
            folder=self.folder,
            python=self.python,
            bounds=bounds,
            listener=progress,
            stop=self.stop,
        )

    def _warnings(self, ended: Exit) -> tuple[str, ...]:
        if ended.status:
            raise failure(ended)
        return damage(ended)


def damage(ended: Exit, *, allowed: int = 0) -> tuple[str, ...]:
    """Return what the messages of a run that succeeded say of its source, as a warning.

    So many as are `allowed` say nothing.
    """
    lines = ended.lines - ended.tail.count(_NOT_READ)
    if lines <= allowed:
        return ()
    return (f"the source is damaged in places: {lines} decoder messages",)


def failure(ended: Exit) -> Exception:
    """Return the error that a non-zero exit stands for."""
    tail = ended.tail
    if "No space left on device" in tail:
        return ScratchFull("the worker's disk has no room for the output")
    if "File too large" in tail:
        return Outgrown()
    if "Cannot allocate memory" in tail or "malloc of size" in tail:
        return MediaTooComplex("the recording needs more memory than a step may use")
    if "error rate" in tail and "exceeds maximum" in tail:
        return DamagedSource("most of the recording cannot be decoded; send it again")
    if ended.status == _INTERRUPTED:
        return EncoderKilled("the encoder was asked to end by somebody else")
    return EncodeFailed(f"the recording cannot be encoded: {last_words(tail)}")


def last_words(tail: str) -> str:
    """Return the last line of the messages, without names of files, addresses and colours."""
    lines = [_PREFIX.sub("", line).strip() for line in tail.splitlines()]
    spoken = [line for line in lines if line]
    words = _PATH.sub("the file", spoken[-1]) if spoken else "no reason given"
    return "".join(c for c in words if c.isprintable())[:_REASON_CHARS]
