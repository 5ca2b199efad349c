"""What is sent: what a recording is like stands in its first words."""

from __future__ import annotations

import hashlib
from typing import Final

from core.images import ImageKind
from core.media import Container
from core.order import Contract, Delivery, Order

HEAD: Final = b"\0\0\0\x18ftypisom\0\0\0\0"
"""An MP4 file begins so."""
IMAGE_HEAD: Final = b"\x89PNG\r\n\x1a\n" + bytes(8)
"""A PNG begins so; this one is as long as the other."""
CUT: Final = ("long2", "long3", "odd2", "big2")
"""Recordings that are made in pieces: the second of `odd2` fails, the first join of `big2`."""
_SETS: Final = (
    {"ladder": "hls"},
    {"ladder": "hls", "subtitles": True, "subtitles_language": "en"},
)
_SIZES: Final = (
    {"variants": ("thumbnail", "medium")},
    {"variants": ("thumbnail", "original"), "image_format": "webp"},
    {"variants": ()},
)
_BY_FILE: Final = {"contract": Contract.COMPRESS, "delivery": Delivery.SFTP}


def recording(nature: str, number: int) -> bytes:
    """Return a recording: `good`, `bad`, or one of CUT; `picture` and `spoiled` are images."""
    head = IMAGE_HEAD if nature in {"picture", "spoiled"} else HEAD
    return head + f" {nature} {number} ".encode()


def nature_of(data: bytes) -> str:
    """Return what a recording is like."""
    return data[len(HEAD) :].split()[0].decode()


def origin_of(data: bytes) -> str:
    """Return the name of a recording, which its segments bear."""
    return b"-".join(data[len(HEAD) :].split()[:2]).decode()


def container_of(data: bytes) -> str:
    """Return what the first bytes of a file show."""
    return ImageKind.PNG.value if data.startswith(IMAGE_HEAD) else Container.MP4.value


def order_of(kind: str, number: int, *, by_file: bool) -> Order:
    """Return what is asked for of a `set`, an `image`, or a `plain` recording."""
    choices = {"set": _SETS, "image": _SIZES, "plain": ({},)}[kind]
    chosen: dict[str, object] = {**choices[number % len(choices)], **(_BY_FILE if by_file else {})}
    return Order(**chosen)  # type: ignore[arg-type]  # written above


def sha256(data: bytes) -> str:
    """Return the digest of `data`."""
    return hashlib.sha256(data).hexdigest()
