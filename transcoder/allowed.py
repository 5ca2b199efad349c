"""What the demuxers and decoders of a probe or an encode may be: allow-lists, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from core.media import Container

DEMUXERS: Final[Mapping[Container, str]] = MappingProxyType(
    {
        Container.MP4: "mov",
        Container.MATROSKA: "matroska",
        Container.AVI: "avi",
        Container.WAV: "wav",
        Container.MP3: "mp3",
        Container.OGG: "ogg",
        Container.FLAC: "flac",
    }
)
"""The one demuxer for each container, by FFmpeg's name."""

VIDEO_DECODERS: Final = (
    "h264", "hevc", "libdav1d", "av1", "vp8", "libvpx", "vp9", "libvpx-vp9", "mpeg4",
    "msmpeg4v1", "msmpeg4v2", "msmpeg4", "mpeg1video", "mpeg2video", "h263", "mjpeg", "prores",
    "dnxhd", "dvvideo", "cfhd", "theora", "wmv1", "wmv2", "wmv3", "vc1", "rawvideo", "qtrle",
    "png", "ffv1", "utvideo", "huffyuv", "ffvhuff", "camtasia", "camstudio", "zmbv",
    "msvideo1", "cinepak", "v210",
)  # fmt: skip
"""Cameras, phones, browsers, editors, and the screen recorders of three decades. MagicYUV is left
out: its decoder wrote past its buffers (CVE-2026-8461), and hardly a lecture is stored in it."""
AUDIO_DECODERS: Final = (
    "aac", "mp3float", "mp3", "mp2float", "mp2", "ac3", "eac3", "dca", "truehd", "opus",
    "libopus", "vorbis", "libvorbis", "flac", "alac", "amrnb", "amrwb", "libopencore_amrnb",
    "libopencore_amrwb", "wmav1", "wmav2", "wmapro", "adpcm_ms", "adpcm_ima_wav",
    "adpcm_ima_qt", "gsm_ms", "pcm_alaw", "pcm_mulaw", "pcm_u8", "pcm_s8", "pcm_s16le",
    "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be",
    "pcm_f64le", "pcm_f64be", "wavpack", "speex",
)  # fmt: skip


def decoders() -> str:
    """Return all allowed decoders as FFmpeg's `codec_whitelist` wants them."""
    return ",".join((*VIDEO_DECODERS, *AUDIO_DECODERS))
