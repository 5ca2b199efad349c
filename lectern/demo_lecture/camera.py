"""Draw the speaker in the corner, whose motion and grain cost bytes as a real camera's do."""

from __future__ import annotations

import math
import random

from PIL import Image

from lectern.demo_lecture.board import INK, Board

SEED = 20
SIZE = (448, 336)
GRAIN = 0.03  # the share of noise in each picture


def room(board: Board) -> None:
    """Furnish the speaker's room, whose detail makes the camera worth compressing."""
    board.box((0, 250, 448, 336), (112, 92, 78))
    for shelf in range(3):
        board.box((14, 84 + shelf * 78, 150, 91 + shelf * 78), (98, 70, 50))
    books = random.Random(SEED)
    for place in range(27):
        x, foot = 18 + place % 9 * 14.4, 84 + place // 9 * 78
        tint = (books.randint(70, 190), books.randint(60, 150), books.randint(60, 150))
        board.box((x, foot - books.randint(36, 58), x + 12, foot), tint)


def pendulum(board: Board, now: float) -> None:
    """Swing a clock's pendulum, so that something moves even between the sentences."""
    angle = 0.34 * math.sin(now * math.tau / 1.6)
    board.box((346, 18, 430, 196), (92, 62, 42), (66, 44, 30), 10)
    board.disc(388, 60, 32, 32, (238, 230, 208))
    for turn, length in ((int(now) * math.tau / 60, 25), (1.2, 20), (4.8, 14)):
        tip = (388 + length * math.sin(turn), 60 - length * math.cos(turn))
        board.path([(388, 60), tip], INK, 3)
    bob = (388 + 78 * math.sin(angle), 96 + 78 * math.cos(angle))
    board.path([(388, 96), bob], (216, 188, 110), 4)
    board.disc(*bob, 13, 13, (232, 196, 92))


def speaker(board: Board, now: float, level: float) -> None:
    """Draw the speaker, who sways, nods with the voice, blinks and talks."""
    x = 236 + 9 * math.sin(now * 1.3) + 4 * math.sin(now * 2.9)
    y = 152 + 4 * math.sin(now * 1.9) + 5 * level
    hand = 300 - 46 * level + 10 * math.sin(now * 3.1)
    board.disc(x * 0.6 + 94, 352, 128, 108, (52, 84, 120))
    board.box((x - 22, y + 50, x + 22, y + 108), (206, 152, 120), radius=14)
    board.disc(x, y - 14, 76, 86, (58, 40, 32))
    board.disc(x, y + 4, 62, 78, (226, 174, 140))
    board.disc(x - 4, y - 66, 60, 30, (58, 40, 32))
    board.disc(x + 118, hand, 22, 26, (226, 174, 140))
    face(board, x + 2 * math.sin(now * 1.3), y, now, level)


def face(board: Board, x: float, y: float, now: float, level: float) -> None:
    """Give the speaker eyes that blink and a mouth that follows the voice."""
    lid = 1.0 if now % 2.7 < 0.12 else 8.0
    for side in (-24, 24):
        board.disc(x + side, y - 4, 11, lid, (246, 244, 240))
        board.disc(x + side + 2 * math.sin(now), y - 4, 5, min(5.0, lid), (40, 48, 60))
        brow = [(-13, 2), (0, -2), (13, 2)]
        board.path([(x + side + dx, y - 22 - 5 * level + dy) for dx, dy in brow], INK, 4)
    board.path([(x, y + 4), (x + 6, y + 22), (x - 4, y + 24)], (188, 134, 104), 3)
    smile = [(-17, 43), (-9, 47), (0, 48), (9, 47), (17, 43)]
    board.path([(x + dx, y + dy) for dx, dy in smile], (124, 42, 46), 4)
    board.disc(x, y + 46, 16 - 2 * level, 2 + 15 * level, (124, 42, 46))


def grain(picture: Image.Image, frame: int) -> Image.Image:
    """Add the noise of a small sensor; the frame number seeds it, so that runs agree."""
    noise = random.Random(SEED * 100_000 + frame).randbytes(SIZE[0] * SIZE[1])
    layer = Image.frombytes("L", SIZE, noise)
    return Image.blend(picture, Image.merge("RGB", (layer, layer, layer)), GRAIN)


def film(now: float, level: float, frame: int) -> Image.Image:
    """Film the speaker, as the small picture in the corner of a recording."""
    board = Board(*SIZE, (188, 172, 148))
    room(board)
    pendulum(board, now)
    speaker(board, now, level)
    return grain(board.finish(), frame)
