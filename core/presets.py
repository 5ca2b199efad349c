"""The renditions that can be asked for: one typed table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One rendition. Rates are bits a second, `lines` is the short side of the picture.

    `speed` and `crf` are x264's preset and constant rate factor. A picture is copied instead of
    encoded where the encode would save less than `worth_saving` of the source's bytes.
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
DEFAULT: Final = LECTURE
