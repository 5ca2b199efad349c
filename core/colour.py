"""Which colours a recording has, and which its rendition gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from core.media import BT709, BT2020, HLG, PQ, UNSPECIFIED, Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """The H.273 numbers that the output is tagged with; 2 is unspecified."""

    primaries: int
    transfer: int
    matrix: int


_BT2020_TRANSFER: Final = 14
_BT2020_MATRICES: Final = frozenset({BT2020, 10})
_RGB_MATRIX: Final = 0
_RGB_FORMATS: Final = ("rgb", "bgr", "gbr", "argb", "abgr", "pal8", "0rgb", "0bgr")
_SDR: Final = Colour(primaries=BT709, transfer=BT709, matrix=BT709)


def is_rgb(picture: Picture) -> bool:
    """Return whether the picture is stored as red, green and blue."""
    return picture.color_space == _RGB_MATRIX or picture.pix_fmt.startswith(_RGB_FORMATS)


def convert_from(picture: Picture) -> Colour | None:
    """Return the source's colours, gaps filled in, where they do not fit an ordinary screen."""
    wide = picture.color_primaries == BT2020 or picture.color_space in _BT2020_MATRICES
    if is_rgb(picture) or not (wide or picture.hdr):
        return None
    transfer = picture.color_transfer
    return Colour(
        primaries=_known(picture.color_primaries, BT2020),
        transfer=transfer if transfer in {PQ, HLG} else _known(transfer, _BT2020_TRANSFER),
        matrix=_known(picture.color_space, BT2020),
    )


def output_colour(picture: Picture) -> Colour:
    """Return what the output is tagged with: the source's own colours where they may stay."""
    if is_rgb(picture) or convert_from(picture):
        return _SDR
    return Colour(
        primaries=picture.color_primaries,
        transfer=picture.color_transfer,
        matrix=picture.color_space,
    )


def _known(number: int, otherwise: int) -> int:
    return otherwise if number in {0, UNSPECIFIED} else number
