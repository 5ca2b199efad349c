"""Files that are broken, that lie, or that want to harm: refused in words, or made harmless."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from core import limits
from core.errors import (
    DamagedSource,
    LecternError,
    MediaTooComplex,
    TooLarge,
    UnreadableMedia,
    UnsupportedType,
)
from core.image_files import read_image
from tests.images import drawing
from tests.images.conftest import Studio
from tests.images.test_made_images import far

KINDS = ("jpeg", "png", "webp")


def small(kind: str) -> bytes:
    """Return a small image of each kind."""
    return drawing.of_kind(kind, drawing.photo(96, 64))


# --- what is no image that is taken -----------------------------------------------------------
OTHERS = {
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>',
    "tiff": b"II*\0\x08\0\0\0" + bytes(64),
    "big tiff": b"MM\0+\0\x08\0\0" + bytes(64),
    "heic": b"\0\0\0\x18ftypheic" + bytes(64),
    "avif": b"\0\0\0\x1cftypavif" + bytes(64),
    "gif": b"GIF89a\1\0\1\0" + bytes(64),
    "bmp": b"BM" + bytes(64),
    "pdf": b"%PDF-1.7\n" + bytes(64),
    "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64),
    "jpeg xl": b"\xff\x0a" + bytes(64),
    "ico": b"\0\0\1\0\1\0" + bytes(64),
    "photoshop": b"8BPS\0\1" + bytes(64),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "script": b"#!/bin/sh\nrm -rf /\n",
    "wave": b"RIFF\x24\0\0\0WAVEfmt " + bytes(64),
    "html": b"<html><script>x()</script></html>",
    "mvg": b"push graphic-context\nimage over 0,0 0,0 'https://x.example/'\n",
    "nothing": b"",
    "two bytes": b"\xff\xd8",
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_image_that_is_taken_is_told_what_is(name: str) -> None:
    """Content decides; the words say what to send instead."""
    with pytest.raises(UnsupportedType, match="JPEG, PNG or WebP"):
        read_image(OTHERS[name])


# --- bombs ------------------------------------------------------------------------------------
def tall_jpeg() -> bytes:
    """Return a JPEG whose header says 65,500 x 65,500."""
    plain = bytearray(small("jpeg"))
    at = plain.index(b"\xff\xc0")
    plain[at + 5 : at + 9] = struct.pack(">HH", 65_500, 65_500)
    return bytes(plain)


def wide_webp() -> bytes:
    """Return a WebP whose header says 16,383 x 16,383."""
    sides = (16_382).to_bytes(3, "little") * 2
    picture = struct.pack("<3s3sHH", b"\x10\0\0", b"\x9d\x01\x2a", 16_383, 16_383) + bytes(40)
    return drawing.riff(
        drawing.riff_chunk(b"VP8X", bytes(4) + sides), drawing.riff_chunk(b"VP8 ", picture)
    )


def long_animation() -> bytes:
    """Return an APNG of 2,000 pictures."""
    frame = drawing.chunk(b"fcTL", bytes(26))
    parts = [drawing.chunk(b"acTL", struct.pack(">II", 2000, 0)), *[frame] * 2000]
    return drawing.with_chunks(small("png"), *parts)


def large_animation() -> bytes:
    """Return an animated WebP of 900 pictures of 4,000 x 4,000."""
    sides = (3_999).to_bytes(3, "little") * 2
    picture = struct.pack("<3s3sHH", b"\x10\0\0", b"\x9d\x01\x2a", 4_000, 4_000)
    frame = bytes(6) + sides + bytes(4) + drawing.riff_chunk(b"VP8 ", picture)
    return drawing.riff(
        drawing.riff_chunk(b"VP8X", b"\2\0\0\0" + sides),
        drawing.riff_chunk(b"ANIM", bytes(6)),
        *[drawing.riff_chunk(b"ANMF", frame)] * 900,
    )


def many_scans() -> bytes:
    """Return a progressive JPEG with a thousand empty scans."""
    plain = drawing.jpeg(drawing.photo(96, 64), progressive=True)
    return plain[:-2] + drawing.segment(0xDA, b"\1\1\0\0\x3f\0") * 1000 + plain[-2:]


BOMBS: dict[str, Callable[[], bytes]] = {
    "png of 31 KiB": drawing.bomb,
    "jpeg header": tall_jpeg,
    "webp header": wide_webp,
    "long png": lambda: drawing.png_of(2**31 - 1, 1, b""),
    "animation of many": long_animation,
    "animation of much": large_animation,
    "scans": many_scans,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_its_header_in_little_memory(name: str) -> None:
    """Nothing is decoded: a few times the file's own size is all that is needed."""
    data = BOMBS[name]()
    tracemalloc.start()
    try:
        with pytest.raises(MediaTooComplex):
            read_image(data)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(data) + limits.MIB
    finally:
        tracemalloc.stop()


def test_a_file_over_the_limit_is_not_even_looked_into(studio: Studio) -> None:
    """20 MiB are the most."""
    with pytest.raises(TooLarge):
        studio.make(small("jpeg") + bytes(limits.IMAGE_BYTES_MAX))


@pytest.mark.parametrize("name", [b"iCCP", b"zTXt", b"iTXt"])
def test_what_swells_when_inflated_is_left_out(name: bytes) -> None:
    """Half a gigabyte of zeros in a colour profile or a text never comes to be."""
    swelling = zlib.compress(bytes(24 * limits.MIB), 9)
    head = {b"iCCP": b"x\0\0", b"zTXt": b"x\0\0", b"iTXt": b"x\0\1\0\0\0"}[name]
    source = drawing.with_chunks(drawing.png(), drawing.chunk(name, head + swelling))
    tracemalloc.start()
    try:
        cleaned = read_image(source)
        assert tracemalloc.get_traced_memory()[1] < 16 * limits.MIB
    finally:
        tracemalloc.stop()
    assert name not in cleaned.data
    assert len(cleaned.info.dropped) == 1


def test_many_small_parts_are_too_many() -> None:
    """A million empty chunks are no image."""
    parts = drawing.chunk(b"tEXt", b"") * (limits.IMAGE_PARTS_MAX + 1)
    with pytest.raises(DamagedSource, match="parts"):
        read_image(drawing.with_chunks(small("png"), parts))


def test_a_run_of_fill_bytes_takes_no_time_to_cross() -> None:
    """Twenty megabytes of FF: each byte is looked at a bounded number of times."""
    with pytest.raises(DamagedSource):
        read_image(small("jpeg")[:-2] + b"\xff" * (19 * limits.MIB))


# --- damage -----------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_cut_is_damaged_wherever_it_was_cut(kind: str) -> None:
    """Its sender has the whole; half a picture is no picture."""
    whole = drawing.of_kind(kind)
    for percent in (1, 5, 25, 50, 75, 90, 99):
        part = whole[: max(len(whole) * percent // 100, 40)]
        with pytest.raises(DamagedSource):
            read_image(part)
    with pytest.raises(DamagedSource):
        read_image(whole[:-1])


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_with_a_hole_is_damaged_and_never_grey(studio: Studio, progressive: bool) -> None:  # noqa: FBT001 - pytest's parameter
    """It begins and ends as it should; what is missing shows only when it is decoded."""
    whole = drawing.jpeg(progressive=progressive)
    half = len(whole) // 2
    for part in (whole[:half] + b"\xff\xd9", whole[:half] + whole[half + 3000 :]):
        with pytest.raises(DamagedSource):
            studio.make(part, "thumbnail")


def test_a_png_whose_pixels_end_early_is_damaged(studio: Studio) -> None:
    """All checksums are right; there are just too few rows."""
    with pytest.raises(DamagedSource):
        studio.make(drawing.png_of(200, 200, zlib.compress(bytes(500))))


def test_a_png_with_a_wrong_checksum_is_damaged() -> None:
    """One bit in the pixels."""
    data = bytearray(drawing.png())
    data[len(data) // 2] ^= 4
    with pytest.raises(DamagedSource):
        read_image(bytes(data))


def test_padding_before_the_end_of_a_jpeg_is_no_damage(studio: Studio) -> None:
    """Some cameras write a few bytes too many."""
    made = studio.make(drawing.jpeg(quality=97)[:-2] + bytes(16) + b"\xff\xd9", "thumbnail")
    shown = drawing.opened(made.images[0].path)
    assert far(shown, drawing.photo().resize(shown.size, Image.Resampling.LANCZOS)) < 6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_flipped_bits_give_a_picture_or_a_reason_by_the_headers(kind: str, seed: int) -> None:
    """Whatever is flipped, the reader says one of its own errors or gives a whole file."""
    chance = random.Random(f"{kind}{seed}")  # noqa: S311 - which bits, not a secret
    whole = small(kind)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(min(len(data), chance.choice([40, 700, 10**6])))] ^= (
                1 << chance.randrange(8)
            )
        try:
            cleaned = read_image(bytes(data))
        except LecternError:
            continue
        assert read_image(cleaned.data).info.displayed == cleaned.info.displayed


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits_give_a_picture_or_a_reason_to_the_end(studio: Studio, kind: str) -> None:
    """The same through all of it."""
    chance = random.Random(kind)  # noqa: S311
    for _ in range(3):
        data = bytearray(small(kind))
        for _ in range(3):
            data[chance.randrange(12, len(data))] ^= 1 << chance.randrange(8)
        try:
            studio.make(bytes(data))
        except LecternError as error:
            assert error.code in {"damaged_source", "unreadable_media", "media_too_complex"}  # noqa: PT017 - either way is right


# --- lies -------------------------------------------------------------------------------------
@pytest.mark.parametrize("said", KINDS)
@pytest.mark.parametrize("held", KINDS)
def test_a_body_under_another_kinds_header_is_damaged(said: str, held: str) -> None:
    """What the first bytes say decides, and the rest does not fit it."""
    if said == held:
        return
    with pytest.raises((DamagedSource, UnreadableMedia)):
        read_image(small(said)[:16] + small(held)[16:])


def test_a_header_of_another_size_than_the_pixels_is_damaged(studio: Studio) -> None:
    """A WebP whose canvas and whose picture differ, and a PNG with more rows than it says."""
    sides = (9).to_bytes(3, "little") * 2
    picture = small("webp")[12:]
    with pytest.raises(DamagedSource):
        read_image(drawing.riff(drawing.riff_chunk(b"VP8X", bytes(4) + sides), picture))
    taller = drawing.png_of(8, 3000, zlib.compress(bytes(2 * 8)))
    with pytest.raises(DamagedSource):
        studio.make(taller)


@pytest.mark.parametrize("marker", [0xC0, 0xC3, 0xC9, 0xCB])
def test_overwritten_pixels_are_damage_whatever_header_they_look_like(marker: int) -> None:
    """Nobody can export anew what came over broken: it must be sent again."""
    data = drawing.jpeg()
    middle = len(data) // 2
    frame = drawing.segment(marker, b"\x08\0\x40\0\x60\x03" + bytes(9))
    with pytest.raises(DamagedSource, match="damaged"):
        read_image(data[:middle] + frame + data[middle + len(frame) :])


@pytest.mark.parametrize("seed", range(3))
def test_overwritten_pixels_never_look_like_another_coding(seed: int) -> None:
    """Two hundred bytes of anything, anywhere behind the picture's own header."""
    chance = random.Random(seed)  # noqa: S311 - which bytes, not a secret
    whole = drawing.jpeg()
    begins = whole.index(b"\xff\xda") + 20
    for _ in range(300):
        data = bytearray(whole)
        at = chance.randrange(begins, len(data) - 202)
        data[at : at + 200] = chance.randbytes(200)
        with contextlib.suppress(DamagedSource):
            read_image(bytes(data))


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC9, 0xCA, 0xCB])
def test_a_jpeg_that_browsers_do_not_show_is_unreadable(marker: int) -> None:
    """Lossless, hierarchical, arithmetic."""
    data = small("jpeg").replace(b"\xff\xc0", bytes((0xFF, marker)), 1)
    with pytest.raises(UnreadableMedia):
        read_image(data)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_of_no_pixels_is_damaged(kind: str) -> None:
    """Zero by zero."""
    data = {
        "jpeg": tall_jpeg().replace(struct.pack(">HH", 65_500, 65_500), bytes(4)),
        "png": drawing.png_of(0, 0, b""),
        "webp": drawing.riff(drawing.riff_chunk(b"VP8 ", b"\x10\0\0\x9d\x01\x2a" + bytes(20))),
    }[kind]
    with pytest.raises(DamagedSource):
        read_image(data)


def test_two_headers_are_one_too_many() -> None:
    """A second one could hide the first one's size."""
    data = small("jpeg")
    at = data.index(b"\xff\xc0")
    size = int.from_bytes(data[at + 2 : at + 4], "big") + 2
    with pytest.raises(DamagedSource, match="two headers"):
        read_image(data[: at + size] + data[at : at + size] + data[at + size :])


@pytest.mark.parametrize("entries", [0xFFFF, 1])
def test_an_exif_that_points_nowhere_turns_nothing(entries: int) -> None:
    """Its offsets and counts are not believed."""
    lie = b"Exif\0\0II*\0" + struct.pack("<IH", 0xFFFFFFF0 if entries == 1 else 8, entries)
    cleaned = read_image(drawing.with_segments(small("jpeg"), drawing.segment(0xE1, lie)))
    assert cleaned.info.orientation == 1


# --- polyglots --------------------------------------------------------------------------------
def test_a_file_that_is_two_things_is_only_an_image_afterwards(studio: Studio) -> None:
    """An archive behind it, a page in its comment: gone from what is kept and what is made."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("evil.class", drawing.SECRET)
    page = b"<script>" + drawing.SECRET + b"</script>"
    for quality in (10, 97):
        plain = drawing.with_segments(
            drawing.jpeg(quality=quality), drawing.segment(0xFE, page), drawing.segment(0xE8, page)
        )
        for image in studio.make(plain + archive.getvalue()).images:
            assert not zipfile.is_zipfile(image.path)
            assert b"<script>" not in image.path.read_bytes()
