"""Is this output what the plan promised? Pure: facts in, defects out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from core.media import FULL_RANGE, MediaInfo, Picture, Stream
from core.plan import Copy, Plan

_DURATION_S: Final = 0.1
_OFFSET_S: Final = 0.04
"""Seconds by which sound and picture may move against each other: one frame of 25 a second."""
_TICK_S: Final = 0.001
"""An MP4's edit lists count in milliseconds."""
_FRAME_S_MAX: Final = 1.0
_AAC_FRAME: Final = 1024
_PADDING_FRAMES: Final = 2
"""Sound ends on a whole AAC frame, and its encoder may add one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the verdict rests on; `frames` is what the encoder says that it wrote."""

    plan: Plan
    source: MediaInfo
    output: MediaInfo
    frames: int | None


def verdict(evidence: Evidence) -> tuple[str, ...]:
    """Return the output's defects as short sentences; none means that it may be committed."""
    defects = [
        *_whole(evidence),
        *_streams(evidence),
    ]
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
    wanted = ["audio", "video"] if evidence.plan.audio else ["video"]
    defects = [] if kinds == wanted else [f"it holds {kinds}, not {wanted}"]
    audio = evidence.output.audio
    if audio is not None and (audio.codec, audio.profile) != ("aac", "LC"):
        defects.append(f"its sound is {audio.codec} {audio.profile}, not aac LC")
    return defects


def _video(plan: Plan, video: Stream, picture: Picture) -> list[str]:
    size = (picture.width, picture.height)
    profiles = {"High", "Main", "Baseline", "Constrained Baseline", "Constrained High"}
    checks = (
        (video.codec == "h264", f"its codec is {video.codec}"),
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


def _frames(evidence: Evidence, video: Stream, source: Stream) -> list[str]:
    copied = isinstance(evidence.plan.video, Copy)
    wanted = source.packets if copied else evidence.frames
    if wanted is None or wanted == 0:
        return ["the encoder did not say how many frames it wrote"]
    if video.packets == wanted:
        return []
    return [f"it has {video.packets} frames, not {wanted}"]


def _times(evidence: Evidence) -> list[str]:
    """Durations of picture and sound each, and where the sound begins against the picture."""
    plan, output, source = evidence.plan, evidence.output, evidence.source
    frame_s = min(plan.frame_s, _FRAME_S_MAX)
    defects = []
    pairs = (
        ("picture", output.video, source.video, max(_DURATION_S, frame_s)),
        ("sound", output.audio, source.audio, max(_DURATION_S, _padding_s(output.audio))),
    )
    for name, made, given, allowed_s in pairs:
        if made and given and abs(made.duration_s - given.duration_s) > allowed_s + _TICK_S:
            defects.append(
                f"its {name} lasts {made.duration_s:.3f} s, the source's {given.duration_s:.3f} s"
            )
    moved_s = abs(_offset_s(output) - _offset_s(source))
    if moved_s > max(_OFFSET_S, frame_s) + _TICK_S:
        defects.append(f"sound and picture moved against each other by {moved_s:.3f} s")
    return defects


def _padding_s(audio: Stream | None) -> float:
    if audio is None or audio.sound is None:
        return 0.0
    return _PADDING_FRAMES * _AAC_FRAME / audio.sound.sample_rate


def _offset_s(info: MediaInfo) -> float:
    video, audio = info.video, info.audio
    return audio.start_s - video.start_s if audio and video else 0.0
