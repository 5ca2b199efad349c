"""PNG without decoding: its chunks (W3C PNG, third edition, 5 and 11). Pure."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from core import limits
from core.errors import DamagedSource, UnreadableMedia
from core.image_exif import UPRIGHT, is_bare, only_orientation, orientation
from core.image_parts import (
    CUT,
    GREY,
    PROFILE,
    RGB,
    Cleaned,
    check_count,
    check_sides,
    good_profile,
    inflate,
)
from core.images import ImageInfo, ImageKind

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEAD: Final = struct.Struct(">IIBBBBB")
_CHUNK: Final = 12
"""Bytes of a chunk besides its data."""
_KEPT: Final = frozenset(
    {b"PLTE", b"IDAT", b"tRNS", b"cHRM", b"gAMA", b"sRGB", b"cICP", b"acTL", b"fcTL", b"fdAT"}
)
_DEPTHS: Final = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
"""Bits a channel that each colour type may have."""
_COLOUR: Final = 3
_GREYS: Final = frozenset({0, 4})
"""Where the header has its colour type, and those of grey."""
_NAME_CHARS_MAX: Final = 79
_GAMMA_UNIT: Final = 100_000
_GAMMA_SRGB: Final = 1 / 2.2
_GAMMA_SAME: Final = 0.05
"""A gamma this near to sRGB's is sRGB's: encoders round."""
_GAMMA_SANE: Final = (0.05, 5.0)


@dataclass(slots=True)
class _Reading:
    chunks: list[tuple[bytes, bytes]] = field(default_factory=list)
    dropped: dict[str, None] = field(default_factory=dict)
    turned: int = UPRIGHT
    frames: int = 0
    told: frozenset[bytes] = frozenset()
    gamma: float | None = None
    pixels: bool = False
    spaces: frozenset[bytes] = RGB


def read_png(data: bytes, *, profile: bool = True) -> Cleaned:
    """Return what a PNG file holds; see `core.image_files.read_image`."""
    reading, head = _Reading(), None
    for kind, payload, intact in _chunks(data, reading):
        if head is None:
            head = _header(kind, payload, intact=intact)
            reading.spaces = GREY if head[_COLOUR] in _GREYS else RGB
        elif kind != b"IEND":
            _take(reading, kind, payload, intact=intact)
    if head is None or not reading.pixels:
        raise DamagedSource("the file holds no picture; it is damaged")
    if not profile:
        reading.chunks = [(kind, payload) for kind, payload in reading.chunks if kind != b"iCCP"]
        reading.told -= {b"iCCP"}
    return _cleaned(reading, head, len(data))


def _chunks(data: bytes, reading: _Reading) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield kind, data and whether its checksum is right, up to the last chunk."""
    at, kind, count = len(_SIGNATURE), b"", 0
    while kind != b"IEND":
        count += 1
        check_count(count)
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + _CHUNK + size
        if end > len(data):
            raise DamagedSource(CUT)
        payload = data[at + 8 : end - 4]
        sum_ = int.from_bytes(data[end - 4 : end], "big")
        yield kind, payload, zlib.crc32(payload, zlib.crc32(kind)) == sum_
        at = end
    if at < len(data):
        reading.dropped["trailing bytes"] = None


def _header(kind: bytes, payload: bytes, *, intact: bool) -> tuple[int, ...]:
    if kind != b"IHDR" or len(payload) != _HEAD.size or not intact:
        raise DamagedSource("the image's header is damaged; send it again")
    head = _HEAD.unpack(payload)
    width, height, depth, colour, packing, filtering, interlace = head
    check_sides(width, height)
    if depth not in _DEPTHS.get(colour, ()) or packing or filtering or interlace > 1:
        raise UnreadableMedia("the PNG is coded in no way that the format knows; export it anew")
    return head


def _take(reading: _Reading, kind: bytes, payload: bytes, *, intact: bool) -> None:
    critical = not kind[0] & 0x20
    if not intact and (critical or kind in _KEPT):
        name = kind.decode("ascii", "replace")
        raise DamagedSource(f"the image's {name} chunk is damaged; send it again")
    if kind in _KEPT:
        _keep(reading, kind, payload)
    elif critical:
        raise UnreadableMedia("the PNG has parts that no decoder knows; export it anew")
    elif kind == b"iCCP":
        _profile(reading, payload)
    else:
        if kind == b"eXIf":
            reading.turned = orientation(payload)
            if is_bare(payload):
                return
        reading.dropped[kind.decode("ascii", "replace")] = None


def _keep(reading: _Reading, kind: bytes, payload: bytes) -> None:
    reading.chunks.append((kind, payload))
    reading.told |= {kind}
    reading.pixels = reading.pixels or kind == b"IDAT"
    reading.frames += kind == b"fcTL"
    if kind == b"gAMA" and len(payload) == 4:  # noqa: PLR2004 - one number
        reading.gamma = int.from_bytes(payload, "big") / _GAMMA_UNIT


def _profile(reading: _Reading, payload: bytes) -> None:
    """Keep a colour profile, under no name; one that is too large when inflated is no profile."""
    name, _, packed = payload.partition(b"\0")
    if len(name) > _NAME_CHARS_MAX or packed[:1] != b"\0" or b"iCCP" in reading.told:
        reading.dropped[PROFILE] = None
        return
    profile = inflate(packed[1:], limits.PROFILE_BYTES_MAX)
    if profile is None or not good_profile(profile, reading.spaces):
        reading.dropped[PROFILE] = None
        return
    reading.told |= {b"iCCP"}
    reading.chunks.append((b"iCCP", payload[len(name) :].rjust(len(payload), b"x")))


def _cleaned(reading: _Reading, head: tuple[int, ...], size: int) -> Cleaned:
    width, height, depth, *_ = head
    moving = b"acTL" in reading.told and reading.frames > 1
    info = ImageInfo(
        kind=ImageKind.PNG,
        size=size,
        width=width,
        height=height,
        orientation=reading.turned,
        depth=depth,
        frames=reading.frames if moving else 1,
        profile=b"iCCP" in reading.told,
        lossless=True,
        gamma=_gamma(reading),
        dropped=tuple(reading.dropped),
    )
    chunks = [(b"IHDR", _HEAD.pack(*head))]
    if reading.turned != UPRIGHT:
        chunks.append((b"eXIf", only_orientation(reading.turned)))
    chunks += [*reading.chunks, (b"IEND", b"")]
    return Cleaned(info=info, data=_SIGNATURE + b"".join(_chunk(*chunk) for chunk in chunks))


def _gamma(reading: _Reading) -> float | None:
    """Return the gamma that a decoder must heed: where nothing better is said, and it is unlike."""
    gamma, (least, most) = reading.gamma, _GAMMA_SANE
    if gamma is None or reading.told & {b"sRGB", b"iCCP", b"cICP"} or not least <= gamma <= most:
        return None
    return None if abs(gamma / _GAMMA_SRGB - 1) < _GAMMA_SAME else gamma


def _chunk(kind: bytes, payload: bytes) -> bytes:
    sum_ = zlib.crc32(payload, zlib.crc32(kind))
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", sum_)
