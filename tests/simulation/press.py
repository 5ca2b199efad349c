"""A press that works with bytes: what a recording is like stands in its first words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from core.assignment import Assignment
from core.errors import (
    BadOutput,
    EncodeFailed,
    EncoderKilled,
    Interrupted,
    LecternError,
    ScratchFull,
    StepTimedOut,
    UnreadableMedia,
)
from core.order import Order
from core.ports import Progress
from tests.fake_press import assignment_of
from tests.fakes import a_media_summary
from tests.simulation.promises import sha256
from transcoder.compress import Compressed
from transcoder.pieces.encode import MadePiece
from transcoder.pieces.ranged import Ranges

if TYPE_CHECKING:
    from tests.simulation.world import World

HEAD: Final = b"\0\0\0\x18ftypisom\0\0\0\0"
"""An MP4 file begins so."""
_PASSING: Final = (EncoderKilled, StepTimedOut, ScratchFull)
_LENGTHS_S: Final = (0.0, 0.0, 0.5, 1.5, 4.0, 8.0)
_SUMMARY: Final = a_media_summary()


def recording(nature: str, number: int) -> bytes:
    """Return a recording: `good`, `bad`, or one that is cut: `long2`, `long3`, `odd2`, `big2`."""
    return HEAD + f" {nature} {number} ".encode()


class SimPress:
    """A Press. No two of its results are the same, as those of two encodes need not be."""

    def __init__(self, world: World) -> None:
        self.at_fault: set[str] = set()
        self._world = world
        self._made = 0

    def begin(
        self,
        source: Any,
        folder: Any,
        *,
        order: Order,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed | Assignment:
        """Make all, or cut."""
        del order
        data = _read(source)
        nature = data[len(HEAD) :].split()[0].decode()
        if nature[-1].isdigit():
            self._work(folder, stop)
            return _assignment(int(nature[-1]), 0)
        return self._whole(data, folder, progress, stop)

    def whole(
        self,
        source: Any,
        folder: Any,
        *,
        order: Order,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed:
        """Make all."""
        del order
        return self._whole(_read(source), folder, progress, stop)

    def make(
        self,
        assignment: Assignment,
        number: int,
        source: Ranges,
        folder: Any,
        *,
        stop: Callable[[], bool],
    ) -> MadePiece:
        """Make a piece that says what it is."""
        words = source.read(len(HEAD), 40).split()
        self._work(folder, stop)
        if words[0].startswith(b"odd") and number == 1:
            raise BadOutput("the piece is not what was planned")
        self._made += 1
        path = folder / f"piece-{number}"
        _write(path, f"{assignment.attempt}.{number}.{self._made};".encode())
        return MadePiece(path=path, frames=1, fetched=3, warnings=())

    def join(
        self,
        assignment: Assignment,
        pieces: Sequence[Any],
        fetch: Callable[[], Any],
        folder: Any,
        *,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed | Assignment:
        """Join the pieces, each of which must be of this attempt and in its place."""
        progress.report(50)
        self._work(folder, stop)
        made = [_read(path) for path in pieces]
        for number, piece in enumerate(made):
            if piece.split(b".")[:2] != [b"%d" % assignment.attempt, b"%d" % number]:
                self._world.promises.broken(f"{piece!r} stands in the place of piece {number}")
        data = _read(fetch())
        nature = data[len(HEAD) :].split()[0].decode()
        if nature.startswith("big") and assignment.attempt == 0:
            return _assignment(int(nature[-1]), 1)
        return self._finished(data, b"".join(made), folder)

    def _whole(
        self, data: bytes, folder: Any, progress: Progress, stop: Callable[[], bool]
    ) -> Compressed:
        progress.report(50)
        self._work(folder, stop)
        if data[len(HEAD) :].split()[0] == b"bad":
            self.at_fault.add(sha256(data))
            raise UnreadableMedia("no such container")
        self._made += 1
        return self._finished(data, b"small %d" % self._made, folder)

    def _finished(self, source: bytes, result: bytes, folder: Any) -> Compressed:
        path = folder / "output.mp4"
        _write(path, result)
        self._world.promises.verified.add((sha256(source), sha256(result)))
        return Compressed(
            path=path,
            size=len(result),
            sha256=sha256(result),
            source_media=_SUMMARY,
            media=_SUMMARY,
            action="encoded",
            warnings=(),
            work_s=1.0,
        )

    def _work(self, folder: Any, stop: Callable[[], bool]) -> None:
        """Take some time, and perhaps come to nothing."""
        world = self._world
        roll, weather = world.roll, world.trouble.weather
        if world.hub.current is not None:
            s = _LENGTHS_S[int(roll() * len(_LENGTHS_S))]
            if s:
                world.hub.sleep(s / 2)
                if stop():
                    raise Interrupted("told to stop")
                world.hub.sleep(s / 2)
        if stop():
            raise Interrupted("told to stop")
        if weather.flaky and roll() < weather.flaky:
            failure: LecternError = _PASSING[int(roll() * len(_PASSING))]("it may pass")
            raise failure
        if weather.defect and roll() < weather.defect:
            raise SimulatedDefectError
        if not folder.is_dir():
            raise EncodeFailed("ffmpeg cannot write into its folder")


def _write(path: Any, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except FileNotFoundError as error:
        raise EncodeFailed("the output cannot be written") from error


def _read(path: Any) -> bytes:
    """Return a file's bytes, or fail as FFmpeg does when its folder was taken away."""
    try:
        data: bytes = path.read_bytes()
    except FileNotFoundError as error:
        raise EncodeFailed("no such file") from error
    return data


class SimulatedDefectError(Exception):
    """An error that nobody foresaw."""


@cache
def _assignment(pieces: int, attempt: int) -> Assignment:
    return assignment_of(pieces, attempt)
