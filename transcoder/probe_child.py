"""Measure one media file and print what was found as JSON. Runs as a program, in the sandbox.

`python -I probe_child.py '{"file": …, "demuxer": …, "decoders": …, "max_streams": …,
"max_pixels": …}'`. Imports nothing of Lectern: what it knows, it is told. Every packet is read,
since headers lie; a few frames are decoded, since only they know rotation and interlacing.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import statistics
import struct
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

import av
import av.error

FRAMES_MAX: Final = 6
"""Frames that are decoded: enough to see whether their fields are interlaced."""
PACKETS_MAX: Final = 600
"""Packets in which those frames must be found."""
BOXES_MAX: Final = 100_000
"""Top-level boxes that are looked at; fragmented recordings have two for each fragment."""
LARGE_BOXES: Final = frozenset({b"moov", b"mdat", b"moof"})
"""Boxes in which a cut file breaks off; another name there is no box at all."""
AVI_HEAD_BYTES: Final = 52
REASON_CHARS: Final = 200
BOX_HEADER: Final = 8
DENSE_SHARE: Final = 0.05
"""The rate of the densest parts is that of the gap which one in twenty is shorter than."""
VFR_SPREAD: Final = 0.25
ROUNDING_TICKS: Final = 1
VFR_SHARE: Final = 0.02
"""The rate varies where more than 2% of the gaps differ from the median by more than a quarter."""
FULL_RANGE: Final = 2
COVERS: Final = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails

Facts = dict[str, Any]


def main(argument: str) -> int:
    """Print the facts, or `{"error": …, "reason": …}`."""
    wish: Facts = json.loads(argument)
    layout = LAYOUTS.get(wish["demuxer"])
    facts = layout(Path(wish["file"])) if layout else {}
    try:
        facts = _scan(wish) | facts
    except (MemoryError, av.error.MemoryError):
        facts |= {"error": "memory", "reason": "it needs more memory than a probe may use"}
    except (av.error.FFmpegError, ValueError, OverflowError) as error:
        facts |= {"error": "unreadable", "reason": _reason(error)}
    sys.stdout.write(json.dumps(facts))
    return 0


def _reason(error: Exception) -> str:
    words = getattr(error, "strerror", None) or type(error).__name__
    return str(words)[:REASON_CHARS]


def _codec_options(wish: Facts) -> dict[str, str]:
    return {"codec_whitelist": wish["decoders"], "max_pixels": str(wish["max_pixels"])}


# --- boxes ------------------------------------------------------------------------------------
def _boxes(path: Path) -> Facts:
    """Tell whether the index lies in front, and whether a box runs past the end of the file."""
    size, at = path.stat().st_size, 0
    seen: list[bytes] = []
    with path.open("rb") as file:
        while at < size and len(seen) < BOXES_MAX:
            length, kind = _box(file, at, size)
            seen.append(kind)
            if length < BOX_HEADER:
                break
            at += length
    index_first = b"moov" in seen and (
        b"mdat" not in seen or seen.index(b"moov") < seen.index(b"mdat")
    )
    return {
        "index_first": index_first,
        "cut": at > size and seen[-1] in LARGE_BOXES,
        "index": b"moov" in seen,
    }


def _box(file: BinaryIO, at: int, size: int) -> tuple[int, bytes]:
    file.seek(at)
    head = file.read(2 * BOX_HEADER)
    length, kind = int.from_bytes(head[:4], "big"), head[4:BOX_HEADER]
    if length == 1:
        return int.from_bytes(head[BOX_HEADER:], "big"), kind
    return (length or size - at), kind


def _riff(path: Path) -> Facts:
    """Tell whether an AVI breaks off, and then how long it says that it is.

    FFmpeg shortens the duration of a cut AVI to what is left. The main header is the first chunk
    of the file: microseconds a frame at byte 32, frames at byte 48.
    """
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        head = file.read(AVI_HEAD_BYTES)
        for _ in range(BOXES_MAX):
            file.seek(at)
            chunk = file.read(BOX_HEADER)
            if at >= size or chunk[:4] != b"RIFF":
                break
            at += BOX_HEADER + int.from_bytes(chunk[4:], "little")
    if at <= size or head[24:28] != b"avih" or len(head) < AVI_HEAD_BYTES:
        return {}
    frame_us, frames = struct.unpack_from("<I12xI", head, 32)
    return {"cut": True, "header_duration_s": frame_us * frames / 1_000_000}


LAYOUTS: Final[dict[str, Callable[[Path], Facts]]] = {"mov": _boxes, "avi": _riff}
"""What is known of a container without its demuxer."""


# --- packets ----------------------------------------------------------------------------------
class _Track:
    """One stream's measurements, in its own ticks."""

    def __init__(self, stream: Any, *, iso_media: bool) -> None:
        self.stream = stream
        self.iso_media = iso_media
        self.times = array("q")
        self.start: int | None = None
        self.end: int | None = None
        self.audible: int | None = None
        self.last = (0, 0)
        self.longest = 0
        self.packets = 0
        self.size = 0

    def add(self, packet: Any) -> None:
        self.size += packet.size
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
        if self.stream.type == "video":
            self._shown(time, duration)

    def _shown(self, time: int, duration: int) -> None:
        if not self.times or time > self.last[0]:
            self.last = (time, duration)
        self.times.append(time)
        self.longest = max(self.longest, duration)

    def _trimmed(self, packet: Any) -> tuple[int, int]:
        """Return the ticks of encoder delay and padding that a sound packet tells of."""
        if self.stream.type != "audio" or not packet.has_sidedata("skip_samples"):
            return 0, 0
        samples_s = self.stream.codec_context.sample_rate or 1
        tick = 1 / (float(self.stream.time_base) * samples_s)
        skipped, dropped = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))
        return round(skipped * tick), round(dropped * tick)


def _scan(wish: Facts) -> Facts:
    looks = _look(wish)
    with _open(wish) as container:
        tracks = [_Track(s, iso_media=wish["demuxer"] == "mov") for s in container.streams]
        clean = True
        try:
            for packet in container.demux():
                if packet.size:
                    tracks[packet.stream_index].add(packet)
        except av.error.FFmpegError:
            clean = False
        duration = container.duration
        return {
            "header_duration_s": duration / av.time_base if duration else None,
            "clean": clean,
            "streams": [_stream(track, looks.get(track.stream.index, [])) for track in tracks],
        }


def _open(wish: Facts) -> Any:
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": wish["demuxer"],
        "max_streams": str(wish["max_streams"]),
        **_codec_options(wish),
    }
    return av.open(f"file:{wish['file']}", format=wish["demuxer"], options=options)


def _stream(track: _Track, frames: list[Any]) -> Facts:
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
        "announced_s": stream.duration * base if stream.duration else None,
        "picture": _picture(frames, track, gaps) if frames else None,
        "sound": _sound(context) if stream.type == "audio" else None,
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
        looks: dict[int, list[Any]] = {s.index: [] for s in container.streams.video if _shows(s)}
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


def _shows(stream: Any) -> bool:
    return stream.type == "video" and not stream.disposition & COVERS


def _picture(frames: list[Any], track: _Track, gaps: list[int]) -> Facts:
    frame, stream, base = frames[0], track.stream, float(track.stream.time_base)
    rotation, mirrored = _orientation(frame)
    median = statistics.median(gaps) if gaps else round(1 / base)
    densest = gaps[int(len(gaps) * DENSE_SHARE)] if gaps else median
    sar, ticks = stream.sample_aspect_ratio, stream.time_base
    return {
        "width": frame.width,
        "height": frame.height,
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
        "time_base": [ticks.numerator, ticks.denominator],
    }


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
