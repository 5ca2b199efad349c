"""Pictures within recordings that are out to harm: sizes, parameters and messages of frames."""

from __future__ import annotations

import struct
import zlib

from infra import ffmpeg
from tests.hostile import ebml
from tests.hostile.bases import Bases, changing_sizes
from tests.hostile.crafted import Crafted, Make, survived
from tests.hostile.ebml import element, file, film, info, picture_track


def _jpeg(width: int, height: int) -> Make:
    """Let every JPEG picture claim another size (ITU-T T.81, B.2.2)."""

    def make(bases: Bases) -> bytes:
        frame = bytearray(bases["jpg"])
        at = frame.index(b"\xff\xc0")
        frame[at + 5 : at + 9] = struct.pack(">HH", height, width)
        return file(info(), element(ebml.TRACKS, picture_track()), film([bytes(frame)] * 10))

    return make


def _png(width: int, height: int, depth: int = 8) -> Make:
    """Make PNG pictures of zeros, which pack a thousand to one."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    def make(_: Bases) -> bytes:
        head = struct.pack(">IIBBBBB", width, height, depth, 6, 0, 0, 0)
        data = zlib.compress(bytes(min(width * height // 8, 20_000_000)), 9)
        frame = (
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
        )
        track = picture_track(codec=b"V_MS/VFW/FOURCC", width=64, height=48)
        form = struct.pack("<IiiHH4sIiiII", 40, 64, 48, 1, 24, b"MPNG", 0, 0, 0, 0, 0)
        track = picture_track(element(b"\x63\xa2", form), codec=b"V_MS/VFW/FOURCC")
        return file(info(), element(ebml.TRACKS, track), film([frame] * 5))

    return make


def _annex_b(change: Make) -> Make:
    """Wrap a bare H.264 stream, one access unit a frame, as no header tells of it."""

    def make(bases: Bases) -> bytes:
        units = change(bases).split(b"\0\0\0\1\x09")
        frames = [unit for unit in units if unit] or [b"\0"]
        form = struct.pack("<IiiHH4sIiiII", 40, 64, 48, 1, 24, b"H264", 0, 0, 0, 0, 0)
        track = picture_track(element(b"\x63\xa2", form), codec=b"V_MS/VFW/FOURCC")
        return file(info(), element(ebml.TRACKS, track), film(frames[:200]))

    return make


def _with_message(message: bytes) -> Make:
    def change(bases: Bases) -> bytes:
        return bases["h264"].replace(b"\0\0\0\1\x68", message + b"\0\0\0\1\x68", 1)

    return _annex_b(change)


def _sei(kind: int, size: int) -> bytes:
    """Return a supplemental message (ITU-T H.264, 7.3.2.3.1) that claims `size` bytes."""
    return b"\0\0\0\1\x06" + bytes([kind]) + b"\xff" * (size // 255) + bytes([size % 255])


def pictures() -> list[Crafted]:
    """Return all of them."""
    spliced = b"\0\0\0\1\x67\x64\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff"
    return list(
        survived(
            jpeg_of_65500_a_side=_jpeg(65_500, 65_500),
            jpeg_of_65500_by_1=_jpeg(65_500, 1),
            jpeg_of_no_size=_jpeg(0, 0),
            jpeg_of_one_pixel=_jpeg(1, 1),
            jpeg_of_8192_by_4320=_jpeg(8192, 4320),
            png_of_2e9_a_side=_png(2**31 - 1, 2**31 - 1),
            png_of_16384_a_side=_png(16_384, 16_384),
            png_of_8000_by_4000=_png(8000, 4000),
            png_of_16_bits_a_colour=_png(4000, 4000, 16),
            sizes_change_in_every_frame=lambda b: changing_sizes(b.folder, ffmpeg.find()),
            messages_that_lie=_with_message(_sei(5, 1_000_000)),
            messages_as_a_bomb=_with_message((_sei(5, 200) + bytes(200)) * 3000),
            captions_as_a_bomb=_with_message(
                (_sei(4, 40) + b"\xb5\0\x31GA94\x03" + b"\xff" * 32) * 3000
            ),
            parameters_of_nowhere=_annex_b(lambda b: spliced * 50 + b["h264"]),
            parameters_only=_annex_b(lambda b: b["h264"][:60]),
            starts_without_an_end=_annex_b(lambda b: b"\0\0\1" * 100_000 + b["h264"]),
        )
    )
