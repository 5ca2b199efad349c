"""From a plan to FFmpeg's arguments: pure, nothing is run here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from core import limits
from core.codecs import Codec
from core.colour import Colour
from core.media import Container, Stream
from core.plan import AudioEncode, Copy, Plan, VideoEncode
from transcoder.allowed import DEMUXERS, decoders
from transcoder.codecs import other_encoding

_STATS_PERIOD_S: Final = "0.5"
_SDR_WHITE_NITS: Final = 203
"""Luminance of white in an HDR picture (ITU-R BT.2408)."""
_TONE_CURVE: Final = "tonemap=tonemap=mobius:param=0.4:peak=4.93"
"""Leaves the lower 40% of the light as it is, so that slides and faces keep their brightness, and
bends what is brighter, up to 1000 cd/m2: the nominal peak of HLG and of most HDR10 (1000 / 203)."""
_COLOUR_RANGE: Final = "tv"
_SAME_SHAPE: Final = 0.015
"""Share by which two shapes may differ and still count as one: 854x480 and 1280x720."""
_SYNC: Final = "async=96:min_comp=0.005:min_hard_comp=0.03"
"""Sound follows its times. Within 5 ms it is left alone; up to 30 ms it is stretched by at most
0.2% until it fits again, which nobody hears; a larger gap is filled with silence at once."""
_LIMITER: Final = "alimiter=limit=0.75:attack=5:release=80:level=false:latency=true"
"""Holds peaks at -2.5 dBFS. `latency` gives the look-ahead back, so that sound does not move."""
_SPEECH_RATE: Final = 8_000
"""Samples a second that are enough to hear syllables."""
SEEN: Final = "seen_s"
"""Begins the lines of `seen_lines`."""
LEVEL_KEY: Final = "lavfi.astats.Overall.RMS_level"
SPEECH_PIECES_A_SECOND: Final = 40
SPEECH_EVERY_S: Final = 60
SPEECH_S: Final = 15
"""The first 15 s of each minute, in pieces of 25 ms, show whether somebody speaks."""


def command(ffmpeg: Path, plan: Plan, source: str, output: str) -> list[str]:
    """Return the argument list that makes `plan` of `source`, both names relative to the folder.

    The input is read by one demuxer and by allowed decoders only, from this file only.
    """
    return [
        *_beginning(ffmpeg),
        *reading(plan.container, source),
        *_streams(plan),
        *_video(plan.video),
        *_audio(plan.audio),
        *_output(plan, output),
    ]


def decode_check(ffmpeg: Path, container: Container, name: str) -> list[str]:
    """Return the argument list that decodes every picture of `name` and throws it away."""
    return [
        *_beginning(ffmpeg),
        *reading(container, name),
        *("-map", "0:V:0", "-fps_mode", "passthrough", "-f", "null", "pipe:2"),
    ]


def _beginning(ffmpeg: Path, level: str = "error") -> list[str]:
    return [
        str(ffmpeg),
        *("-hide_banner", "-nostdin", "-y", "-v", f"repeat+level+{level}"),
        *("-nostats", "-progress", "pipe:1", "-stats_period", _STATS_PERIOD_S),
    ]


def reading(container: Container, source: str) -> list[str]:
    """Return how `source` is opened: by one demuxer and by allowed decoders only."""
    demuxer = DEMUXERS[container]
    return [
        *("-f", demuxer, "-format_whitelist", demuxer),
        *("-protocol_whitelist", "file", "-codec_whitelist", decoders()),
        *("-max_streams", str(limits.STREAMS_MAX), "-max_pixels", str(limits.PIXELS_MAX)),
        *("-apply_cropping", "all", "-i", f"file:{source}"),
    ]


def seen_lines(kind: str) -> list[str]:
    """Return how an output tells of each frame of its stream `kind`, as the frame's time.

    `-progress` is silent until every output has begun, and one whose first frame comes late, as
    with sound that sets in after an hour, would make a healthy encode look like one that hangs.
    """
    return [f"-stats_enc_post:{kind}", "pipe:1", f"-stats_enc_post_fmt:{kind}", f"{SEEN}={{t}}"]


def _streams(plan: Plan) -> list[str]:
    """Choose streams by number, and leave everything else behind, titles and places included."""
    chosen = [stream.index for stream in (plan.video, plan.audio) if stream]
    return [
        *(word for index in chosen for word in ("-map", f"0:{index}")),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn"),
    ]


def _video(video: VideoEncode | Copy | None) -> list[str]:
    if video is None:
        return []
    if isinstance(video, Copy):
        return ["-c:v", "copy"]
    return [
        *("-vf", filters(video), "-fps_mode", "vfr"),
        *("-enc_time_base:v", f"{video.time_base.numerator}:{video.time_base.denominator}"),
        *encoding(video),
        *_keyframes(video),
        *_tags(video.colour),
    ]


def encoding(video: VideoEncode) -> list[str]:
    """Return the encoder and its settings."""
    if video.codec is not Codec.H264:
        return ["-pix_fmt", "yuv420p", *other_encoding(video)]
    rate = f"fps={video.frame_rate.numerator}/{video.frame_rate.denominator}"
    order = "" if video.reordered else "bframes=0"
    return [
        *("-c:v", "libx264", "-preset", video.speed, "-crf", f"{video.crf:g}"),
        *("-profile:v", "high", "-level:v", video.level, "-pix_fmt", "yuv420p"),
        *("-maxrate:v", str(video.rate_max), "-bufsize:v", str(video.buffer)),
        *("-g:v", str(video.gop_frames), "-flags:v", "+cgop+bitexact"),
        *("-x264-params", ":".join(part for part in (rate, video.x264, order) if part)),
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
    return ",".join((*chain, "format=yuv420p"))


def _scaling(video: VideoEncode) -> list[str]:
    """Scale into the frame; a picture that changes its shape on the way gets bars, not stretched.

    The shape is compared for each size that comes, within what rounding to even sides costs.
    """
    shape = "dar" if video.shape_known else "a"
    allowed = max(_SAME_SHAPE, 2 / min(video.width, video.height))
    fits = f"lt(abs({video.width}/{video.height}/{shape}-1),{allowed:.4f})"
    width = f"if({fits},{video.width},max(2*trunc(min({video.width},{video.height}*{shape})/2),2))"
    height = (
        f"if({fits},{video.height},max(2*trunc(min({video.height},{video.width}/{shape})/2),2))"
    )
    bars = f"pad=w={video.width}:h={video.height}:x=(ow-iw)/2:y=(oh-ih)/2"
    return [*_conversion(video, f"w='{width}':h='{height}'"), "setsar=1", bars]


def _conversion(video: VideoEncode, size: str) -> list[str]:
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
        _TONE_CURVE,
        "zscale=t=709:m=709:r=tv",
        "sidedata=mode=delete",
    ]


def _audio(audio: AudioEncode | Copy | None) -> list[str]:
    """Encode on one clock: gaps become silence, and a late start stays late."""
    if audio is None:
        return []
    if isinstance(audio, Copy):
        return ["-c:a", "copy"]
    return [
        *("-af", sound_filters(audio)),
        *("-c:a", "aac", "-profile:a", "aac_low", "-b:a", str(audio.rate)),
        *("-flags:a", "+bitexact"),
    ]


def sound_filters(audio: AudioEncode) -> str:
    """Return the filter chain of the sound."""
    layout, rate = _layout(audio.channels), audio.sample_rate
    wanted = f"out_chlayout={layout}:out_sample_rate={rate}:out_sample_fmt=fltp"
    chain = [f"aresample={_SYNC}:{wanted}"]
    if audio.gain:
        chain.append(f"volume={audio.gain.db:.2f}dB:precision=float")
        chain += [_LIMITER] if audio.gain.limited else []
    return ",".join(chain)


def measurement(ffmpeg: Path, container: Container, source: str, audio: Stream) -> list[str]:
    """Return the argument list that measures how loud the stream `audio` of `source` is.

    The summary of BS.1770-4 comes on standard error; on standard output come levels in dB of
    short pieces, for `core.loudness.is_speech`.
    """
    channels = audio.sound.channels if audio.sound else 1
    whole = f"aresample=out_chlayout={_layout(channels)}:out_sample_fmt=fltp,asplit[all][some]"
    loudness = "[all]ebur128=peak=true:framelog=quiet:dualmono=true,anullsink"
    pieces = (
        f"[some]aselect='lt(mod(t,{SPEECH_EVERY_S}),{SPEECH_S})',"
        f"aresample={_SPEECH_RATE}:out_chlayout=mono,"
        f"asetnsamples={_SPEECH_RATE // SPEECH_PIECES_A_SECOND}:p=0,"
        "astats=metadata=1:reset=1:measure_perchannel=none:measure_overall=RMS_level,"
        f"ametadata=mode=print:key={LEVEL_KEY}:file=-[levels]"
    )
    return [
        *_beginning(ffmpeg, "info"),
        *reading(container, source),
        *("-filter_complex", f"[0:{audio.index}]{whole};{loudness};{pieces}"),
        *("-map", "[levels]", "-f", "null", "pipe:2"),
    ]


def _layout(channels: int) -> str:
    return "stereo" if channels > 1 else "mono"


def _output(plan: Plan, output: str) -> list[str]:
    """Sound alone is an M4A: the same container, under a name that players sort under music."""
    return [
        *("-fflags", "+bitexact", "-movflags", "+faststart", "-write_tmcd", "0"),
        *("-f", "mp4" if plan.video else "ipod", f"file:{output}"),
    ]
