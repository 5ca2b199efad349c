"""What is written down when a recording is cut: all that making and joining its pieces needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from core.documents import from_document, to_document
from core.errors import BadMessage
from core.ladder_pieces import LadderCut
from core.making import Quality
from core.media import MediaInfo
from core.pieces import PIECES_FORMAT, PiecePlan
from core.presets import Preset

ASSIGNMENT_FORMAT: Final = 1
"""Version of the document; a worker refuses any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """The pieces of the `attempt`-th way to make the output of `source` with `preset`.

    `warnings` are those of the survey, `work_s` the seconds that it took. Should the output turn
    out larger than its source, the next attempt follows. `ladder` says how each picture piece
    gives a part of the set of renditions that was ordered.
    """

    version: int
    attempt: int
    preset: Preset
    source: MediaInfo
    pieces: PiecePlan
    warnings: tuple[str, ...]
    work_s: float
    quality: Quality | None = None
    ladder: LadderCut | None = None

    def to_bytes(self) -> bytes:
        """Return the assignment as it is stored: UTF-8 JSON."""
        document = to_document(self)
        if self.ladder is None:  # a release before ladders in pieces reads it too
            del document["ladder"]
        return json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Assignment:
        """Read a stored assignment; raises BadMessage for what `to_bytes` did not write."""
        try:
            document = json.loads(data)
            version = document.get("version") if isinstance(document, dict) else None
            if version != ASSIGNMENT_FORMAT:
                raise BadMessage(f"an assignment of format {version}, not {ASSIGNMENT_FORMAT}")
            assignment = from_document(cls, document)
        except (ValueError, RecursionError) as error:
            raise BadMessage(f"no assignment: {error}") from error
        if assignment.pieces.version != PIECES_FORMAT:
            raise BadMessage(f"a plan of pieces of format {assignment.pieces.version}")
        return assignment
