"""Which sizes a picture has on its way: some recorders change it with the window's.

Part of the probe's program. Whatever carries a size in its header may change it only where a
decoder can begin, so keyframes are looked at, and of those only such as begin differently.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import av
import av.error

HEAD_BYTES: Final = 4096
"""Bytes of a keyframe in which its parameters must come."""
CANDIDATES_MAX: Final = 64
"""Keyframes that are decoded for their size; a recording that changes more often is a test."""
SAME_SHAPE: Final = 0.015
_VP8_START: Final = b"\x9d\x01\x2a"
_H264_SPS, _HEVC_SPS = 7, 33

Size = tuple[int, int]


class Sizes:
    """Takes a video stream's keyframes; times are in its ticks.

    `options` are those of every decoder: what it may be, and how large its pictures.
    """

    def __init__(self, stream: Any, options: dict[str, str]) -> None:
        self.stream = stream
        self.options = options
        self.known: dict[bytes, Size | None] = {}
        self.changes: list[tuple[int, Size]] = []

    def add(self, packet: Any, time: int) -> None:
        """Note the size of a keyframe, if it can be told."""
        mark = _mark(self.stream.codec_context, packet)
        if mark is None:
            return
        if mark not in self.known:
            if len(self.known) >= CANDIDATES_MAX:
                return
            self.known[mark] = _decoded(self.stream, packet, self.options)
        size = self.known[mark]
        if size is not None:
            self.changes.append((time, size))

    def shown(self, first: Size, end: int) -> list[Size]:
        """Return all sizes, the one to keep first; empty where there is only one.

        The shape that is shown longest is kept, in its largest size.
        """
        lasting: dict[Size, int] = {first: 0}
        for (time, size), (until, _) in pairwise([*self.changes, (end, first)]):
            lasting[size] = lasting.get(size, 0) + max(until - time, 1)
        if len(lasting) == 1:
            return []
        longest = max(lasting, key=lambda size: lasting[size])
        alike = [size for size in lasting if _alike(size, longest)]
        kept = max(alike, key=lambda size: size[0] * size[1])
        return [kept, *(size for size in lasting if size != kept)]


def _alike(one: Size, other: Size) -> bool:
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) < SAME_SHAPE


def _mark(context: Any, packet: Any) -> bytes | None:
    """Return the part of a keyframe that holds its size; None where it is not known."""
    if context is None:
        return None
    if packet.has_sidedata("new_extradata"):
        return bytes(packet.get_sidedata("new_extradata"))
    head = bytes(memoryview(packet)[:HEAD_BYTES])
    name = context.codec.canonical_name
    if name == "vp8":
        return head[6:10] if head[3:6] == _VP8_START else None
    if name == "vp9":
        return head[:9]
    if name in {"h264", "hevc"}:
        return _parameters(context, head, hevc=name == "hevc")
    return _av1_sequence(head) if name == "av1" else None


def _parameters(context: Any, head: bytes, *, hevc: bool) -> bytes:
    """Return the sequence parameters in a keyframe; empty where they are in the header alone."""
    extradata = context.extradata or b""
    prefixed = extradata[:1] == b"\1"
    units = _prefixed(head, extradata, hevc=hevc) if prefixed else head.split(b"\0\0\1")[1:]
    return b"".join(unit for unit in units if unit and _is_sps(unit[0], hevc=hevc))


def _is_sps(first: int, *, hevc: bool) -> bool:
    return (first >> 1 & 0x3F) == _HEVC_SPS if hevc else (first & 0x1F) == _H264_SPS


def _prefixed(head: bytes, extradata: bytes, *, hevc: bool) -> list[bytes]:
    """Split units that come after their length (ISO/IEC 14496-15, 5.3.3 and 8.3.3)."""
    at_length = 21 if hevc else 4
    width = (extradata[at_length] & 3) + 1 if len(extradata) > at_length else 4
    units, at = [], 0
    while at + width < len(head):
        length = int.from_bytes(head[at : at + width], "big")
        units.append(head[at + width : at + width + length])
        at += width + length
    return units


def _av1_sequence(head: bytes) -> bytes:
    """Return the sequence header among a keyframe's OBUs (AV1 specification, 5.3)."""
    at = 0
    while at < len(head) and head[at] & 0x02:
        kind, extended = head[at] >> 3 & 15, head[at] >> 2 & 1
        at += 1 + extended
        length = shift = 0
        while at < len(head):
            byte = head[at]
            length |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not byte & 0x80:
                break
        if kind == 1:
            return head[at : at + length]
        at += length
    return b""


def _decoded(stream: Any, packet: Any, options: dict[str, str]) -> Size | None:
    """Return the size of the picture that a fresh decoder makes of one keyframe."""
    context = av.CodecContext.create(stream.codec_context.name, "r")
    context.thread_count = 1
    context.options = options
    extradata = stream.codec_context.extradata
    if packet.has_sidedata("new_extradata"):
        extradata = bytes(packet.get_sidedata("new_extradata"))
    if extradata:
        context.extradata = extradata
    try:
        frames = [*context.decode(packet), *context.decode(None)]
    except av.error.FFmpegError:
        return None
    return (frames[0].width, frames[0].height) if frames else None
