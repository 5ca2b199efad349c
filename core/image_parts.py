"""What the readers of JPEG, PNG and WebP have in common. Pure."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

from core import limits
from core.errors import DamagedSource
from core.images import ImageInfo

CUT: Final = "the image is cut off; send the whole file"
_PROFILE_HEAD: Final = 128
_TAG: Final = 12
_TAGS_MAX: Final = 200
_CLASS: Final = slice(12, 16)
_SPACE: Final = slice(16, 20)
_SIGNATURE: Final = slice(36, 40)
MORE_PICTURES: Final = "more pictures"
PROFILE: Final = "profile"
"""Names in `ImageInfo.dropped` that change how the image looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What an image is, and its file with the same pixels and nothing else.

    `data` holds the pictures as they were coded, what their colours mean and, where the picture
    must be turned, an EXIF that says only that.
    """

    info: ImageInfo
    data: bytes


def check_count(count: int) -> None:
    """Raise DamagedSource for a file of more parts than any image has."""
    if count > limits.IMAGE_PARTS_MAX:
        raise DamagedSource(
            f"the file has more than {limits.IMAGE_PARTS_MAX} parts; export the image anew"
        )


def check_sides(width: int, height: int) -> None:
    """Raise DamagedSource for an image of no pixels."""
    if not width or not height:
        raise DamagedSource(f"the image says that it has {width}x{height} pixels")


RGB: Final = frozenset({b"RGB "})
GREY: Final = frozenset({b"GRAY"})
CMYK: Final = frozenset({b"CMYK"})
"""The colour spaces that profiles have for each kind of pixels (ICC.1, 7.2.6)."""
_DEVICES: Final = frozenset({b"scnr", b"mntr", b"prtr", b"spac"})
"""Classes of profiles that say what pixels mean; links and abstract ones do not (ICC.1, 7.2.5)."""


def good_profile(data: bytes, spaces: frozenset[bytes]) -> bool:
    """Return whether this may be a colour profile for pixels of one of `spaces`, by its outside.

    Looked at are its size, class, signature and tags (ICC.1, 7.2).
    """
    if data[_CLASS] not in _DEVICES or data[_SPACE] not in spaces:
        return False
    size = int.from_bytes(data[:4], "big")
    whole = _PROFILE_HEAD <= size <= len(data) <= limits.PROFILE_BYTES_MAX
    tags = int.from_bytes(data[_PROFILE_HEAD : _PROFILE_HEAD + 4], "big")
    room = (size - _PROFILE_HEAD - 4) // _TAG
    return whole and data[_SIGNATURE] == b"acsp" and 0 < tags <= min(room, _TAGS_MAX)


def inflate(data: bytes, most: int) -> bytes | None:
    """Return what zlib made smaller; None where that is broken or more than `most` bytes."""
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, most)
    except zlib.error:
        return None
    return found if stream.eof else None
