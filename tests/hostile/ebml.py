"""Elements of Matroska files, however wrong, and the smallest file that holds them."""

from __future__ import annotations

import struct
from typing import Final

HEAD: Final = b"\x1a\x45\xdf\xa3"
SEGMENT: Final = b"\x18\x53\x80\x67"
INFO: Final = b"\x15\x49\xa9\x66"
TRACKS: Final = b"\x16\x54\xae\x6b"
CLUSTER: Final = b"\x1f\x43\xb6\x75"
CUES: Final = b"\x1c\x53\xbb\x6b"
SEEK_HEAD: Final = b"\x11\x4d\x9b\x74"
TAGS: Final = b"\x12\x54\xc3\x67"
CHAPTERS: Final = b"\x10\x43\xa7\x70"
ATTACHMENTS: Final = b"\x19\x41\xa4\x69"
TRACK: Final = b"\xae"
VIDEO: Final = b"\xe0"
AUDIO: Final = b"\xe1"
UNKNOWN: Final = b"\x01\xff\xff\xff\xff\xff\xff\xff"
"""A size that is not told."""


def size_of(count: int, width: int = 8) -> bytes:
    """Return a size in `width` bytes."""
    return ((1 << 7 * width) | count).to_bytes(width, "big")


def element(kind: bytes, *parts: bytes) -> bytes:
    """Return an element around some bytes."""
    body = b"".join(parts)
    return kind + size_of(len(body)) + body


def lying(kind: bytes, count: int, body: bytes = b"") -> bytes:
    """Return an element that claims another size than it has."""
    return kind + size_of(count) + body


def number(kind: bytes, value: int, width: int = 8) -> bytes:
    """Return an unsigned number."""
    return element(kind, value.to_bytes(width, "big"))


def real(kind: bytes, value: float) -> bytes:
    """Return a number in floating point."""
    return element(kind, struct.pack(">d", value))


def head(kind: bytes = b"matroska") -> bytes:
    """Return the head of a file."""
    name = b"\x42\x82" + size_of(len(kind), 1) + kind
    return element(HEAD, name, number(b"\x42\x87", 4), number(b"\x42\x85", 2))


def info(duration: float | None = 1000.0, scale: int = 1_000_000, *more: bytes) -> bytes:
    """Return what is said of the whole."""
    told = [] if duration is None else [real(b"\x44\x89", duration)]
    return element(INFO, number(b"\x2a\xd7\xb1", scale), *told, *more)


def picture_track(
    *more: bytes, width: int = 64, height: int = 48, codec: bytes = b"V_MJPEG", at: int = 1
) -> bytes:
    """Return the description of a track of pictures."""
    shape = element(VIDEO, number(b"\xb0", width), number(b"\xba", height))
    return element(
        TRACK, number(b"\xd7", at), number(b"\x73\xc5", at), number(b"\x83", 1),
        element(b"\x86", codec), shape, *more,
    )  # fmt: skip


def sound_track(
    *more: bytes,
    hertz: float = 8000.0,
    channels: int = 1,
    codec: bytes = b"A_PCM/INT/LIT",
    at: int = 2,
) -> bytes:
    """Return the description of a track of sound, 16 bits a sample."""
    shape = element(AUDIO, real(b"\xb5", hertz), number(b"\x9f", channels), number(b"\x62\x64", 16))
    return element(
        TRACK, number(b"\xd7", at), number(b"\x73\xc5", at), number(b"\x83", 2),
        element(b"\x86", codec), shape, *more,
    )  # fmt: skip


def block(data: bytes, time: int, track: int = 1, flags: int = 0x80) -> bytes:
    """Return a block; its time counts from its cluster's."""
    return element(b"\xa3", bytes([0x80 | track]), struct.pack(">hB", time, flags), data)


def cluster(time: int, *blocks: bytes) -> bytes:
    """Return a cluster."""
    return element(CLUSTER, number(b"\xe7", time), *blocks)


def film(frames: list[bytes], step: int = 100) -> bytes:
    """Return one cluster of pictures, `step` ticks apart."""
    return cluster(0, *(block(frame, at * step) for at, frame in enumerate(frames)))


def file(*parts: bytes, kind: bytes = b"matroska") -> bytes:
    """Return a file of these elements."""
    return head(kind) + element(SEGMENT, *parts)
