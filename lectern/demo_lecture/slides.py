"""Draw the four slides of the lecture at any moment of the talk."""

from __future__ import annotations

import math
from collections.abc import Callable

from lectern.demo_lecture.board import (
    CHALK,
    FAINT,
    HEIGHT,
    INK,
    MUTED,
    NIGHT,
    ORANGE,
    PAPER,
    RED,
    TEAL,
    VIOLET,
    Board,
    Colour,
    Point,
    mix,
    width,
)
from lectern.demo_lecture.voice import Show, ease

CODE = (
    "def smallest(recording):",
    "    for size in sizes:",
    "        video = encode(recording, size)",
    "        if looks_right(video):",
    "            return video",
)
GOP = "IBBPBBPBBI"
KINDS: dict[str, tuple[Colour, float]] = {"I": (TEAL, 1.0), "P": (ORANGE, 0.5), "B": (VIOLET, 0.2)}
NOTES = {
    "I": "a whole picture, on its own",
    "P": "only what changed since an earlier one",
    "B": "looks back and ahead, costs the least",
}

ORIGIN, SPAN, RISE = (176.0, 922.0), 800.0, 600.0  # where the plot is, and how large
STEEP = 3.4  # how fast the quality nears its ceiling
ENOUGH = 0.85  # the quality that looks right


def heading(board: Board, words: str) -> None:
    """Give the slides one common look."""
    board.bold((96, 138), words, 72, INK)
    board.box((98, 168, 258, 175), ORANGE)


def bullet(board: Board, at: Point, words: str, shown: float, ink: Colour = TEAL) -> None:
    """Let a line rise and fade in when the voice reaches it."""
    if shown > 0:
        x, y = at[0], at[1] + 16 * (1 - shown)
        board.box((x, y - 28, x + 22, y - 6), mix(PAPER, ink, shown), radius=5)
        board.text((x + 48, y), words, 46, mix(PAPER, INK, shown))


def title(board: Board, show: Show, now: float) -> None:
    """Open with the question the lecture answers."""
    board.box((0, 0, 28, HEIGHT), TEAL)
    board.bold((96, 330), "How video", 124, INK)
    board.bold((96, 470), "gets small", 124, INK)
    board.box((100, 520, 340, 529), ORANGE)
    board.text((96, 610), "Four slides on what an encoder keeps", 46, MUTED)
    board.text((96, 668), "and what it leaves out", 46, MUTED)
    bullet(board, (98, 800), "Whole pictures and changes", show.since(0, now, 1.6))
    bullet(board, (98, 876), "Bytes and quality", show.since(0, now, 2.3))
    landscape(board, (1130, 150))
    scan(board, (1130, 150), ease(now / show.cues[0].end) * 0.999)


def landscape(board: Board, at: Point) -> None:
    """Draw a small picture for the encoder on the title to work through."""
    x, y = at
    board.box((x - 12, y - 12, x + 684, y + 444), CHALK, FAINT, 14)
    for row in range(48):
        tint = mix((112, 170, 214), (246, 214, 170), row / 47)
        board.box((x, y + row * 9, x + 671, y + row * 9 + 9), tint)
    board.disc(x + 500, y + 130, 58, 58, (252, 238, 190))
    for height, tint in ((190, (122, 150, 150)), (110, (72, 118, 106)), (40, (40, 84, 74))):
        board.shape(ridge(at, height), tint)


def ridge(at: Point, height: float) -> list[Point]:
    """Outline one row of hills, each row with its own rhythm."""
    x, y = at
    waves = [math.sin(step / (8 + height / 20) + height) for step in range(85)]
    line = [(x + step * 8, y + 390 - height - 42 * wave) for step, wave in enumerate(waves)]
    return [(x, y + 432), *line[:-1], (x + 672, line[-1][1]), (x + 672, y + 432)]


def scan(board: Board, at: Point, share: float) -> None:
    """Show how an encoder goes through a picture block by block."""
    x, y = at
    for column in range(1, 14):
        board.path([(x + column * 48, y), (x + column * 48, y + 432)], (200, 210, 214), 1)
    for row in range(1, 9):
        board.path([(x, y + row * 48), (x + 672, y + row * 48)], (200, 210, 214), 1)
    row, column = divmod(int(share * 126), 14)
    left, top = x + column * 48, y + row * 48
    rim = [(left, top), (left + 48, top), (left + 48, top + 48), (left, top + 48), (left, top)]
    board.path([*rim, rim[1]], ORANGE, 6)


def frames(board: Board, show: Show, now: float) -> None:
    """Explain I, P and B frames, each when it is named."""
    heading(board, "Three kinds of frames")
    shown = {kind: show.since(cue, now, 0.2) for cue, kind in enumerate("IPB", 1)}
    board.text((98, 660), "bytes", 30, MUTED)
    board.path([(196, 668), (1800, 668)], FAINT, 3)
    for place, kind in enumerate(GOP):
        picture(board, place, kind, shown[kind])
        for other in sources(place):
            bow(board, place, other, show.since("IPB".index(kind) + 1, now, 0.5, 0.9))
    for row, (kind, words) in enumerate(NOTES.items()):
        note(board, (98, 778 + 80 * row), kind, words, shown[kind])


def note(board: Board, at: Point, kind: str, words: str, shown: float) -> None:
    """Name a kind of frame in its own colour, with the notes in one column."""
    bullet(board, at, kind, shown, KINDS[kind][0])
    if shown > 0:
        board.text((at[0] + 104, at[1] + 16 * (1 - shown)), words, 46, mix(PAPER, INK, shown))


def middle(place: int) -> float:
    """Give the centre of a frame in the row."""
    return 262.0 + place * 164


def sources(place: int) -> list[int]:
    """Tell which frames one frame is predicted from: none, the last one, or both sides."""
    before = [other for other in range(place) if GOP[other] != "B"]
    after = [other for other in range(place, len(GOP)) if GOP[other] != "B"]
    return {"I": [], "P": before[-1:], "B": before[-1:] + after[:1]}[GOP[place]]


def picture(board: Board, place: int, kind: str, shown: float) -> None:
    """Draw one frame as a card, and what it costs as a bar below it."""
    ink, cost = KINDS[kind]
    x = middle(place)
    edge = mix(FAINT, ink, shown)
    board.box((x - 60, 370, x + 60, 480), mix(PAPER, ink, shown * 0.16), edge, 12)
    board.bold((x, 426), kind, 60, mix(FAINT, ink, shown), "mm")
    if shown > 0:
        board.box((x - 34, 668 - 140 * cost * shown, x + 34, 668), ink)


def bow(board: Board, place: int, other: int, shown: float) -> None:
    """Bend an arrow from a frame to the one it needs, growing while it is explained."""
    ink, _ = KINDS[GOP[place]]
    reach = 8 if GOP[place] == "P" else 32  # where arrows land, so that they stay apart
    lean = reach if other > place else -reach
    start, end = middle(place) + lean * 0.6, middle(other) - lean
    high = 26 + 30 * abs(place - other)
    steps = [step / 40 for step in range(round(40 * shown) + 1)]
    line = [(start + (end - start) * u, 362 - high * math.sin(math.pi * u)) for u in steps]
    if len(line) > 2:
        board.path(line, ink, 4 if GOP[place] == "P" else 3)
        board.arrow(line[-1], line[-3], ink, 18)


def tradeoff(board: Board, show: Show, now: float) -> None:
    """Let the curve grow while the voice explains why its slope falls."""
    heading(board, "Bytes against quality")
    first, second = show.cues[4], show.cues[5]
    axes(board)
    reach = show.since(4, now, 0.0, first.end - first.start)
    stairs(board, reach)
    curve(board, reach)
    choice(board, show.since(5, now, 0.3, 1.2), show.since(5, now, 1.5, 0.7))
    typed = (now - first.start) / (second.end - first.start - 0.2)
    editor(board, min(1.0, max(0.0, typed)), now)


def spot(size: float, quality: float) -> Point:
    """Place a size and a quality, both from 0 to 1, on the plot."""
    return ORIGIN[0] + size * SPAN, ORIGIN[1] - quality * RISE


def quality(size: float) -> float:
    """Stand in for a measured curve: each further byte buys less than the one before."""
    return 1 - math.exp(-STEEP * size)


def axes(board: Board) -> None:
    """Draw the frame of the plot with its grid and labels."""
    for step in range(1, 6):
        board.path([spot(0, step / 5), spot(1, step / 5)], FAINT, 2)
    board.path([spot(0, 1.06), spot(0, 0), spot(1.04, 0)], INK, 4)
    board.arrow(spot(0, 1.08), spot(0, 0), INK, 20)
    board.arrow(spot(1.06, 0), spot(0, 0), INK, 20)
    board.text((ORIGIN[0], 256), "quality", 36, INK, "ms")
    board.text((ORIGIN[0] + SPAN, 970), "bytes", 36, INK, "ms")


def stairs(board: Board, reach: float) -> None:
    """Mark what each equal step of bytes buys, which is the point of the slide."""
    for step in range(8):
        low, high = step / 8, (step + 1) / 8
        if high <= reach:
            board.path([spot(low, quality(low)), spot(high, quality(low))], (190, 200, 204), 3)
            board.path([spot(high, quality(low)), spot(high, quality(high))], ORANGE, 6)


def curve(board: Board, reach: float) -> None:
    """Draw the curve as far as it has grown."""
    sizes = [reach * step / 80 for step in range(81)]
    if reach > 0:
        board.path([spot(size, quality(size)) for size in sizes], TEAL, 7)
        x, y = spot(reach, quality(reach))
        board.disc(x, y, 11, 11, TEAL)


def choice(board: Board, across: float, down: float) -> None:
    """Find the smallest file that is good enough: along the line, then down to the bytes."""
    size = -math.log(1 - ENOUGH) / STEEP
    for step in range(round(40 * across)):
        board.path([spot(step / 40, ENOUGH), spot((step + 0.55) / 40, ENOUGH)], RED, 4)
    if across > 0.3:
        board.text((ORIGIN[0] + 20, spot(0, ENOUGH)[1] - 14), "looks right", 34, RED)
    if down > 0:
        foot = spot(size, ENOUGH * (1 - down))
        board.path([spot(size, ENOUGH), foot], RED, 5)
        board.disc(*spot(size, ENOUGH), 14, 14, RED)
    if down > 0.95:
        board.arrow(spot(size, 0), spot(size, 1), RED, 26)
        board.text((spot(size, 0)[0], 970), "take this one", 36, RED, "ms")


def editor(board: Board, share: float, now: float) -> None:
    """Type the same idea as code, letter by letter, with a blinking caret."""
    board.box((1056, 236, 1888, 640), NIGHT, radius=14)
    for place in range(3):
        board.disc(1090 + place * 32, 264, 9, 9, (88, 96, 114))
    board.text((1472, 264), "choose.py", 26, MUTED, "mm")
    left = round(share * sum(map(len, CODE)))
    for row, line in enumerate(CODE):
        seen = line[: max(0, left)]
        here = 0 <= left <= len(line) or (row == len(CODE) - 1 and left > 0)
        statement(board, 344 + row * 62, seen, here and (share < 1 or now % 1 < 0.5))
        left -= len(line) + (left == len(line))


def statement(board: Board, y: float, words: str, caret: bool) -> None:
    """Write one line of code with its first word in colour and an indent of even steps."""
    x = 1090.0 + 11 * (len(words) - len(words.lstrip()))
    first, gap, rest = words.lstrip().partition(" ")
    keyword = first in ("def", "for", "if", "return")
    board.text((x, y), first, 38, (240, 170, 96) if keyword else CHALK)
    x += width(first + gap, 38)
    board.text((x, y), rest, 38, CHALK)
    x += width(rest, 38)
    if caret:
        board.box((x + 3, y - 34, x + 7, y + 8), CHALK)


def summary(board: Board, show: Show, now: float) -> None:
    """Close with what to remember, and with the size shrinking before the viewer's eyes."""
    heading(board, "Remember")
    bullet(board, (98, 290), "Slides stand still: most frames are nearly free", show.since(6, now))
    bullet(board, (98, 374), "Keep the text sharp", show.since(7, now), ORANGE)
    bullet(board, (98, 458), "Keep the voice clear", show.since(7, now, 1.1), ORANGE)
    bullet(board, (98, 542), "Save the rest", show.since(7, now, 2.2), ORANGE)
    board.text((98, 664), "as recorded", 34, MUTED)
    board.box((98, 682, 1298, 740), FAINT, radius=8)
    board.text((98, 804), "as delivered", 34, MUTED)
    kept = 1200 - 900 * show.since(7, now, 0.6, 2.6)
    board.box((98, 822, 98 + kept, 880), TEAL, radius=8)
    thanks = show.since(7, now, 2.9)
    board.text((98, 966), "Thank you for listening", 46, mix(PAPER, INK, thanks))


SLIDES: tuple[Callable[[Board, Show, float], None], ...] = (title, frames, tradeoff, summary)
