"""Which container a file's first bytes show, whatever its name says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core import limits
from core.images import ImageKind
from core.media import Container

ACCEPTED: Final = "MP4, MOV, MKV, WebM or AVI, or sound as M4A, MP3, WAV, FLAC or Ogg"
"""What is taken, in words for a caller."""
ACCEPTED_IMAGES: Final = "JPEG, PNG or WebP"
"""What is taken of images, in words for a caller."""
_EBML_MAGIC: Final = b"\x1a\x45\xdf\xa3"
_EBML_DOCTYPE: Final = b"\x42\x82"
_DOCTYPES: Final = (b"matroska", b"webm")
_BOX_SIZES: Final = {
    b"ftyp": (12, 4 * limits.KIB),
    b"moov": (16, 256 * limits.MIB),
    b"free": (8, 64 * limits.MIB),
    b"skip": (8, 64 * limits.MIB),
    b"wide": (8, 8),
    b"pnot": (20, 20),
    b"mdat": (8, 2**32 - 1),
}
"""Smallest and largest plausible bytes of a file's first box (ISO/IEC 14496-12, QuickTime)."""
_OPEN_SIZES: Final = (0, 1)
"""A box that runs to the end of the file, or has its size in 64 bits after the type."""
_IMAGE_BRANDS: Final = frozenset(
    {
        b"heic",
        b"heix",
        b"heim",
        b"heis",
        b"hevc",
        b"hevx",
        b"hevm",
        b"hevs",
        b"mif1",
        b"mif2",
        b"msf1",
        b"avif",
        b"avis",
        b"avio",
        b"crx ",
        b"jp2 ",
        b"jpx ",
        b"jxl ",
    }
)
"""Brands of still pictures that share the box format."""
_WAVES: Final = (b"RIFF", b"RF64", b"BW64")
_WAVE_CHUNKS: Final = (b"fmt ", b"JUNK", b"junk", b"bext", b"LIST", b"ds64", b"fact", b"PAD ")
_OGG_PACKET: Final = 28
_OGG_CODECS: Final = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ")
_ID3_BYTES: Final = 10
"""Bytes of an ID3v2 header (id3.org, id3v2.4.0-structure, 3.1)."""


def sniff(head: bytes) -> Container | None:
    """Return the container that a file's first bytes show, or None for anything else.

    Looks at no more than `limits.SNIFF_BYTES` bytes. Playlists, pictures and documents are None.
    A container need not hold a picture: the probe finds out.
    """
    head = head[: limits.SNIFF_BYTES]
    return next((kind for kind, shows in _SIGNS if shows(head)), None)


def sniff_image(head: bytes) -> ImageKind | None:
    """Return the kind of image that a file's first bytes show, or None for anything else.

    Signatures: JPEG's SOI with the marker after it (ITU-T T.81, B.1.1.2), PNG's (W3C PNG, 5.2) and
    the RIFF form WEBP (RFC 9649, 2.3).
    """
    if head.startswith(b"\xff\xd8\xff"):
        return ImageKind.JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ImageKind.PNG
    return ImageKind.WEBP if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


def _is_avi(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"AVI "


def _is_matroska(head: bytes) -> bool:
    """A DocType that does not lie wholly within the head is left for the probe to read."""
    if not head.startswith(_EBML_MAGIC):
        return False
    at = head.find(_EBML_DOCTYPE, len(_EBML_MAGIC))
    value = head[at + 3 :]
    if at < 0 or len(value) < max(len(name) for name in _DOCTYPES):
        return len(head) == limits.SNIFF_BYTES or value.startswith(_DOCTYPES)
    return any(head[at + 2] == 0x80 | len(name) and value.startswith(name) for name in _DOCTYPES)


def _is_iso_media(head: bytes) -> bool:
    kind, size = head[4:8], int.from_bytes(head[:4], "big")
    if kind not in _BOX_SIZES:
        return False
    if kind == b"ftyp":
        return _plausible(kind, size) and head[8:12] not in _IMAGE_BRANDS
    return size in _OPEN_SIZES or _plausible(kind, size)


def _plausible(kind: bytes, size: int) -> bool:
    smallest, largest = _BOX_SIZES[kind]
    return smallest <= size <= largest


def _is_wave(head: bytes) -> bool:
    return head[:4] in _WAVES and head[8:12] == b"WAVE" and head[12:16] in _WAVE_CHUNKS


def _is_flac(head: bytes) -> bool:
    """The first block is the stream's description, of which there is one length (RFC 9639, 8)."""
    return head[:4] == b"fLaC" and head[4] & 0x7F == 0 and head[5:8] == b"\0\0\x22"


def _is_ogg(head: bytes) -> bool:
    """A first page (RFC 3533, 6) whose only packet is the head of a sound codec."""
    return head[:6] == b"OggS\0\x02" and head[_OGG_PACKET:].startswith(_OGG_CODECS)


def _is_mp3(head: bytes) -> bool:
    """An ID3v2 tag, or the head of a frame of layer III, with no value that is reserved."""
    if len(head) < _ID3_BYTES:
        return False
    if head[:3] == b"ID3":
        sizes = head[6:_ID3_BYTES]
        return 2 <= head[3] <= 4 and head[4] != 0xFF and max(sizes) < 0x80  # noqa: PLR2004 - id3.org
    sync, version, layer = head[0] == 0xFF and head[1] >= 0xE0, head[1] & 0x18, head[1] & 0x06  # noqa: PLR2004
    rate, frequency = head[2] & 0xF0, head[2] & 0x0C
    return sync and version != 0x08 and layer == 0x02 and 0 < rate < 0xF0 and frequency != 0x0C  # noqa: PLR2004


_SIGNS: Final[tuple[tuple[Container, Callable[[bytes], bool]], ...]] = (
    (Container.AVI, _is_avi),
    (Container.MATROSKA, _is_matroska),
    (Container.MP4, _is_iso_media),
    (Container.WAV, _is_wave),
    (Container.FLAC, _is_flac),
    (Container.OGG, _is_ogg),
    (Container.MP3, _is_mp3),
)
"""The weakest sign comes last."""
