"""Is this image what the plan promised? Pure: facts in, defects out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.images import (
    ImageFormat,
    ImageInfo,
    ImageKind,
    ImagePlan,
    Likeness,
    VariantPlan,
)

_SAME_PICTURE: Final = 0.5
"""Mean SSIM below which two pictures are different ones: turned, grey, of wrong colours. A photo at
JPEG quality 40 has 0.93; what quality was reached is told, not judged."""
_BAR_SLACK: Final = 0.005
"""By so much a second measurement may fall below the bar: colours are rounded once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFacts:
    """What a fresh look at one result found: what it is, and how like its source it looks.

    `metadata` names what it holds besides pixels, colours and animation.
    """

    size: int
    format: ImageFormat
    width: int
    height: int
    frames: int
    likeness: Likeness
    metadata: tuple[str, ...] = ()


def image_verdict(info: ImageInfo, plan: VariantPlan, made: MadeFacts) -> tuple[str, ...]:
    """Return the defects of an encoded variant as short sentences; none means it may go out."""
    return tuple(defect for passed, defect in _checks(info, plan, made) if not passed)


def _checks(info: ImageInfo, plan: VariantPlan, made: MadeFacts) -> Iterator[tuple[bool, str]]:
    frames = info.frames if plan.moving else 1
    size = (made.width, made.height)
    yield made.size <= info.size, f"it has {made.size} bytes, its source {info.size}"
    yield made.format is plan.encode, f"it is {made.format}, not {plan.encode}"
    yield (
        size == (plan.width, plan.height),
        f"it has {made.width}x{made.height} pixels, not {plan.width}x{plan.height}",
    )
    yield made.frames == frames, f"it has {made.frames} pictures, not {frames}"
    yield not made.metadata, f"it still holds {', '.join(made.metadata)}"
    yield made.likeness.mean >= _SAME_PICTURE, "it does not show what its source shows"


class Short(StrEnum):
    """Why an encoder stopped short of its bar, in words for the image's sender."""

    SIZE = "it would be larger than the source otherwise"
    FORMAT = "its format comes no nearer"


def below_bar(
    plan: ImagePlan, variant: VariantPlan, made: MadeFacts, why: Short | None
) -> str | None:
    """Return what to tell where a lossy variant stays below its quality's bar.

    `why` is None where its encoder had seen the bar reached.
    """
    if made.likeness.low >= plan.quality.bar - _BAR_SLACK:
        return None
    told = (
        f"the {variant.variant} is less like its source (SSIM {made.likeness.low:.3f}) than "
        f"quality {plan.quality.name} asks for ({plan.quality.bar:g})"
    )
    return f"{told}: {why}" if why else told


def kept_remarks(info: ImageInfo, plan: VariantPlan) -> Iterator[str]:
    """Yield what to tell of a variant that is the source's own pictures."""
    if plan.encode and (not plan.whole or plan.encode != info.kind.value):
        yield (
            f"the {plan.variant} is the source as it was: "
            f"as {plan.encode.upper()} of {plan.width}x{plan.height} it would be larger"
        )
    if info.cmyk:
        yield f"the {plan.variant} keeps its printing colours: in sRGB it would be larger"
    if info.shown_lying:
        yield (
            f"the {plan.variant} is kept lying, with an EXIF that says how to turn it: "
            f"not every viewer heeds that in a {_SPELLED[info.kind]}"
        )


_SPELLED: Final = {ImageKind.JPEG: "JPEG", ImageKind.PNG: "PNG", ImageKind.WEBP: "WebP"}
