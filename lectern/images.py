"""`lectern compress PHOTO`: one image, no server."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from core import limits
from core.images import ENDINGS, ImageFormat
from core.order import AS_DOCUMENTED, FORMATS, Contract, Order, read_order
from core.sniffing import sniff_image
from core.views import saved_percent
from infra.settings import Settings
from lectern.show import size
from transcoder.images.make import MadeImage, MadeImages, make_images
from transcoder.stopping import StopSignal

_FORMATS: Final = {
    ".jpeg": ImageFormat.JPEG,
    **{f".{ending}": image for image, ending in ENDINGS.items()},
}
"""What the ending of a name promises, in lower case."""


def is_image(source: Path) -> bool:
    """Return whether the file's content is that of an image that is taken."""
    with source.open("rb") as file:
        return sniff_image(file.read(limits.SNIFF_BYTES)) is not None


def asked(*, variants: str | None, format: str | None, quality: str | None) -> Order:  # noqa: A002
    """Return the order of the words that users type; raises InvalidField that names the wrong one.

    `variants` are separated by commas.
    """
    said = {"variants": variants, "format": format, "quality": quality}
    given = {name: word for name, word in said.items() if word}
    return read_order(given, Contract.HANDSHAKE, AS_DOCUMENTED)


def run(
    settings: Settings, source: Path, output: Path | None, *, order: Order, force: bool = False
) -> None:
    """Make what `order` asks for of `source`; raises what `make_images` raises.

    Without `output` the results lie beside the source, as NAME.small.jpg, or NAME.thumbnail.jpg and
    so on where several are asked for. With several, `output` is a folder.
    """
    stop = StopSignal()
    stop.install()
    place = (output or source).absolute().parent
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix=".lectern-") as name:
        made = make_images(
            source,
            Path(name),
            order=order,
            python=sys.executable,
            budget_s=settings.job_timeout,
            stop=stop,
        )
        targets = [_target(source, output, image, made) for image in made.images]
        for target, image in zip(targets, made.images, strict=True):
            _check_name(target, image.format)
            if target.is_dir() or (target.exists() and not force):
                raise ValueError(f"{target} exists; add --force to replace it")
        for image, target in zip(made.images, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            image.path.replace(target)
    _report(source, made, targets)


def _check_name(target: Path, made: ImageFormat) -> None:
    """Raise ValueError for a name that promises an image of another format."""
    said = _FORMATS.get(target.suffix.lower(), made)
    if said is not made:
        asked = f", or add --format {said}" if said in FORMATS else ""
        right = target.with_suffix(f".{ENDINGS[made]}").name
        raise ValueError(f"{target.name} would hold a {made.upper()}; name it {right}{asked}")


def _target(source: Path, output: Path | None, image: MadeImage, made: MadeImages) -> Path:
    ending = ENDINGS[image.format]
    several = len(made.images) > 1
    if output and several:
        return output / f"{image.variant}.{ending}"
    return output or source.with_name(
        f"{source.stem}.{image.variant if several else 'small'}.{ending}"
    )


def _report(source: Path, made: MadeImages, targets: list[Path]) -> None:
    info = made.source
    table = Table("file", "pixels", "bytes", "saved", "format", "action", "SSIM of 99 % of it")
    for image, target in zip(made.images, targets, strict=True):
        table.add_row(
            str(target),
            f"{image.width}x{image.height}",
            size(image.size),
            f"{saved_percent(info.size, image.size)} %",
            image.format,
            image.action,
            f"{image.likeness.low:.3f}",
        )
    width, height = info.displayed
    print(f"{source.name}: {size(info.size)}, {width}x{height}, {info.kind}")
    Console().print(table)
    print(f"{made.work_s:.1f} s")
    for warning in made.warnings:
        print(f"warning: {warning}")
