"""`python -m bench.images_qualities`: what each quality of images comes to.

Needs `ssimulacra2`, as `bench.images` does.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click
from PIL import Image
from rich.table import Table

from bench import machine
from bench.images import pictures, score
from bench.report import Report, publish
from core.order import Order, QualityLevel
from transcoder.images.make import MadeImage, make_images

_SIDE: Final = 1024
_BUDGET_S: Final = 600.0
_FORMATS: Final = ("jpeg", "webp", "avif")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One picture in one format at one quality."""

    picture: str
    kind: str
    quality: str
    size: int
    low: float
    score: float


def outcomes(media: Path, work: Path) -> Iterator[Outcome]:
    """Make each picture as the service does, and score it against its pixels."""
    for path in pictures(media, work):
        with Image.open(path) as image:
            small = image.convert("RGB")
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        sources = {"png": work / "given.png", "jpeg": work / "given.jpg"}
        small.save(sources["png"])
        small.save(sources["jpeg"], quality=99, subsampling=0)
        for kind in _FORMATS:
            for level in QualityLevel:
                made = _made(sources["jpeg" if kind == "jpeg" else "png"], kind, level, work)
                yield Outcome(
                    picture=path.stem,
                    kind=kind,
                    quality=level.value,
                    size=made.size,
                    low=made.likeness.low,
                    score=score(sources["png"], made.path),
                )


def _made(source: Path, kind: str, level: QualityLevel, work: Path) -> MadeImage:
    folder = Path(tempfile.mkdtemp(dir=work))
    (folder / "source").write_bytes(source.read_bytes())
    form = None if kind == "jpeg" else kind
    made = make_images(
        folder / "source",
        folder,
        order=Order(quality=level, image_format=form),
        python=sys.executable,
        budget_s=_BUDGET_S,
        stop=lambda: False,
    )
    return made.images[0]


@click.command(context_settings={"show_default": True})
@click.option("--media", envvar="LECTERN_TEST_MEDIA", default=machine.ROOT.parent / "shared/media",
              type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of test recordings.")  # fmt: skip
def main(media: Path) -> None:
    """Score the service's own results at all four qualities."""
    facts = machine.facts()
    table = Table("picture", "format", "quality", "bytes", "SSIM, 1st percentile", "SSIMULACRA 2")
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        for one in outcomes(media, Path(name)):
            figures[f"{one.picture} {one.kind} {one.quality}"] = asdict(one)
            table.add_row(one.picture, one.kind, one.quality, f"{one.size:,}", f"{one.low:.3f}",
                          f"{one.score:.1f}")  # fmt: skip
    publish(Report(name="images_qualities", options={}, figures=figures, tables=[table]), facts)


if __name__ == "__main__":
    main()
