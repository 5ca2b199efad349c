"""Make the variants of one image. Runs as a program, in the sandbox.

It is told `{"file", "kind", "width", "height", "orientation", "gamma", "profile", "variants":
[{"name", "width", "height", "format", "file", "plainer", "lossless", "lossy", "moving", "steps",
"full_chroma", "bar", "most"}]}` and prints `{"told": [...], "made": [...]}`, or `{"error": ...,
"reason": ...}`, or `{"unusable": "profile"}` before it makes anything: the image is to come again
without its colour profile. Of Lectern it imports only its own parts: what it knows, it is told.
`most` bounds each file's bytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyvips

from transcoder.images.pixels import (
    Damaged,
    Facts,
    Image,
    UnusableProfile,
    decode,
    likeness,
    load,
    prepare,
    reason,
)

_EFFORT_WEBP: Final = 4
_EFFORT_AVIF: Final = 2
"""libwebp's method and libheif's effort: one step more costs 2.4 times the seconds for 3% of the
bytes (a photo of 2.8 megapixels)."""
_FEW_COLOURS: Final = 256
_LOOKED_AT: Final = 4096
_SLOW_PIXELS: Final = 16_000_000
"""Beyond, PNG is not squeezed to the last."""
_LOWER: Final = (15, 30)
"""How far below its first number a quality may fall, where a small file must stay small."""
_JUDGED_FRAMES: Final = 5


@dataclass(frozen=True, slots=True)
class Try:
    """One encoding: its bytes, and SSIM against the pixels that were encoded."""

    data: bytes
    number: int
    mean: float
    low: float


def main(argument: str) -> int:
    """Make what is wished; print what came of it."""
    wish: Facts = json.loads(argument)
    prepare()
    try:
        answer = _make(wish)
    except UnusableProfile as error:
        answer = {"unusable": "profile", "reason": str(error)}
    except Damaged as error:
        answer = {"error": "damaged", "reason": str(error)}
    except MemoryError:
        answer = {"error": "memory", "reason": "it needs more memory than a step may use"}
    except pyvips.Error as error:
        answer = {"error": "failed", "reason": reason(error)}
    sys.stdout.write(json.dumps(answer))
    return 0


def _make(wish: Facts) -> Facts:
    source = decode(wish)
    made = []
    for variant in wish["variants"]:
        if variant["moving"]:
            found = _best(variant, Moving(wish, variant))
        else:
            found = _best(variant, Still(_scaled(source.image, variant), wide=source.wide))
        if found:
            Path(variant["file"]).write_bytes(found.data)
        made.append(_facts(variant, found))
    return {"told": list(source.told), "made": made}


def _facts(variant: Facts, found: Try | None) -> Facts:
    if found is None:
        return {"name": variant["name"], "fits": False}
    facts = {"number": found.number, "mean": found.mean, "low": found.low}
    return {"name": variant["name"], "fits": True, **facts}


def _scaled(image: Image, variant: Facts) -> Image:
    """Shrink with Lanczos' kernel; alpha is taken into account."""
    width, height = variant["width"], variant["height"]
    if (image.width, image.height) == (width, height):
        return image
    return image.thumbnail_image(width, height=height, size="force").copy_memory()


# --- which encoding ---------------------------------------------------------------------------
def _best(variant: Facts, picture: Still | Moving) -> Try | None:
    """Return the smallest encoding that reaches the bar and is small enough, or None."""
    tries = [_lossless(variant, picture)] if variant["lossless"] else []
    tries += [_lossy(variant, picture)] if variant["lossy"] else []
    fitting = [found for found in tries if len(found.data) <= variant["most"]]
    if fitting:
        return min(fitting, key=lambda found: len(found.data))
    return _cheaper(variant, picture) if variant["plainer"] else None


def _lossy(variant: Facts, picture: Still | Moving) -> Try:
    """Return the first step that reaches the bar or grows too large, else the last.

    WebP halves the resolution of colours at every number: what that harms too much is kept whole.
    """
    found = None
    for number in variant["steps"]:
        found = picture.lossy(variant, number)
        if found.low >= variant["bar"] or len(found.data) > variant["most"]:
            return found
    whole = _lossless(variant, picture) if variant["format"] == "webp" else None
    if found is None or (whole and len(whole.data) <= variant["most"]):
        return whole or picture.lossy(variant, 100)
    return found


def _lossless(variant: Facts, picture: Still | Moving) -> Try:
    data = min(picture.lossless(variant["format"]), key=len)
    return Try(data, 100, 1.0, 1.0)


def _cheaper(variant: Facts, picture: Still | Moving) -> Try | None:
    """Return a plainer encoding: some sources have fewer bytes than their small copy would."""
    if variant["format"] == "png":
        plainer: Iterator[Try] = iter([picture.few_colours()])
    else:
        numbers = [max(variant["steps"][0] - below, 1) for below in _LOWER]
        plainer = (picture.lossy(variant, number) for number in numbers)
    return next((found for found in plainer if len(found.data) <= variant["most"]), None)


# --- a still ----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Still:
    """One picture in memory; `wide` keeps its profile."""

    image: Image
    wide: bool

    @property
    def _keep(self) -> str:
        return "icc" if self.wide else "none"

    def lossy(self, variant: Facts, number: int) -> Try:
        """Encode with a quality number, decode that, and compare."""
        save = {"jpeg": self._jpeg, "webp": self._webp, "avif": self._avif}[variant["format"]]
        return self._compared(save(number, number >= variant["full_chroma"]), number)

    def lossless(self, kind: str) -> Iterator[bytes]:
        """Encode in every way that is worth it."""
        if kind == "webp":
            yield self.image.webpsave_buffer(lossless=True, effort=_EFFORT_WEBP, keep=self._keep)
            return
        large = self.image.width * self.image.height > _SLOW_PIXELS
        for filtering in ("none", "all"):
            yield self.image.pngsave_buffer(
                compression=6 if large else 9, filter=filtering, keep=self._keep
            )
        if _has_few_colours(self.image):
            data = self._palette()
            if _same(_read(data), self.image):
                yield data

    def few_colours(self) -> Try:
        """Encode as a PNG with a palette, whatever is lost."""
        return self._compared(self._palette(), 0)

    def _compared(self, data: bytes, number: int) -> Try:
        mean, low = likeness(self.image, _read(data))
        return Try(data, number, mean, low)

    def _palette(self) -> bytes:
        data: bytes = self.image.pngsave_buffer(
            compression=9, palette=True, Q=100, dither=0, keep=self._keep
        )
        return data

    def _jpeg(self, number: int, full: bool) -> bytes:  # noqa: FBT001 - all three are called alike
        data: bytes = self.image.jpegsave_buffer(
            Q=number, optimize_coding=True, interlace=True, trellis_quant=True,
            overshoot_deringing=True, quant_table=3, keep=self._keep,
            subsample_mode="off" if full else "on",
        )  # fmt: skip
        return data

    def _webp(self, number: int, full: bool) -> bytes:  # noqa: FBT001
        data: bytes = self.image.webpsave_buffer(
            Q=number, effort=_EFFORT_WEBP, smart_subsample=True, exact=False, keep=self._keep,
            alpha_q=100 if full else 90,
        )  # fmt: skip
        return data

    def _avif(self, number: int, full: bool) -> bytes:  # noqa: FBT001
        data: bytes = self.image.heifsave_buffer(
            Q=number, compression="av1", effort=_EFFORT_AVIF, bitdepth=8, keep=self._keep,
            subsample_mode="off" if full else "on",
        )  # fmt: skip
        return data


def _read(data: bytes) -> Image:
    """Decode what was encoded here, without a detour over a file."""
    return pyvips.Image.new_from_buffer(data, "", access="sequential").copy_memory()


def _has_few_colours(image: Image) -> bool:
    """Return whether pixels from all over have no more colours than a palette."""
    step = max(int((image.width * image.height / _LOOKED_AT) ** 0.5), 1)
    few = image.subsample(step, step).write_to_memory()
    bands = image.bands
    return len({few[at : at + bands] for at in range(0, len(few), bands)}) <= _FEW_COLOURS


def _same(one: Image, other: Image) -> bool:
    """Return whether all pixels are alike; colours under full transparency count too."""
    if one.bands != other.bands:
        one = one.colourspace("b-w") if other.bands < 3 else one  # noqa: PLR2004 - grey
    return one.bands == other.bands and bool((one - other).abs().max() == 0)


# --- an animation -----------------------------------------------------------------------------
class Moving:
    """An animated WebP.

    In its own size no more than a few pictures are in memory at once, in a smaller one all of them.
    """

    def __init__(self, wish: Facts, variant: Facts) -> None:
        self._wish = wish
        self._variant = variant
        self._small: Image | None = None

    def lossy(self, _: Facts, number: int) -> Try:
        """Encode all pictures, and compare some."""
        return self._compared(self._save(Q=number, smart_subsample=True), number)

    def lossless(self, _: str) -> Iterator[bytes]:
        """Encode all pictures without loss."""
        yield self._save(lossless=True)

    def few_colours(self) -> Try:
        """Have no palette: WebP knows none."""
        raise NotImplementedError

    def _save(self, **how: Any) -> bytes:
        image = self._pictures()
        data: bytes = image.webpsave_buffer(effort=_EFFORT_WEBP, keep="icc", mixed=False, **how)
        return data

    def _pictures(self) -> Image:
        """Return all pictures in the variant's size, one below the other."""
        if self._small is not None:
            return self._small
        given = load(self._wish["file"], "webp", pages=-1)
        size = (self._variant["width"], self._variant["height"])
        if (given.width, given.get("page-height")) == size:
            return given
        self._small = _each_scaled(given, self._variant)
        return self._small

    def _compared(self, data: bytes, number: int) -> Try:
        frames = self._wish["frames"]
        scores = []
        for page in sorted(
            {turn * (frames - 1) // _JUDGED_FRAMES for turn in range(_JUDGED_FRAMES + 1)}
        ):
            given = load(self._wish["file"], "webp", page=page).copy_memory()
            made = pyvips.Image.webpload_buffer(
                data, page=page, n=1, access="sequential"
            ).copy_memory()
            scores.append(likeness(_scaled(given, self._variant), made))
        return Try(data, number, min(mean for mean, _ in scores), min(low for _, low in scores))


def _each_scaled(roll: Image, variant: Facts) -> Image:
    """Scale the pictures of an animation one by one: all at once, each would bleed into the next.

    They are read once, from top to bottom, so each is made before the next.
    """
    high = roll.get("page-height")
    tops = range(0, roll.height, high)
    pages = [_scaled(roll.crop(0, top, roll.width, high), variant) for top in tops]
    joined = pyvips.Image.arrayjoin(pages, across=1).copy()
    joined.set("page-height", variant["height"])
    return joined
