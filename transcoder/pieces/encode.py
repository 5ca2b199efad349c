"""Make one piece: copy out the packets that it needs, and encode them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core import limits
from core.errors import BadOutput, EncodeFailed
from core.ladder_pieces import PieceSet
from core.pieces import PicturePiece, Piece, PiecePlan, SoundPiece, StreamPiece
from core.plan import Copy
from transcoder.encoder import EncoderProgress, damage, failure
from transcoder.pieces.arguments import (
    picture_command,
    sound_command,
    sound_of,
    stream_command,
    whole_form,
)
from transcoder.pieces.ranged import Blocks, Desk, Ranges
from transcoder.pieces.timeline import reading
from transcoder.pieces.workshop import Workshop
from transcoder.runner import Collector

_CHILD: Final = "transcoder.pieces.excerpt_child"
_ANSWER_BYTES_MAX: Final = limits.KIB
_EXCERPT_ROOM_BYTES: Final = 4 * limits.MIB
"""What an excerpt may have more than its source: an index of its own."""
_EXCERPT: Final = "excerpt"
_LOOSE_LINES: Final = 4
"""Messages that a decoder may write for a frame whose references lie before the excerpt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadePiece:
    """A finished piece; `frames` is how many the encoder says that it wrote, for pictures.

    `fetched` are the bytes read of the source. `part` is what the piece gives to the set that was
    ordered; its files lie in `part_folder`. `part_error` is why there is none.
    """

    path: Path
    frames: int
    fetched: int
    warnings: tuple[str, ...]
    part: PieceSet | None = None
    part_folder: Path | None = None
    part_error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """The excerpt: what its tick 0 is, and how many of its frames refer to what it has not."""

    base: int
    loose: int


def encode_piece(
    plan: PiecePlan,
    piece: Piece,
    source: Ranges,
    workshop: Workshop,
    *,
    beside: Callable[[str, int], None] | None = None,
) -> MadePiece:
    """Make `piece` as `piece-<number>.mp4` in the workshop's folder; nothing else stays there.

    `beside(excerpt, base)` is called while the excerpt, a file in the folder, is still there;
    `base` is the source's tick at its tick 0.

    Reads of `source` only what the piece needs, in blocks; give `Blocks` for other ones than those
    of 1 MiB. Raises BadOutput where the piece is not what was
    planned (the recording must then be encoded whole), EncodeFailed, Outgrown, what `runner.run`
    raises and what `source` raises.
    """
    if not isinstance(piece, PicturePiece | SoundPiece | StreamPiece):
        raise TypeError("a recording that stays whole is compressed, not encoded in pieces")
    excerpt = workshop.folder / _EXCERPT
    blocks = source if isinstance(source, Blocks) else Blocks(source)
    before = blocks.fetched
    try:
        with Desk(blocks) as desk:
            taken = _excerpt(plan, piece, desk, workshop)
        made = _encoded(plan, piece, taken, workshop)
        if beside is not None:
            beside(_EXCERPT, taken.base)
    finally:
        excerpt.unlink(missing_ok=True)
    return MadePiece(
        path=made[0], frames=made[1], fetched=blocks.fetched - before, warnings=made[2]
    )


def _excerpt(plan: PiecePlan, piece: Piece, desk: Desk, workshop: Workshop) -> _Taken:
    """Copy the piece's packets into the excerpt."""
    answer = Collector(most=_ANSWER_BYTES_MAX)
    wish = reading(plan.plan.container, desk, plan.source_size) | _part(plan, piece)
    ended = workshop.child(
        _CHILD,
        wish | {"file": _EXCERPT},
        listener=answer,
        desk=desk,
        file_bytes=plan.source_size + _EXCERPT_ROOM_BYTES,
        seconds=limits.PUSH_STEP_S,
    )
    if ended.status:
        raise EncodeFailed("a piece of the recording cannot be copied out")
    facts: Mapping[str, Any] = json.loads(answer.data)
    if "base" not in facts:
        raise BadOutput(f"a piece of the recording cannot be copied out: {facts['error']}")
    return _Taken(base=int(facts["base"]), loose=int(facts["loose"]))


def _part(plan: PiecePlan, piece: Piece) -> dict[str, object]:
    """Return what the child is told to copy."""
    video, audio = plan.plan.video, plan.plan.audio
    if isinstance(piece, PicturePiece) and video:
        part: dict[str, object] = {
            "key": piece.keyframe.time,
            "seek": piece.keyframe.decoded,
            "end": piece.read_end,
            "position": piece.keyframe.position,
            "head": plan.head,
        }
        return {"index": video.index, "form": plan.form, "picture": part}
    line = sound_of(plan)
    index = audio.index if audio else 0
    if not isinstance(piece, SoundPiece):
        copied = isinstance(audio, Copy)
        everything = {"rate": line.sample_rate, "head": plan.head, "copied": copied}
        return {"index": index, "form": whole_form(plan), "all": everything}
    seek_s = piece.read_start / line.sample_rate
    part = {
        "rate": line.sample_rate,
        "first": line.first_packet,
        "packet_samples": line.packet_samples,
        "start": piece.read_start,
        "end": piece.read_end,
        "seek": line.first_packet + int(seek_s / line.time_base),
        "position": piece.position,
        "head": plan.head,
    }
    return {"index": index, "form": line.form, "sound": part}


def _encoded(
    plan: PiecePlan, piece: Piece, taken: _Taken, workshop: Workshop
) -> tuple[Path, int, tuple[str, ...]]:
    path = workshop.folder / f"piece-{piece.number}.mp4"
    names = (_EXCERPT, path.name)
    progress = _Progress(workshop.report, piece)
    if isinstance(piece, PicturePiece):
        argv = picture_command(workshop.ffmpeg, plan, piece, taken.base, names)
    elif isinstance(piece, SoundPiece):
        argv = sound_command(workshop.ffmpeg, plan, piece, taken.base, names)
    else:
        argv = stream_command(workshop.ffmpeg, plan, whole_form(plan), names)
    heard = EncoderProgress(duration_s=1.0, report=progress.hear)
    progress.frames = lambda: heard.frames or 0
    ended = workshop.encode(argv, file_bytes=plan.plan.size_max, progress=heard)
    if ended.status:
        raise failure(ended)
    warnings = damage(ended, allowed=_LOOSE_LINES * taken.loose)
    frames = heard.frames or 0
    if isinstance(piece, PicturePiece) and frames != piece.frames:
        raise BadOutput(f"a piece has {frames} frames, not {piece.frames}")
    return path, frames, warnings


class _Progress:
    """Tells a picture's progress by its frames; sound is quick enough to be silent."""

    def __init__(self, report: Callable[[float], None], piece: Piece) -> None:
        self._report = report
        self._wanted = piece.frames if isinstance(piece, PicturePiece) else None
        self.frames: Callable[[], int] = lambda: 0

    def hear(self, _: float) -> None:
        if self._wanted:
            self._report(min(self.frames() / self._wanted, 1.0))
