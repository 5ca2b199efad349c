"""Render the demo lecture, so that the project ships a recording nobody else owns.

Every word, line and sound is made here: Pillow draws the slides, espeak-ng speaks the
sentences and ffmpeg encodes both as a screen recorder would, quickly and generously.

    python -m pip install pillow imageio-ffmpeg
    apt-get install espeak-ng
    python -m lectern.demo_lecture.make [lecture.mp4]
"""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import IO, cast

from PIL import Image

from lectern.demo_lecture import LECTURE, camera
from lectern.demo_lecture.board import HEIGHT, INK, MUTED, ORANGE, PAPER, RED, WIDTH, Board, Point
from lectern.demo_lecture.slides import SLIDES
from lectern.demo_lecture.voice import EARLY, FPS, Show, ease, record

CORNER = (1440, 704)

PICTURE = (
    "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+bitexact,format=yuv420p,"
    "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
)
SOUND = "aformat=channel_layouts=stereo,loudnorm=I=-16:TP=-1.5:LRA=11,aresample=48000"

# Where the mouse goes: sentence, seconds after its start, x, y, and whether it clicks.
MOUSE: tuple[tuple[int, float, float, float, bool], ...] = (
    (0, -0.5, 980, 880, False),
    (0, 1.2, 620, 700, False),
    (0, 2.2, 560, 830, False),
    (1, -EARLY, 1330, 620, True),
    (1, 0.9, 300, 510, False),
    (2, 0.9, 770, 510, False),
    (3, 0.6, 430, 510, False),
    (3, 2.0, 1090, 520, False),
    (4, -EARLY, 1180, 610, True),
    (4, 0.2, 1210, 500, True),
    (4, 1.6, 560, 760, False),
    (5, 1.4, 640, 470, False),
    (5, 2.1, 650, 850, False),
    (6, -EARLY, 1180, 800, True),
    (6, 1.6, 760, 330, False),
    (7, 0.5, 660, 400, False),
    (7, 2.2, 480, 850, False),
    (7, 3.4, 700, 930, True),
)


def mouse(show: Show, now: float) -> Point:
    """Move the mouse between its stations with a soft start and stop."""
    stops = [(show.cues[cue].start + after, x, y) for cue, after, x, y, _ in MOUSE]
    for (begin, x, y), (end, to_x, to_y) in pairwise(stops):
        if now < end:
            share = ease((now - begin) / (end - begin))
            sag = 40 * math.sin(math.pi * share)
            return x + (to_x - x) * share, y + (to_y - y) * share + sag
    return stops[-1][1:]


def pointer(board: Board, show: Show, now: float) -> None:
    """Draw the mouse on top of all else, with a ring where it clicks."""
    x, y = (round(side) for side in mouse(show, now))
    for cue, after, at_x, at_y, clicks in MOUSE:
        age = now - show.cues[cue].start - after
        if clicks and 0 <= age < 0.4:
            ring = [math.tau * step / 40 for step in range(42)]
            wide = 12 + 70 * age
            points = [(at_x + wide * math.cos(a), at_y + wide * math.sin(a)) for a in ring]
            board.path(points, ORANGE, 5)
    tail = [(0, 0), (0, 34), (8, 27), (14, 40), (20, 37), (14, 25), (25, 25)]
    outline = [(x + dx, y + dy) for dx, dy in tail]
    board.shape(outline, INK)
    board.path([*outline, *outline[:2]], (255, 255, 255), 2)


def footer(board: Board, slide: int, now: float) -> None:
    """Show the number of the slide and a running clock, as recordings do."""
    board.text((98, 1044), "Media engineering, lecture 1", 28, MUTED)
    board.text((860, 1044), f"{slide + 1} / {len(SLIDES)}", 28, MUTED, "ms")
    board.disc(1274, 1034, 9, 9, RED)
    board.text((1298, 1044), f"00:{int(now):02d}", 28, MUTED)


def draw(show: Show, frame: int) -> Image.Image:
    """Compose one picture of the recording: slide, camera and mouse."""
    now = frame / FPS
    slide = show.slide(now)
    board = Board(WIDTH, HEIGHT, PAPER)
    SLIDES[slide](board, show, now)
    footer(board, slide, now)
    left, top = CORNER
    board.box((left - 4, top - 4, left + camera.SIZE[0] + 3, top + camera.SIZE[1] + 3), INK)
    pointer(board, show, now)
    screen = board.finish()
    screen.paste(camera.film(now, show.level(now), frame), CORNER)
    return screen


def command(voice: Path, target: Path, seconds: float) -> list[str]:
    """Ask ffmpeg for what a screen recorder writes: fast, generous, and without a signature."""
    ffmpeg = str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    options = f"""
        -v error -y -f rawvideo -pix_fmt rgb24 -s {WIDTH}x{HEIGHT} -r {FPS} -i -
        -i {{voice}} -map 0:v -map 1:a -t {seconds:.6f}
        -map_metadata -1 -metadata:s:v encoder=H.264
        -fflags +bitexact -flags:v +bitexact -flags:a +bitexact
        -vf {PICTURE} -c:v libx264 -preset veryfast -profile:v high -crf 20 -g 120 -threads 2
        -bsf:v filter_units=remove_types=6
        -af {SOUND} -c:a aac -b:a 128k -ar 48000 -movflags +faststart
    """
    filled = [str(voice) if word == "{voice}" else word for word in options.split()]
    return [ffmpeg, *filled, str(target)]


def screens(show: Show) -> Iterator[bytes]:
    """Draw the pictures one at a time, because all of them would fill the memory."""
    for frame in range(len(show.levels)):
        yield draw(show, frame).tobytes()


def encode(show: Show, voice: Path, target: Path) -> None:
    """Hand the pictures to ffmpeg as they are drawn, so that no large file lies in between."""
    encoder = subprocess.Popen(
        command(voice, target, len(show.levels) / FPS), stdin=subprocess.PIPE
    )
    with encoder, cast("IO[bytes]", encoder.stdin) as pipe:
        pipe.writelines(screens(show))
    if encoder.returncode:
        sys.exit("ffmpeg could not encode the lecture")


def main() -> None:
    """Render the lecture next to this script, or to the path given."""
    target = Path(sys.argv[1]) if sys.argv[1:] else LECTURE
    with tempfile.TemporaryDirectory() as folder:
        voice, show = record(Path(folder))
        encode(show, voice, target)


if __name__ == "__main__":
    main()
