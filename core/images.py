"""Images: what they are, what may be asked for, and what follows from it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from core import limits
from core.errors import MediaTooComplex
from core.order import Order, QualityLevel


class ImageKind(StrEnum):
    """The kinds of images that are taken, by their content."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"


class ImageFormat(StrEnum):
    """The formats that are made."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"


ENDINGS: Final[Mapping[ImageFormat, str]] = MappingProxyType(
    {
        ImageFormat.JPEG: "jpg",
        ImageFormat.PNG: "png",
        ImageFormat.WEBP: "webp",
        ImageFormat.AVIF: "avif",
    }
)
"""The ending of a file's name."""
TYPES: Final[Mapping[ImageFormat, str]] = MappingProxyType(
    {kind: f"image/{kind}" for kind in ImageFormat}
)
"""Media types, as IANA has them."""


class Wanted(StrEnum):
    """The format that is asked for."""

    KEEP = "keep"  # that of the source
    WEBP = "webp"
    AVIF = "avif"


class Variant(StrEnum):
    """The sizes that can be asked for (row A2)."""

    THUMBNAIL = "thumbnail"
    MEDIUM = "medium"
    LARGE = "large"
    ORIGINAL = "original"


LONG_SIDES: Final[Mapping[Variant, int | None]] = MappingProxyType(
    {
        Variant.THUMBNAIL: 320,
        Variant.MEDIUM: 1024,
        Variant.LARGE: 2048,
        Variant.ORIGINAL: None,
    }
)
"""Pixels of the long side. A thumbnail stands 160 CSS pixels wide in a list of courses, on a screen
with two pixels for each. 1024 and 2048 are WordPress's default `large` and the same for such
screens (its `2048x2048`). The original keeps the source's."""


# --- quality ----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """An encoder's quality numbers, 0 to 100: the first to try, and what follows where it must.

    `full_chroma` is from which number on colours are kept at full resolution (4:4:4).
    """

    steps: tuple[int, ...]
    full_chroma: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageQuality:
    """How alike a lossy image must be to its source, and where its encoders begin.

    `bar` is for `Likeness.low`. PNG and lossless WebP stay lossless at every quality.
    """

    name: str
    bar: float
    numbers: Mapping[ImageFormat, Numbers]


_RISE: Final = 4
_TRIES: Final = 4
_BEST: Final = 98
_FULL_CHROMA: Final = 93
"""A number rises by 4, up to three times, and the last try is the best that makes sense."""


def _quality(level: QualityLevel, bar: float, *, jpeg: int, webp: int, avif: int) -> ImageQuality:
    first = {ImageFormat.JPEG: jpeg, ImageFormat.WEBP: webp, ImageFormat.AVIF: avif}
    numbers = {kind: _numbers(number) for kind, number in first.items()}
    return ImageQuality(name=level.value, bar=bar, numbers=MappingProxyType(numbers))


def _numbers(first: int) -> Numbers:
    rising = [first + _RISE * turn for turn in range(_TRIES)]
    steps = (*(number for number in rising if number < _BEST - 1), _BEST)
    return Numbers(steps=steps, full_chroma=_FULL_CHROMA)


IMAGE_QUALITIES: Final[Mapping[QualityLevel, ImageQuality]] = MappingProxyType(
    {
        QualityLevel.LOW: _quality(QualityLevel.LOW, 0.7, jpeg=42, webp=30, avif=36),
        QualityLevel.MEDIUM: _quality(QualityLevel.MEDIUM, 0.88, jpeg=70, webp=66, avif=54),
        QualityLevel.HIGH: _quality(QualityLevel.HIGH, 0.95, jpeg=88, webp=86, avif=70),
        QualityLevel.ULTRA: _quality(QualityLevel.ULTRA, 0.98, jpeg=94, webp=94, avif=84),
    }
)
"""`high` is what is made where nothing is said. In terms of SSIMULACRA 2, whose README says what
people see: `low` is about 50 (fair), `medium` 70 (good), `high` 80 (no difference is noticed side
by side at 1:1), `ultra` near 90 (none in a flicker test). `docs/images.md` has the measurements."""


# --- what an image is -------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """What an image's headers say; its file was whole, or there would be none.

    `width` and `height` are as stored, `orientation` is EXIF's, 1 to 8 (8 and all from 5 on are
    turned on their side). `frames` is 1 for a still, `depth` the bits of a channel, `gamma` PNG's
    where nothing better says what its colours mean. `profile` says that a colour profile does, by
    its outside. `lossless` says that no coding has lost anything yet. `dropped` names what the file
    holds besides one picture, its colours and its animation, in the words of its format.
    """

    kind: ImageKind
    size: int
    width: int
    height: int
    orientation: int = 1
    depth: int = 8
    frames: int = 1
    cmyk: bool = False
    profile: bool = False
    lossless: bool = False
    gamma: float | None = None
    dropped: tuple[str, ...] = ()

    @property
    def animated(self) -> bool:
        """Return whether it moves."""
        return self.frames > 1

    @property
    def displayed(self) -> tuple[int, int]:
        """Return width and height as it is looked at."""
        sideways = self.orientation >= _SIDEWAYS
        return (self.height, self.width) if sideways else (self.width, self.height)

    @property
    def shown_lying(self) -> bool:
        """Return whether it must be turned, and not every viewer heeds what its EXIF says of that.

        In a JPEG all browsers do; in a PNG some, in a WebP few.
        """
        return self.orientation > 1 and self.kind is not ImageKind.JPEG


_SIDEWAYS: Final = 5
_BITS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How alike two pictures are: SSIM of luma (Wang et al. 2004, Gaussian window, sigma 1.5).

    `mean` is that of all pixels, `low` what 99 of 100 blocks of 16 x 16 reach. 1 is the same.
    """

    mean: float
    low: float


# --- what is asked for ------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOrder:
    """Which variants, each once, in which format, at which quality."""

    variants: tuple[Variant, ...]
    format: Wanted
    quality: ImageQuality


DEFAULT_QUALITY: Final = QualityLevel.HIGH
"""What an image is made in where nobody says: visually lossless by the measured bar."""


def image_order(order: Order) -> ImageOrder:
    """Return what an order means for an image: the original in its own format, `high`, if unsaid.

    Raises ValueError for words that `core.order.read_order` lets nobody say.
    """
    return ImageOrder(
        variants=tuple(Variant(name) for name in order.variants) or (Variant.ORIGINAL,),
        format=Wanted(order.image_format or Wanted.KEEP),
        quality=IMAGE_QUALITIES[order.quality or DEFAULT_QUALITY],
    )


# --- the plan ---------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class VariantPlan:
    """How one variant is made, `width` and `height` as looked at.

    It is `whole` where it has as many pixels as the source. `encode` is None where the source's own
    pictures are kept; it may be `lossless`, `lossy`, or the smaller of both. `moving` says that it
    is an animation, `least_saving` what share of the source's bytes an encode of the same size must
    save to be worth the loss. `plainer` says that even an encode below the quality's bar is better
    than the source's own pictures.
    """

    variant: Variant
    width: int
    height: int
    whole: bool
    encode: ImageFormat | None
    lossless: bool = False
    lossy: bool = False
    moving: bool = False
    least_saving: float = 0.0
    plainer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePlan:
    """All variants of one image, and what its sender must be told."""

    quality: ImageQuality
    variants: tuple[VariantPlan, ...]
    warnings: tuple[str, ...]


_WORTH_SAVING: Final = 0.1
"""Share of the bytes that a lossy encode of the same size and format must save: below, the loss
of another generation buys nothing. The same as for recordings."""


_LOSSLESS: Final = frozenset({ImageFormat.PNG, ImageFormat.WEBP})
_LOSSY: Final = frozenset({ImageFormat.JPEG, ImageFormat.WEBP, ImageFormat.AVIF})


def accept_image(info: ImageInfo) -> None:
    """Return if the image may be decoded; raises MediaTooComplex with the bound."""
    sides = f"{info.width}x{info.height} pixels"
    if max(info.width, info.height) > limits.IMAGE_SIDE_MAX:
        raise MediaTooComplex(
            f"the image has {sides}; {limits.IMAGE_SIDE_MAX} on a side are the most"
        )
    if info.width * info.height > limits.IMAGE_PIXELS_MAX:
        raise MediaTooComplex(
            f"the image has {sides}; {limits.IMAGE_PIXELS_MAX} in all are the most"
        )
    if info.frames > limits.IMAGE_FRAMES_MAX:
        raise MediaTooComplex(
            f"the animation has {info.frames} pictures; {limits.IMAGE_FRAMES_MAX} are the most"
        )
    if info.animated and info.frames * info.width * info.height > limits.IMAGE_ANIMATION_PIXELS_MAX:
        raise MediaTooComplex(
            f"the animation has {info.frames} pictures of {sides}; "
            f"{limits.IMAGE_ANIMATION_PIXELS_MAX} pixels in all are the most"
        )


def image_plan(info: ImageInfo, order: ImageOrder) -> ImagePlan:
    """Return how an accepted image is made into what was ordered. Nothing is ever scaled up."""
    return ImagePlan(
        quality=order.quality,
        variants=tuple(_variant(info, order.format, variant) for variant in order.variants),
        warnings=tuple(_remarks(info, order)),
    )


def fit(width: int, height: int, side: int | None) -> tuple[int, int]:
    """Return the size whose long side is `side`, or the given one if that is no longer."""
    longest = max(width, height)
    if side is None or longest <= side:
        return width, height
    return _scaled(width, side, longest), _scaled(height, side, longest)


def _scaled(length: int, side: int, longest: int) -> int:
    """Round to the nearest, half up."""
    return max((2 * length * side + longest) // (2 * longest), 1)


def _variant(info: ImageInfo, wanted: Wanted, variant: Variant) -> VariantPlan:
    width, height = fit(*info.displayed, LONG_SIDES[variant])
    whole = (width, height) == info.displayed
    encode = _format(info, wanted, whole=whole)
    same_format = encode == info.kind.value
    return VariantPlan(
        variant=variant,
        width=width,
        height=height,
        whole=whole,
        encode=encode,
        lossless=info.lossless and encode in _LOSSLESS,
        lossy=encode in _LOSSY and not (whole and same_format and info.lossless),
        moving=_moves(info) and encode is not None,
        least_saving=_WORTH_SAVING if same_format and _good_as_it_is(info, whole=whole) else 0.0,
        plainer=not whole or info.cmyk or (info.shown_lying and not info.lossless),
    )


def _good_as_it_is(info: ImageInfo, *, whole: bool) -> bool:
    """Return whether the source's own pictures serve as well, and another loss would not."""
    return whole and not (info.lossless or info.cmyk or info.shown_lying)


def _moves(info: ImageInfo) -> bool:
    """Return whether an animation of other pixels can be made of it."""
    return info.animated and info.kind is ImageKind.WEBP and info.orientation == 1


def _format(info: ImageInfo, wanted: Wanted, *, whole: bool) -> ImageFormat | None:
    """Return what is encoded; None where only the source's own bytes will do.

    Those are animations that no other pixels are made of, and deep PNGs, which would lose bits.
    """
    if info.animated and whole and not _moves(info):
        return None
    if info.depth > _BITS and whole and wanted is Wanted.KEEP:
        return None
    if wanted is Wanted.KEEP:
        return ImageFormat(info.kind.value)
    if info.animated and _moves(info):
        return ImageFormat.WEBP
    return ImageFormat(wanted.value)


def _remarks(info: ImageInfo, order: ImageOrder) -> Iterator[str]:
    sizes = [fit(*info.displayed, LONG_SIDES[variant]) for variant in order.variants]
    smaller = any(size != info.displayed for size in sizes)
    whole = any(size == info.displayed for size in sizes)
    if info.animated and not _moves(info):
        if smaller:
            yield "the image is an animation: its smaller variants are its first picture"
        if whole and order.format is not Wanted.KEEP:
            yield f"the image is an animation: it stays {info.kind.upper()}"
    elif info.animated and order.format is Wanted.AVIF:
        yield "the image is an animation: it is made as WebP"
    if info.depth > _BITS and (smaller or order.format is not Wanted.KEEP):
        yield f"the image has {info.depth} bits a channel: what is made of it has 8"
    yield from _left_out(info.dropped)


BAD_PROFILE: Final = "the image's colour profile cannot be used: it is left out"
_TOLD: Final = {
    "more pictures": "the file holds more pictures than one, or a map for HDR: the first is kept",
    "profile": BAD_PROFILE,
}


def _left_out(dropped: Sequence[str]) -> Iterator[str]:
    """Yield what changes how the image looks; that its metadata is gone is what is asked for."""
    return (words for name, words in _TOLD.items() if name in dropped)
