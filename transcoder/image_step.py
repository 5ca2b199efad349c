"""The step of an image: its variants made, committed, and told to the record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

from core.errors import Unavailable
from core.events import Encoded
from core.images import DEFAULT_QUALITY, ENDINGS, TYPES, ImageKind
from core.images import Variant as Size
from core.job import Job, MediaSummary, Rendition, Variant, output_key, variant_key, variant_prefix
from core.making import Alike, Making
from core.ports import ObjectStore
from transcoder.images.make import MadeImage, MadeImages
from transcoder.press import Press

_LIBRARY: Final = "pyvips-binary"
_KINDS: Final = frozenset(kind.value for kind in ImageKind)


def is_image(job: Job) -> bool:
    """Return whether the job's source is an image, by its content."""
    return job.source.container in _KINDS


def make_pictures(
    job: Job, press: Press, source: Path, folder: Path, *, stop: Callable[[], bool]
) -> MadeImages:
    """Make the image and the variants that are asked for; the result itself comes first."""
    wanted = dict.fromkeys((Size.ORIGINAL.value, *job.order.variants))
    order = replace(job.order, variants=tuple(wanted))
    return press.picture(source, folder, order=order, stop=stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What an image took: CPU seconds, and what one costs."""

    cpu_s: float
    price_per_cpu_s: float


def commit_pictures(job: Job, made: MadeImages, objects: ObjectStore, cost: Cost) -> Encoded:
    """Commit all variants, the result last, and return what the record keeps of them."""
    result, *others = made.images
    variants = tuple(_variant(job, each, objects) for each in others)
    key = output_key(job.run, job.fence, ENDINGS[result.format])
    objects.upload(key, result.path)
    output = Rendition(
        key=key,
        size=result.size,
        sha256=result.sha256,
        media=_summary(result.width, result.height, result.format),
        action=result.action,
        work_s=made.work_s,
        making=_making(job, result, cost),
        media_type=TYPES[result.format],
        variants=variants,
    )
    width, height = made.source.displayed
    source = _summary(width, height, made.source.kind)
    return Encoded(fence=job.fence, source_media=source, output=output, warnings=made.warnings)


def withdraw_variants(job: Job, objects: ObjectStore) -> None:
    """Delete what was committed beside a result; what is left goes with the run's objects."""
    with contextlib.suppress(Unavailable):
        keys = [item.key for item in objects.list(variant_prefix(job.run, job.fence))]
        if keys:
            objects.delete(*keys)


def _making(job: Job, result: MadeImage, cost: Cost) -> Making:
    level = job.order.quality or DEFAULT_QUALITY
    return Making(
        preset=f"image {level}",
        ffmpeg=version(_LIBRARY),
        arguments=(),
        cpu_s=cost.cpu_s,
        price_per_cpu_s=cost.price_per_cpu_s,
        alike=Alike(mean=result.likeness.mean, low=result.likeness.low),
    )


def _summary(width: int, height: int, kind: str) -> MediaSummary:
    """Return an image as a person wants to know of it: a picture without duration."""
    return MediaSummary(width=width, height=height, duration_s=0.0, video_codec=str(kind))


def _variant(job: Job, made: MadeImage, objects: ObjectStore) -> Variant:
    suffix = ENDINGS[made.format]
    key = variant_key(job.run, job.fence, made.variant.value, suffix)
    objects.upload(key, made.path)
    return Variant(
        name=made.variant.value,
        key=key,
        size=made.size,
        sha256=made.sha256,
        width=made.width,
        height=made.height,
        suffix=suffix,
    )
