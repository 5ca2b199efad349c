"""From a plan to FFmpeg's arguments: pure, nothing is run here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from core import limits
from core.colour import Colour
from core.media import Container
from core.plan import AudioEncode, Copy, Plan, VideoEncode
from transcoder.allowed import DEMUXERS, decoders

_STATS_PERIOD_S: Final = "0.5"
_SDR_WHITE_NITS: Final = 203
"""Luminance of white in an HDR picture (ITU-R BT.2408)."""
_COLOUR_RANGE: Final = "tv"


def command(ffmpeg: Path, plan: Plan, source: str, output: str) -> list[str]:
    """Return the argument list that makes `plan` of `source`, both names relative to the folder.

    The input is read by one demuxer and by allowed decoders only, from this file only.
    """
    return [
        *_beginning(ffmpeg),
        *_input(plan.container, source),
        *_streams(plan),
        *_video(plan.video),
        *_audio(plan.audio),
        *_output(output),
    ]


def decode_check(ffmpeg: Path, container: Container, name: str) -> list[str]:
    """Return the argument list that decodes every picture of `name` and throws it away."""
    return [
        *_beginning(ffmpeg),
        *_input(container, name),
        *("-map", "0:V:0", "-fps_mode", "passthrough", "-f", "null", "pipe:2"),
    ]


def _beginning(ffmpeg: Path) -> list[str]:
    return [
        str(ffmpeg),
        *("-hide_banner", "-nostdin", "-y", "-v", "repeat+level+error"),
        *("-nostats", "-progress", "pipe:1", "-stats_period", _STATS_PERIOD_S),
    ]


def _input(container: Container, source: str) -> list[str]:
    demuxer = DEMUXERS[container]
    return [
        *("-f", demuxer, "-format_whitelist", demuxer),
        *("-protocol_whitelist", "file", "-codec_whitelist", decoders()),
        *("-max_streams", str(limits.STREAMS_MAX), "-max_pixels", str(limits.PIXELS_MAX)),
        *("-apply_cropping", "codec", "-i", f"file:{source}"),
    ]


def _streams(plan: Plan) -> list[str]:
    """Choose streams by number, and leave everything else behind, titles and places included."""
    audio = ["-map", f"0:{plan.audio.index}"] if plan.audio else []
    return [
        *("-map", f"0:{plan.video.index}", *audio),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn"),
    ]


def _video(video: VideoEncode | Copy) -> list[str]:
    if isinstance(video, Copy):
        return ["-c:v", "copy"]
    return [
        *("-vf", filters(video), "-fps_mode", "vfr"),
        *("-enc_time_base:v", f"{video.time_base.numerator}:{video.time_base.denominator}"),
        *("-c:v", "libx264", "-preset", video.speed, "-crf", f"{video.crf:g}"),
        *("-profile:v", "high", "-level:v", video.level, "-pix_fmt", "yuv420p"),
        *("-maxrate:v", str(video.rate_max), "-bufsize:v", str(video.buffer)),
        *("-g:v", str(video.gop_frames), "-flags:v", "+cgop+bitexact"),
        *("-x264-params", f"fps={video.frame_rate.numerator}/{video.frame_rate.denominator}"),
        *_keyframes(video),
        *_tags(video.colour),
    ]


def _keyframes(video: VideoEncode) -> list[str]:
    """Count keyframe distances in time where frames come irregularly."""
    if video.keyframe_every_s is None:
        return []
    due = f"gte(t,prev_forced_t+{video.keyframe_every_s:g})"
    return ["-force_key_frames:v", f"expr:if(isnan(prev_forced_t),1,{due})"]


def _tags(colour: Colour) -> list[str]:
    return [
        *("-color_range:v", _COLOUR_RANGE, "-color_primaries:v", str(colour.primaries)),
        *("-color_trc:v", str(colour.transfer), "-colorspace:v", str(colour.matrix)),
    ]


def filters(video: VideoEncode) -> str:
    """Return the filter chain; FFmpeg turns the picture upright before it."""
    chain = []
    if video.deinterlace:
        chain.append("bwdif=mode=send_frame:deint=interlaced")
    if video.frame_gap_min_s is not None:
        gap = f"gte(t-prev_selected_t,{video.frame_gap_min_s:.5f})"
        chain.append(f"select='isnan(prev_selected_t)+{gap}'")
    chain += _scaling(video)
    return ",".join((*chain, "setsar=1", "format=yuv420p"))


def _scaling(video: VideoEncode) -> list[str]:
    size = f"w={video.width}:h={video.height}"
    if video.convert_from is None:
        matrix = ":out_color_matrix=bt709" if video.from_rgb else ""
        return [f"scale={size}:out_range=tv{matrix}"]
    came = video.convert_from
    known = f"pin={came.primaries}:tin={came.transfer}:min={came.matrix}"
    if not video.tone_map:
        return [f"zscale={size}:{known}:p=709:t=709:m=709:r=tv"]
    return [
        f"zscale={size}:{known}:t=linear:npl={_SDR_WHITE_NITS}",
        "format=gbrpf32le",
        "zscale=p=709",
        "tonemap=tonemap=hable",
        "zscale=t=709:m=709:r=tv",
        "sidedata=mode=delete",
    ]


def _audio(audio: AudioEncode | Copy | None) -> list[str]:
    """Encode on one clock: gaps become silence, and a late start stays late."""
    if audio is None:
        return []
    if isinstance(audio, Copy):
        return ["-c:a", "copy"]
    layout = "stereo" if audio.channels > 1 else "mono"
    resample = (
        f"aresample=async=1:out_chlayout={layout}"
        f":out_sample_rate={audio.sample_rate}:out_sample_fmt=fltp"
    )
    return [
        *("-af", resample, "-c:a", "aac", "-profile:a", "aac_low", "-b:a", str(audio.rate)),
        *("-flags:a", "+bitexact"),
    ]


def _output(output: str) -> list[str]:
    return [
        *("-fflags", "+bitexact", "-movflags", "+faststart", "-write_tmcd", "0"),
        *("-f", "mp4", f"file:{output}"),
    ]
