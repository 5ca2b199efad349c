"""A ladder in pieces: each picture piece of a cut recording also gives segments of all renditions.

A piece begins with an IDR picture in every rendition, and is cut into segments of equal length
inside; so pieces that are put one after the other are what one encode would have made, cut at
other moments. Nothing is encoded or copied when they are joined: the manifest names the segments
where they lie. Decoding times must go on from piece to piece. With frames that are stored in the
order in which they are shown they are the times of the frames. Reordered ones are decoded a fixed
number of frames early, which is the same time everywhere only if all frames are as long.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Final

from core.documents import from_document, to_document
from core.errors import BadMessage, BadOutput
from core.ladder import LadderPlan
from core.pieces import PicturePiece, PiecePlan
from core.plan import VideoEncode
from core.segments import Track

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderCut:
    """How the renditions are made in pieces.

    `gap_s` is the length of every frame, or None where they differ: then frames are stored in the
    order in which they are shown.
    """

    plan: LadderPlan
    gap_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceSet:
    """What one piece gave: the renditions in the plan's order, `frames` pictures in each."""

    version: int
    frames: int
    tracks: tuple[Track, ...]

    def to_bytes(self) -> bytes:
        """Return it as it is stored: UTF-8 JSON."""
        return json.dumps(to_document(self), separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> PieceSet:
        """Read what `to_bytes` wrote; raises BadMessage."""
        try:
            return from_document(cls, json.loads(data))
        except (ValueError, RecursionError) as error:
            raise BadMessage(f"no part of a set: {error}") from error


def ladder_cut(plan: LadderPlan, pieces: PiecePlan, times: Sequence[int]) -> LadderCut:
    """Return how `plan` is made in `pieces`; `times` are the source's frames, in its ticks.

    Frames are chosen, and get their times, as those of the result do.
    """
    video = pieces.plan.video
    if not isinstance(video, VideoEncode):
        raise TypeError("only a picture that is encoded has pieces")
    gaps = {later - earlier for earlier, later in pairwise(times)}
    regular = len(gaps) == 1 and video.frame_gap_min_s is None and not video.deinterlace
    gap_s = float(gaps.pop() * pieces.source_time_base) if regular else None
    variants = tuple(
        replace(
            variant,
            video=replace(
                variant.video,
                frame_gap_min_s=video.frame_gap_min_s,
                time_base=video.time_base,
                frame_rate=video.frame_rate,
                reordered=gap_s is not None,
            ),
        )
        for variant in plan.variants
    )
    return LadderCut(plan=replace(plan, variants=variants), gap_s=gap_s)


def piece_set(frames: int, tracks: tuple[Track, ...]) -> PieceSet:
    """Return what a piece gave, in the present format."""
    return PieceSet(version=_FORMAT, frames=frames, tracks=tracks)


def span_s(pieces: PiecePlan, piece: PicturePiece) -> tuple[Fraction, Fraction]:
    """Return when a piece begins and ends in the result, in seconds."""
    video = pieces.plan.video
    if not isinstance(video, VideoEncode):
        raise TypeError("only a picture that is encoded has pieces")
    after = pieces.pieces[piece.number + 1 : piece.number + 2]
    end = piece.last + max(pieces.last_ticks, 1)
    if after and isinstance(after[0], PicturePiece):
        end = after[0].first
    return piece.first * video.time_base, end * video.time_base


def key_times_s(cut: LadderCut, span: tuple[Fraction, Fraction]) -> tuple[float, ...]:
    """Return when the segments of a piece begin: as many as fit best, all as long."""
    start, end = span
    count = max(round(float(end - start) / cut.plan.segment_s), 1)
    return tuple(float(start + number * (end - start) / count) for number in range(count))


def joined(parts: Sequence[PieceSet]) -> tuple[Track, ...]:
    """Return the renditions of all pieces put together; raises BadOutput where they do not fit.

    Segments get names of their own in the whole; the header is that of the first piece.
    """
    if len({len(part.tracks) for part in parts}) != 1:
        raise BadOutput("the pieces have different renditions")
    return tuple(_joined(tracks) for tracks in zip(*(part.tracks for part in parts), strict=True))


def _joined(tracks: tuple[Track, ...]) -> Track:
    first = tracks[0]
    if len({(track.init.sha256, track.timescale, track.shift) for track in tracks}) != 1:
        raise BadOutput(f"the pieces of {first.name} have different headers")
    segments = [segment for track in tracks for segment in track.segments]
    named = (
        replace(segment, file=replace(segment.file, name=f"{first.name}/{number:05}.m4s"))
        for number, segment in enumerate(segments)
    )
    return replace(first, segments=tuple(named))
