"""Take a source's timeline in a sandboxed child."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from core import limits
from core.errors import EncodeFailed, UnreadableMedia
from core.media import Container
from core.plan import Plan
from core.timeline import Keyframe, PictureLine, SoundLine, Timeline
from transcoder.allowed import DEMUXERS, decoders
from transcoder.pieces.ranged import Blocks, Desk, Ranges
from transcoder.pieces.workshop import Workshop
from transcoder.runner import Collector, Exit

_CHILD: Final = "transcoder.pieces.timeline_child"
_ANSWER_BYTES_MAX: Final = 64 * limits.MIB
"""Bytes of the answer: a day at 60 frames a second is 41 MB."""
_COLUMNS: Final = 3
_NOWHERE: Final = -1


def take_timeline(source: Ranges, plan: Plan, workshop: Workshop) -> Timeline:
    """Return when each frame of `source` is shown; reads all of it, in blocks.

    Raises UnreadableMedia, EncodeFailed, and what `runner.run` and `source` raise.
    """
    if plan.container is Container.AVI:
        line = PictureLine(
            time_base=Fraction(1), times=(), keyframes=(), reason="an AVI has no times for frames"
        )
        return Timeline(start_us=0, picture=line, sound=None)
    if plan.video is None:
        return Timeline(start_us=0, picture=None, sound=None)
    answer = Collector(most=_ANSWER_BYTES_MAX)
    with Desk(Blocks(source)) as desk:
        wish = reading(plan.container, desk, source.size) | {
            "video": plan.video.index,
            "audio": plan.audio.index if plan.audio else None,
        }
        ended = workshop.child(
            _CHILD, wish, listener=answer, desk=desk, seconds=limits.PROBE_WALL_S
        )
    return _read(_facts(answer, ended), bytes(answer.data).partition(b"\n")[2])


def reading(container: Container, desk: Desk, size: int) -> dict[str, object]:
    """Return what a child needs to open the source."""
    return {
        "fd": desk.inherited,
        "size": size,
        "demuxer": DEMUXERS[container],
        "decoders": decoders(),
        "max_streams": limits.STREAMS_MAX,
        "max_pixels": limits.PIXELS_MAX,
    }


def _facts(answer: Collector, ended: Exit) -> Mapping[str, Any]:
    if ended.status or answer.seen > _ANSWER_BYTES_MAX:
        raise EncodeFailed("the times of the recording's frames cannot be read")
    facts: Mapping[str, Any] = json.loads(bytes(answer.data).partition(b"\n")[0])
    if "error" in facts:
        raise UnreadableMedia(f"the file cannot be read: {facts['error']}")
    return facts


def _read(facts: Mapping[str, Any], columns: bytes) -> Timeline:
    picture, sound = facts["picture"], facts["sound"]
    numbers = array("q", columns)
    frames, keys = picture["frames"], picture["keyframes"]
    if len(numbers) != frames + _COLUMNS * keys:
        raise EncodeFailed("the times of the recording's frames are not complete")
    head = facts["head"]
    times, *rest = (numbers[:frames], *(numbers[frames + n * keys :][:keys] for n in range(3)))
    keyframes = [
        Keyframe(time=t, decoded=d, position=None if head is None or p == _NOWHERE else p)
        for t, d, p in zip(*rest, strict=True)
    ]
    line = PictureLine(
        time_base=Fraction(*picture["time_base"]),
        times=times,
        keyframes=keyframes,
        last_ticks=picture["last_ticks"],
        head=head,
        form=picture["form"],
        reason=picture["reason"],
    )
    heard = SoundLine(**{**sound, "time_base": Fraction(*sound["time_base"])}) if sound else None
    return Timeline(start_us=facts["start_us"], picture=line, sound=heard)
