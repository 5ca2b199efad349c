"""WebP without decoding: its chunks (RFC 9649, 2; VP8: RFC 6386, 9.1). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from core.errors import DamagedSource
from core.image_exif import UPRIGHT, is_bare, only_orientation, orientation
from core.image_parts import CUT, PROFILE, RGB, Cleaned, check_count, check_sides, good_profile
from core.images import ImageInfo, ImageKind

_RIFF: Final = 12
_CHUNK: Final = 8
_PICTURES: Final = frozenset({b"VP8 ", b"VP8L"})
_KEPT: Final = _PICTURES | {b"ALPH", b"ANIM", b"ANMF"}
_ANIMATED: Final = 0x02
_XMP, _EXIF_FLAG, _ALPHA, _PROFILE_FLAG = 0x04, 0x08, 0x10, 0x20
_EXTENDED_BYTES: Final = 10
_FRAME_BYTES: Final = 16
_VP8L_SIGN: Final = 0x2F
_VP8_START: Final = b"\x9d\x01\x2a"
_ODD: Final = "the image's parts contradict each other; the file is damaged"


@dataclass(slots=True)
class _Reading:
    canvas: tuple[int, int] | None = None
    flags: int = 0
    still: tuple[int, int] | None = None
    lossless: bool = True
    chunks: list[tuple[bytes, bytes]] = field(default_factory=list)
    profile: bytes = b""
    turned: int = UPRIGHT
    frames: int = 0
    dropped: dict[str, None] = field(default_factory=dict)


def read_webp(data: bytes, *, profile: bool = True) -> Cleaned:
    """Return what a WebP file holds; see `core.image_files.read_image`."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data) or end < _RIFF:
        raise DamagedSource(CUT)
    reading = _Reading()
    for kind, payload in _chunks(data[:end], _RIFF):
        _take(reading, kind, payload)
    if end < len(data):
        reading.dropped["trailing bytes"] = None
    if not profile:
        reading.profile = b""
    return _cleaned(reading, len(data))


def _chunks(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    count = 0
    while at + _CHUNK <= len(data):
        count += 1
        check_count(count)
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + _CHUNK], "little")
        if at + _CHUNK + size > len(data):
            raise DamagedSource(CUT)
        yield kind, data[at + _CHUNK : at + _CHUNK + size]
        at += _CHUNK + size + size % 2


def _take(reading: _Reading, kind: bytes, payload: bytes) -> None:
    if kind == b"VP8X":
        if reading.canvas or len(payload) < _EXTENDED_BYTES:
            raise DamagedSource(_ODD)
        reading.flags = payload[0]
        reading.canvas = (_three(payload[4:7]) + 1, _three(payload[7:10]) + 1)
    elif kind == b"ICCP" and good_profile(payload, RGB) and not reading.profile:
        reading.profile = payload
    elif kind in _KEPT:
        _keep(reading, kind, payload)
    else:
        if kind == b"EXIF":
            reading.turned = orientation(payload)
            if is_bare(payload):
                return
        name = kind.decode("ascii", "replace").strip()
        reading.dropped[PROFILE if kind == b"ICCP" else name] = None


def _keep(reading: _Reading, kind: bytes, payload: bytes) -> None:
    if kind in _PICTURES:
        if reading.still:
            raise DamagedSource(_ODD)
        reading.still = _picture(kind, payload)
        reading.lossless &= kind == b"VP8L"
    elif kind == b"ANMF":
        payload = _frame(reading, payload)
    reading.chunks.append((kind, payload))


def _picture(kind: bytes, payload: bytes) -> tuple[int, int]:
    """Return width and height of one coded picture."""
    try:
        if kind == b"VP8L":
            sign, bits = struct.unpack_from("<BI", payload)
            size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
            good = sign == _VP8L_SIGN
        else:
            start, width, height = struct.unpack_from("<3x3sHH", payload)
            size, good = (width & 0x3FFF, height & 0x3FFF), start == _VP8_START
    except struct.error as error:
        raise DamagedSource(CUT) from error
    if not good:
        raise DamagedSource("the image's header is damaged; send it again")
    return size


def _frame(reading: _Reading, payload: bytes) -> bytes:
    """Return a picture of an animation without what is neither its colours nor its alpha."""
    if reading.canvas is None or len(payload) < _FRAME_BYTES:
        raise DamagedSource(_ODD)
    kept, sizes = [payload[:_FRAME_BYTES]], []
    for kind, part in _chunks(payload, _FRAME_BYTES):
        if kind in _PICTURES:
            sizes.append(_picture(kind, part))
            reading.lossless &= kind == b"VP8L"
        if kind in _PICTURES or kind == b"ALPH":
            kept.append(_chunk(kind, part))
    if sizes != [(_three(payload[6:9]) + 1, _three(payload[9:12]) + 1)]:
        raise DamagedSource(_ODD)
    reading.frames += 1
    return b"".join(kept)


def _cleaned(reading: _Reading, size: int) -> Cleaned:
    moving = bool(reading.flags & _ANIMATED)
    if moving != bool(reading.frames) or moving == bool(reading.still):
        raise DamagedSource("the file holds no picture, or two; it is damaged")
    width, height = reading.canvas or reading.still or (0, 0)
    check_sides(width, height)
    if reading.still and reading.still != (width, height):
        raise DamagedSource(_ODD)
    info = ImageInfo(
        kind=ImageKind.WEBP,
        size=size,
        width=width,
        height=height,
        orientation=reading.turned,
        frames=max(reading.frames, 1),
        profile=bool(reading.canvas and reading.profile),
        lossless=reading.lossless,
        dropped=tuple(reading.dropped),
    )
    body = b"WEBP" + b"".join(_chunk(*chunk) for chunk in _written(reading, width, height))
    return Cleaned(info=info, data=b"RIFF" + struct.pack("<I", len(body)) + body)


def _written(reading: _Reading, width: int, height: int) -> Iterator[tuple[bytes, bytes]]:
    turned = reading.turned != UPRIGHT
    if reading.canvas:
        flags = reading.flags & (_ANIMATED | _ALPHA)
        flags |= _PROFILE_FLAG if reading.profile else 0
        flags |= _EXIF_FLAG if turned else 0
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        yield b"VP8X", bytes((flags, 0, 0, 0)) + sides
        if reading.profile:
            yield b"ICCP", reading.profile
    yield from reading.chunks
    if reading.canvas and turned:
        yield b"EXIF", only_orientation(reading.turned)


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return kind + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)


def _three(data: bytes) -> int:
    return int.from_bytes(data, "little")
