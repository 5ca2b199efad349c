"""Join the pieces of a recording."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core import limits
from core.errors import BadOutput, EncodeFailed, ScratchFull
from core.pieces import PicturePiece, PiecePlan, SoundPiece
from core.plan import VideoEncode
from transcoder.pieces.workshop import Workshop
from transcoder.runner import Collector, Outgrown

_CHILD: Final = "transcoder.pieces.assemble_child"
_ANSWER_BYTES_MAX: Final = limits.KIB
_ROOM_BYTES: Final = 16 * limits.MIB
"""What the output's index may need besides the pieces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """The whole output and its frames."""

    path: Path
    frames: int


def assemble(plan: PiecePlan, pieces: Sequence[Path], workshop: Workshop, name: str) -> Assembled:
    """Join `pieces`, files in the workshop's folder in the plan's order, into `name` there.

    Frames, samples and times are those of one encode. Raises Outgrown where the output would be
    larger than planned, BadOutput where the pieces do not fit together, ScratchFull,
    EncodeFailed and what `runner.run` raises.
    """
    if plan.whole or len(pieces) != len(plan.pieces):
        raise BadOutput(f"there are {len(pieces)} pieces, not {len(plan.pieces)}")
    if sum(path.stat().st_size for path in pieces) > plan.plan.size_max + _ROOM_BYTES:
        raise Outgrown
    answer = Collector(most=_ANSWER_BYTES_MAX)
    ended = workshop.child(
        _CHILD,
        _wish(plan, pieces) | {"output": name},
        listener=answer,
        file_bytes=plan.plan.size_max,
        seconds=limits.PUSH_STEP_S,
    )
    if ended.status:
        raise EncodeFailed("the pieces of the recording cannot be joined")
    facts: Mapping[str, Any] = json.loads(answer.data)
    if "frames" not in facts:
        _raise(str(facts.get("error")))
    return Assembled(path=workshop.folder / name, frames=int(facts["frames"]))


def _raise(reason: str) -> None:
    if "File too large" in reason:
        raise Outgrown
    if "No space left" in reason:
        raise ScratchFull("the worker's disk has no room for the output")
    raise BadOutput(f"the pieces of the recording do not fit together: {reason}")


def _wish(plan: PiecePlan, paths: Sequence[Path]) -> dict[str, object]:
    video = plan.plan.video
    if not isinstance(video, VideoEncode):
        raise TypeError("only a picture that is encoded has pieces")
    pictures: list[dict[str, object]] = []
    sounds: list[dict[str, object]] = []
    for piece, path in zip(plan.pieces, paths, strict=True):
        if isinstance(piece, PicturePiece):
            ends = {"first": piece.first, "last": piece.last, "frames": piece.frames}
            pictures.append({"file": path.name, **ends})
        elif isinstance(piece, SoundPiece):
            sounds.append({"file": path.name, "skip": piece.lead, "frames": piece.frames})
        else:
            sounds.append({"file": path.name, "skip": 0, "frames": None})
    return {
        "pictures": pictures,
        "sounds": sounds,
        "time_base": [video.time_base.numerator, video.time_base.denominator],
        "last_ticks": plan.last_ticks,
        "sound_first": plan.sound_first,
    }
