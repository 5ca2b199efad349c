"""The renditions that can be asked for: one typed table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from core import limits
from core.codecs import SCALES, Codec


class Speed(StrEnum):
    """x264's own presets, and x265's: the slower, the smaller at the same CRF."""

    ULTRAFAST = "ultrafast"
    SUPERFAST = "superfast"
    VERYFAST = "veryfast"
    FASTER = "faster"
    FAST = "fast"
    MEDIUM = "medium"
    SLOW = "slow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The quality that samples are measured for: VMAF 0 to 100, at the output's size.

    `mean` is that of all frames, `low` what 19 of 20 frames reach (the 5th percentile).
    """

    mean: float
    low: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One rendition. Rates are bits a second, `lines` is the short side of the picture.

    `speed` and `crf` are the encoder's preset and constant rate factor. A `Speed` was asked for:
    samples choose no other. A picture is copied instead of encoded where the encode would save less
    than `worth_saving` of the source's bytes.
    Sound is brought to `loudness_lufs` (EBU R 128), where that is given. With `salvage` a file
    that announces more than it holds is taken, with a warning, instead of refused. `x264` are
    further parameters of H.264's encoder, as it has them; frames above `frame_rate_max` a second
    are thinned out. With a `target` the recording is sampled, and what fits it takes the place of
    what stands here (`core.smart`).
    """

    name: str
    lines: int
    speed: str
    crf: float
    gop_s: float
    video_rate_max: int
    audio_rate_per_channel: int
    audio_copy_rate_max: int
    worth_saving: float
    loudness_lufs: float | None = None
    salvage: bool = False
    x264: str = ""
    frame_rate_max: float = limits.FRAME_RATE_MAX
    audio_channels_max: int = 2
    target: Target | None = None
    codec: Codec = Codec.H264


LECTURE: Final = Preset(
    name="lecture",
    lines=720,
    speed="faster",
    crf=26,
    gop_s=5,
    video_rate_max=6_000_000,
    audio_rate_per_channel=64_000,
    audio_copy_rate_max=136_000,
    worth_saving=0.1,
    loudness_lufs=-16.0,
)
"""The handshake's 720p: small, playable everywhere, seekable to 5 s.

Measured on 2 cores with FFmpeg 9.0, video only, against the field's `veryfast`, CRF 23 with its
8 s GOP (video bytes, CPU seconds, mean VMAF at 720p). The second and last rows are from an earlier
run on a quieter machine: their CPU seconds do not compare with the others'.

| x264         | 30 s of slides          | 15 s of camera           |
|--------------|-------------------------|--------------------------|
| veryfast, 23 | 187,679 / 6.8 s / 95.2  | 2,840,681 / 10.0 s / 93.2 |
| veryfast, 26 | 199,040 / 6.2 s / 94.3  | 1,901,302 /  8.7 s / 88.9 |
| faster, 26   | 212,921 / 9.4 s / 95.7  | 2,278,059 / 13.0 s / 92.8 |
| fast, 26     | 227,090 / 9.4 s / 95.8  | 2,388,473 / 15.8 s / 93.5 |
| medium, 27   | 220,036 / 7.7 s / 96.0  | 2,056,277 / 17.4 s / 92.8 |

`faster` costs 1.3 to 1.4 times the CPU time of `veryfast` on both. The shorter GOP costs
slides about a sixth of their video bytes, which are a twentieth of the file with its sound.
"""
SMART: Final = replace(
    LECTURE,
    name="smart",
    speed="medium",
    crf=26,
    x264="psy=0:aq-strength=0.25:bframes=5",
    target=Target(mean=93, low=88),
)
"""What fits the recording: `core.smart` says how. Its own figures stand where samples fail."""
DEFAULT: Final = LECTURE


def in_codec(preset: Preset, codec: Codec) -> Preset:
    """Return the preset for another codec: at that codec's own speed and first CRF."""
    scale = SCALES[codec]
    if codec is preset.codec:
        return preset
    speed = scale.speed or LECTURE.speed
    return replace(preset, codec=codec, speed=speed, crf=scale.first)


def at_speed(preset: Preset, speed: Speed | None) -> Preset:
    """Return the preset as it is asked for; None is the preset itself.

    Raises ValueError for a codec whose encoder knows no such words.
    """
    if speed is None:
        return preset
    if preset.codec is Codec.AV1:
        raise ValueError(f"the encoder of {preset.codec} has no speed {speed}")
    return replace(preset, speed=speed)


BY_NAME: Final[Mapping[str, Preset]] = MappingProxyType({p.name: p for p in (SMART, LECTURE)})
"""What can be asked for by its name."""
