"""A press that works with bytes."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import count
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
from core.ladder_pieces import PieceSet
from core.order import Order
from core.ports import Progress
from tests.fake_press import assignment_of
from tests.fakes import a_media_summary
from tests.simulation.making import (
    OF_A_SET,
    laddered,
    write_joined,
    write_part,
    write_pictures,
    write_set,
)
from tests.simulation.recordings import HEAD, nature_of, origin_of, sha256
from transcoder.compress import Compressed
from transcoder.images.make import MadeImages
from transcoder.pieces.encode import MadePiece
from transcoder.pieces.ranged import Ranges

if TYPE_CHECKING:
    from tests.simulation.world import World

_PASSING: Final = (EncoderKilled, StepTimedOut, ScratchFull)
_LENGTHS_S: Final = (0.0, 0.0, 0.5, 1.5, 4.0, 8.0)
_SPOILT: Final = (EncodeFailed, BadOutput, UnreadableMedia, EncoderKilled, StepTimedOut)
_SUMMARY: Final = a_media_summary()


class SimPress:
    """A Press. No two of its results are the same, as those of two encodes need not be."""

    def __init__(self, world: World) -> None:
        self.at_fault: set[str] = set()
        self._world = world
        self._numbers = count(1)
        self._until = math.inf

    def within(self, budget_s: float) -> SimPress:
        """Return the press with so many seconds for all that it does."""
        hurried = copy.copy(self)
        hurried._until = self._world.hub.now + budget_s
        return hurried

    def begin(
        self,
        source: Any,
        folder: Any,
        *,
        order: Order,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed | Assignment:
        """Make all, or cut; now and then nobody can say how the set is made in pieces."""
        data = _read(source)
        nature = nature_of(data)
        if nature[-1].isdigit():
            self._work(folder, stop)
            ladder = order.ladder is not None and self._world.roll() < 0.9
            return (laddered if ladder else _assignment)(int(nature[-1]), 0)
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
        made, path = next(self._numbers), folder / f"piece-{number}"
        _write(path, f"{assignment.attempt}.{number}.{made};".encode())
        told: dict[str, Any] = {}
        if assignment.ladder is not None:
            told = self._part(assignment, number, origin_of(HEAD + b" ".join(words[:2])), folder)
        return MadePiece(path=path, frames=1, fetched=3, warnings=(), **told)

    def _part(
        self, assignment: Assignment, number: int, origin: str, folder: Any
    ) -> dict[str, Any]:
        """Make what a piece gives to the set, and return that, or why there is none."""
        place, beside = (assignment.attempt, number), folder / "part"
        try:
            self._spoil()
            part = write_part(beside, origin, place, next(self._numbers))
        except Exception as error:  # noqa: BLE001 - as the product does
            return {"part_error": error}
        return {"part": part, "part_folder": beside}

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
        nature = nature_of(data)
        if nature.startswith("big") and assignment.attempt == 0:
            return (laddered if assignment.ladder else _assignment)(int(nature[-1]), 1)
        return self._finished(data, b"".join(made), folder)

    def picture(
        self, source: Any, folder: Any, *, order: Order, stop: Callable[[], bool]
    ) -> MadeImages:
        """Make an image in all sizes."""
        data = _read(source)
        self._work(folder, stop)
        self._check(data)
        with _as_ffmpeg():
            made = write_pictures(folder, origin_of(data), order, next(self._numbers))
        verified = self._world.promises.verified
        verified.update((sha256(data), image.sha256) for image in made.images)
        return made

    def renditions(
        self,
        source: Any,
        folder: Any,
        *,
        order: Order,
        subtitles: Sequence[Any],
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Any:
        """Make a set in one go."""
        data = _read(source)
        if order.subtitles != bool(subtitles):
            self._world.promises.broken("a set without the subtitles that came with it")
        self._begin_set(folder, progress, stop)
        return write_set(folder, origin_of(data), next(self._numbers))

    def join_renditions(
        self,
        assignment: Assignment,
        parts: Sequence[PieceSet],
        result: Any,
        source: Callable[[], Any],
        folder: Any,
        *,
        subtitles: Sequence[Any],
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Any:
        """Make a set over the pieces' parts."""
        _read(result)
        if len(parts) != len(assignment.pieces.pieces):
            self._world.promises.broken("a set is joined without all of its parts")
        del subtitles
        self._begin_set(folder, progress, stop)
        _read(source())
        self._world.coverage["set", "joined"] += 1
        return write_joined(folder, parts)

    def _begin_set(self, folder: Any, progress: Progress, stop: Callable[[], bool]) -> None:
        progress.report(50)
        self._work(folder, stop)
        self._spoil()

    def _spoil(self) -> None:
        """Have the set come to nothing, as the weather is."""
        roll, share = self._world.roll, self._world.trouble.weather.spoilt
        if not share or roll() >= share:
            return
        self._world.coverage["set", "spoilt"] += 1
        if roll() < 0.2:
            raise SimulatedDefectError
        failure: LecternError = _SPOILT[int(roll() * len(_SPOILT))](OF_A_SET)
        raise failure

    def _whole(
        self, data: bytes, folder: Any, progress: Progress, stop: Callable[[], bool]
    ) -> Compressed:
        progress.report(50)
        self._work(folder, stop)
        self._check(data)
        return self._finished(data, b"small %d" % next(self._numbers), folder)

    def _check(self, data: bytes) -> None:
        if nature_of(data) in {"bad", "spoiled"}:
            self.at_fault.add(sha256(data))
            raise UnreadableMedia("no such container")

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
        if world.hub.now > self._until:
            world.coverage["push", "out of time"] += 1
            raise StepTimedOut("longer than a push may take")
        if weather.flaky and roll() < weather.flaky:
            failure: LecternError = _PASSING[int(roll() * len(_PASSING))]("it may pass")
            raise failure
        if weather.defect and roll() < weather.defect:
            raise SimulatedDefectError
        if not folder.is_dir():
            raise EncodeFailed("ffmpeg cannot write into its folder")


def _write(path: Any, data: bytes) -> None:
    with _as_ffmpeg():
        path.write_bytes(data)


def _read(path: Any) -> bytes:
    with _as_ffmpeg():
        data: bytes = path.read_bytes()
    return data


@contextlib.contextmanager
def _as_ffmpeg() -> Iterator[None]:
    """Fail as FFmpeg does when its folder was taken away."""
    try:
        yield
    except FileNotFoundError as error:
        raise EncodeFailed("no such file, or no folder for it") from error


class SimulatedDefectError(Exception):
    """An error that nobody foresaw."""


@cache
def _assignment(pieces: int, attempt: int) -> Assignment:
    return assignment_of(pieces, attempt)
