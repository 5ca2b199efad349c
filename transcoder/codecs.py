"""The encoders besides x264, and their arguments: pure."""

from __future__ import annotations

from core.codecs import Codec
from core.plan import VideoEncode


def other_encoding(video: VideoEncode) -> list[str]:
    """Return the encoder of HEVC or AV1 and its settings.

    Level and profile are the encoder's own choice. HEVC is marked as Apple's players want it.
    """
    return [
        *(_x265(video) if video.codec is Codec.HEVC else ["-c:v", "libsvtav1"]),
        *("-preset", video.speed, "-crf", f"{video.crf:g}"),
        *("-maxrate:v", str(video.rate_max), "-bufsize:v", str(video.buffer)),
        *("-g:v", str(video.gop_frames), "-flags:v", "+bitexact"),
    ]


def _x265(video: VideoEncode) -> list[str]:
    rate = f"{video.frame_rate.numerator}/{video.frame_rate.denominator}"
    parameters = f"log-level=error:open-gop=0:fps={rate}"
    return ["-c:v", "libx265", "-tag:v", "hvc1", "-x265-params", parameters]
