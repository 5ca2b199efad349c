"""Storyboard, poster and pictures at given times: commands and texts. Pure."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Final

from core.ladder import TILE_COLUMNS, TILE_ROWS, LadderPlan
from core.media import Container
from core.segments import Segment, Track
from core.subtitles import timestamp
from transcoder.command import reading
from transcoder.ladder.command import SHEETS, opening

POSTER: Final = "poster.jpg"
STORYBOARD: Final = "storyboard.vtt"
_QUALITY: Final = "3"
_ROUNDING_S: Final = 0.001


def storyboard(plan: LadderPlan, duration_s: float) -> str:
    """Return the WebVTT file that says which part of which sheet belongs to which time."""
    wide, high = plan.tile
    parts = ["WEBVTT"]
    for number in range(tiles(plan, duration_s)):
        sheet, place = divmod(number, TILE_COLUMNS * TILE_ROWS)
        row, column = divmod(place, TILE_COLUMNS)
        start_s = number * plan.tile_s
        end_s = min(start_s + plan.tile_s, duration_s)
        where = f"{SHEETS % (sheet + 1)}#xywh={column * wide},{row * high},{wide},{high}"
        parts.append(f"{timestamp(start_s)} --> {timestamp(end_s)}\n{where}")
    return "\n\n".join(parts) + "\n"


def tiles(plan: LadderPlan, duration_s: float) -> int:
    """Return the number of pictures of a storyboard."""
    return max(ceil(round(duration_s / plan.tile_s, 3)), 1)


def chapter_list(starts_s: tuple[float, ...], duration_s: float) -> str:
    """Return chapters as WebVTT; they have numbers, since slides have no titles that we know."""
    ends_s = (*starts_s[1:], duration_s)
    parts = ["WEBVTT"]
    for number, (start_s, end_s) in enumerate(zip(starts_s, ends_s, strict=True), start=1):
        parts.append(f"{number}\n{timestamp(start_s)} --> {timestamp(end_s)}\nPart {number}")
    return "\n\n".join(parts) + "\n"


def segment_at(track: Track, time_s: float) -> Segment:
    """Return the segment that shows the moment; the last one for all that comes after."""
    ticks = time_s * track.timescale
    return next((s for s in reversed(track.segments) if s.start <= ticks), track.segments[0])


def still(ffmpeg: Path, piece: str, output: str, time_s: float | None) -> list[str]:
    """Return the argument list that writes one frame of `piece` as JPEG.

    The first one from `time_s` on, if there is one; the last one of all for None. `piece` is one
    segment with its header before it, and keeps the times of the recording.
    """
    chosen = [] if time_s is None else [f"select=gte(t\\,{time_s - _ROUNDING_S:.6f})"]
    return [
        *opening(ffmpeg),
        "-copyts",
        *reading(Container.MP4, piece),
        *("-map", "0:v:0", *([] if time_s is None else ["-frames:v", "1"])),
        *("-vf", ",".join((*chosen, "scale=out_range=full", "format=yuvj420p"))),
        *("-fps_mode", "passthrough", "-enc_time_base:v", "1:90000"),
        *("-map_metadata", "-1", "-fflags", "+bitexact"),
        *("-c:v", "mjpeg", "-q:v", _QUALITY, "-f", "image2", "-update", "1", f"file:{output}"),
    ]
