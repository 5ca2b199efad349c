"""One file on the real way through the transcoder, and what must hold of whatever comes of it."""

from __future__ import annotations

import resource
import subprocess
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from core import limits
from core.assignment import Assignment
from core.errors import BadOutput, LecternError, MediaError
from core.order import Order
from core.presets import DEFAULT, Preset
from transcoder.compress import Compressed, Toolbox
from transcoder.pieces.ranged import FileRanges
from transcoder.pressing import MediaPress
from transcoder.scratch import private_folder

FAST: Final = replace(DEFAULT, speed="ultrafast", lines=144)
"""What is made is not looked at closely, but it is made in all its steps."""
BUDGET_S: Final = 30.0
GRACE_S: Final = 10.0
"""Seconds past its budget that a call may take on a busy machine."""
PIECE_S: Final = 15.0
"""Recordings of a minute and more are cut, as the service cuts longer ones."""
WORDS_MIN: Final = 3
"""A reason of fewer words is no sentence."""
_LOOSE_S: Final = 0.35
"""Seconds by which two readers may differ: a frame or two of picture and sound at each end."""
_LEAST: Final = 0.5
"""Share of a damaged recording that must be left of it, and be told as missing."""
_READ_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a file: a result, or the error; `wrong` says what must not be."""

    seconds: float
    result: Compressed | None = None
    error: BaseException | None = None
    wrong: str | None = None

    @property
    def word(self) -> str:
        """Return the result in a word."""
        if self.result is not None:
            return self.result.action
        return self.error.code if isinstance(self.error, LecternError) else repr(self.error)


@dataclass(slots=True, kw_only=True)
class Heard:
    """Takes percentages."""

    last: float = 0.0

    def report(self, percent: float) -> None:
        """Take one, which must be none too large."""
        assert self.last <= percent <= 100.0
        self.last = percent


@dataclass(slots=True, kw_only=True)
class Trial:
    """Tries files one after the other with the same press, below `place`."""

    place: Path
    toolbox: Toolbox
    preset: Preset = FAST
    budget_s: float = BUDGET_S

    def press(self) -> MediaPress:
        """Return what the worker works with."""
        return MediaPress(
            preset=self.preset, toolbox=self.toolbox, budget_s=self.budget_s, piece_s=PIECE_S
        )

    def take(self, data: bytes, *, must_refuse: bool = False) -> Outcome:
        """Try one file."""
        with private_folder(self.place, "job") as folder:
            source = folder / "source"
            source.write_bytes(data)
            began = time.monotonic()
            try:
                result = self._make(source, folder)
            except Exception as error:  # noqa: BLE001 - anything but a LecternError is a finding
                seconds = time.monotonic() - began
                wrong = _wrong_reason(error) or self._too_long(seconds) or _left(folder)
                return Outcome(seconds=seconds, error=error, wrong=wrong)
            seconds = time.monotonic() - began
            wrong = self._too_long(seconds) or self._wrong_result(source, result)
            if must_refuse:
                wrong = "it was taken, and must be refused"
            return Outcome(seconds=seconds, result=result, wrong=wrong)

    def _make(self, source: Path, folder: Path) -> Compressed:
        press, heard = self.press(), Heard()
        made = press.begin(source, folder, order=Order(), progress=heard, stop=_never)
        while isinstance(made, Assignment):
            made = self._in_pieces(press, made, source, folder)
        return made

    def _in_pieces(
        self, press: MediaPress, plan: Assignment, source: Path, folder: Path
    ) -> Compressed | Assignment:
        """Make the pieces and join them; what cannot be made so is made as a whole."""
        ranges, heard = FileRanges(source), Heard()
        try:
            pieces = [
                press.make(plan, piece.number, ranges, folder, stop=_never).path
                for piece in plan.pieces.pieces
            ]
        except BadOutput:
            return press.whole(source, folder, order=Order(), progress=heard, stop=_never)
        return press.join(plan, pieces, lambda: source, folder, progress=heard, stop=_never)

    def _too_long(self, seconds: float) -> str | None:
        if seconds > self.budget_s + GRACE_S:
            return f"it took {seconds:.0f} s of {self.budget_s:.0f}"
        return None

    def _wrong_result(self, source: Path, made: Compressed) -> str | None:
        """Hold the result against what FFmpeg alone makes of both files, whatever they claim."""
        if made.size > source.stat().st_size:
            return "it is larger than its source"
        given_s, told_s = self._heard_s(source), self._heard_s(made.path)
        if abs(told_s - made.media.duration_s) > _LOOSE_S:
            return f"it says {made.media.duration_s:.2f} s and has {told_s:.2f} s"
        if told_s > given_s + _LOOSE_S:
            return f"it has {told_s:.2f} s, its source {given_s:.2f} s"
        if told_s < given_s - _LOOSE_S and not made.warnings:
            return f"it has {told_s:.2f} s of {given_s:.2f} s, and nobody was told"
        if told_s < _LEAST * given_s - _LOOSE_S:
            return f"it has only {told_s:.2f} s of {given_s:.2f} s"
        return None

    def _heard_s(self, path: Path) -> float:
        """Return from when to when FFmpeg decodes anything, with no option of ours."""
        spans = [self._span_s(path, kind) for kind in ("0:V:0?", "0:a:0?")]
        starts, ends = zip(*(span for span in spans if span), strict=True)
        return float(max(ends) - min(starts))

    def _span_s(self, path: Path, stream: str) -> tuple[float, float] | None:
        argv = [
            *(str(self.toolbox.ffmpeg), "-v", "quiet", "-nostdin", "-protocol_whitelist", "file"),
            *("-i", str(path), "-map", stream, "-fps_mode", "passthrough", "-copyts"),
            *("-f", "framecrc", "-"),
        ]
        done = subprocess.run(
            argv, check=False, capture_output=True, timeout=_READ_S, stdin=subprocess.DEVNULL
        )
        tick, first, last = Fraction(1), None, 0
        for line in done.stdout.decode("ascii", "replace").splitlines():
            if line.startswith("#tb 0:"):
                tick = Fraction(line.split(":")[1].strip())
            elif not line.startswith("#"):
                pts, duration = (int(word) for word in line.split(",")[2:4])
                first = pts if first is None else min(first, pts)
                last = max(last, pts + duration)
        return None if first is None else (float(first * tick), float(last * tick))


def _never() -> bool:
    return False


def _wrong_reason(error: Exception) -> str | None:
    """Return what is wrong with how a file was refused."""
    if not isinstance(error, MediaError):
        return f"{type(error).__name__} is no MediaError: {error}"
    words = error.detail
    if "probe failed" in words or "makes no sense" in words or "Traceback" in words:
        return f"a program of ours failed: {words}"
    if len(words.split()) < WORDS_MIN or len(words) > limits.REASON_CHARS_MAX:
        return f"this is no sentence: {words}"
    if "/tmp" in words or "file:" in words or not words.isprintable():  # noqa: S108 - sought
        return f"this names what it should not: {words}"
    return None


def _left(folder: Path) -> str | None:
    """Return what a refused file has left besides itself and what was begun of it."""
    begun = ("source", "output-", "piece-", "joined")
    strange = sorted(p.name for p in folder.iterdir() if not p.name.startswith(begun))
    return f"it left {strange}" if strange else None


def peak_bytes() -> int:
    """Return the most memory that any child of this process has held so far."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * limits.KIB
