"""JPEG without decoding: its segments (ITU-T T.81, annex B; JFIF; ICC.1, B.4). Pure."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Final

from core import limits
from core.errors import DamagedSource, MediaTooComplex, UnreadableMedia
from core.image_exif import UPRIGHT, is_bare, only_orientation, orientation
from core.image_parts import (
    CMYK,
    CUT,
    GREY,
    MORE_PICTURES,
    PROFILE,
    RGB,
    Cleaned,
    check_count,
    check_sides,
    good_profile,
)
from core.images import ImageInfo, ImageKind

_SOI: Final = b"\xff\xd8"
_EOI: Final = 0xD9
_SOS: Final = 0xDA
_COM: Final = 0xFE
_APP0, _APP1, _APP2, _APP14, _APP15 = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TAKEN: Final = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive, Huffman coded: what browsers show."""
_TABLES: Final = frozenset({0xC4, 0xDB, 0xDD})
"""Huffman tables, quantisation tables, the restart interval."""
_MARKER: Final = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
"""The next marker after coded data, which has `FF 00` for FF, and restart markers in it. Bytes of
FF that fill up before it count as data: looking for them all at once could take very long."""
_BITS: Final = 8
_CMYK: Final = 4
_SPACES: Final = {1: GREY | RGB, 3: RGB, _CMYK: CMYK}
"""The profiles of each number of channels. Whoever makes a picture grey often leaves it the profile
that it had, which does no harm."""
_JFIF: Final = b"JFIF\0"
_JFIF_BYTES: Final = 12
_EXIF: Final = b"Exif\0\0"
_ICC: Final = b"ICC_PROFILE\0"
_MPF: Final = b"MPF\0"
_ADOBE: Final = b"Adobe"
_ADOBE_BYTES: Final = 12
_SEGMENT_MAX: Final = 65_533


@dataclass(slots=True)
class _Reading:
    """What was come across so far: `body` has frame, tables and scans as they are."""

    body: list[bytes] = field(default_factory=list)
    profile: list[tuple[int, int, bytes]] = field(default_factory=list)
    jfif: bytes = b""
    adobe: bytes = b""
    turned: int = UPRIGHT
    frame: tuple[int, int, int] | None = None
    scans: int = 0
    dropped: dict[str, None] = field(default_factory=dict)


def read_jpeg(data: bytes, *, profile: bool = True) -> Cleaned:
    """Return the first picture of a JPEG file; see `core.image_files.read_image`."""
    reading, at, count = _Reading(), len(_SOI), 0
    while True:
        count += 1
        check_count(count)
        marker, at = _next_marker(data, at)
        if marker == _EOI:
            break
        end = at + _length(data, at)
        _take(reading, marker, data[at + 2 : end])
        at = _scan(reading, data, end) if marker == _SOS else end
    if len(data) > at:
        reading.dropped[MORE_PICTURES if data.find(_SOI, at) >= 0 else "trailing bytes"] = None
    if not profile:
        reading.profile.clear()
    return _cleaned(reading, len(data))


def _next_marker(data: bytes, at: int) -> tuple[int, int]:
    """Return the marker that comes next, over stray bytes, and where its segment begins."""
    found = _MARKER.search(data, at)
    if found is None:
        raise DamagedSource(CUT)
    return found[1][0], found.end()


def _length(data: bytes, at: int) -> int:
    length = int.from_bytes(data[at : at + 2], "big")
    if at + length > len(data):
        raise DamagedSource(CUT)
    if length < 2:  # noqa: PLR2004 - the length counts itself
        raise DamagedSource("a segment of the image has no length; the file is damaged")
    return length


def _scan(reading: _Reading, data: bytes, at: int) -> int:
    """Keep the coded data up to the next marker."""
    found = _MARKER.search(data, at)
    if found is None:
        raise DamagedSource(CUT)
    reading.body.append(data[at : found.start()])
    reading.scans += 1
    if reading.scans > limits.IMAGE_SCANS_MAX:
        raise MediaTooComplex(
            f"the image has more than {limits.IMAGE_SCANS_MAX} scans; export it anew"
        )
    return found.start()


def _take(reading: _Reading, marker: int, payload: bytes) -> None:
    if marker in _FRAMES:
        _frame(reading, marker, payload)
    elif marker == _SOS and reading.frame is None:
        raise DamagedSource("the image's pixels come before its header; the file is damaged")
    if marker in _FRAMES or marker in _TABLES or marker == _SOS:
        reading.body.append(_segment(marker, payload))
    elif _APP0 <= marker <= _APP15 or marker == _COM:
        _application(reading, marker, payload)
    else:
        raise DamagedSource(f"the image has a marker FF{marker:02X} that belongs into no image")


def _frame(reading: _Reading, marker: int, payload: bytes) -> None:
    if reading.frame is not None:  # overwritten pixels look like a header of any coding
        raise DamagedSource("the image has two headers; the file is damaged")
    if marker not in _TAKEN:
        raise UnreadableMedia("the JPEG is lossless or arithmetically coded; export it as baseline")
    try:
        bits, height, width, components = struct.unpack_from(">BHHB", payload)
    except struct.error as error:
        raise DamagedSource(CUT) from error
    if bits != _BITS or components not in _SPACES:
        raise UnreadableMedia(f"the JPEG has {components} channels of {bits} bits; export it anew")
    check_sides(width, height)
    reading.frame = (width, height, components)


def _application(reading: _Reading, marker: int, payload: bytes) -> None:
    """Keep what says how pixels are to be understood; the rest is named and gone."""
    if marker == _APP0 and payload.startswith(_JFIF) and len(payload) >= _JFIF_BYTES + 2:
        if not reading.jfif:
            reading.jfif = payload[:_JFIF_BYTES] + b"\0\0"  # without its thumbnail
    elif marker == _APP14 and payload.startswith(_ADOBE) and len(payload) >= _ADOBE_BYTES:
        reading.adobe = reading.adobe or payload[:_ADOBE_BYTES]
    elif marker == _APP2 and payload.startswith(_ICC) and len(payload) > len(_ICC) + 2:
        number, of = payload[len(_ICC)], payload[len(_ICC) + 1]
        reading.profile.append((number, of, payload[len(_ICC) + 2 :]))
    else:
        if marker == _APP1 and payload.startswith(_EXIF) and reading.turned == UPRIGHT:
            reading.turned = orientation(payload)
            if is_bare(payload):
                return
        more = marker == _APP2 and payload.startswith(_MPF)
        name = "comment" if marker == _COM else f"APP{marker - _APP0}"
        reading.dropped[MORE_PICTURES if more else name] = None


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _cleaned(reading: _Reading, size: int) -> Cleaned:
    if reading.frame is None or not reading.scans:
        raise DamagedSource("the file holds no picture; it is damaged")
    width, height, components = reading.frame
    parts = [_SOI]
    if reading.jfif:
        parts.append(_segment(_APP0, reading.jfif))
    if reading.turned != UPRIGHT:
        parts.append(_segment(_APP1, _EXIF + only_orientation(reading.turned)))
    profile = _profile(reading, components)
    parts += profile
    if reading.adobe:
        parts.append(_segment(_APP14, reading.adobe))
    info = ImageInfo(
        kind=ImageKind.JPEG,
        size=size,
        width=width,
        height=height,
        orientation=reading.turned,
        cmyk=components == _CMYK,
        profile=bool(profile),
        dropped=tuple(reading.dropped),
    )
    return Cleaned(info=info, data=b"".join([*parts, *reading.body, b"\xff\xd9"]))


def _profile(reading: _Reading, components: int) -> list[bytes]:
    """Return the segments of the colour profile anew, if all of its parts are there, once each."""
    if not reading.profile:
        return []
    parts = sorted(reading.profile)
    numbers = [(number, of) for number, of, _ in parts]
    profile = b"".join(part for _, _, part in parts)
    whole = numbers == [(number + 1, len(parts)) for number in range(len(parts))]
    if not whole or not good_profile(profile, _SPACES[components]):
        reading.dropped[PROFILE] = None
        return []
    size = _SEGMENT_MAX - len(_ICC) - 2
    pieces = [profile[at : at + size] for at in range(0, len(profile), size)]
    return [
        _segment(_APP2, _ICC + bytes((number, len(pieces))) + piece)
        for number, piece in enumerate(pieces, 1)
    ]
