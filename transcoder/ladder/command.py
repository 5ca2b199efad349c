"""From a ladder's plan to FFmpeg's arguments: one decode, one chain of scalers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from core.colour import Colour
from core.ladder import LOOK_SIZE, TILE_COLUMNS, TILE_ROWS, LadderPlan, Variant
from core.plan import AudioEncode, Copy, VideoEncode
from transcoder.command import encoding, filters, reading, seen_lines, sound_filters

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


def true_durations(*, last: str = "DURATION") -> str:
    """Return the bitstream filter with which every packet lasts until the next one.

    FFmpeg lets a segment begin where the packets before it end by their durations, which are
    guessed where frames come irregularly. `last` is that of the last one.
    """
    lasts = f"if(eq(NEXT_DTS\\,NOPTS)\\,{last}\\,NEXT_DTS-DTS)"
    return f"setts=pts=PTS:dts=DTS:duration={lasts}"


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
        outputs += segments(plan, f"{folder}/{variant.name}")
    if plan.audio:
        outputs += ["-map", f"0:{plan.audio.index}", *_audio(plan.audio)]
        outputs += segments(plan, f"{folder}/{AUDIO}")
    return [
        *opening(ffmpeg),
        *threads,
        *reading(plan.container, source),
        *("-filter_complex", _graph(plan)),
        *outputs,
        *side_outputs(folder),
    ]


_ONLY: Final = ("-map_metadata", "-1", "-map_chapters", "-1", "-fps_mode", "passthrough")


def side_outputs(folder: str) -> list[str]:
    """Return where side pictures go: those to look at beside the set, the storyboard into it.

    Those to look at, a few a second at most, tell how far the recording is read: a sheet of the
    storyboard begins when it is full.
    """
    return [
        *("-map", "[looks]", *_ONLY, *seen_lines("v"), "-f", "rawvideo", f"file:{LOOKS}"),
        *("-map", "[tiles]", *_ONLY, "-c:v", "mjpeg", "-q:v", _SHEET_QUALITY),
        *("-f", "image2", f"{folder}/{SHEETS}"),
    ]


def opening(ffmpeg: Path) -> list[str]:
    """Return the program and what holds for every run: few words, progress on standard output."""
    return [
        str(ffmpeg),
        *("-hide_banner", "-nostdin", "-y", "-v", "repeat+level+error"),
        *("-nostats", "-progress", "pipe:1", "-stats_period", _STATS_PERIOD_S),
    ]


def _graph(plan: LadderPlan) -> str:
    """Decode once, and make side pictures of the smallest rendition."""
    first = plan.variants[0].video
    chains = cascade(plan.variants, f"[0:{first.index}]{filters(first)}")
    smallest = plan.variants[-1].name
    shared = chains.removesuffix(f"[{smallest}]") + f",split=2[{smallest}][rest]"
    return ";".join((shared, *side_pictures(plan, "[rest]")))


def cascade(variants: Sequence[Variant], made: str) -> str:
    """Scale each rendition from the next larger one; `made` is the largest."""
    chains = []
    for number, variant in enumerate(variants):
        if number:
            size = f"w={variant.video.width}:h={variant.video.height}"
            made = f"[s{number}]scale={size}:flags={_SCALER},setsar=1"
        more = f",split=2[{variant.name}][s{number + 1}]"
        chains.append(f"{made}{more if number + 1 < len(variants) else f'[{variant.name}]'}")
    return ";".join(chains)


def side_pictures(plan: LadderPlan, rest: str) -> tuple[str, ...]:
    """Take the storyboard and the pictures to look at from `rest`, a small rendition."""
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
        *tags(video),
        *("-bsf:v", true_durations()),
    ]


def _keyframes(every_s: float) -> str:
    """Ask for one at the first frame after each multiple of `every_s`, whatever lies between."""
    return (
        f"expr:if(isnan(prev_forced_t),1,gte(t,(floor(prev_forced_t/{every_s:g})+1)*{every_s:g}))"
    )


def tags(video: VideoEncode) -> list[str]:
    """Return what says in which colours a rendition is."""
    colour: Colour = video.colour
    return [
        *("-color_range:v", "tv", "-color_primaries:v", str(colour.primaries)),
        *("-color_trc:v", str(colour.transfer), "-colorspace:v", str(colour.matrix)),
    ]


def copied_sound() -> list[str]:
    """Return how sound in AAC is kept; see `_audio`."""
    return ["-c:a", "copy", "-bsf:a", r"noise=drop=lt(pts\,0)"]


def _audio(audio: AudioEncode | Copy) -> list[str]:
    """Let the sound begin where its first packet begins.

    AAC needs a packet before the first sample that it can give. It would begin before the
    picture, which segments cannot say, and all would sound 21 ms late; so the first 1,024
    samples of a recording are given up.
    """
    if isinstance(audio, Copy):
        return copied_sound()
    primed = f"atrim=start={_AAC_FRAME / audio.sample_rate:.9f}"
    return [
        *("-af", f"{sound_filters(audio)},{primed}", "-c:a", "aac", "-profile:a", "aac_low"),
        *("-b:a", str(audio.rate), "-flags:a", "+bitexact"),
    ]


def segments(plan: LadderPlan, folder: str) -> list[str]:
    """Cut at every IDR picture, sound at the same distances; the playlist is not ours yet."""
    return [
        *("-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"),
        *("-avoid_negative_ts", "disabled", "-muxdelay", "0"),
        *("-f", "hls", "-hls_time", f"{plan.segment_s:g}", "-hls_playlist_type", "vod"),
        *("-hls_segment_type", "fmp4", "-hls_segment_options", _SEGMENTER),
        *("-hls_fmp4_init_filename", INIT, "-hls_segment_filename", f"{folder}/{SEGMENTS}"),
        f"{folder}/{PLAYLIST}",
    ]
