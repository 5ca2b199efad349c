"""The encoders besides x264, and their arguments: pure."""

from __future__ import annotations

from typing import Final

from core.codecs import Codec
from core.plan import VideoEncode

_SVT_BUFFER_S: Final = 10
"""The longest that SVT-AV1 takes: it counts its buffer in seconds at the highest rate."""


def other_encoding(video: VideoEncode) -> list[str]:
    """Return the encoder of HEVC or AV1 and its settings.

    Level and profile are the encoder's own choice. HEVC is marked as Apple's players want it.
    """
    return [
        *(_x265(video) if video.codec is Codec.HEVC else _svt(video)),
        *("-preset", video.speed, "-crf", f"{video.crf:g}", "-maxrate:v", str(video.rate_max)),
        *("-g:v", str(video.gop_frames), "-flags:v", "+bitexact"),
    ]


def _svt(video: VideoEncode) -> list[str]:
    buffer = min(video.buffer, video.rate_max * _SVT_BUFFER_S)
    return ["-c:v", "libsvtav1", "-bufsize:v", str(buffer)]


def _x265(video: VideoEncode) -> list[str]:
    buffer = ["-bufsize:v", str(video.buffer)]
    rate = f"{video.frame_rate.numerator}/{video.frame_rate.denominator}"
    parameters = f"log-level=error:open-gop=0:fps={rate}"
    return ["-c:v", "libx265", "-tag:v", "hvc1", *buffer, "-x265-params", parameters]
