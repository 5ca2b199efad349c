"""Request bodies, made by hand so that every byte can be wrong on purpose."""

from __future__ import annotations

from dataclasses import dataclass

from tests import planted

BOUNDARY = "lectern-boundary"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
MP4_HEAD = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"


def recording(size: int = 2000, *, filler: bytes = b"lecture ") -> bytes:
    """Return `size` bytes that begin like an MP4 file."""
    body = filler * (size // len(filler) + 1)
    return (MP4_HEAD + body)[:size]


def text(name: str, value: str) -> bytes:
    """Return a part with a text field."""
    return part(f'form-data; name="{name}"', value.encode())


def file(data: bytes, *, name: str = "file", filename: str = planted.FILE_NAME) -> bytes:
    """Return a part with a file."""
    return part(f'form-data; name="{name}"; filename="{filename}"', data)


def part(disposition: str, data: bytes, *more_headers: str) -> bytes:
    """Return a part with its headers, from its boundary to its end."""
    lines = (f"--{BOUNDARY}", f"Content-Disposition: {disposition}", *more_headers, "", "")
    return "\r\n".join(lines).encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    """Return a whole body out of its parts."""
    return b"".join(parts) + closing()


def closing() -> bytes:
    """Return the closing boundary."""
    return f"--{BOUNDARY}--\r\n".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lecture:
    """The form of an upload that is in order."""

    video_id: str = "video-1"
    organization_id: str = "org-1"
    data: bytes = recording()

    def parts(self) -> tuple[bytes, bytes, bytes]:
        """Return the three parts, the file last."""
        return (
            text("video_id", self.video_id),
            text("organization_id", self.organization_id),
            file(self.data),
        )

    def body(self) -> bytes:
        """Return the whole form."""
        return form(*self.parts())
