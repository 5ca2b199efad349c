"""The one thing of EXIF that changes a picture: how it must be turned. Pure.

EXIF is a TIFF file (TIFF 6.0, section 2): a byte order, and a list of entries of 12 bytes each.
"""

from __future__ import annotations

import struct
from typing import Final

_ORDERS: Final = {b"II*\0": "<", b"MM\0*": ">"}
_ORIENTATION: Final = 0x0112
_SHORT: Final = 3
_ENTRY: Final = 12
_ENTRIES_MAX: Final = 512
_PREFIX: Final = b"Exif\0\0"
UPRIGHT: Final = 1
_LAST: Final = 8


def orientation(data: bytes) -> int:
    """Return EXIF's orientation, 1 to 8; 1 where it is absent or makes no sense."""
    data = data.removeprefix(_PREFIX)
    order = _ORDERS.get(data[:4])
    if order is None:
        return UPRIGHT
    try:
        return _look(data, order)
    except struct.error:
        return UPRIGHT


def _look(data: bytes, order: str) -> int:
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    for entry in range(min(count, _ENTRIES_MAX)):
        tag, kind, values, value = struct.unpack_from(f"{order}HHIH", data, at + 2 + entry * _ENTRY)
        if (tag, kind, values) == (_ORIENTATION, _SHORT, 1):
            return value if UPRIGHT <= value <= _LAST else UPRIGHT
    return UPRIGHT


def is_bare(data: bytes) -> bool:
    """Return whether this says nothing but an orientation, as `only_orientation` spells it."""
    data = data.removeprefix(_PREFIX)
    return data == only_orientation(orientation(data))


def only_orientation(value: int) -> bytes:
    """Return an EXIF of 26 bytes that says how to turn the picture, and nothing else."""
    entry = struct.pack(">HHIHH", _ORIENTATION, _SHORT, 1, value, 0)
    return b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
