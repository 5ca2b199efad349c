"""What a piece gives to a set, made beside the piece and never in its way."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace

from core import limits
from core.errors import Interrupted, LecternError
from core.ladder import LADDERS, LadderPlan, ladder_plan
from core.ladder_pieces import LadderCut, PieceSet
from core.media import MediaInfo
from core.order import Order
from core.pieces import PicturePiece, PiecePlan
from transcoder.ladder.piece import PIECE_FOLDER, encode_set_piece
from transcoder.pieces.encode import MadePiece
from transcoder.pieces.workshop import Workshop


def planned_ladder(info: MediaInfo, order: Order) -> LadderPlan | None:
    """Return how the set that was ordered is made; None without an order, or if it cannot be.

    What is in its way is told when it would be made.
    """
    if order.ladder is None:
        return None
    try:
        return ladder_plan(info, LADDERS[order.ladder])
    except Exception:  # noqa: BLE001 - whatever it is, the result itself goes its way
        return None


@dataclass(slots=True, kw_only=True)
class PartBeside:
    """Makes a piece's part while its excerpt is there; raises nothing but Interrupted."""

    cut: LadderCut
    pieces: PiecePlan
    piece: PicturePiece
    workshop: Workshop
    part: PieceSet | None = None
    error: Exception | None = None

    def __call__(self, excerpt: str, base: int) -> None:
        """Make the part, or keep what went wrong."""
        try:
            self.part = encode_set_piece(
                self.cut, self.pieces, self.piece, excerpt, base, self.workshop
            )
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the piece itself is made
            shutil.rmtree(self.workshop.folder / PIECE_FOLDER, ignore_errors=True)
            self.error = error

    def added_to(self, made: MadePiece) -> MadePiece:
        """Return the piece with its part."""
        folder = self.workshop.folder / PIECE_FOLDER if self.part else None
        return replace(made, part=self.part, part_folder=folder, part_error=self.error)


def no_set(error: Exception) -> str:
    """Return the warning that says why a job has no set."""
    known = isinstance(error, LecternError)
    reason = str(error) if known else f"the worker failed over it ({type(error).__name__})"
    return f"no set of renditions was made: {reason}"[: limits.REASON_CHARS_MAX]
