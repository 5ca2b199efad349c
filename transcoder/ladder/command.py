"""From a ladder's plan to FFmpeg's arguments: one decode, one chain of scalers. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from core.colour import Colour
from core.ladder import LOOK_SIZE, TILE_COLUMNS, TILE_ROWS, LadderPlan, Variant
from core.plan import AudioEncode, Copy, VideoEncode
from transcoder.command import encoding, filters, reading, sound_filters

AUDIO: Final = "audio"
"""Folder of the sound's segments."""
LOOKS: Final = "looks.gray"
"""Small grey pictures, one after the other, in which slide changes are looked for."""
SHEETS: Final = "storyboard-%d.jpg"
PLAYLIST: Final = "playlist.m3u8"
INIT: Final = "init.mp4"
SEGMENTS: Final = "%05d.m4s"
_STATS_PERIOD_S: Final = "0.5"
_SCALER: Final = "bicubic"
"""`bilinear` would save a twentieth of the CPU time and cost seven points of VMAF on text."""
_SHEET_QUALITY: Final = "5"
_AAC_FRAME: Final = 1024
_SEGMENTER: Final = "movflags=+default_base_moof+frag_discont+skip_sidx:use_editlist=1"
"""A track that begins late has late times in its segments, as browsers want it. The edit list
takes away what reordering pictures adds. Negative offsets would do without one, but FFmpeg's own
reader, and so many a player, shows such pictures two frames late. With a `sidx` FFmpeg would move
the first picture of a segment to where the one before it was thought to end."""
_LASTS: Final = "if(eq(NEXT_DTS\\,NOPTS)\\,DURATION\\,NEXT_DTS-DTS)"
_TRUE_DURATIONS: Final = f"setts=pts=PTS:dts=DTS:duration={_LASTS}"
"""Every packet lasts until the next one. FFmpeg lets a segment begin where the packets before it
end by their durations, which are guessed where frames come irregularly."""


def ladder_command(
    ffmpeg: Path, plan: LadderPlan, source: str, folder: str, *, cores: int
) -> list[str]:
    """Return the argument list that writes all renditions of `source` under `folder`.

    Both names are relative to the working directory; the folders of the renditions must be there.
    The largest rendition comes first, so FFmpeg's count of frames is its count. Where there are no
    more cores than renditions each codec gets one thread: they run side by side as it is, and
    threads of their own would cost a tenth more.
    """
    threads = ["-threads", "1"] if cores <= len(plan.variants) else []
    outputs: list[str] = []
    for variant in plan.variants:
        outputs += [*_rendition(variant, plan.segment_s), *threads]
        outputs += _segments(plan, f"{folder}/{variant.name}")
    if plan.audio:
        outputs += ["-map", f"0:{plan.audio.index}", *_audio(plan.audio)]
        outputs += _segments(plan, f"{folder}/{AUDIO}")
    return [
        *opening(ffmpeg),
        *threads,
        *reading(plan.container, source),
        *("-filter_complex", _graph(plan)),
        *outputs,
        *("-map", "[looks]", *_ONLY, "-f", "rawvideo", f"file:{LOOKS}"),
        *("-map", "[tiles]", *_ONLY, "-c:v", "mjpeg", "-q:v", _SHEET_QUALITY),
        *("-f", "image2", f"{folder}/{SHEETS}"),
    ]


_ONLY: Final = ("-map_metadata", "-1", "-map_chapters", "-1", "-fps_mode", "passthrough")


def opening(ffmpeg: Path) -> list[str]:
    """Return the program and what holds for every run: few words, progress on standard output."""
    return [
        str(ffmpeg),
        *("-hide_banner", "-nostdin", "-y", "-v", "repeat+level+error"),
        *("-nostats", "-progress", "pipe:1", "-stats_period", _STATS_PERIOD_S),
    ]


def _graph(plan: LadderPlan) -> str:
    """Decode once, and scale each rendition from the next larger one."""
    first = plan.variants[0].video
    chains = []
    made = f"[0:{first.index}]{filters(first)}"
    for number, variant in enumerate(plan.variants):
        if number:
            size = f"w={variant.video.width}:h={variant.video.height}"
            made = f"[s{number}]scale={size}:flags={_SCALER},setsar=1"
        chains.append(f"{made},split=2[{variant.name}][s{number + 1}]")
    rest = f"[s{len(plan.variants)}]"
    return ";".join((*chains, *_side_pictures(plan, rest)))


def _side_pictures(plan: LadderPlan, rest: str) -> tuple[str, ...]:
    """Take the storyboard and the pictures to look at from the smallest rendition."""
    wide, high = LOOK_SIZE
    fps = f"{plan.look_fps.numerator}/{plan.look_fps.denominator}"
    sheet = f"tile={TILE_COLUMNS}x{TILE_ROWS}"
    small = f"scale={plan.tile[0]}:{plan.tile[1]}:flags=area:out_range=full,format=yuvj420p"
    look_s, grey = float(1 / plan.look_fps), f"scale={wide}:{high}:flags=area,format=gray"
    return (
        f"{rest}split=2[l][t]",
        f"[l]{_held(look_s)},fps={fps}:start_time=0,{grey}[looks]",
        f"[t]{_held(plan.tile_s)},fps=1/{plan.tile_s:g}:start_time=0,{small},{sheet}[tiles]",
    )


def _held(seconds: float) -> str:
    """Hold the last picture, or `fps` would drop what is shorter than half of its distance."""
    return f"tpad=stop_mode=clone:stop_duration={seconds:g}"


def _rendition(variant: Variant, every_s: float) -> list[str]:
    video = variant.video
    return [
        *("-map", f"[{variant.name}]", "-fps_mode", "vfr"),
        *("-enc_time_base:v", f"{video.time_base.numerator}:{video.time_base.denominator}"),
        *encoding(video),
        *("-force_key_frames:v", _keyframes(every_s)),
        *_tags(video),
        *("-bsf:v", _TRUE_DURATIONS),
    ]


def _keyframes(every_s: float) -> str:
    """Ask for one at the first frame after each multiple of `every_s`, whatever lies between."""
    return (
        f"expr:if(isnan(prev_forced_t),1,gte(t,(floor(prev_forced_t/{every_s:g})+1)*{every_s:g}))"
    )


def _tags(video: VideoEncode) -> list[str]:
    colour: Colour = video.colour
    return [
        *("-color_range:v", "tv", "-color_primaries:v", str(colour.primaries)),
        *("-color_trc:v", str(colour.transfer), "-colorspace:v", str(colour.matrix)),
    ]


def _audio(audio: AudioEncode | Copy) -> list[str]:
    """Let the sound begin where its first packet begins.

    AAC needs a packet before the first sample that it can give. It would begin before the
    picture, which segments cannot say, and all would sound 21 ms late; so the first 1,024
    samples of a recording are given up.
    """
    if isinstance(audio, Copy):
        return ["-c:a", "copy", "-bsf:a", r"noise=drop=lt(pts\,0)"]
    primed = f"atrim=start={_AAC_FRAME / audio.sample_rate:.9f}"
    return [
        *("-af", f"{sound_filters(audio)},{primed}", "-c:a", "aac", "-profile:a", "aac_low"),
        *("-b:a", str(audio.rate), "-flags:a", "+bitexact"),
    ]


def _segments(plan: LadderPlan, folder: str) -> list[str]:
    """Cut at every IDR picture, sound at the same distances; the playlist is not ours yet."""
    return [
        *("-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"),
        *("-avoid_negative_ts", "disabled", "-muxdelay", "0"),
        *("-f", "hls", "-hls_time", f"{plan.segment_s:g}", "-hls_playlist_type", "vod"),
        *("-hls_segment_type", "fmp4", "-hls_segment_options", _SEGMENTER),
        *("-hls_fmp4_init_filename", INIT, "-hls_segment_filename", f"{folder}/{SEGMENTS}"),
        f"{folder}/{PLAYLIST}",
    ]
