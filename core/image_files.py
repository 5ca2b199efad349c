"""An image's file, read without decoding: what it says of itself, and what of it is needed. Pure.

Each kind has a reader of its own that walks over the segments or chunks, so nothing but the file's
own bytes is held and nothing is inflated but a colour profile, up to a bound.
"""

from __future__ import annotations

from core import limits
from core.errors import DamagedSource, TooLarge, UnsupportedType
from core.image_jpeg import read_jpeg
from core.image_parts import Cleaned
from core.image_png import read_png
from core.image_webp import read_webp
from core.images import ImageKind, accept_image
from core.sniffing import ACCEPTED_IMAGES, sniff_image

_READERS = {ImageKind.JPEG: read_jpeg, ImageKind.PNG: read_png, ImageKind.WEBP: read_webp}


def read_image(data: bytes, *, profile: bool = True) -> Cleaned:
    """Return what the file's headers say, and the file without all that is no picture.

    Without `profile`, a colour profile is left out as if it had never been there.
    Raises UnsupportedType for what is no JPEG, PNG or WebP, TooLarge, DamagedSource for a file
    that breaks off or contradicts itself, MediaTooComplex for one over a bound, UnreadableMedia
    for a coding that browsers do not show.
    """
    kind = sniff_image(data[: limits.SNIFF_BYTES])
    if kind is None:
        raise UnsupportedType(
            f"whatever its name, the file is not what is taken of images: {ACCEPTED_IMAGES}"
        )
    if len(data) > limits.IMAGE_BYTES_MAX:
        raise TooLarge(f"the image has {len(data)} bytes; {limits.IMAGE_BYTES_MAX} are the most")
    cleaned = _READERS[kind](data, profile=profile)
    if len(cleaned.data) > len(data):
        raise DamagedSource("the file is not put together as its kind must be")
    accept_image(cleaned.info)
    return cleaned
