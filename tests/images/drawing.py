"""Small images of every kind, drawn with Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pyvips
from PIL import Image, ImageDraw

SECRET = b"SECRET-51.5007N-0.1246W"
"""What must never come out again."""


def photo(width: int = 480, height: int = 320, seed: int = 3) -> Image.Image:
    """Draw something like a photo: soft colours, edges, words, and a mark in one corner."""
    ramp = Image.linear_gradient("L").resize((width, height))
    round_ = Image.radial_gradient("L").resize((width, height))
    picture = Image.merge("RGB", (ramp, round_, ramp.transpose(Image.Transpose.ROTATE_180)))
    coarse = Image.linear_gradient("L").resize((8 + seed, 8)).transpose(Image.Transpose.ROTATE_90)
    coarse = coarse.resize((width, height), Image.Resampling.BICUBIC)
    picture = Image.blend(picture, Image.merge("RGB", (coarse, coarse, coarse)), 0.3)
    drawing = ImageDraw.Draw(picture)
    drawing.rectangle((0, 0, width // 4, height // 4), fill=(220, 30, 30))
    for line in range(10, width, 24):
        drawing.line((line, height // 2, line + 40, height), fill=(line % 256, 200, 60), width=2)
    drawing.text((width // 3, height // 3), "Lecture 7: eigenvalues", fill=(250, 250, 250))
    return picture


def jpeg(picture: Image.Image | None = None, **how: Any) -> bytes:
    """Write a JPEG of good quality."""
    return _saved(picture or photo(), "JPEG", **{"quality": 95, "subsampling": 0, **how})


def png(picture: Image.Image | None = None, **how: Any) -> bytes:
    """Write a PNG."""
    return _saved(picture or photo(), "PNG", **how)


def webp(picture: Image.Image | None = None, **how: Any) -> bytes:
    """Write a WebP of good quality."""
    return _saved(picture or photo(), "WEBP", **{"quality": 95, **how})


def of_kind(kind: str, picture: Image.Image | None = None, **how: Any) -> bytes:
    """Write one of the three."""
    return {"jpeg": jpeg, "png": png, "webp": webp}[kind](picture, **how)


def _saved(picture: Image.Image, form: str, **how: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **how)
    return file.getvalue()


def exif(orientation: int = 1) -> bytes:
    """Return an EXIF with a place, a maker's note and an orientation."""
    data = Image.Exif()
    data[0x0112] = orientation
    data[0x010F] = SECRET.decode()
    data.get_ifd(0x8825)[2] = (51.0, 30.0, 2.52)
    data.get_ifd(0x8825)[29] = SECRET.decode()
    return data.tobytes()


def profile(name: str) -> bytes:
    """Return one of libvips' own colour profiles: srgb, p3 or cmyk."""
    return bytes(pyvips.Image.profile_load(name))


def opened(path: Path) -> Image.Image:
    """Decode a result with Pillow."""
    image = Image.open(path)
    image.load()
    return image


# --- bytes ------------------------------------------------------------------------------------
def segment(marker: int, payload: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def with_segments(image: bytes, *segments: bytes) -> bytes:
    """Put segments behind a JPEG's first two bytes."""
    return image[:2] + b"".join(segments) + image[2:]


def chunk(kind: bytes, payload: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return (
        struct.pack(">I", len(payload))
        + kind
        + payload
        + struct.pack(">I", zlib.crc32(kind + payload))
    )


def with_chunks(image: bytes, *chunks: bytes) -> bytes:
    """Put chunks behind a PNG's header."""
    return image[:33] + b"".join(chunks) + image[33:]


def riff_chunk(kind: bytes, payload: bytes) -> bytes:
    """Return a chunk of a WebP."""
    return kind + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)


def riff(*chunks: bytes) -> bytes:
    """Return a WebP of chunks."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def png_of(width: int, height: int, data: bytes, *, depth: int = 1, colour: int = 0) -> bytes:
    """Return a PNG whose header says what it likes."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def bomb() -> bytes:
    """Return a PNG of 31 KiB with 16,384 x 16,384 pixels."""
    pack = zlib.compressobj(9)
    row = bytes(1 + 16_384 // 8)
    data = b"".join(pack.compress(row) for _ in range(16_384)) + pack.flush()
    return png_of(16_384, 16_384, data)
