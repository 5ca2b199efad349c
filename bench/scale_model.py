"""How long a recording takes on many workers: measured work, and stated delays. Pure arithmetic.

A worker is one core like those that the work was measured on. Pieces are handed out in the order
of the bus, each to whoever is free. Measured are CPU seconds; the delays below are assumptions
about a deployment on Google Cloud in one region, chosen on the slow side.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

START_S: Final = 3.0
"""A worker that does not run yet: container, interpreter, clients."""
BUS_S: Final = 0.2
"""From a step's publication to its beginning, and the write to the record."""
STORE_CALL_S: Final = 0.05
"""One request to the object store, until its first byte."""
STORE_BYTES_S: Final = 50e6
"""Bytes a second of one transfer."""
CALLS_A_PIECE: Final = 12
"""Requests for a piece: blocks of the source's index and its own bytes, and the upload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one recording costs: CPU seconds, and bytes that travel.

    `survey_s` is probe and timeline, `join_s` the joining and the check of the output.
    """

    survey_s: float
    pieces_s: Sequence[float]
    join_s: float
    source_bytes: int
    output_bytes: int

    def stretched(self, length_s: float, shorter: Work, shorter_s: float, to_s: float) -> Work:
        """Return the work for a recording of `to_s` seconds; this one has `length_s`.

        Pieces repeat. What is done once grows as it grew from a shorter recording to this one:
        starting a program costs the same for any.
        """
        factor = to_s / length_s
        whole, part = divmod(len(self.pieces_s) * factor, len(self.pieces_s))
        more = (to_s - length_s) / (length_s - shorter_s)
        return Work(
            survey_s=self.survey_s + more * max(self.survey_s - shorter.survey_s, 0),
            pieces_s=[*self.pieces_s] * int(whole) + [*self.pieces_s[: round(part)]],
            join_s=self.join_s + more * max(self.join_s - shorter.join_s, 0),
            source_bytes=int(self.source_bytes * factor),
            output_bytes=int(self.output_bytes * factor),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What the model says for a number of workers; `efficiency` against one worker."""

    workers: int
    wall_s: float
    efficiency: float


def outlook(work: Work, workers: Sequence[int]) -> list[Outlook]:
    """Return the wall time for each number of workers."""
    alone_s = wall_s(work, 1)
    walls = [(count, wall_s(work, count)) for count in workers]
    return [
        Outlook(workers=count, wall_s=wall, efficiency=alone_s / (count * wall))
        for count, wall in walls
    ]


def wall_s(work: Work, workers: int) -> float:
    """Return the seconds from the upload's end to the stored output.

    The first worker is there at once for the survey only if it runs already; here none does.
    """
    surveyed_s = START_S + BUS_S + _travel_s(work.source_bytes) + work.survey_s
    made_s = surveyed_s + _pieces_s(work, workers)
    return made_s + BUS_S + 2 * _travel_s(work.output_bytes) + work.join_s


def _pieces_s(work: Work, workers: int) -> float:
    """Return when the last piece is made: the first worker is warm, all others start now."""
    count = max(len(work.pieces_s), 1)
    around_s = (
        BUS_S
        + CALLS_A_PIECE * STORE_CALL_S
        + (work.source_bytes + work.output_bytes) / count / STORE_BYTES_S
    )
    free = [0.0, *[START_S] * (workers - 1)]
    heapq.heapify(free)
    for piece_s in sorted(work.pieces_s, reverse=True) if workers > count else work.pieces_s:
        heapq.heapreplace(free, free[0] + around_s + piece_s)
    busy = [end for end in free if end > START_S or workers == 1]
    return max(busy, default=0.0)


def _travel_s(size: int) -> float:
    return STORE_CALL_S + size / STORE_BYTES_S
