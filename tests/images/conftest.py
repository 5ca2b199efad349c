"""The way through `make_images`, with what is true of every result checked each time."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.image_files import read_image
from core.order import Order, QualityLevel
from tests.images.drawing import SECRET
from transcoder.images.make import MadeImages, make_images

BUDGET_S = 100.0


class Studio:
    """Makes images in folders of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = 0

    def make(
        self,
        source: bytes,
        *variants: str,
        form: str | None = None,
        quality: QualityLevel | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> MadeImages:
        """Make variants of `source`, and check what must hold for all of them."""
        self.runs += 1
        folder = self.folder / f"job-{self.runs}"
        folder.mkdir()
        (folder / "source").write_bytes(source)
        made = make_images(
            folder / "source",
            folder,
            order=Order(variants=variants, image_format=form, quality=quality),
            python=sys.executable,
            budget_s=BUDGET_S,
            stop=stop,
        )
        check(made, source)
        return made


def check(made: MadeImages, source: bytes) -> None:
    """Whatever was asked for: no larger, no metadata, and the digest is that of the file."""
    for image in made.images:
        data = image.path.read_bytes()
        assert image.size == len(data) <= len(source)
        assert image.sha256 == hashlib.sha256(data).hexdigest()
        assert SECRET not in data
        assert max(image.width, image.height) <= max(made.source.width, made.source.height)
        if image.format != "avif":
            assert read_image(data).info.dropped == ()


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """A studio of its own for each test."""
    return Studio(tmp_path)
