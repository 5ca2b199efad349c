"""Draw wall time against workers as a PNG, with Pillow alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from bench.scale_model import Outlook

_SIZE: Final = (900, 560)
_LEFT: Final = 90
_RIGHT: Final = 40
_TOP: Final = 50
_BOTTOM: Final = 70
_INK: Final = "#222222"
_GRID: Final = "#dddddd"
_LINE: Final = "#1b9e77"
_IDEAL: Final = "#999999"
_DOT: Final = 5
_SECONDS: Final = (10, 30, 60, 120, 300, 600, 1200, 2400, 4800)


def wall_against_workers(outlooks: Sequence[Outlook], to: Path) -> None:
    """Write the plot, both axes logarithmic; the grey line is a perfect split of the first."""
    image = Image.new("RGB", _SIZE, "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(15)
    first = outlooks[0]
    ideal = [first.wall_s / one.workers for one in outlooks]
    lowest, highest = min(*ideal, 10.0), first.wall_s * 1.2

    def place(workers: float, wall_s: float) -> tuple[float, float]:
        across = math.log(workers) / math.log(outlooks[-1].workers)
        up = math.log(wall_s / lowest) / math.log(highest / lowest)
        width, height = _SIZE[0] - _LEFT - _RIGHT, _SIZE[1] - _TOP - _BOTTOM
        return _LEFT + across * width, _TOP + (1 - up) * height

    for seconds in _SECONDS:
        if lowest <= seconds <= highest:
            draw.line([place(1, seconds), place(outlooks[-1].workers, seconds)], fill=_GRID)
            draw.text((10, place(1, seconds)[1] - 8), f"{seconds} s", fill=_INK, font=font)
    for one in outlooks:
        x = place(one.workers, lowest)[0]
        draw.line([(x, _TOP), (x, _SIZE[1] - _BOTTOM)], fill=_GRID)
        draw.text((x - 8, _SIZE[1] - _BOTTOM + 8), f"{one.workers}", fill=_INK, font=font)
    draw.line([place(o.workers, i) for o, i in zip(outlooks, ideal, strict=True)], fill=_IDEAL)
    dots = [place(one.workers, one.wall_s) for one in outlooks]
    draw.line(dots, fill=_LINE, width=3)
    for (x, y), one in zip(dots, outlooks, strict=True):
        draw.ellipse([x - _DOT, y - _DOT, x + _DOT, y + _DOT], fill=_LINE)
        draw.text((x + 6, y - 24), f"{one.wall_s:.0f} s", fill=_INK, font=font)
    title = "Seconds until an hour's lecture is stored, by workers (measured work, stated delays)"
    draw.text((_LEFT, 15), title, fill=_INK, font=font)
    image.save(to, optimize=True)
