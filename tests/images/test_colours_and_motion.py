"""Colour profiles, printers' colours, odd gammas, and animations."""

from __future__ import annotations

import hashlib
import io

import pytest
from PIL import Image, ImageCms, ImageSequence

from core.image_files import read_image
from core.images import BAD_PROFILE
from tests.images import drawing
from tests.images.conftest import Studio
from tests.images.test_made_images import far


def in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Convert with LittleCMS by way of Pillow."""
    given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    made = ImageCms.profileToProfile(
        picture, given, ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB",
    )  # fmt: skip
    assert made is not None
    return made


def opened_of(data: bytes) -> Image.Image:
    """Decode with Pillow."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def muted(picture: Image.Image) -> Image.Image:
    """Return the picture in colours that are far from any edge."""
    return Image.blend(picture, Image.new("RGB", picture.size, (128, 128, 128)), 0.7)


def test_a_profile_that_is_srgb_is_left_out(studio: Studio) -> None:
    """It is what is assumed without one, and small pictures are no larger than it."""
    source = drawing.jpeg(icc_profile=drawing.profile("srgb"))
    shown = drawing.opened(studio.make(source, "thumbnail").images[0].path)
    assert "icc_profile" not in shown.info


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_colours_that_srgb_has_are_converted_to_it(studio: Studio, kind: str) -> None:
    """The profile is gone, and the colours are what it said."""
    picture, profile = muted(drawing.photo()), drawing.profile("p3")
    source = drawing.of_kind(kind, picture, icc_profile=profile)
    made = studio.make(source, "thumbnail")
    shown = drawing.opened(made.images[0].path)
    assert "icc_profile" not in shown.info
    wanted = in_srgb(picture, profile).resize(shown.size, Image.Resampling.LANCZOS)
    assert far(shown, wanted) < 3


@pytest.mark.parametrize("form", [None, "avif"])
def test_colours_beyond_srgb_keep_their_profile(studio: Studio, form: str | None) -> None:
    """Display P3 of a telephone: red that sRGB has not stays that red."""
    picture, profile = drawing.photo(), drawing.profile("p3")
    picture.paste((255, 0, 0), (240, 160, 480, 320))
    made = studio.make(drawing.jpeg(picture, icc_profile=profile), "thumbnail", form=form)
    shown = drawing.opened(made.images[0].path)
    assert shown.info["icc_profile"] == profile
    assert far(shown, picture.resize(shown.size, Image.Resampling.LANCZOS)) < 4
    assert "profile are kept" in made.warnings[0]


def test_a_broken_profile_is_left_out_and_told_of(studio: Studio) -> None:
    """Its head is right, and nothing behind it."""
    profile = drawing.profile("p3")
    for broken in (profile[:128] + bytes(len(profile) - 128), b"no profile at all"):
        made = studio.make(drawing.jpeg(icc_profile=broken), "thumbnail")
        assert "icc_profile" not in drawing.opened(made.images[0].path).info
        assert "profile" in made.warnings[0]


def hollow(profile: bytes) -> bytes:
    """Return a profile with a right head and table of tags, and zeros where those point to."""
    tags = 128 + 4 + 12 * int.from_bytes(profile[128:132], "big")
    return profile[:tags] + bytes(len(profile) - tags)


def of_class(profile: bytes, name: bytes) -> bytes:
    """Return a profile that says that it is of another class."""
    return profile[:12] + name + profile[16:]


LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_large_picture_with_a_hollow_profile_is_no_damaged_one(studio: Studio, kind: str) -> None:
    """Its pixels are read from top to bottom, and only what they look like tells of the profile."""
    picture = drawing.photo(1000, 800)
    source = drawing.of_kind(kind, picture, icc_profile=hollow(drawing.profile("srgb")))
    made = studio.make(source)
    shown = drawing.opened(made.images[0].path)
    assert "icc_profile" not in shown.info
    assert far(shown, picture) < 5
    assert made.warnings == (BAD_PROFILE,)


@pytest.mark.parametrize(
    "profile",
    [LAB, of_class(drawing.profile("srgb"), b"link"), of_class(drawing.profile("srgb"), b"abst"),
     drawing.profile("cmyk")],
    ids=["lab", "link", "abstract", "cmyk"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_profile_that_is_for_no_such_picture_is_left_out(kind: str, profile: bytes) -> None:
    """Its header says so; the same picture without it is what goes on."""
    cleaned = read_image(drawing.of_kind(kind, icc_profile=profile))
    assert not cleaned.info.profile
    assert "profile" in cleaned.info.dropped
    assert opened_of(cleaned.data).info.get("icc_profile") is None


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_the_same_file_can_be_had_without_its_profile(kind: str) -> None:
    """All else stays as it was, to the last pixel."""
    source = drawing.of_kind(kind, icc_profile=drawing.profile("p3"))
    with_it, without = read_image(source), read_image(source, profile=False)
    assert (with_it.info.profile, without.info.profile) == (True, False)
    shown = opened_of(without.data)
    assert "icc_profile" not in shown.info
    assert shown.tobytes() == opened_of(with_it.data).tobytes()


def test_a_profile_that_cannot_be_used_is_left_out_of_what_is_kept(studio: Studio) -> None:
    """A source that is small already keeps its pixels, and the warning is true of it too."""
    profile = hollow(drawing.profile("srgb"))
    source = drawing.webp(drawing.photo(200, 120), quality=20, icc_profile=profile)
    made = studio.make(source)
    shown = drawing.opened(made.images[0].path)
    assert made.images[0].action == "kept"
    assert "icc_profile" not in shown.info
    assert shown.tobytes() == opened_of(source).tobytes()
    assert made.warnings == (BAD_PROFILE,)


def test_a_small_picture_in_printers_colours_is_converted_all_the_same(studio: Studio) -> None:
    """Re-encoding saves next to nothing, but what is said of its colours is true."""
    picture = drawing.photo(300, 200).convert("CMYK")
    for quality in (5, 25):
        made = studio.make(drawing.jpeg(picture, quality=quality))
        assert made.images[0].action == "encoded"
        assert drawing.opened(made.images[0].path).mode == "RGB"
        assert made.warnings == ("the image: its printing colours are converted to sRGB",)


def noise() -> bytes:
    """Return a JPEG in printers' colours of as few bytes as noise can have."""
    picture = Image.frombytes("CMYK", (200, 200), hashlib.shake_256(b"noise").digest(160_000))
    return drawing.jpeg(picture, quality=1, subsampling=2)


def test_printers_colours_are_converted_below_the_bar_rather_than_kept(studio: Studio) -> None:
    """Where the bar would need more bytes than the source has, and that is told."""
    made = studio.make(noise())
    assert made.images[0].action == "encoded"
    assert drawing.opened(made.images[0].path).mode == "RGB"
    assert "converted to sRGB" in made.warnings[0]
    assert "less like its source" in made.warnings[1]
    assert made.warnings[1].endswith("it would be larger than the source otherwise")


def test_printers_colours_that_are_kept_are_said_to_be(studio: Studio) -> None:
    """Noise as WebP has more bytes at any number, so the source is all that there is."""
    made = studio.make(noise(), form="webp")
    assert made.images[0].action == "kept"
    assert drawing.opened(made.images[0].path).mode == "CMYK"
    assert not any("converted" in warning for warning in made.warnings)
    assert any("keeps its printing colours" in warning for warning in made.warnings)


@pytest.mark.parametrize("profile", [None, "cmyk"])
def test_printers_colours_become_those_of_a_screen(studio: Studio, profile: str | None) -> None:
    """CMYK, with its profile or without: white is white and red is red."""
    picture = Image.new("CMYK", (300, 200), (0, 0, 0, 0))
    picture.paste((0, 255, 255, 0), (0, 0, 150, 200))
    how = {"icc_profile": drawing.profile(profile)} if profile else {}
    made = studio.make(drawing.jpeg(picture, **how), "thumbnail", form="webp")
    shown = drawing.opened(made.images[0].path).convert("RGB")
    red, white = shown.getpixel((40, 100)), shown.getpixel((260, 100))
    assert isinstance(red, tuple)
    assert isinstance(white, tuple)
    assert min(white) > 245
    assert red[0] > 180
    assert max(red[1:]) < 90


def test_a_png_of_another_gamma_looks_as_it_says(studio: Studio) -> None:
    """A linear one is brighter than its numbers: 64 of 255 is shown as 137."""
    plain = Image.new("RGB", (200, 100), (64, 64, 64))
    source = drawing.with_chunks(
        drawing.png(plain), drawing.chunk(b"gAMA", (100_000).to_bytes(4, "big"))
    )
    made = studio.make(source + bytes(3000), form="webp")
    shown = drawing.opened(made.images[0].path).convert("RGB").getpixel((100, 50))
    assert isinstance(shown, tuple)
    assert abs(shown[0] - 137) <= 3


# --- animations -------------------------------------------------------------------------------
def frames(count: int = 4) -> list[Image.Image]:
    """Draw a square that moves."""
    made = []
    for number in range(count):
        picture = drawing.photo(400, 260)
        picture.paste((255, 255, 0), (number * 50, 100, number * 50 + 60, 160))
        made.append(picture)
    return made


def test_an_animated_webp_moves_in_every_size(studio: Studio) -> None:
    """As many pictures, each as long, as often repeated, and the square is where it was."""
    drawn = frames()
    waits = [50, 60, 70, 80]
    source = drawing.webp(drawn[0], save_all=True, append_images=drawn[1:], duration=waits, loop=3)
    made = studio.make(source, "thumbnail", "original")
    for image in made.images:
        told = []
        with Image.open(image.path) as shown:
            for given, frame in zip(drawn, ImageSequence.Iterator(shown), strict=True):
                assert far(frame, given.resize(frame.size, Image.Resampling.LANCZOS)) < 5
                told.append(frame.info["duration"])
            assert shown.info["loop"] == 3
        assert told == waits
    assert made.images[0].width == 320


def test_pictures_of_an_animation_do_not_bleed_into_each_other(studio: Studio) -> None:
    """White above and black below stays so in the first row and the last of every picture."""
    drawn = []
    for number in range(4):
        picture = Image.new("RGB", (1000, 700), "white")
        picture.paste("black", (0, 600, 1000, 700))
        picture.paste((200, 30 * number, 30), (100 + 100 * number, 200, 300 + 100 * number, 400))
        drawn.append(picture)
    source = drawing.webp(drawn[0], save_all=True, append_images=drawn[1:], lossless=True)
    made = studio.make(source, "thumbnail")
    with Image.open(made.images[0].path) as shown:
        for frame in ImageSequence.Iterator(shown):
            picture = frame.convert("RGB")
            assert picture.getpixel((160, 0)) == (255, 255, 255)
            assert picture.getpixel((160, picture.height - 1)) == (0, 0, 0)
    assert made.images[0].likeness.low > 0.99
    assert made.warnings == ()


def test_an_animated_png_is_kept_and_its_thumbnail_stands_still(studio: Studio) -> None:
    """No other pixels are made of it, which is told."""
    drawn = frames()
    source = drawing.png(drawn[0], save_all=True, append_images=drawn[1:], duration=50)
    made = studio.make(source, "original", "thumbnail", form="webp")
    moving, still = made.images
    with Image.open(moving.path) as shown:
        assert (shown.format, getattr(shown, "n_frames", 1)) == ("PNG", 4)
    with Image.open(still.path) as shown:
        assert (shown.format, getattr(shown, "n_frames", 1)) == ("WEBP", 1)
    assert any("first picture" in warning for warning in made.warnings)
    assert any("stays PNG" in warning for warning in made.warnings)
