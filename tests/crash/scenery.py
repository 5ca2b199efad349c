"""What stands in for FFmpeg and for an SFTP server in a tree under test: small, and checkable.

A result says of which bytes it was made, so the one who receives it can tell that it is right.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import transcoder.main
from core.assignment import Assignment
from core.delivery import Answered, Outcome
from core.errors import NoVideoStream
from core.order import Order
from core.placement import Notice, Placed, PlaceOutcome, partial_path
from core.ports import ObjectReader, Progress
from tests.crash.points import Watched
from tests.fake_press import assignment, compressed, pictures
from transcoder.compress import Compressed
from transcoder.images.make import MadeImage, MadeImages
from transcoder.pieces.encode import MadePiece
from transcoder.pieces.ranged import Ranges

DEPOT: Final = "LECTERN_CRASH_DEPOT"
"""Names the folder that stands for the LMS's own storage; where it is empty the real adapters go
to a server."""
CUT_ME: Final = b"cut me in pieces"
REFUSE_ME: Final = b"there is no picture in this"
LONG_ME: Final = b"make much of me"
PIECES: Final = 2
LONG_BYTES: Final = 5_200_003
"""A long result: far more than may be under way by SFTP at a time, and no round number."""

PICTURE_BYTES: Final = 700_001
"""An image of a few requests of SFTP."""


def picture_of(source: bytes, name: str) -> bytes:
    """Return what the press makes of an image, in the size of that name."""
    dice = random.Random(sha256(name.encode() + source).digest())  # noqa: S311 - as below
    return dice.randbytes(PICTURE_BYTES)


def result_of(source: bytes) -> bytes:
    """Return what the press makes of a recording."""
    if CUT_ME in source:
        return b"".join(_piece_of(source, number) for number in range(PIECES))
    if LONG_ME in source:
        dice = random.Random(sha256(source).digest())  # noqa: S311 - any bytes will do
        return dice.randbytes(LONG_BYTES)
    return b"small: " + sha256(source).hexdigest().encode()


def install(wiring: ModuleType) -> None:
    """Have the workers of this process use the stand-ins."""
    setattr(transcoder.main, "MediaPress", lambda **_options: LittlePress())  # noqa: B010
    if folder := os.environ.get(DEPOT):
        depot, announcer = FolderDepot(Path(folder)), FolderAnnouncer(Path(folder))
        setattr(wiring, "depot", lambda _settings: Watched(depot, "depot"))  # noqa: B010
        setattr(wiring, "announcer", lambda _settings: Watched(announcer, "announcer"))  # noqa: B010
    elif DEPOT in os.environ:
        from tests.crash import sftp_points  # noqa: PLC0415 - asyncssh is large

        sftp_points.install(wiring)


class LittlePress:
    """A Press that hashes; recordings with CUT_ME in them are cut, those with REFUSE_ME refused."""

    def begin(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed | Assignment:
        """Cut, or do all."""
        data = source.read_bytes()
        if REFUSE_ME in data:
            raise NoVideoStream("there is no picture")
        if CUT_ME in data:
            return assignment(PIECES)
        return self.whole(source, folder, order=order, progress=progress, stop=stop)

    def whole(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed:
        """Do all."""
        del order, stop
        progress.report(50)
        return compressed(folder, result_of(source.read_bytes()))

    def picture(
        self, source: Path, folder: Path, *, order: Order, stop: Callable[[], bool]
    ) -> MadeImages:
        """Make an image of every size that is asked for."""
        del stop
        data = source.read_bytes()
        made = pictures(folder, order)
        return replace(made, images=tuple(_redone(each, data) for each in made.images))

    def make(
        self,
        assignment: Assignment,
        number: int,
        source: Ranges,
        folder: Path,
        *,
        stop: Callable[[], bool],
    ) -> MadePiece:
        """Make a piece of what the ranges give."""
        del assignment, stop
        data = source.read(0, source.size)
        path = folder / f"piece-{number}.mp4"
        path.write_bytes(_piece_of(data, number))
        return MadePiece(path=path, frames=1, fetched=len(data), warnings=())

    def join(
        self,
        assignment: Assignment,
        pieces: Sequence[Path],
        fetch: Callable[[], Path],
        folder: Path,
        *,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed | Assignment:
        """Put the pieces one after the other."""
        del assignment, fetch, progress, stop
        return compressed(folder, b"".join(path.read_bytes() for path in pieces))


@dataclass(frozen=True, slots=True)
class FolderDepot:
    """A Depot that keeps the LMS's files below a folder, and lets them grow beside their name."""

    root: Path

    def place(
        self,
        path: str,
        source: Callable[[int], AbstractContextManager[ObjectReader]],
        *,
        size: int,
    ) -> PlaceOutcome:
        """Put the file in place; what an earlier attempt left is gone on with."""
        final, part = self._at(path), self._at(partial_path(path))
        final.parent.mkdir(parents=True, exist_ok=True)
        held = part.stat().st_size if part.exists() else 0
        with part.open("ab") as file, source(held) as body:
            while piece := body.read(16):
                file.write(piece)
                file.flush()
        if part.stat().st_size != size:
            raise ValueError(f"{size} bytes were announced")
        part.replace(final)
        return Placed(sent=size - held)

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")


@dataclass(frozen=True, slots=True)
class FolderAnnouncer:
    """An Announcer that keeps what the LMS was told, one line a time."""

    root: Path

    def announce(self, notice: Notice) -> Outcome:
        """Note it and answer 204."""
        said = {"id": notice.delivery_id, "media": notice.media_id, "path": notice.file_path}
        with (self.root / "notices").open("a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")
        return Answered(status=204)


def notices(root: Path) -> list[dict[str, Any]]:
    """Return what the LMS was told so far."""
    with contextlib.suppress(FileNotFoundError):
        return [json.loads(line) for line in (root / "notices").read_text().splitlines()]
    return []


def _redone(image: MadeImage, source: bytes) -> MadeImage:
    data = picture_of(source, image.variant)
    image.path.write_bytes(data)
    return replace(image, size=len(data), sha256=sha256(data).hexdigest())


def _piece_of(source: bytes, number: int) -> bytes:
    return f"{number} of {sha256(source).hexdigest()};".encode()
