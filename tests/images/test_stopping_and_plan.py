"""Stopping, budgets, what is planned, and the command line."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.errors import Interrupted, StepTimedOut
from core.image_verdict import MadeFacts, Short, below_bar, image_verdict, kept_remarks
from core.images import (
    LONG_SIDES,
    ImageFormat,
    ImageInfo,
    ImageKind,
    ImageOrder,
    ImagePlan,
    Likeness,
    Variant,
    Wanted,
    fit,
    image_order,
    image_plan,
)
from core.order import Order
from lectern.cli import main
from tests.images import conftest, drawing
from tests.images.conftest import Studio


class StopAfter:
    """Says stop from some seconds on, counted from the first question."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.at: float | None = None

    def __call__(self) -> bool:
        """Return whether it is time."""
        now = time.monotonic()
        self.at = self.at or now + self.seconds
        return now >= self.at


def test_a_stop_is_heard_while_an_image_is_made(studio: Studio) -> None:
    """Within two seconds, and nothing is left running."""
    source = drawing.png(drawing.photo(3000, 2000), compress_level=1)
    stop = StopAfter(0.3)
    with pytest.raises(Interrupted):
        studio.make(source, form="avif", stop=stop)
    assert stop.at is not None
    assert time.monotonic() - stop.at < 2


def test_a_budget_ends_the_work(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts all of it."""
    monkeypatch.setattr(conftest, "BUDGET_S", 0.2)
    with pytest.raises(StepTimedOut):
        studio.make(drawing.png(drawing.photo(3000, 2000), compress_level=1), form="avif")


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from([320, 1024, 2048, None]))
def test_no_size_is_ever_larger_and_shapes_stay(width: int, height: int, side: int | None) -> None:
    """Within a pixel of the right shape, and never nothing."""
    made = fit(width, height, side)
    assert 1 <= made[0] <= width
    assert 1 <= made[1] <= height
    assert max(made) == min(max(width, height), side or max(width, height))
    scale = max(made) / max(width, height)
    assert abs(made[0] - width * scale) <= 1
    assert abs(made[1] - height * scale) <= 1


PHOTO = ImageInfo(kind=ImageKind.JPEG, size=10**6, width=3000, height=2000)
GOOD = MadeFacts(
    size=500_000,
    format=ImageFormat.JPEG,
    width=3000,
    height=2000,
    frames=1,
    likeness=Likeness(mean=0.99, low=0.97),
)


def test_an_order_that_says_nothing_is_the_original_in_its_own_format() -> None:
    """At the quality `high`."""
    order = image_order(Order())
    assert order.variants == (Variant.ORIGINAL,)
    assert (order.format, order.quality.name) == (Wanted.KEEP, "high")


@pytest.mark.parametrize("wanted", Wanted)
@pytest.mark.parametrize("kind", ImageKind)
def test_every_plan_makes_what_is_wanted(kind: ImageKind, wanted: Wanted) -> None:
    """Each size of each kind in each format, some way to encode it, and PNG never with a loss."""
    variants = tuple(Variant)
    quality = image_order(Order()).quality
    order = ImageOrder(variants=variants, format=wanted, quality=quality)
    plan = image_plan(replace(PHOTO, kind=kind, lossless=kind is ImageKind.PNG), order)
    for made in plan.variants:
        side = LONG_SIDES[made.variant]
        assert max(made.width, made.height) == (side or 3000)
        assert made.encode is not None
        expected = kind.value if wanted is Wanted.KEEP else wanted.value
        assert made.encode == expected
        assert made.lossless or made.lossy
        assert not (made.encode is ImageFormat.PNG and made.lossy)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"size": 2_000_000}, "bytes"),
        ({"format": ImageFormat.PNG}, "it is png"),
        ({"width": 2000, "height": 3000}, "2000x3000"),
        ({"frames": 2}, "2 pictures"),
        ({"metadata": ("exif-data",)}, "exif-data"),
        ({"likeness": Likeness(mean=0.2, low=0.1)}, "does not show"),
    ],
)
def test_a_result_that_is_not_what_was_planned_is_named(said: dict[str, Any], words: str) -> None:
    """One defect each, and none where all is well."""
    plan = image_plan(PHOTO, image_order(Order())).variants[0]
    assert image_verdict(PHOTO, plan, GOOD) == ()
    defects = image_verdict(PHOTO, plan, replace(GOOD, **said))
    assert len(defects) == 1
    assert words in defects[0]


def plan_of(info: ImageInfo, *variants: Variant, wanted: Wanted = Wanted.KEEP) -> ImagePlan:
    """Plan an image at the default quality."""
    quality = image_order(Order()).quality
    return image_plan(info, ImageOrder(variants=variants, format=wanted, quality=quality))


@pytest.mark.parametrize(
    ("said", "worth"),
    [
        ({}, 0.1),
        ({"orientation": 6}, 0.1),
        ({"kind": ImageKind.WEBP}, 0.1),
        ({"kind": ImageKind.WEBP, "orientation": 6}, 0.0),
        ({"cmyk": True}, 0.0),
    ],
)
def test_an_encode_that_saves_little_is_worth_it_where_it_mends(
    said: dict[str, Any], worth: float
) -> None:
    """A lying WebP that few viewers turn, and printers' colours; else a tenth must be saved."""
    plan = plan_of(replace(PHOTO, **said), Variant.ORIGINAL).variants[0]
    assert plan.least_saving == worth
    assert plan.plainer == (worth == 0)


def test_what_falls_short_of_its_bar_says_why() -> None:
    """Its size, or its format; and nothing where its encoder had seen the bar reached."""
    plan = plan_of(PHOTO, Variant.THUMBNAIL)
    short = replace(GOOD, likeness=Likeness(mean=0.9, low=0.8))
    told = [below_bar(plan, plan.variants[0], short, why) for why in (*Short, None)]
    assert [str(words).partition("asks for (0.95)")[2] for words in told] == [
        ": it would be larger than the source otherwise",
        ": its format comes no nearer",
        "",
    ]
    assert below_bar(plan, plan.variants[0], GOOD, None) is None


@pytest.mark.parametrize(
    ("said", "wanted", "words"),
    [
        ({}, Wanted.KEEP, []),
        ({}, Wanted.AVIF, ["as AVIF of 3000x2000 it would be larger"]),
        ({"cmyk": True}, Wanted.KEEP, ["keeps its printing colours"]),
        ({"orientation": 3}, Wanted.KEEP, []),
        ({"orientation": 3, "kind": ImageKind.PNG}, Wanted.KEEP, ["kept lying", "in a PNG"]),
    ],
)
def test_what_is_kept_is_told_of_where_it_is_not_as_it_should_be(
    said: dict[str, Any], wanted: Wanted, words: list[str]
) -> None:
    """A photo of a small file, upright and in a screen's colours, needs no word."""
    info = replace(PHOTO, **said)
    remarks = list(kept_remarks(info, plan_of(info, Variant.ORIGINAL, wanted=wanted).variants[0]))
    assert bool(remarks) == bool(words)
    assert all(word in " ".join(remarks) for word in words)


@pytest.fixture
def signals() -> Iterator[None]:
    """Put back the handlers that a command installs for itself."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_the_command_line_makes_variants_of_a_photo(tmp_path: Path) -> None:
    """Its name does not matter, its content does."""
    source = tmp_path / "photo.mp4"
    source.write_bytes(drawing.jpeg(drawing.photo(360, 240), quality=97))
    wish = ["compress", str(source), "--variants", "thumbnail,original", "--format", "webp"]
    done = CliRunner().invoke(main, [*wish, "--quality", "low"])
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "photo.thumbnail.webp") as shown:
        assert shown.size == (320, 213)
    assert (tmp_path / "photo.original.webp").stat().st_size < source.stat().st_size
    again = CliRunner().invoke(main, wish)
    assert again.exit_code == 1
    assert "--force" in again.output


@pytest.mark.usefixtures("signals")
def test_the_command_line_says_what_is_taken(tmp_path: Path) -> None:
    """An image was asked for, and the file is none."""
    source = tmp_path / "drawing.jpg"
    source.write_bytes(b"<svg/>")
    done = CliRunner().invoke(main, ["compress", str(source), "--format", "webp"])
    assert done.exit_code == 1
    assert "unsupported_type" in done.output
    assert "JPEG, PNG or WebP" in done.output
