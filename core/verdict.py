"""Is this output what the plan promised? Pure: facts in, defects out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from core.codecs import Codec
from core.media import FULL_RANGE, MediaInfo, Picture, Stream
from core.plan import AudioEncode, Copy, Plan, VideoEncode

_DURATION_S: Final = 0.1
_OFFSET_S: Final = 0.02
"""Seconds by which sound and picture may move against each other. Sound that begins after the
picture may seem to begin a frame earlier than it did: an encoder's silence comes before it."""
_SALVAGE_SHARE_MIN: Final = 0.5
"""Share of a damaged stream that must be left."""
_TICK_S: Final = 0.001
"""An MP4's edit lists count in milliseconds."""
_FRAME_S_MAX: Final = 1.0
_AAC_FRAME: Final = 1024
_PADDING_FRAMES: Final = 2
"""Sound ends on a whole AAC frame, and its encoder may add one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the verdict rests on; `frames` is what the encoder says that it wrote.

    `damaged` says that the source could not be decoded everywhere. Its output may then be
    shorter, and `shortfall` tells by how much.
    """

    plan: Plan
    source: MediaInfo
    output: MediaInfo
    frames: int | None
    damaged: bool = False


def verdict(evidence: Evidence) -> tuple[str, ...]:
    """Return the output's defects as short sentences; none means that it may be committed."""
    defects = [
        *_whole(evidence),
        *_streams(evidence),
    ]
    if evidence.plan.video is None:
        return (*defects, *_times(evidence))
    video, source = evidence.output.video, evidence.source.video
    if video is None or source is None or video.picture is None:
        return (*defects, "the picture is missing")
    defects += _video(evidence.plan, video, video.picture)
    defects += _frames(evidence, video, source)
    defects += _times(evidence)
    return tuple(defects)


def _whole(evidence: Evidence) -> list[str]:
    output, source = evidence.output, evidence.source
    checks = (
        (output.size <= source.size, f"{output.size} bytes, its source has {source.size}"),
        (output.index_first, "its index is not in front"),
        (output.clean and not output.cut, "it breaks off"),
    )
    return [defect for passed, defect in checks if not passed]


def _streams(evidence: Evidence) -> list[str]:
    kinds = sorted(stream.kind for stream in evidence.output.streams)
    parts = (("audio", evidence.plan.audio), ("video", evidence.plan.video))
    wanted = [kind for kind, part in parts if part]
    defects = [] if kinds == wanted else [f"it holds {kinds}, not {wanted}"]
    audio = evidence.output.audio
    if audio is not None and (audio.codec, audio.profile) != ("aac", "LC"):
        defects.append(f"its sound is {audio.codec} {audio.profile}, not aac LC")
    return defects


def _video(plan: Plan, video: Stream, picture: Picture) -> list[str]:
    size = (picture.width, picture.height)
    profiles = {"High", "Main", "Baseline", "Constrained Baseline", "Constrained High"}
    checks = (
        (video.codec == _codec(plan), f"its codec is {video.codec}"),
        (video.profile in profiles, f"its profile is {video.profile}"),
        (picture.pix_fmt == "yuv420p", f"its pixels are {picture.pix_fmt}"),
        (picture.color_range != FULL_RANGE, "its colours are of full range"),
        (picture.upright, "it is tagged as turned"),
        (picture.square, "its pixels are not square"),
        (not picture.hdr, "it is tagged as HDR"),
        (
            size == (plan.width, plan.height),
            f"it has {size[0]}x{size[1]} pixels, not {plan.width}x{plan.height}",
        ),
    )
    return [defect for passed, defect in checks if not passed]


def _codec(plan: Plan) -> Codec:
    return plan.video.codec if isinstance(plan.video, VideoEncode) else Codec.H264


def _frames(evidence: Evidence, video: Stream, source: Stream) -> list[str]:
    copied = isinstance(evidence.plan.video, Copy)
    wanted = source.packets if copied else evidence.frames
    if wanted is None or wanted == 0:
        return ["the encoder did not say how many frames it wrote"]
    if video.packets == wanted:
        return []
    return [f"it has {video.packets} frames, not {wanted}"]


def shortfall(evidence: Evidence) -> tuple[str, ...]:
    """Return what a damaged source's output lacks, as short sentences for its sender."""
    told = []
    made, given = evidence.output.video, evidence.source.video
    thinned = isinstance(evidence.plan.video, VideoEncode) and evidence.plan.video.frame_gap_min_s
    if made and given and not thinned and made.packets < given.packets:
        told.append(f"{given.packets - made.packets} of {given.packets} pictures are lost")
    for name, made, given, allowed_s in _pairs(evidence):
        lost_s = given.duration_s - made.duration_s
        if lost_s > allowed_s:
            told.append(f"{lost_s:.1f} s of the {name} are lost")
    return tuple(told)


def _times(evidence: Evidence) -> list[str]:
    """Durations of picture and sound each, and where the sound begins against the picture."""
    defects = []
    for name, made, given, allowed_s in _pairs(evidence):
        least_s = given.duration_s - allowed_s
        if evidence.damaged:
            least_s = min(least_s, _SALVAGE_SHARE_MIN * given.duration_s)
        if not least_s <= made.duration_s <= given.duration_s + allowed_s:
            defects.append(
                f"its {name} lasts {made.duration_s:.3f} s, the source's {given.duration_s:.3f} s"
            )
    moved_s = _offset_s(evidence.output) - _offset_s(evidence.source)
    early_s = _frame_s(evidence.output.audio) if isinstance(evidence.plan.audio, AudioEncode) else 0
    kept = -early_s <= moved_s + _OFFSET_S + _TICK_S and moved_s <= _OFFSET_S + _TICK_S
    if not kept and not evidence.damaged:
        defects.append(f"sound and picture moved against each other by {abs(moved_s):.3f} s")
    return defects


def _pairs(evidence: Evidence) -> Iterator[tuple[str, Stream, Stream, float]]:
    """Yield each part's name, the part as it was made and given, and the seconds it may differ."""
    output, source = evidence.output, evidence.source
    frame_s = min(evidence.plan.frame_s, _FRAME_S_MAX)
    if output.video and source.video:
        yield "picture", output.video, source.video, max(_DURATION_S, frame_s) + _TICK_S
    if output.audio and source.audio:
        allowed_s = max(_DURATION_S, _PADDING_FRAMES * _frame_s(output.audio)) + _TICK_S
        yield "sound", output.audio, source.audio, allowed_s


def _frame_s(audio: Stream | None) -> float:
    return _AAC_FRAME / audio.sound.sample_rate if audio and audio.sound else 0.0


def _offset_s(info: MediaInfo) -> float:
    video, audio = info.video, info.audio
    return audio.start_s - video.start_s if audio and video else 0.0
