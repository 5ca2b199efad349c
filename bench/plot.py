"""Draw results as PNG, with Pillow alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from bench.encode_runs import REFERENCE, Result
from core.presets import LECTURE, SMART

_SIZE: Final = (1000, 640)
_MARGINS: Final = (80, 60, 300, 70)
"""Pixels left, above, right and below the plot; to the right lies the legend."""
_INK: Final = "#222222"
_GRID: Final = "#dddddd"
_COLOURS: Final = {REFERENCE: "#d95f02", LECTURE.name: "#7570b3", SMART.name: "#1b9e77"}
_DOT: Final = 6
_VMAF_STEP: Final = 2
_RATIO_STEPS: Final = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0)
_VMAF_FLOOR: Final = 80.0

_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
_Dot = tuple[str, int, float, float]


def bytes_against_vmaf(results: Sequence[Result], to: Path) -> None:
    """Write the plot: bytes as a share of the reference's (logarithmic) against mean VMAF."""
    dots = [
        (name, number, result.ratio(name), max(made.quality.mean, _VMAF_FLOOR))
        for number, result in enumerate(results, 1)
        for name, made in result.runs.items()
    ]
    axes = _Axes([dot[2] for dot in dots], [dot[3] for dot in dots])
    image = Image.new("RGB", _SIZE, "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(14)
    _grid(draw, axes, font)
    for result_dots in _by_recording(dots):
        draw.line([axes.at(ratio, vmaf) for _, _, ratio, vmaf in result_dots], fill=_GRID, width=2)
    for name, number, ratio, vmaf in dots:
        x, y = axes.at(ratio, vmaf)
        draw.ellipse((x - _DOT, y - _DOT, x + _DOT, y + _DOT), fill=_COLOURS[name])
        draw.text((x + _DOT + 1, y - 2 * _DOT), str(number), fill=_INK, font=font)
    _legend(draw, results, font)
    to.parent.mkdir(parents=True, exist_ok=True)
    image.save(to)


class _Axes:
    """From a share of bytes and a VMAF to pixels."""

    def __init__(self, ratios: Sequence[float], vmafs: Sequence[float]) -> None:
        self.ratios = (min(*ratios, 0.3) * 0.9, max(*ratios, 1.0) * 1.1)
        self.vmafs = (math.floor(min(*vmafs, 90)) - 1, 100)
        left, above, right, below = _MARGINS
        self.box = (left, above, _SIZE[0] - right, _SIZE[1] - below)

    def at(self, ratio: float, vmaf: float) -> tuple[float, float]:
        low, high = map(math.log, self.ratios)
        across = (math.log(ratio) - low) / (high - low)
        up = (vmaf - self.vmafs[0]) / (self.vmafs[1] - self.vmafs[0])
        left, above, right, below = self.box
        return left + across * (right - left), below - up * (below - above)


def _grid(draw: ImageDraw.ImageDraw, axes: _Axes, font: _Font) -> None:
    left, above, right, below = axes.box
    for ratio in _RATIO_STEPS:
        if axes.ratios[0] <= ratio <= axes.ratios[1]:
            x, _ = axes.at(ratio, axes.vmafs[0])
            draw.line((x, above, x, below), fill=_GRID)
            draw.text((x, below + 8), f"{ratio:g}", fill=_INK, font=font, anchor="ma")
    for vmaf in range(int(axes.vmafs[0]), 101, _VMAF_STEP):
        _, y = axes.at(1.0, vmaf)
        draw.line((left, y, right, y), fill=_GRID)
        draw.text((left - 8, y), str(vmaf), fill=_INK, font=font, anchor="rm")
    draw.rectangle(axes.box, outline=_INK)
    draw.text(((left + right) / 2, below + 34), "bytes, as a share of the reference's",
              fill=_INK, font=font, anchor="ma")  # fmt: skip
    draw.text((left, above - 28), "mean VMAF against the scaled source", fill=_INK, font=font)


def _by_recording(dots: Sequence[_Dot]) -> list[list[_Dot]]:
    numbers = sorted({dot[1] for dot in dots})
    return [[dot for dot in dots if dot[1] == number] for number in numbers]


def _legend(draw: ImageDraw.ImageDraw, results: Sequence[Result], font: _Font) -> None:
    x, y = _SIZE[0] - _MARGINS[2] + 24, _MARGINS[1]
    for name, colour in _COLOURS.items():
        draw.ellipse((x, y, x + 2 * _DOT, y + 2 * _DOT), fill=colour)
        draw.text((x + 3 * _DOT, y - 2), name, fill=_INK, font=font)
        y += 22
    y += 12
    for number, result in enumerate(results, 1):
        draw.text((x, y), f"{number}  {Path(result.name).stem[:32]}", fill=_INK, font=font)
        y += 20
