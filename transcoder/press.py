"""What makes media out of media, as the steps see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from core.assignment import Assignment
from core.ladder_pieces import PieceSet
from core.order import Order
from core.ports import Progress
from transcoder.compress import Compressed
from transcoder.images.make import MadeImages
from transcoder.ladder.texts import Sidecar
from transcoder.pieces.encode import MadePiece
from transcoder.pieces.ranged import Ranges


class Press(Protocol):
    """Works inside `folder`, a private one, until `stop()`.

    Errors are those of `compress.compress`: a MediaError for what is the file's fault, a
    PassingFailure for what may pass, Interrupted.
    """

    def begin(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed | Assignment:
        """Make a short recording small, in the quality of `order`, or cut a long one."""
        ...

    def whole(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed:
        """Make a recording small in one go, however long it is."""
        ...

    def picture(
        self, source: Path, folder: Path, *, order: Order, stop: Callable[[], bool]
    ) -> MadeImages:
        """Make what `order` asks for of an image."""
        ...

    def make(
        self,
        assignment: Assignment,
        number: int,
        source: Ranges,
        folder: Path,
        *,
        stop: Callable[[], bool],
    ) -> MadePiece:
        """Make one piece. Raises BadOutput where the recording cannot be made in pieces."""
        ...

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
        """Join the pieces, and hold the result against the source.

        Where it is larger than its source, the next way is begun; `fetch` brings the source.
        """
        ...

    def join_renditions(
        self,
        assignment: Assignment,
        parts: Sequence[PieceSet],
        result: Path,
        source: Callable[[], Path],
        folder: Path,
        *,
        subtitles: Sequence[Sidecar],
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Path:
        """Join what the pieces gave to a set; return its folder, which lacks their files.

        `result` is the joined recording, `source()` brings the source; both lie in `folder`.
        Raises BadOutput where the parts do not fit together.
        """
        ...

    def renditions(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,
        subtitles: Sequence[Sidecar],
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Path:
        """Make the set that `order` names; return its folder, whose manifest names every file.

        `subtitles` go into it beside those of the recording itself.
        """
        ...
