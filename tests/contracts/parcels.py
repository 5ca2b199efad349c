"""Parcels and stored objects for the suite of Courier."""

from __future__ import annotations

import hashlib
import io
import time

import psutil

from core import limits
from core.delivery import Parcel, Receipt

SECRET = "whsec_bGVjdGVybi10ZXN0LXNlY3JldC0wMDAwMDAx"
OTHER_SECRET = "whsec_bGVjdGVybi10ZXN0LXNlY3JldC0wMDAwMDAy"
VIDEO = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 2000
LARGE = 64 * limits.MIB
"""More than the sockets of both ends hold back."""


RECEIPT = Receipt(
    id="rcp_7c1e",
    at=1_700_000_000,
    text='{"created_at":1700000000,"id":"rcp_7c1e","output":{"sha256":"..."}}',
)


class Zeros:
    """A stored object of any size that takes no memory; `given` counts what was read of it."""

    def __init__(self, size: int, *, pause_s: float = 0.0) -> None:
        self.size = size
        self.given = 0
        self.peak_rss = 0
        self._pause_s = pause_s

    def read(self, count: int = -1, /) -> bytes:
        """Return the next zeros, after a pause."""
        time.sleep(self._pause_s)
        left = self.size - self.given
        data = bytes(left if count < 0 else min(count, left))
        self.given += len(data)
        self.peak_rss = max(self.peak_rss, psutil.Process().memory_info().rss)
        return data


class Stored(io.BytesIO):
    """A stored object out of given bytes, with the size that it claims to have."""

    def __init__(self, data: bytes, size: int | None = None) -> None:
        super().__init__(data)
        self.size = len(data) if size is None else size


class Broken:
    """A stored object whose reading fails."""

    size = LARGE

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def read(self, _count: int = -1, /) -> bytes:
        """Raise."""
        raise self._error


def parcel_of(
    data: bytes | None = VIDEO, *, size: int | None = None, sent_at: float | None = None
) -> Parcel:
    """Return a parcel for a lecture of these bytes, or of `size` bytes that do not matter."""
    return Parcel(
        delivery_id="msg_7c1e",
        video_id="lecture-42",
        organization_id="uni-1",
        file_name="7c1e.mp4",
        file_size=size or len(data or b""),
        file_sha256=hashlib.sha256(data or b"").hexdigest(),
        sent_at=int(sent_at or time.time()),
        receipt=RECEIPT,
    )
