"""What an image is, what is made of it, and when the result is good."""

from __future__ import annotations

from enum import StrEnum


class ImageKind(StrEnum):
    """The kinds of image that are taken, decided by content."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
