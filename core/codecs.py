"""The video codecs that can be asked for, and the scales of their constant rate factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Codec(StrEnum):
    """A video codec, by FFmpeg's name."""

    H264 = "h264"  # plays everywhere; the handshake's
    HEVC = "hevc"  # x265: Apple's and most televisions; browsers only with hardware
    AV1 = "av1"  # SVT-AV1: all browsers of today, Apple's only with new hardware


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What a codec's CRF means, for an encoder at `speed`; None leaves the speed to the preset.

    `first` looks about as good as x264's 28, `least` is the lowest that is worth its bytes.
    `text_max` still leaves text legible, `most` is the highest for anything else. One step costs
    `slope` times the VMAF of one of x264's, and `bytes_step` is by how much bytes fall with it.
    CRFs are multiples of `step`.
    """

    speed: str | None
    first: float
    least: float
    text_max: float
    most: float
    slope: float
    bytes_step: float
    step: float


SCALES: Final[Mapping[Codec, Scale]] = MappingProxyType(
    {
        Codec.H264: Scale(
            speed=None,
            first=28,
            least=18,
            text_max=33,
            most=34,
            slope=1.0,
            bytes_step=1.12,
            step=0.25,
        ),
        Codec.HEVC: Scale(
            speed="fast",
            first=28,
            least=18,
            text_max=33,
            most=34,
            slope=1.0,
            bytes_step=1.12,
            step=0.25,
        ),
        Codec.AV1: Scale(
            speed="8",
            first=38,
            least=22,
            text_max=48,
            most=50,
            slope=0.6,
            bytes_step=1.08,
            step=1.0,
        ),
    }
)
