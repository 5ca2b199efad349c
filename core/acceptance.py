"""Whether a recording is accepted, and what its sender must be told of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from core import limits
from core.errors import DamagedSource, MediaTooComplex, NoVideoStream, UnreadableMedia
from core.media import MediaInfo, Picture

_LOSS_S: Final = 1.0
_LOSS_MAX_S: Final = 5.0
_LOSS_SHARE: Final = 0.05
_CUT_LOSS_S: Final = 0.25
"""What may be missing against the header: 5%, at least 1 s and at most 5 s, where nothing else
speaks for damage; 0.25 s in a file whose boxes run past its end."""
_SALVAGE_SHARE_MIN: Final = 0.5
"""Of less than half of what was announced nobody would call the rest the lecture."""
_HOLE_S: Final = 0.5
"""Seconds of missing sound that are worth a word."""
_UNSHOWABLE: Final = 5
"""The Dolby Vision profile whose colours only Dolby's own metadata make sense of: it has no base
that other screens could show (Dolby Vision Profiles and Levels, 2.2)."""


def accept(info: MediaInfo, *, salvage: bool = False) -> None:
    """Return if Lectern can compress the recording.

    With `salvage` a file that announces more than it holds is taken if it holds at least half;
    `remarks` tells what is missing. Raises NoVideoStream for a file with neither picture nor
    sound, MediaTooComplex, DamagedSource or UnreadableMedia, with the reason.
    """
    _accept_bounds(info)
    video, audio = info.video, info.audio
    if video is None and audio is None:
        raise NoVideoStream("the file has neither picture nor sound; send a recording")
    if video is not None and video.picture is None:
        raise UnreadableMedia(
            f"no picture of the {video.codec or 'unknown kind of'} video could be decoded"
        )
    if audio is not None and audio.sound is None:
        raise UnreadableMedia(f"the sound ({audio.codec or 'unknown'}) cannot be decoded")
    if info.duration_s <= 0:
        raise UnreadableMedia("the recording has no duration")
    if video is not None and video.picture is not None:
        _accept_picture(video.picture)
    _accept_whole(info, salvage=salvage)


def remarks(info: MediaInfo) -> tuple[str, ...]:
    """Return what an accepted recording's sender must hear: what is left out, lost or changed."""
    return (*_left_out(info), *_changed(info), *_lost(info))


def _left_out(info: MediaInfo) -> Iterator[str]:
    for kind, name, kept in (
        ("video", "pictures", info.video),
        ("audio", "sound tracks", info.audio),
    ):
        there = [s for s in info.streams if s.kind == kind and not s.attached_pic and s.packets]
        if kept is not None and len(there) > 1:
            which = "first" if kept is there[0] else f"one of track {kept.index}"
            yield f"the file has {len(there)} {name}: only the {which} is kept"
    if info.video is None and any(s.kind == "video" and not s.attached_pic for s in info.streams):
        yield "the picture track is empty: only the sound is kept"


def _changed(info: MediaInfo) -> Iterator[str]:
    picture = info.video.picture if info.video else None
    if picture is not None and picture.sizes:
        sizes = ", ".join(f"{width}x{height}" for width, height in picture.sizes)
        yield (
            f"the picture changes its size on the way ({sizes}): "
            "it is fitted into one frame, with bars where its shape differs"
        )


def _lost(info: MediaInfo) -> Iterator[str]:
    announced_s, held_s = _announced_s(info), _held_s(info)
    if announced_s - held_s > _LOSS_S:
        yield (
            f"the file announces {announced_s:.1f} s and holds {held_s:.1f} s: "
            f"{announced_s - held_s:.1f} s are missing"
        )
    elif info.cut or not info.clean:
        yield f"the file breaks off after {held_s:.1f} s: what may have come after is missing"
    audio = info.audio
    if audio is not None and audio.hole_s > _HOLE_S:
        yield f"the sound has gaps of {audio.hole_s:.1f} s in all: they are silent"


def _accept_bounds(info: MediaInfo) -> None:
    if len(info.streams) > limits.STREAMS_MAX:
        raise MediaTooComplex(
            f"the file has {len(info.streams)} streams; {limits.STREAMS_MAX} are the most"
        )
    if info.duration_s > limits.DURATION_MAX_S:
        raise MediaTooComplex(
            f"the recording lasts {info.duration_s:.0f} s; "
            f"{limits.DURATION_MAX_S:.0f} s are the most"
        )


def _accept_picture(picture: Picture) -> None:
    sizes = ((picture.width, picture.height), *picture.sizes)
    if any(width * height > limits.PIXELS_MAX for width, height in sizes):
        raise MediaTooComplex(
            f"the picture has {picture.width}x{picture.height} pixels; "
            f"{limits.PIXELS_MAX} in all are the most"
        )
    if picture.dolby_vision == _UNSHOWABLE:
        raise UnreadableMedia(
            "its colours are Dolby Vision of profile 5, which only Dolby's decoders can show; "
            "export it as HDR10, HLG or in ordinary colours and send it again"
        )


def _accept_whole(info: MediaInfo, *, salvage: bool) -> None:
    announced_s, held_s = _announced_s(info), _held_s(info)
    allowed_s = max(_LOSS_S, min(_LOSS_SHARE * announced_s, _LOSS_MAX_S))
    if announced_s - held_s <= (_CUT_LOSS_S if info.cut else allowed_s):
        return
    if salvage and held_s >= _SALVAGE_SHARE_MIN * announced_s:
        return
    raise DamagedSource(
        f"the file announces {announced_s:.1f} s and holds {held_s:.1f} s: "
        "it is cut off or damaged; send the whole recording"
    )


def _announced_s(info: MediaInfo) -> float:
    """Return the longest duration that the file's headers give; 0 where they give none."""
    return max((info.header_duration_s or 0.0, *(s.announced_s or 0.0 for s in info.streams)))


def _held_s(info: MediaInfo) -> float:
    """Return what there is of it: any stream may reach the announced end."""
    return max(s.end_s for s in info.streams if s.packets) - info.start_s
