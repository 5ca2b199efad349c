"""Decode an image into upright 8-bit pixels, and say how alike two are. Runs in the sandbox.

Only the loader of the kind that the headers show is ever called.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Final

import pyvips

Facts = dict[str, Any]
Image = Any
"""A `pyvips.Image`: its operations are made when they are called, so no types are known."""

PROFILE: Final = "icc-profile-data"
_NEVER_ON_DISC: Final = "64g"
"""Bytes from which on libvips unpacks an image into a file: more than the process may use."""
_OPERATIONS_MAX: Final = 0
"""Results that libvips keeps for another call: each is made once here."""
_CARELESS: Final = re.compile(r"\D\d{1,2} extraneous bytes before|JFIF revision|Adobe color")
"""What JPEG decoders complain of though every pixel is there: padding before a marker, and odd
versions."""
_REASON_CHARS: Final = 200
_LATTICE: Final = 9
_LATTICE_STEP: Final = 255 / (_LATTICE - 1)
_SAME_LEVELS: Final = 4
"""Of 255: as far as two spellings of sRGB differ (Windows', Apple's, the ICC's)."""
_WIDE_SHARE: Final = 0.001
"""Of the pixels: fewer outside of sRGB are not worth a profile."""
_WIDE_BY: Final = 0.01
_SAMPLES_SIDE: Final = 1024
"""Pixels of a side on which the colours are looked at."""
_WIDE_TOLD: Final = "its colours go beyond sRGB: they and the colour profile are kept"
_PRINTED_TOLD: Final = "its printing colours are converted to sRGB"
_GAMMA: Final = 2.2


class Damaged(Exception):
    """The image cannot be decoded whole."""


class UnusableProfile(Exception):
    """The image's colour profile is none for it; the image is to be read without."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Upright pixels of 8 bits, in memory. `wide` says that their colours need the profile."""

    image: Image
    wide: bool
    told: tuple[str, ...]


def prepare() -> None:
    """Set up libvips for one image: no cache, no temporary files, none of its unfuzzed loaders."""
    os.environ["VIPS_DISC_THRESHOLD"] = _NEVER_ON_DISC
    pyvips.cache_set_max(_OPERATIONS_MAX)
    pyvips.block_untrusted_set(True)


def load(name: str, kind: str, *, page: int = 0, pages: int = 1, fail_on: str = "warning") -> Image:
    """Open a file with the loader of its kind; its pixels are read once, from top to bottom."""
    common = {"access": "sequential", "fail_on": fail_on}
    if kind == "jpeg":
        return pyvips.Image.jpegload(name, **common)
    if kind == "png":
        return pyvips.Image.pngload(name, **common)
    if kind == "webp":
        return pyvips.Image.webpload(name, page=page, n=pages, **common)
    return pyvips.Image.heifload(name, **common)


def decode(wish: Facts) -> Decoded:
    """Decode the source `wish` tells of; raises Damaged and UnusableProfile."""
    try:
        return _decoded(wish, "warning")
    except pyvips.Error as error:
        if not _CARELESS.search(str(error)):
            raise Damaged(reason(error)) from error
    try:
        return _decoded(wish, "truncated")
    except pyvips.Error as error:
        raise Damaged(reason(error)) from error


def reason(error: Exception) -> str:
    """Return what libvips says, in one line; files have plain names here."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines)[:_REASON_CHARS] or type(error).__name__


def _decoded(wish: Facts, fail_on: str) -> Decoded:
    given = load(wish["file"], wish["kind"], page=wish.get("page", 0), fail_on=fail_on)
    if (given.width, given.height) != (wish["width"], wish["height"]):
        raise Damaged("its header and its pixels are of different sizes")
    image, wide, told = _coloured(given, wish)
    image = image.copy_memory()
    if wish["orientation"] > 1:
        image.set_type(pyvips.GValue.gint_type, "orientation", wish["orientation"])
        image = image.autorot().copy_memory()
    return Decoded(image=_opaque(image), wide=wide, told=told)


def _opaque(image: Image) -> Image:
    """Leave out an alpha that hides nothing."""
    if image.hasalpha() and image[image.bands - 1].min() == 255:  # noqa: PLR2004 - 8 bits
        return image[0] if image.bands == 2 else image[:3]  # noqa: PLR2004 - grey and alpha
    return image


# --- colours ----------------------------------------------------------------------------------
def _coloured(image: Image, wish: Facts) -> tuple[Image, bool, tuple[str, ...]]:
    """Return the picture in 8-bit sRGB or grey, or with its profile where that holds more.

    Loaders leave out a profile that is for other pixels than theirs.
    """
    held = bool(image.get_typeof(PROFILE))
    if wish["profile"] and not held:
        raise UnusableProfile("it is for other colours than the image's")
    cmyk = image.interpretation == "cmyk"
    if held or cmyk:
        image = image.copy_memory()  # its pixels are read more than once
    if held:
        try:
            return _from_cmyk(image, embedded=True) if cmyk else _by_profile(image)
        except pyvips.Error as error:
            raise UnusableProfile(reason(error)) from error
    if cmyk:
        return _from_cmyk(image, input_profile="cmyk")
    image = image.colourspace("b-w" if image.bands < 3 else "srgb")  # noqa: PLR2004 - grey
    gamma = wish.get("gamma")
    return (_straightened(image, gamma) if gamma else image), False, ()


def _from_cmyk(image: Image, **by: Any) -> tuple[Image, bool, tuple[str, ...]]:
    """Printers' colours have no place on a screen."""
    made = image.icc_transform("srgb", **by)
    return _without_profile(made), False, (_PRINTED_TOLD,)


def _by_profile(image: Image) -> tuple[Image, bool, tuple[str, ...]]:
    grey = image.bands < 3  # noqa: PLR2004
    if image.format == "uchar" and _is_srgb(image, grey=grey):
        return _without_profile(image), False, ()
    made = image.icc_transform("srgb", embedded=True, intent="relative", depth=8)
    if grey:
        alpha = [made[made.bands - 1]] if image.bands == 2 else []  # noqa: PLR2004
        made = made[1].bandjoin(alpha) if alpha else made[1]
        return _without_profile(made.copy(interpretation="b-w")), False, ()
    if image.format == "uchar" and _is_wide(image):
        return image, True, (_WIDE_TOLD,)
    return _without_profile(made), False, ()


def _is_srgb(image: Image, *, grey: bool) -> bool:
    """Return whether the profile says of colours from all over what sRGB says."""
    ramp = pyvips.Image.identity() if grey else _lattice()
    ramp = ramp.copy(interpretation="b-w" if grey else "srgb")
    ramp.set_type(pyvips.GValue.blob_type, PROFILE, image.get(PROFILE))
    made = ramp.icc_transform("srgb", embedded=True, intent="relative")
    made = made[1] if grey else made
    return bool((made - ramp).abs().max() <= _SAME_LEVELS)


def _lattice() -> Image:
    """Return a picture with 9 steps of red, green and blue each."""
    place = pyvips.Image.xyz(_LATTICE * _LATTICE, _LATTICE)
    red, green, blue = place[0] % _LATTICE, place[0] / _LATTICE, place[1]
    parts = [red, green.floor(), blue]
    return (parts[0].bandjoin(parts[1:]) * _LATTICE_STEP).rint().cast("uchar")


def _is_wide(image: Image) -> bool:
    """Return whether the picture itself has colours that sRGB has not."""
    step = max(image.width // _SAMPLES_SIDE, image.height // _SAMPLES_SIDE, 1)
    few = image.subsample(step, step)
    few = few[:3] if few.bands > 3 else few  # noqa: PLR2004 - with alpha
    linear = few.icc_import(embedded=True, intent="relative").colourspace("scrgb")
    outside = ((linear < -_WIDE_BY) | (linear > 1 + _WIDE_BY)).bandor()
    return bool(outside.avg() / 255 > _WIDE_SHARE)


def _without_profile(image: Image) -> Image:
    copy = image.copy()
    if copy.get_typeof(PROFILE):
        copy.remove(PROFILE)
    return copy


def _straightened(image: Image, gamma: float) -> Image:
    """Bring a PNG of another gamma to sRGB's, which is about 1/2.2; alpha stays."""
    table = ((pyvips.Image.identity() / 255) ** (1 / (gamma * _GAMMA)) * 255).rint().cast("uchar")
    colours = image.bands - image.hasalpha()
    made = image[:colours].maplut(table)
    return made.bandjoin(image[colours]) if image.hasalpha() else made


# --- likeness ---------------------------------------------------------------------------------
_SIGMA: Final = 1.5
_LEAST_WEIGHT: Final = 0.01
_C1: Final = (0.01 * 255) ** 2
_C2: Final = (0.03 * 255) ** 2
"""Wang, Bovik, Sheikh and Simoncelli: Image Quality Assessment, 2004."""
_BLOCK: Final = 16
_LOW_PERCENT: Final = 1
_UNITS: Final = 32767
_TILE: Final = 512
_TILES: Final = 4
"""Larger pictures are compared on 4 x 4 tiles of 512 x 512, spread evenly."""
_GLANCE: Final = 512
_GREY: Final = 128


def likeness(given: Image, made: Image) -> tuple[float, float]:
    """Return SSIM of two pictures of one size: the mean, and what 99 of 100 blocks reach.

    Where one has alpha, both are laid on grey, and their alphas are compared too: the worse counts.
    """
    pairs = [(_luma(given), _luma(made))]
    if given.hasalpha() or made.hasalpha():
        pairs.append((_alpha(given), _alpha(made)))
    found = [_ssim(*(_sampled(picture).cast("float") for picture in pair)) for pair in pairs]
    return min(mean for mean, _ in found), min(low for _, low in found)


def resemblance(given: Image, made: Image) -> float:
    """Return the mean SSIM of two pictures as a whole, shrunk to 512 on the long side."""
    side = min(_GLANCE, max(given.width, given.height))
    small = [each.thumbnail_image(side, height=side, size="down") for each in (given, made)]
    if (small[0].width, small[0].height) != (small[1].width, small[1].height):
        return 0.0
    return likeness(*(each.copy_memory() for each in small))[0]


def _luma(image: Image) -> Image:
    if image.hasalpha():
        image = image.flatten(background=_GREY)
    return image[0] if image.bands == 1 else image.recomb([[0.299, 0.587, 0.114]])


def _alpha(image: Image) -> Image:
    return image[image.bands - 1] if image.hasalpha() else image[0].new_from_image(255)


def _sampled(image: Image) -> Image:
    if image.width * image.height <= (_TILES * _TILE) ** 2:
        return image
    across, down = min(_TILE, image.width), min(_TILE, image.height)
    spread = [turn / (_TILES - 1) for turn in range(_TILES)]
    tiles = [
        image.crop(int((image.width - across) * x), int((image.height - down) * y), across, down)
        for y in spread
        for x in spread
    ]
    return pyvips.Image.arrayjoin(tiles, across=_TILES).copy_memory()


def _ssim(given: Image, made: Image) -> tuple[float, float]:
    """All that is used twice is kept in memory: libvips would compute it twice."""
    given, made = given.copy_memory(), made.copy_memory()
    mean_a, mean_b = _smooth(given), _smooth(made)
    squares = _smooth(given * given + made * made)
    both = (_smooth(given * made) - mean_a * mean_b).copy_memory()
    means, product = (mean_a * mean_a + mean_b * mean_b).copy_memory(), mean_a * mean_b
    scores = (2 * product + _C1) * (2 * both + _C2) / ((means + _C1) * (squares - means + _C2))
    scores = scores.copy_memory()
    return scores.avg(), _low(scores)


def _smooth(image: Image) -> Image:
    return image.gaussblur(_SIGMA, precision="float", min_ampl=_LEAST_WEIGHT).copy_memory()


def _low(scores: Image) -> float:
    """Return what 99 of 100 blocks reach; where there are few blocks, the worst."""
    across, down = min(_BLOCK, scores.width), min(_BLOCK, scores.height)
    blocks = scores.shrink(across, down)
    if blocks.width * blocks.height < 100 // _LOW_PERCENT:
        return float(blocks.min())
    levels = ((blocks + 1) * _UNITS).cast("ushort")
    return float(levels.percent(_LOW_PERCENT)) / _UNITS - 1
