"""What low, medium, high and ultra mean for recordings: one typed table (row A1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from core.order import QualityLevel
from core.presets import Preset, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingQuality:
    """A quality in the encoder's terms.

    `lines` is the short side of the picture, which is never scaled up. `crf_step` is added to the
    preset's CRF: 6 steps halve or double the bytes, roughly (x264's documentation). `target` is
    the VMAF at the output's size that a preset with samples aims at, `target.low` what 19 of 20
    frames reach. Rates are bits a second.
    """

    lines: int
    crf_step: float
    target: Target
    video_rate_max: int
    audio_rate_per_channel: int


RECORDINGS: Final[Mapping[QualityLevel, RecordingQuality]] = MappingProxyType(
    {
        QualityLevel.LOW: RecordingQuality(
            lines=480,
            crf_step=4,
            target=Target(mean=88, low=80),
            video_rate_max=2_000_000,
            audio_rate_per_channel=48_000,
        ),
        QualityLevel.MEDIUM: RecordingQuality(
            lines=720,
            crf_step=0,
            target=Target(mean=93, low=88),
            video_rate_max=6_000_000,
            audio_rate_per_channel=64_000,
        ),
        QualityLevel.HIGH: RecordingQuality(
            lines=1080,
            crf_step=-2,
            target=Target(mean=95, low=91),
            video_rate_max=12_000_000,
            audio_rate_per_channel=64_000,
        ),
        QualityLevel.ULTRA: RecordingQuality(
            lines=2160,
            crf_step=-5,
            target=Target(mean=97, low=94),
            video_rate_max=40_000_000,
            audio_rate_per_channel=96_000,
        ),
    }
)
"""`medium` is what the presets make by themselves: the 720p of the handshake.

VMAF 93 is where most viewers cannot tell the encode from its source, a difference of 6 is about
one that half of them see (Netflix's VMAF documentation); so `low` is one such step below and
`ultra` close to the measure's end.
"""


def in_quality(preset: Preset, level: QualityLevel | None) -> Preset:
    """Return the preset as it is asked for; None is the preset itself."""
    if level is None:
        return preset
    quality = RECORDINGS[level]
    return replace(
        preset,
        lines=quality.lines,
        crf=preset.crf + quality.crf_step,
        target=quality.target if preset.target else None,
        video_rate_max=quality.video_rate_max,
        audio_rate_per_channel=quality.audio_rate_per_channel,
    )
