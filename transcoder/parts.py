"""The parts of a set that pieces give, in the object store.

A segment lies under the name of its content, so two workers that made the same piece do not
disturb each other; the list of a piece's segments is committed once, by the first that made it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.assignment import Assignment
from core.board import Board
from core.errors import AlreadyExists, BadOutput, MissingObject
from core.job import part_key, part_list_key
from core.ladder_pieces import PieceSet
from core.pieces import PicturePiece
from core.ports import ObjectStore

_LIST: Final = "list"


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one cut of a run."""

    objects: ObjectStore
    run: str
    board: Board

    def commit(self, number: int, part: PieceSet, folder: Path) -> None:
        """Commit the files of a piece's part, then its list."""
        for track in part.tracks:
            for file in track.files:
                self._upload(part_key(self.run, self.board.cut, file.sha256), folder / file.name)
        listed = folder / _LIST
        listed.write_bytes(part.to_bytes())
        self._upload(part_list_key(self.board.plan_key, number), listed)

    def read(self, assignment: Assignment) -> list[PieceSet]:
        """Return the parts of all picture pieces; raises BadOutput where one is missing."""
        pictures = (p for p in assignment.pieces.pieces if isinstance(p, PicturePiece))
        return [self._read(piece.number) for piece in pictures]

    def key(self, sha256: str) -> str:
        """Return where a file of this content lies."""
        return part_key(self.run, self.board.cut, sha256)

    def _read(self, number: int) -> PieceSet:
        try:
            with self.objects.open(part_list_key(self.board.plan_key, number)) as body:
                return PieceSet.from_bytes(body.read())
        except MissingObject as error:
            raise BadOutput(f"piece {number} gave no part to it") from error

    def _upload(self, key: str, path: Path) -> None:
        with contextlib.suppress(AlreadyExists):
            self.objects.upload(key, path)
