"""Copy the packets of one piece into a small file. Runs as a program, sandboxed.

It is told `{"fd": …, "size": …, "demuxer": …, "decoders": …, "max_streams": …,
"max_pixels": …, "index": …, "picture" or "sound" or "all": {…}, "file": …, "form": …}`.
It answers with the file's first tick on the source's clock, in JSON.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import av
import av.error

from transcoder.pieces.copying import Copy
from transcoder.pieces.opening import only, open_source

NAL_TYPE = 0x1F
IDR = 5
AVCC_BYTES = 7
"""H.264: the bits of a unit's type, the type of an IDR slice, the least that `avcC` holds."""

Facts = dict[str, Any]
Packets = Iterator[Any]


class NotThereError(Exception):
    """What was to be copied is not found this way."""


@contextmanager
def reading(wish: Facts, way: str, part: Facts) -> Iterator[tuple[Any, Packets]]:
    """Open the source, and yield the stream and its packets, from near the piece on."""
    splice = (part["head"], part["position"]) if way == "splice" else None
    with open_source(wish, splice) as container:
        stream = only(container, wish["index"])
        if way == "seek":
            container.seek(part["seek"], stream=stream)
        yield stream, (p for p in container.demux(stream) if p.size and p.pts is not None)


def ways(part: Facts) -> list[str]:
    """Return how to get to the piece, the cheapest first; the last one reads from the start."""
    if part.get("position") is not None:
        return ["splice", "linear"]
    return ["linear"] if part.get("seek") is None else ["seek", "linear"]


# --- pictures ---------------------------------------------------------------------------------
def from_key(packets: Packets, key: int) -> Iterator[Any]:
    """Yield the packets from the keyframe shown at `key` on."""
    for packet in packets:
        if packet.is_keyframe and packet.pts == key:
            yield packet
            yield from packets
            return
        if packet.is_keyframe and packet.pts > key:
            break
    raise NotThereError("the keyframe is not there")


def until(packets: Packets, end: int) -> Iterator[Any]:
    """Yield the packets of all frames shown before `end`.

    Those after a keyframe in the file but shown before it may still belong to them; the first one
    that is shown after it ends the search.
    """
    passed: int | None = None
    for packet in packets:
        if packet.is_keyframe and packet.pts >= end and passed is None:
            passed = packet.pts
        elif passed is not None and packet.pts > passed:
            return
        yield packet


def picture(wish: Facts, way: str) -> Facts:
    """Copy a picture piece; tell its first tick, and how many of its frames are loose.

    Those are shown before the keyframe, refer to frames before it, and belong to another piece.
    """
    part = wish["picture"]
    with reading(wish, way, part) as (stream, packets):
        wanted = until(from_key(packets, part["key"]), part["end"])
        first = next(wanted)
        base: int = first.pts if first.dts is None else min(first.dts, first.pts)
        copy = Copy(stream, wish["file"], wish["form"], stream.time_base)
        loose = int(refers_back(stream, first))
        for packet in itertools.chain([first], wanted):
            loose += packet.pts < first.pts
            decoded = packet.pts if packet.dts is None else packet.dts
            copy.put(packet, packet.pts - base, decoded - base, packet.duration or 0)
        copy.close()
        return {"base": base, "loose": loose}


def refers_back(stream: Any, packet: Any) -> bool:
    """Return whether an H.264 keyframe is no IDR picture: frames around it may refer back."""
    if stream.codec_context.name != "h264":
        return False
    data, extra = bytes(packet), bytes(stream.codec_context.extradata or b"")
    kinds = {unit[0] & NAL_TYPE for unit in units(data, extra) if unit}
    return IDR not in kinds


def units(data: bytes, extra: bytes) -> Iterator[bytes]:
    """Yield the first byte of each NAL unit: after its length, or after a start code."""
    if extra[:1] != b"\x01" or len(extra) < AVCC_BYTES:
        yield from (part[:1] for part in data.split(b"\x00\x00\x01")[1:])
        return
    width, at = (extra[4] & 3) + 1, 0
    while at + width < len(data):
        yield data[at + width : at + width + 1]
        at += width + int.from_bytes(data[at : at + width], "big")


# --- sound ------------------------------------------------------------------------------------
def placed(packets: Packets, stream: Any, part: Facts) -> Iterator[tuple[int, int, Any]]:
    """Yield each packet with its first sample and its length, counted from the first of all."""
    per_tick = stream.time_base * part["rate"]
    length = part["packet_samples"]
    for packet in packets:
        at = (packet.pts - part["first"]) * per_tick
        if length is None:
            duration = cut_short(stream, part, packet.pts, packet.duration or 0)
            yield int(at), int(duration * per_tick), packet
        else:
            yield round(at / length) * length, length, packet


def cut_short(stream: Any, part: Facts, time: int, duration: int) -> int:
    """Return how much of a packet's duration is left before its track's announced end.

    FFmpeg takes what lies beyond for padding, if it is less than a packet. Without an end, and
    in fragments, it believes no packet that says that it is shorter than the others. What is
    copied, not decoded, keeps what it says.
    """
    if part.get("copied"):
        return duration
    usual: int = max(part.get("usual", 0), duration)
    part["usual"] = usual
    if part.get("head") is not None or stream.duration is None:
        return usual
    left: int = stream.duration - time
    return left if 0 < left < usual else usual


def sound(wish: Facts, way: str) -> Facts:
    """Copy a sound piece, its packets counted in samples; tell the first one."""
    part = wish["sound"]
    with reading(wish, way, part) as (stream, packets):
        base: int | None = None
        copy = Copy(stream, wish["file"], wish["form"], Fraction(1, part["rate"]))
        for at, length, packet in placed(packets, stream, part):
            if part["end"] is not None and at >= part["end"]:
                break
            if at + length <= part["start"]:
                continue
            if base is None:
                base = at
                if at > part["start"]:
                    raise NotThereError("the first packets are not there")
            copy.put(packet, at - base, at - base, length)
        if base is None:
            raise NotThereError("there are no packets")
        copy.close()
        return {"base": base, "loose": 0}


def whole(wish: Facts, way: str) -> Facts:
    """Copy all packets of a stream with their own times; tell the first tick."""
    part = wish["all"]
    with reading(wish, way, part) as (stream, packets):
        base: int | None = None
        to = Fraction(1, part["rate"]) if wish["form"] != "matroska" else stream.time_base
        per_tick = stream.time_base / to
        copy = Copy(stream, wish["file"], wish["form"], to)
        for packet in packets:
            base = packet.pts if base is None else base
            at = round((packet.pts - base) * per_tick)
            duration = cut_short(stream, part, packet.pts, packet.duration or 0)
            copy.put(packet, at, at, round(duration * per_tick))
        copy.close()
        return {"base": base or 0, "loose": 0}


KINDS = {"picture": picture, "sound": sound, "all": whole}


def main(argument: str) -> int:
    """Print where the file begins, or why there is none."""
    wish: Facts = json.loads(argument)
    kind = next(kind for kind in KINDS if kind in wish)
    reason = ""
    for way in ways(wish[kind]):
        try:
            sys.stdout.write(json.dumps(KINDS[kind](wish, way)))
        except (av.error.FFmpegError, NotThereError, ValueError, StopIteration) as error:
            reason = str(error) or type(error).__name__
        else:
            return 0
    sys.stdout.write(json.dumps({"error": reason[:100]}))
    return 0
