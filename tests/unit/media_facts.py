"""Recordings as the probe would describe them, to be varied by a test."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from core.media import Container, MediaInfo, Picture, Sound, Stream

PICTURE = Picture(
    width=1920,
    height=1080,
    sar=Fraction(1),
    rotation=0,
    mirrored=False,
    pix_fmt="yuv420p",
    bit_depth=8,
    color_range=1,
    color_space=1,
    color_transfer=1,
    color_primaries=1,
    interlaced=False,
    fps=30.0,
    peak_fps=30.0,
    vfr=False,
    time_base=Fraction(1, 15360),
)
SOUND = Sound(channels=2, sample_rate=48_000, layout="stereo")


def video(**changes: Any) -> Stream:
    """Return 20 s of 1080p30 in H.264 at 2 Mb/s; fields of the picture may be given as well."""
    own = {name for name in PICTURE.__slots__ if name in changes}
    picture = replace(PICTURE, **{name: changes.pop(name) for name in own})
    stream = Stream(
        index=0,
        kind="video",
        codec="h264",
        profile="High",
        default=True,
        attached_pic=False,
        start_s=0.0,
        end_s=20.0,
        packets=600,
        size=5_000_000,
        announced_s=20.0,
        picture=picture,
    )
    return replace(stream, **changes)


def audio(**changes: Any) -> Stream:
    """Return 20 s of AAC at 160 kb/s."""
    stream = Stream(
        index=1,
        kind="audio",
        codec="aac",
        profile="LC",
        default=True,
        attached_pic=False,
        start_s=0.0,
        end_s=20.0,
        packets=938,
        size=400_000,
        announced_s=20.0,
        sound=SOUND,
    )
    return replace(stream, **changes)


def recording(*streams: Stream, **changes: Any) -> MediaInfo:
    """Return a recording of these streams, or of picture and sound."""
    info = MediaInfo(
        container=Container.MP4,
        size=5_500_000,
        header_duration_s=20.0,
        streams=streams or (video(), audio()),
    )
    return replace(info, **changes)
