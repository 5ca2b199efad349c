"""CRC32C as Cloud Storage writes it."""

from __future__ import annotations

import base64

import google_crc32c


class Crc32c:
    """A running checksum; as text, base64 of its four bytes."""

    def __init__(self) -> None:
        self._checksum = google_crc32c.Checksum()

    def update(self, data: bytes) -> None:
        """Take `data` in."""
        self._checksum.update(data)

    def __str__(self) -> str:
        digest: bytes = self._checksum.digest()
        return base64.b64encode(digest).decode()
