"""Draw text and shapes with smooth edges, in the colours that all slides share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Point = tuple[float, float]
Corners = tuple[float, float, float, float]

WIDTH, HEIGHT = 1920, 1080
SCALE = 2  # everything is drawn this much larger and averaged down, for smooth edges

PAPER: Colour = (250, 249, 245)
INK: Colour = (27, 38, 59)
MUTED: Colour = (120, 128, 140)
FAINT: Colour = (222, 222, 216)
TEAL: Colour = (20, 125, 128)
ORANGE: Colour = (222, 110, 38)
VIOLET: Colour = (116, 84, 178)
NIGHT: Colour = (30, 34, 46)
CHALK: Colour = (226, 230, 238)
RED: Colour = (206, 52, 52)


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Keep each size of the built-in font, which is the same on every machine."""
    return ImageFont.load_default(size * SCALE)


def width(words: str, size: int) -> float:
    """Measure a line, to know where the next words or the caret go."""
    return font(size).getlength(words) / SCALE


def mix(ground: Colour, ink: Colour, share: float) -> Colour:
    """Blend two colours, which fades things in on a plain ground without transparency."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(ground, ink, strict=True))
    return red, green, blue


class Board:
    """Draw in screen pixels on an enlarged canvas, which `finish` averages down."""

    def __init__(self, width: int, height: int, ground: Colour) -> None:
        """Start from a plain ground."""
        self.image = Image.new("RGB", (width * SCALE, height * SCALE), ground)
        self.pen = ImageDraw.Draw(self.image)

    def text(self, at: Point, words: str, size: int, ink: Colour, anchor: str = "ls") -> None:
        """Write one line."""
        self.pen.text((at[0] * SCALE, at[1] * SCALE), words, ink, font(size), anchor)

    def bold(self, at: Point, words: str, size: int, ink: Colour, anchor: str = "ls") -> None:
        """Write one line with thicker strokes, as the font has one weight only."""
        place = (at[0] * SCALE, at[1] * SCALE)
        self.pen.text(place, words, ink, font(size), anchor, stroke_width=max(2, size // 31))

    def box(
        self, corners: Corners, fill: Colour, edge: Colour | None = None, radius: int = 0
    ) -> None:
        """Draw a rectangle, rounded or not, with a border if an edge colour is given."""
        large = tuple(side * SCALE for side in corners)
        self.pen.rounded_rectangle(large, radius * SCALE, fill, edge, 3 * SCALE if edge else 0)

    def path(self, points: Sequence[Point], ink: Colour, width: float) -> None:
        """Draw a line through points."""
        large = [(x * SCALE, y * SCALE) for x, y in points]
        self.pen.line(large, ink, round(width * SCALE), "curve")

    def shape(self, points: Sequence[Point], fill: Colour) -> None:
        """Fill a polygon."""
        self.pen.polygon([(x * SCALE, y * SCALE) for x, y in points], fill)

    def disc(self, x: float, y: float, across: float, down: float, fill: Colour) -> None:
        """Fill an ellipse around a centre, given its two radii."""
        corners = (x - across, y - down, x + across, y + down)
        self.pen.ellipse([side * SCALE for side in corners], fill)

    def arrow(self, tip: Point, back: Point, ink: Colour, size: float = 13) -> None:
        """Point at a place, coming from another."""
        angle = math.atan2(back[1] - tip[1], back[0] - tip[0])
        wings = [(angle + turn, tip) for turn in (-0.45, 0.45)]
        ends = [(x + size * math.cos(a), y + size * math.sin(a)) for a, (x, y) in wings]
        self.shape([tip, *ends], ink)

    def finish(self) -> Image.Image:
        """Average the canvas down to screen size, which smooths every edge."""
        return self.image.reduce(SCALE)
