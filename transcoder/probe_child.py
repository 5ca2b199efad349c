"""Measure one media file and print what was found as JSON. Runs as a program, in the sandbox.

It is told `{"file": …, "demuxer": …, "decoders": …, "max_streams": …, "max_pixels": …}`. Of
Lectern it imports only its own parts: what it knows, it is told. Every packet is read, since
headers lie; a few frames are decoded, since only they know rotation and interlacing.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
import math
import statistics
import struct
import sys
from array import array
from pathlib import Path
from typing import Any, Final

import av
import av.error

from transcoder import layouts, sizes

FRAMES_MAX: Final = 6
"""Frames that are decoded: enough to see whether their fields are interlaced."""
PACKETS_MAX: Final = 600
"""Packets in which those frames must be found."""
ASKED_MAX: Final = 3
"""Packets that are decoded for a stream's profile, where it sets in after all the others."""
PROFILED: Final = frozenset({"aac", "h264"})
"""Codecs of which the profile decides on something."""
REASON_CHARS: Final = 200
DENSE_SHARE: Final = 0.05
"""The rate of the densest parts is that of the gap which one in twenty is shorter than."""
VFR_SPREAD: Final = 0.25
ROUNDING_TICKS: Final = 1
VFR_SHARE: Final = 0.02
"""The rate varies where more than 2% of the gaps differ from the median by more than a quarter."""
HOLE_S: Final = 0.1
"""Seconds by which a packet of sound must be late to leave a hole; less is a clock's jitter."""
FULL_RANGE: Final = 2
COVERS: Final = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails

Facts = dict[str, Any]


def main(argument: str) -> int:
    """Print the facts, or `{"error": …, "reason": …}`."""
    wish: Facts = json.loads(argument)
    facts = layouts.look(Path(wish["file"]), wish["demuxer"])
    try:
        facts |= _scan(wish, facts)
    except (MemoryError, av.error.MemoryError):
        facts |= {"error": "memory", "reason": "it needs more memory than a probe may use"}
    except (av.error.FFmpegError, ValueError, ArithmeticError, struct.error) as error:
        facts |= {"error": "unreadable", "reason": _reason(error)}
    sys.stdout.write(json.dumps(facts))
    return 0


def _reason(error: Exception) -> str:
    words = getattr(error, "strerror", None) or "its numbers make no sense"
    return str(words)[:REASON_CHARS]


def _codec_options(wish: Facts) -> dict[str, str]:
    return {"codec_whitelist": wish["decoders"], "max_pixels": str(wish["max_pixels"])}


# --- packets ----------------------------------------------------------------------------------
class _Track:
    """One stream's measurements, in its own ticks."""

    def __init__(self, stream: Any, wish: Facts, *, announces: bool) -> None:
        self.stream = stream
        self.iso_media = wish["demuxer"] == "mov"
        self.announces = announces
        self.sizes = sizes.Sizes(stream, _codec_options(wish)) if _shows(stream) else None
        self.sound = _Sound(stream) if stream.type == "audio" else None
        self.times = array("q")
        self.start: int | None = None
        self.end: int | None = None
        self.audible: int | None = None
        self.last = (0, 0)
        self.longest = 0
        self.packets = 0
        self.size = 0
        self.asked = 0 if _has_profile(stream) else ASKED_MAX
        if self.asked:
            stream.codec_context.thread_count = 1
            stream.codec_context.options = _codec_options(wish)

    def add(self, packet: Any) -> None:
        self.size += packet.size
        if self.asked:
            self._ask_profile(packet)
        time = packet.pts if packet.pts is not None else packet.dts
        skipped, dropped = self._trimmed(packet)
        if skipped and time is not None:
            self.audible = time + skipped
        if packet.is_discard:
            return
        self.packets += 1
        if time is None:
            return
        self.start = time if self.start is None else min(self.start, time)
        duration = packet.duration or 0
        end = time + duration - dropped
        self.end = end if self.end is None else max(self.end, end)
        if self.sound:
            self.sound.add(time, duration)
        if self.stream.type == "video":
            self._shown(time, duration)
        if self.sizes and packet.is_keyframe:
            self.sizes.add(packet, time)

    def _ask_profile(self, packet: Any) -> None:
        """Have the decoder tell it: a file is opened by what comes in its first seconds only."""
        self.asked -= 1
        with contextlib.suppress(av.error.FFmpegError):
            packet.decode()
        if self.stream.codec_context.profile:
            self.asked = 0

    def _shown(self, time: int, duration: int) -> None:
        if not self.times or time > self.last[0]:
            self.last = (time, duration)
        self.times.append(time)
        self.longest = max(self.longest, duration)

    def _trimmed(self, packet: Any) -> tuple[int, int]:
        """Return the ticks of encoder delay and padding that a sound packet tells of."""
        context = self.stream.codec_context
        if self.sound is None or context is None or not packet.has_sidedata("skip_samples"):
            return 0, 0
        samples_s = context.sample_rate or 1
        tick = 1 / (float(self.stream.time_base) * samples_s)
        skipped, dropped = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))
        return round(skipped * tick), round(dropped * tick)


def _scan(wish: Facts, layout: Facts) -> Facts:
    """Return what the packets tell; what is left out of `layout` or known better comes from it."""
    looks = _look(wish)
    announces = not layout.get("fragmented", False)
    with _open(wish) as container:
        tracks = [_Track(s, wish, announces=announces) for s in container.streams]
        clean, last = True, (0, 0)
        try:
            for packet in container.demux():
                if packet.size:
                    tracks[packet.stream_index].add(packet)
                    last = (packet.pos or 0, packet.size)
        except av.error.FFmpegError:
            clean = False
        duration = container.duration
        pictures = iter(layout.get("pictures", []))
        facts = {
            "header_duration_s": duration / av.time_base if duration else None,
            "clean": clean,
            "streams": [
                _stream(
                    track,
                    looks.get(track.stream.index, []),
                    next(pictures, {}) if track.sizes else {},
                )
                for track in tracks
            ],
        }
    if wish["demuxer"] == "matroska" and last[0]:
        facts["cut"] = layout.get("cut") or layouts.breaks_off(Path(wish["file"]), *last)
    return facts | {name: layout[name] for name in ("header_duration_s",) if name in layout}


def _open(wish: Facts) -> Any:
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": wish["demuxer"],
        "max_streams": str(wish["max_streams"]),
        **_codec_options(wish),
    }
    return av.open(f"file:{wish['file']}", format=wish["demuxer"], options=options)


class _Sound:
    """How well a stream's packets of sound join, by their times.

    AAC tells how many samples a packet holds; elsewhere the packet's own duration must do, which
    is rounded: what it is wrong about is not added up.
    """

    def __init__(self, stream: Any) -> None:
        context = stream.codec_context
        exact = context is not None and context.name in {"aac", "aac_fixed"}
        rate = context.sample_rate if context is not None else 0
        self.base = float(stream.time_base or 0)
        self.step = context.frame_size / rate / self.base if exact and rate and self.base else None
        self.due: float | None = None
        self.slip = 0.0
        self.hole = 0.0

    def add(self, time: int, duration: int) -> None:
        """Take the next packet's time and duration, in ticks."""
        if self.due is not None:
            late = time - self.due
            self.slip = max(self.slip, abs(late))
            if late * self.base > HOLE_S:
                self.hole += late
            if self.step is None or abs(late) * self.base > HOLE_S:
                self.due = None
        self.due = (time if self.due is None else self.due) + (self.step or duration)


def _stream(track: _Track, frames: list[Any], layout: Facts) -> Facts:
    stream, context = track.stream, track.stream.codec_context
    base = float(stream.time_base or 0)
    gaps = _gaps(track.times)
    start, end = _span(track, frames, gaps)
    return {
        "index": stream.index,
        "kind": stream.type or "data",
        "codec": context.codec.canonical_name if context else "",
        "profile": (context.profile or "") if context else "",
        "default": bool(stream.disposition & av.stream.Disposition.default),
        "attached_pic": bool(stream.disposition & COVERS),
        "start_s": start * base,
        "end_s": end * base,
        "packets": track.packets,
        "size": track.size,
        "announced_s": stream.duration * base if stream.duration and track.announces else None,
        "picture": _picture(frames, track, gaps, layout) if frames else None,
        "sound": _sound(context) if stream.type == "audio" else None,
        "slip_s": track.sound.slip * base if track.sound else 0.0,
        "hole_s": track.sound.hole * base if track.sound else 0.0,
    }


def _gaps(times: array[int]) -> list[int]:
    """Return the ticks between frames in the order in which they are shown, shortest first."""
    shown = sorted(times)
    return sorted(b - a for a, b in itertools.pairwise(shown) if b > a)


def _span(track: _Track, frames: list[Any], gaps: list[int]) -> tuple[int, int]:
    """Return first and last tick: from the first frame that can be decoded to the last's end."""
    start = track.start or 0
    if track.audible is not None:
        start = max(start, track.audible)
    end = _picture_end(track, gaps) if track.times else track.end or 0
    if frames and frames[0].pts is not None:
        start = max(start, frames[0].pts)
    return start, end


def _picture_end(track: _Track, gaps: list[int]) -> int:
    """Return when the last frame ends.

    An MP4 gives durations in decoding order: a reordered frame's own means nothing there. Its
    header is believed for this one frame, if that leaves it no longer than the longest is.
    """
    last, duration = track.last
    stream = track.stream
    if track.iso_media and stream.duration is not None:
        announced: int = (stream.start_time or 0) + stream.duration
        if last < announced <= last + track.longest:
            return announced
    return last + (duration or round(statistics.median(gaps or [0])))


def _sound(context: Any) -> Facts | None:
    if context is None or not context.sample_rate or not context.channels:
        return None
    return {
        "channels": context.channels,
        "sample_rate": context.sample_rate,
        "layout": context.layout.name,
    }


# --- frames -----------------------------------------------------------------------------------
def _look(wish: Facts) -> dict[int, list[Any]]:
    """Decode the first frames of each video stream that is no cover art."""
    with _open(wish) as container:
        looks: dict[int, list[Any]] = {
            s.index: [] for s in container.streams.video if _shows(s) and s.codec_context
        }
        streams = [container.streams[index] for index in looks]
        for stream in streams:
            stream.codec_context.thread_count = 1
            stream.codec_context.options = _codec_options(wish)
        if streams:
            _decode(container, streams, looks)
    return looks


def _decode(container: Any, streams: list[Any], looks: dict[int, list[Any]]) -> None:
    for count, packet in enumerate(container.demux(streams)):
        frames = looks[packet.stream_index]
        if len(frames) < FRAMES_MAX:
            with contextlib.suppress(av.error.FFmpegError):
                frames += packet.decode()
        if count >= PACKETS_MAX or all(len(f) >= FRAMES_MAX for f in looks.values()):
            return


def _has_profile(stream: Any) -> bool:
    """Return whether the profile is known, or is of no interest."""
    context = stream.codec_context
    return context is None or context.name not in PROFILED or bool(context.profile)


def _shows(stream: Any) -> bool:
    return stream.type == "video" and not stream.disposition & COVERS


def _picture(frames: list[Any], track: _Track, gaps: list[int], layout: Facts) -> Facts:
    frame, stream, base = frames[0], track.stream, float(track.stream.time_base)
    rotation, mirrored = _orientation(frame)
    median = statistics.median(gaps) if gaps else round(1 / base)
    densest = gaps[int(len(gaps) * DENSE_SHARE)] if gaps else median
    sar, ticks = stream.sample_aspect_ratio, stream.time_base
    end = track.times[-1] if track.times else 0
    shown = track.sizes.shown((frame.width, frame.height), end) if track.sizes else ()
    left, top, right, bottom = crop = _crop(layout, frame)
    width, height = shown[0] if shown else (frame.width, frame.height)
    return {
        "width": width - left - right,
        "height": height - top - bottom,
        "cropped": any(crop),
        "sizes": shown,
        "dolby_vision": layout.get("dolby_vision"),
        "sar": [sar.numerator, sar.denominator] if sar else [1, 1],
        "rotation": rotation,
        "mirrored": mirrored,
        "pix_fmt": frame.format.name,
        "bit_depth": max(part.bits for part in frame.format.components),
        "color_range": FULL_RANGE if "yuvj" in frame.format.name else int(frame.color_range),
        "color_space": int(frame.colorspace),
        "color_transfer": int(frame.color_trc),
        "color_primaries": int(frame.color_primaries),
        "interlaced": 2 * sum(f.interlaced_frame for f in frames) > len(frames),
        "fps": len(gaps) / (sum(gaps) * base) if gaps else 1.0,
        "peak_fps": 1 / (densest * base),
        "vfr": _varies(gaps, median),
        "last_stills_s": _last_stills(track.times) * base,
        "time_base": [ticks.numerator, ticks.denominator],
    }


def _crop(layout: Facts, frame: Any) -> tuple[int, ...]:
    """Return the edges that the container cuts off, or none where that makes no sense."""
    crop = tuple(layout.get("crop") or (0, 0, 0, 0))
    left, top, right, bottom = crop
    sane = min(crop) >= 0 and left + right < frame.width and top + bottom < frame.height
    return crop if sane else (0, 0, 0, 0)


def _last_stills(times: array[int]) -> int:
    """Return the ticks from the third last frame to the last, in the order of showing."""
    last = heapq.nlargest(3, times)
    return last[0] - last[-1] if last else 0


def _varies(gaps: list[int], median: float) -> bool:
    """Tell a rate that varies from one that is only rounded to ticks."""
    if not gaps:
        return False
    allowed = max(VFR_SPREAD * median, ROUNDING_TICKS)
    odd = sum(abs(gap - median) > allowed for gap in gaps)
    return odd > VFR_SHARE * len(gaps)


def _orientation(frame: Any) -> tuple[int, bool]:
    """Return clockwise degrees in quarter turns, and whether the matrix also mirrors.

    The matrix is that of ISO/IEC 14496-12, 6.2.2, nine 32-bit numbers by rows.
    """
    for extra in frame.side_data:
        if extra.type.name == "DISPLAYMATRIX":
            a, b, _, c, d, *_ = struct.unpack_from("=9i", bytes(extra))
            degrees = math.degrees(math.atan2(b, a)) % 360
            return round(degrees / 90) % 4 * 90, a * d - b * c < 0
    return 0, False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
