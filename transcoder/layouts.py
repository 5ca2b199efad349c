"""What a container says of itself, read without its demuxer.

Part of the probe's program, so it imports nothing but the standard library. It tells what PyAV
does not: whether the file breaks off, which edges of a picture the container cuts off, and
whether its colours are Dolby Vision. Files are not trusted: every walk is bounded, and a value
that makes no sense is left out. What lies inside a box ends where that box ends: else thousands of
small boxes could each claim all that follows, and every walk would be as long as the file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

BOXES_MAX: Final = 100_000
"""Boxes that are looked at on one level; fragmented recordings have two for each fragment."""
LARGE_BOXES: Final = frozenset({b"moov", b"mdat", b"moof"})
"""Boxes in which a cut file breaks off; another name there is no box at all."""
BOX_HEADER: Final = 8
AVI_HEAD_BYTES: Final = 52
SAMPLE_ENTRY_BYTES: Final = 78
"""Bytes of a VisualSampleEntry before its own boxes (ISO/IEC 14496-12, 12.1.3)."""
BODY_BYTES_MAX: Final = 4096
"""Bytes of a box or element that are read; those that are wanted have fewer than 100."""

Facts = dict[str, Any]
Part = tuple[bytes, int, int]
"""Kind, and where the body begins and ends."""


def look(path: Path, demuxer: str) -> Facts:
    """Return what is known of the file; empty where nothing is.

    `cut`: it runs past its own end. `index_first`, `index`: where an MP4's `moov` lies, and
    whether there is one. `header_duration_s`: only where the demuxer's own is no announcement.
    `fragmented`: an MP4's index was written piece by piece. `pictures`: for each video track in
    order `crop` (left, top, right, bottom) and `dolby_vision`, where it has them.
    """
    layout = LAYOUTS.get(demuxer)
    if layout is None:
        return {}
    with path.open("rb") as file:
        return layout(file, path.stat().st_size)


# --- MP4 --------------------------------------------------------------------------------------
def _iso_media(file: BinaryIO, size: int) -> Facts:
    seen = list(_boxes(file, 0, size))
    kinds = [kind for kind, _, _ in seen]
    index_first = b"moov" in kinds and (
        b"mdat" not in kinds or kinds.index(b"moov") < kinds.index(b"mdat")
    )
    facts: Facts = {
        "index_first": index_first,
        "cut": bool(seen) and seen[-1][2] > size and kinds[-1] in LARGE_BOXES,
        "index": b"moov" in kinds,
    }
    if b"moov" not in kinds:
        return facts
    _, start, end = _within(seen[kinds.index(b"moov")], size)
    tracks = [_within(part, end) for part in _boxes(file, start, end) if part[0] == b"trak"]
    facts["pictures"] = [p for p in (_iso_picture(file, part) for part in tracks) if p is not None]
    if b"moof" in kinds and b"sidx" not in kinds:
        facts |= {"fragmented": True, "header_duration_s": _movie_s(file, start, end)}
    return facts


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[Part]:
    """Yield the boxes between two places; the last may run past the end."""
    at = start
    for _ in range(BOXES_MAX):
        if at >= end:
            return
        file.seek(at)
        head = file.read(2 * BOX_HEADER)
        length, kind = int.from_bytes(head[:4], "big"), head[4:BOX_HEADER]
        body = at + BOX_HEADER
        if length == 1:
            length, body = int.from_bytes(head[BOX_HEADER:], "big"), at + 2 * BOX_HEADER
        length = length or end - at
        if length < BOX_HEADER:
            yield kind, body, body
            return
        yield kind, body, at + length
        at += length


def _inside(file: BinaryIO, part: Part, *kinds: bytes) -> Part | None:
    """Return the first box at the end of a path of kinds."""
    for kind in kinds:
        found = next((box for box in _boxes(file, part[1], part[2]) if box[0] == kind), None)
        if found is None:
            return None
        part = _within(found, part[2])
    return part


def _within(part: Part, end: int) -> Part:
    return part[0], part[1], min(part[2], end)


def _iso_picture(file: BinaryIO, track: Part) -> Facts | None:
    handler = _inside(file, track, b"mdia", b"hdlr")
    if handler is None or _body(file, handler)[8:12] != b"vide":
        return None
    found = _inside(file, track, b"mdia", b"minf", b"stbl", b"stsd")
    entry = next(_boxes(file, found[1] + 8, found[2]), None) if found else None
    facts: Facts = {}
    if entry is None or found is None:
        return facts
    for box in _boxes(file, entry[1] + SAMPLE_ENTRY_BYTES, min(entry[2], found[2])):
        if box[0] in {b"dvcC", b"dvvC", b"dvwC"}:
            facts["dolby_vision"] = _dolby_vision(_body(file, box))
        elif box[0] == b"clap":
            size = _body(file, entry)[24:28]
            if len(size) == 4:  # noqa: PLR2004 - two 16-bit numbers
                facts["crop"] = _aperture(_body(file, box), *struct.unpack(">2H", size))
    return facts


def _aperture(box: bytes, width: int, height: int) -> list[int] | None:
    """Return the edges that a clean aperture leaves out (ISO/IEC 14496-12, 12.1.4)."""
    if len(box) < 32:  # noqa: PLR2004 - four fractions of two 32-bit numbers
        return None
    numbers = struct.unpack(">IIIIiIiI", box[:32])
    if 0 in numbers[1::2]:
        return None
    wide, high, right, down = (a / b for a, b in zip(numbers[::2], numbers[1::2], strict=True))
    left = round((width - wide) / 2 + right)
    top = round((height - high) / 2 + down)
    return [left, top, width - left - round(wide), height - top - round(high)]


def _movie_s(file: BinaryIO, start: int, end: int) -> float | None:
    """Return the duration that a fragmented movie's header announces, if it does."""
    moov: Part = (b"moov", start, end)
    head = _inside(file, moov, b"mvhd")
    whole = _inside(file, moov, b"mvex", b"mehd")
    if head is None:
        return None
    scale, ticks = _ticks(_body(file, head))
    if whole is not None:
        body = _body(file, whole)
        ticks = int.from_bytes(body[4:12] if body[:1] == b"\1" else body[4:8], "big")
    return ticks / scale if scale and ticks else None


def _ticks(mvhd: bytes) -> tuple[int, int]:
    """Return timescale and duration of a movie header of version 0 or 1."""
    if mvhd[:1] == b"\1":
        return int.from_bytes(mvhd[20:24], "big"), int.from_bytes(mvhd[24:32], "big")
    return int.from_bytes(mvhd[12:16], "big"), int.from_bytes(mvhd[16:20], "big")


def _body(file: BinaryIO, part: Part) -> bytes:
    file.seek(part[1])
    return file.read(max(min(part[2] - part[1], BODY_BYTES_MAX), 0))


def _dolby_vision(configuration: bytes) -> int | None:
    """Return the profile of a Dolby Vision configuration record: seven bits of its third byte."""
    return configuration[2] >> 1 if len(configuration) > 2 else None  # noqa: PLR2004


# --- AVI --------------------------------------------------------------------------------------
def _riff(file: BinaryIO, size: int) -> Facts:
    """Tell whether an AVI breaks off, and then how long it says that it is.

    FFmpeg shortens the duration of a cut AVI to what is left. The main header is the first chunk
    of the file: microseconds a frame at byte 32, frames at byte 48.
    """
    head, at = file.read(AVI_HEAD_BYTES), 0
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


def _wave(file: BinaryIO, size: int) -> Facts:
    """Tell whether a WAVE file's sound runs past its end; recorders that died leave no size."""
    at = 12
    for _ in range(BOXES_MAX):
        file.seek(at)
        chunk = file.read(BOX_HEADER)
        length = int.from_bytes(chunk[4:], "little")
        if len(chunk) < BOX_HEADER or chunk[:4] == b"data":
            break
        at += BOX_HEADER + length + length % 2
    open_ended = length in {0, 2**32 - 1}
    return {"cut": chunk[:4] == b"data" and not open_ended and at + BOX_HEADER + length > size}


# --- Matroska ---------------------------------------------------------------------------------
_SEGMENT: Final = b"\x18\x53\x80\x67"
_TRACKS: Final = b"\x16\x54\xae\x6b"
_CLUSTER: Final = b"\x1f\x43\xb6\x75"
_TRACK, _TYPE, _VIDEO = b"\xae", b"\x83", b"\xe0"
_MAPPING, _MAPPING_TYPE, _MAPPING_DATA = b"\x41\xe4", b"\x41\xe7", b"\x41\xed"
_CROPS: Final = (b"\x54\xcc", b"\x54\xbb", b"\x54\xdd", b"\x54\xaa")
"""PixelCropLeft, Top, Right and Bottom (RFC 9559, 5.1.4.1.28)."""
_AFTER_A_BLOCK: Final = frozenset(
    {_CLUSTER, b"\xa3", b"\xa0", b"\x9b", b"\xfb", b"\x75\xa1", b"\x75\xa2", b"\xec", b"\xe7"}
    | {b"\xab", b"\xa7", b"\x1c\x53\xbb\x6b", b"\x12\x54\xc3\x67", b"\x19\x41\xa4\x69"}
    | {b"\x10\x43\xa7\x70", b"\xbf", b"\xa4", b"\x5c\xb9"}
)
_VINT_MAX: Final = 8
_ELEMENT_HEAD_BYTES: Final = 4 + _VINT_MAX
"""The longest id and size that Matroska allows; a shorter rest is a beginning."""
_BLOCK_HEAD_BYTES: Final = 4
"""Track, time and flags of a block whose track number is below 128."""


def _matroska(file: BinaryIO, size: int) -> Facts:
    segment = next((p for p in _elements(file, 0, size) if p[0] == _SEGMENT), None)
    if segment is None:
        return {}
    facts: Facts = {"cut": segment[2] > size, "pictures": []}
    for part in _elements(file, segment[1], min(segment[2], size)):
        if part[0] == _CLUSTER:
            break
        if part[0] == _TRACKS:
            index = _within(part, min(segment[2], size))
            tracks = (p for p in _elements(file, index[1], index[2]) if p[0] == _TRACK)
            facts["pictures"] += [
                p
                for p in (_track(file, _within(track, index[2])) for track in tracks)
                if p is not None
            ]
    return facts


def _track(file: BinaryIO, track: Part) -> Facts | None:
    parts = {p[0]: _within(p, track[2]) for p in _elements(file, track[1], track[2])}
    if _TYPE not in parts or _number(file, parts[_TYPE]) != 1:
        return None
    facts: Facts = {}
    if _VIDEO in parts:
        video = {p[0]: p for p in _elements(file, parts[_VIDEO][1], parts[_VIDEO][2])}
        crop = [_number(file, video[kind]) if kind in video else 0 for kind in _CROPS]
        if any(crop):
            facts["crop"] = crop
    if _MAPPING in parts:
        inner = {p[0]: p for p in _elements(file, parts[_MAPPING][1], parts[_MAPPING][2])}
        kind = _number(file, inner[_MAPPING_TYPE]) if _MAPPING_TYPE in inner else 0
        if kind.to_bytes(8, "big")[4:] in {b"dvcC", b"dvvC"} and _MAPPING_DATA in inner:
            facts["dolby_vision"] = _dolby_vision(_body(file, inner[_MAPPING_DATA]))
    return facts


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[Part]:
    """Yield the EBML elements between two places; one of unknown size goes to the end."""
    at = start
    for _ in range(BOXES_MAX):
        if at >= end:  # the next place may be one that no file has
            return
        file.seek(at)
        head = file.read(_ELEMENT_HEAD_BYTES)
        if not head or not head[0]:
            return
        id_bytes = _VINT_MAX + 1 - head[0].bit_length()
        length_head = head[id_bytes : id_bytes + 1]
        if id_bytes > 4 or not length_head or not length_head[0]:  # noqa: PLR2004 - RFC 8794, 5
            return
        length_bytes = _VINT_MAX + 1 - length_head[0].bit_length()
        bits = 7 * length_bytes
        value = head[id_bytes : id_bytes + length_bytes]
        length = int.from_bytes(value, "big") & ((1 << bits) - 1)
        body = at + id_bytes + length_bytes
        unknown = length == (1 << bits) - 1
        yield head[:id_bytes], body, end if unknown else body + length
        at = end if unknown else body + length


def _number(file: BinaryIO, part: Part) -> int:
    return int.from_bytes(_body(file, part)[:_VINT_MAX], "big")


def breaks_off(path: Path, block_at: int, block_bytes: int) -> bool:
    """Return whether a Matroska file ends in the middle of what follows its last whole block.

    That is how a recording of unknown size shows that it was cut: `block_at` and `block_bytes`
    are the place and size that the demuxer gives for its last packet. What cannot be told from
    laced blocks counts as whole.
    """
    size = path.stat().st_size
    at = block_at + _BLOCK_HEAD_BYTES + block_bytes
    with path.open("rb") as file:
        for kind, body, end in _elements(file, at, size):
            if kind not in _AFTER_A_BLOCK:
                return False
            if end > size:
                return True
            at = body if kind == _CLUSTER else end
    return 0 < size - at < _ELEMENT_HEAD_BYTES


LAYOUTS: Final[dict[str, Callable[[BinaryIO, int], Facts]]] = {
    "mov": _iso_media,
    "avi": _riff,
    "matroska": _matroska,
    "wav": _wave,
}
"""What is known of a container without its demuxer."""
