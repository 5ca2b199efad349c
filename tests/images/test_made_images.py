"""What comes out, as another library sees it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace

import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

from core.images import IMAGE_QUALITIES, image_order
from core.order import Order, QualityLevel
from tests.images import drawing
from tests.images.conftest import Studio

THOROUGH = os.environ.get("LECTERN_TORTURE") == "1"
"""Every orientation and format; else those that are most unlike each other."""


def far(one: Image.Image, other: Image.Image) -> float:
    """Return by how much two pictures differ on average, of 255."""
    difference = ImageChops.difference(one.convert("RGB"), other.convert("RGB"))
    return max(ImageStat.Stat(difference).mean)


def source_of(data: bytes) -> Image.Image:
    """Decode a source as it must be looked at."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data)))


def test_a_photo_gets_small_in_all_sizes_and_stays_like_itself(studio: Studio) -> None:
    """The default's bar holds for every variant, and nothing is scaled up."""
    source = drawing.jpeg(drawing.photo(1200, 800), quality=97)
    made = studio.make(source, "thumbnail", "medium", "large", "original")
    sizes = [(image.width, image.height) for image in made.images]
    assert sizes == [(320, 213), (1024, 683), (1200, 800), (1200, 800)]
    bar = IMAGE_QUALITIES[QualityLevel.HIGH].bar
    for image, size in zip(made.images, sizes, strict=True):
        shown = drawing.opened(image.path)
        assert (shown.format, shown.size) == ("JPEG", size)
        assert image.likeness.low >= bar - 0.005
        assert far(shown, source_of(source).resize(size, Image.Resampling.LANCZOS)) < 6
    assert made.images[3].size < len(source) * 0.6
    assert made.warnings == ()


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif"] if THOROUGH else ["webp"])
def test_a_better_quality_has_more_bytes_and_reaches_its_bar(studio: Studio, kind: str) -> None:
    """From low to ultra."""
    source = drawing.jpeg(drawing.photo(640, 400), quality=98)
    form = None if kind == "jpeg" else kind
    sizes = []
    for level in QualityLevel:
        made = studio.make(source, "thumbnail", form=form, quality=level)
        sizes.append(made.images[0].size)
        assert made.images[0].likeness.low >= IMAGE_QUALITIES[level].bar - 0.005
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


@pytest.mark.parametrize(
    ("form", "given", "reason"),
    [
        ("keep", 100, "its format comes no nearer"),
        ("webp", 97, "it would be larger than the source"),
    ],
)
def test_a_bar_that_no_number_reaches_is_told_of_with_its_reason(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, form: str, given: int, reason: str
) -> None:
    """JPEG has nothing above its last number; WebP has no losses, where there is room for it."""
    order = image_order(Order(image_format=form))
    order = replace(order, quality=replace(order.quality, bar=0.99999))
    monkeypatch.setattr("transcoder.images.make.image_order", lambda _: order)
    made = studio.make(drawing.jpeg(quality=given))
    assert made.images[0].action == "encoded"
    assert reason in made.warnings[0]


@pytest.mark.parametrize("orientation", range(2, 9) if THOROUGH else (3, 5, 6))
def test_what_a_camera_held_sideways_took_comes_out_upright(
    studio: Studio, orientation: int
) -> None:
    """All eight of EXIF's orientations, without a word of the EXIF."""
    source = drawing.jpeg(exif=drawing.exif(orientation), quality=99)
    made = studio.make(source, "thumbnail", "original", quality=QualityLevel.MEDIUM)
    upright = source_of(source)
    assert made.source.displayed == upright.size
    for image in made.images:
        shown = drawing.opened(image.path)
        assert image.action == "encoded"
        assert far(shown, upright.resize(shown.size, Image.Resampling.LANCZOS)) < 8
        assert not shown.getexif()


@pytest.mark.parametrize(
    ("kind", "orientation"), [("jpeg", 1), ("jpeg", 6), ("png", 6), ("webp", 8)]
)
def test_a_source_that_is_small_already_keeps_its_pixels_and_loses_its_metadata(
    studio: Studio, kind: str, orientation: int
) -> None:
    """Kept is lossless; how it must be turned is all that EXIF still says."""
    picture = drawing.photo(200, 120).quantize(16) if kind == "png" else drawing.photo(200, 120)
    quality = {} if kind == "png" else {"quality": 20}
    source = drawing.of_kind(kind, picture, exif=drawing.exif(orientation), **quality)
    made = studio.make(source)
    shown = drawing.opened(made.images[0].path)
    if kind != "png":
        assert made.images[0].action == "kept"
    upright = ImageOps.exif_transpose(shown)
    assert far(upright, source_of(source)) == 0
    assert (made.images[0].width, made.images[0].height) == upright.size
    assert set(shown.getexif()) <= {0x0112}


def test_a_lying_webp_is_turned_though_that_saves_next_to_nothing(studio: Studio) -> None:
    """Few viewers heed its EXIF; the same picture upright would have been kept."""
    picture = drawing.photo(200, 120)
    upright = studio.make(drawing.webp(picture, quality=88)).images[0]
    source = drawing.webp(picture, quality=88, exif=drawing.exif(6))
    turned = studio.make(source).images[0]
    assert (upright.action, turned.action) == ("kept", "encoded")
    shown = drawing.opened(turned.path)
    assert shown.size == (120, 200)
    assert not shown.getexif()
    assert far(shown, source_of(source)) < 8


def deep_png() -> bytes:
    """Return a PNG of 16 bits that lies."""
    ramp = Image.linear_gradient("L").resize((200, 120))
    deep = ramp.convert("I").point(lambda level: level * 257).convert("I;16")
    return drawing.png(deep, exif=drawing.exif(6))


def lossless_webp() -> bytes:
    """Return a WebP that lies and would have more bytes upright without losses."""
    return drawing.webp(drawing.photo(200, 120), lossless=True, method=6, exif=drawing.exif(6))


@pytest.mark.parametrize("source", [deep_png, lossless_webp])
def test_a_picture_that_would_lose_by_turning_is_kept_lying_and_told_of(
    studio: Studio, source: Callable[[], bytes]
) -> None:
    """An EXIF of its own says how to turn it, and no pixel is lost."""
    given = source()
    made = studio.make(given)
    shown = drawing.opened(made.images[0].path)
    assert shown.getexif() == {0x0112: 6}
    assert shown.tobytes() == Image.open(io.BytesIO(given)).tobytes()
    assert (made.images[0].width, made.images[0].height) == (120, 200)
    assert "kept lying" in made.warnings[0]


def test_everything_that_a_jpeg_tells_of_its_maker_is_gone(studio: Studio) -> None:
    """EXIF, its thumbnail, XMP, IPTC, comments, a JFIF thumbnail, and what is hung on behind."""
    secret = drawing.SECRET
    extras = [
        drawing.segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\5\1" + secret[:15]),
        drawing.segment(0xE1, drawing.exif()),
        drawing.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + secret),
        drawing.segment(0xED, b"Photoshop 3.0\0" + secret),
        drawing.segment(0xFE, secret),
        drawing.segment(0xEF, secret),
        drawing.segment(0xEE, b"Adobe\0\x64\0\0\0\0\1" + secret),
    ]
    for quality in (97, 15):
        source = drawing.with_segments(drawing.jpeg(quality=quality), *extras) + secret
        studio.make(source, "thumbnail", "original")


def test_everything_that_a_png_tells_of_its_maker_is_gone(studio: Studio) -> None:
    """Text in three spellings, time, EXIF, private chunks, and what is hung on behind."""
    secret = drawing.SECRET
    source = drawing.with_chunks(
        drawing.png(),
        drawing.chunk(b"tEXt", b"Comment\0" + secret),
        drawing.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + secret),
        drawing.chunk(b"zTXt", b"Comment\0\0" + secret),
        drawing.chunk(b"eXIf", drawing.exif().removeprefix(b"Exif\0\0")),
        drawing.chunk(b"prVt", secret),
    )
    studio.make(source + secret, "thumbnail", "original")


def test_what_is_png_stays_so_bit_for_bit(studio: Studio) -> None:
    """Palettes, one bit, grey, alpha: every pixel is the same as before."""
    colours = drawing.photo(96, 64)
    alpha = colours.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(alpha.size))
    for picture in (
        alpha,
        colours.quantize(64),
        colours.convert("1"),
        colours.convert("LA"),
    ):
        source = drawing.png(picture)
        shown = drawing.opened(studio.make(source).images[0].path)
        assert (
            ImageChops.difference(shown.convert("RGBA"), picture.convert("RGBA")).getbbox(
                alpha_only=False
            )
            is None
        )


@pytest.mark.parametrize("form", ["webp", "avif"])
def test_transparency_survives_a_new_format(studio: Studio, form: str) -> None:
    """Both modern formats have alpha."""
    picture = drawing.photo(320, 200).convert("RGBA")
    picture.putalpha(Image.radial_gradient("L").resize(picture.size))
    made = studio.make(drawing.png(picture), "original", "thumbnail", form=form)
    for image in made.images:
        shown = drawing.opened(image.path)
        assert image.format == form
        assert shown.mode == "RGBA"
        assert far(shown.getchannel("A"), picture.getchannel("A")) < 2
    flat = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    seen = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), shown)
    assert far(flat, seen) < 4


def test_sixteen_bits_are_kept_where_the_format_is_and_told_of_where_not(studio: Studio) -> None:
    """A deep PNG loses nothing as itself; as WebP it is the same picture of 8 bits."""
    ramp = Image.linear_gradient("L").resize((200, 100))
    deep = ramp.convert("I").point(lambda level: level * 257).convert("I;16")
    source = drawing.png(deep)
    kept = studio.make(source).images[0]
    assert kept.action == "kept"
    assert drawing.opened(kept.path).tobytes() == deep.tobytes()
    made = studio.make(source, form="webp")
    assert "16 bits" in made.warnings[0]
    assert far(drawing.opened(made.images[0].path), ramp) < 2


def test_grey_stays_grey(studio: Studio) -> None:
    """One channel is enough."""
    source = drawing.jpeg(drawing.photo().convert("L"))
    shown = drawing.opened(studio.make(source, "thumbnail").images[0].path)
    assert shown.mode == "L"


def test_a_progressive_jpeg_is_as_good_as_any(studio: Studio) -> None:
    """Scans are kept together where pixels are kept, and decoded where not."""
    for quality in (95, 10):
        source = drawing.jpeg(quality=quality, progressive=True)
        made = studio.make(source)
        assert far(drawing.opened(made.images[0].path), source_of(source)) < 4


def test_the_first_of_several_pictures_in_a_file_is_the_picture(studio: Studio) -> None:
    """A multi-picture file of a camera; that others are left out is told."""
    second = Image.new("RGB", (480, 320), "green")
    file = io.BytesIO()
    drawing.photo().save(file, "MPO", save_all=True, append_images=[second], quality=97)
    made = studio.make(file.getvalue())
    shown = drawing.opened(made.images[0].path)
    assert shown.format == "JPEG"
    assert far(shown, drawing.photo()) < 5
    assert "more pictures" in made.warnings[0]


def test_where_nothing_smaller_can_be_made_the_source_stays(studio: Studio) -> None:
    """One byte more than the source would be too many, also for a small copy of few bytes."""
    flat = Image.new("1", (1200, 1200))
    made = studio.make(drawing.png(flat), "thumbnail", "original", form="avif")
    assert all(image.size <= made.source.size for image in made.images)
