"""`python -m bench.images`: which library shall make images small.

Needs, besides the development's own packages, `ssimulacra2` (and with it NumPy and SciPy):
`uv run --with ssimulacra2 python -m bench.images`.
"""

from __future__ import annotations

import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click
from PIL import Image
from rich.table import Table

from bench import machine
from bench.images_tools import TOOLS
from bench.report import BenchFailed, Report, publish
from infra import ffmpeg

_PHOTO: Final = "ultraHDR.jpg"
_FRAMES: Final = {
    "slide": ("lec_slides_1080p30.mp4", 20),
    "camera": ("cam_montage_1080p30.mp4", 10),
}
"""Recording, and the second to take a picture at."""
_PHOTO_SIDE: Final = 1440
_SCORE: Final = 80.0
"""SSIMULACRA 2 at which a difference is not seen side by side at 1:1 (its README)."""
_LARGE_BYTES: Final = 19_000_000
_BOMB_SIDE: Final = 16_384
_MEMORY: Final = 8 << 30
"""Address space that a tool may use here."""
_WALL_S: Final = 300.0
_LEVELS: Final[Mapping[tuple[str, str], Sequence[int]]] = {
    **{(tool, kind): range(30, 99) for tool in TOOLS for kind in ("jpeg", "webp", "avif")},
    ("FFmpeg", "jpeg"): range(20, 0, -1),
    ("FFmpeg", "avif"): range(50, 0, -1),
}
"""Quality numbers from the worst to the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run took: seconds, CPU seconds, peak resident bytes, and how it ended."""

    wall_s: float
    cpu_s: float
    peak: int
    status: int
    said: str


def run_tool(
    tool: str, task: str, source: Path, folder: Path, kind: str = "jpeg", quality: int = 80
) -> Cost:
    """Run one tool in a process of its own; FFmpeg's program counts with it."""
    words = [tool, task, str(source), str(folder), kind, str(quality)]
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "bench.images_tools", *words],
        cwd=machine.ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        preexec_fn=_confine,  # noqa: PLW1509 - one thread, and it is for the bench alone
    ) as child:
        assert child.stderr is not None
        said = child.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return Cost(
        wall_s=time.monotonic() - began,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss * 1024,
        status=child.returncode,
        said=(said.strip().splitlines() or [""])[-1],
    )


def _confine() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(_WALL_S), int(_WALL_S)))


# --- what is measured -------------------------------------------------------------------------
def pictures(media: Path, folder: Path) -> Iterator[Path]:
    """Make a photo and two frames of recordings, without losses."""
    with Image.open(media / _PHOTO) as photo:
        small = photo.convert("RGB")
    small.thumbnail((_PHOTO_SIDE, _PHOTO_SIDE), Image.Resampling.LANCZOS)
    small.save(folder / "photo.png")
    yield folder / "photo.png"
    for name, (recording, second) in _FRAMES.items():
        path = folder / f"{name}.png"
        words = ["-v", "error", "-y", "-ss", str(second), "-i", str(media / recording)]
        subprocess.run([ffmpeg.find(), *words, "-frames:v", "1", str(path)], check=True)
        yield path


def large(media: Path, folder: Path) -> Path:
    """Make a JPEG of nearly 20 MB out of four photos."""
    with Image.open(media / _PHOTO) as photo:
        photo.draft(None, None)
        one = photo.convert("RGB")
    sheet = Image.new("RGB", (2 * one.width, 2 * one.height))
    for place in range(4):
        sheet.paste(one, (place % 2 * one.width, place // 2 * one.height))
    path = folder / "large.jpg"
    for quality in range(90, 101):
        sheet.save(path, quality=quality, subsampling=0)
        if path.stat().st_size >= _LARGE_BYTES:
            break
    return path


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(folder: Path) -> Path:
    """Make a PNG of 31 KiB that is 16,384 x 16,384 black pixels."""
    pack = zlib.compressobj(9)
    row = bytes(1 + _BOMB_SIDE // 8)
    data = b"".join(pack.compress(row) for _ in range(_BOMB_SIDE)) + pack.flush()
    head = struct.pack(">IIBBBBB", _BOMB_SIDE, _BOMB_SIDE, 1, 0, 0, 0, 0)
    path = folder / "bomb.png"
    chunks = _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


def hostile(folder: Path, photo: Path) -> Iterator[Path]:
    """Make what an unguarded library should refuse."""
    yield bomb(folder)
    whole = photo.read_bytes()
    cut = folder / "cut.jpg"
    cut.write_bytes(whole[: len(whole) // 2])
    yield cut
    hole = folder / "hole.jpg"
    hole.write_bytes(whole[: len(whole) // 2] + whole[len(whole) // 2 + 20_000 :])
    yield hole
    profile = _chunk(b"iCCP", b"bomb\0\0" + zlib.compress(bytes(1 << 29), 9))
    with Image.new("RGB", (64, 64)) as plain:
        plain.save(folder / "iccp.png")
    made = (folder / "iccp.png").read_bytes()
    (folder / "iccp.png").write_bytes(made[:33] + profile + made[33:])
    yield folder / "iccp.png"


# --- equal quality ----------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The smallest file of a tool that still scores `_SCORE`."""

    picture: str
    kind: str
    tool: str
    level: int
    score: float
    size: int
    cpu_s: float


def score(reference: Path, made: Path) -> float:
    """Return SSIMULACRA 2 of a file against its lossless source."""
    from ssimulacra2 import (  # type: ignore[import-not-found]  # noqa: PLC0415 - for this alone
        compute_ssimulacra2,
    )

    decoded = made.with_suffix(".decoded.png")
    with Image.open(made) as image:
        image.convert("RGB").save(decoded, compress_level=1)
    return float(compute_ssimulacra2(str(reference), str(decoded)))


def smallest(tool: str, kind: str, picture: Path, folder: Path) -> Size:
    """Bisect the tool's quality number."""
    levels = _LEVELS[tool, kind]
    low, high, best = 0, len(levels) - 1, None
    while low <= high:
        at = (low + high) // 2
        cost = run_tool(tool, "original", picture, folder, kind, levels[at])
        if cost.status:
            raise BenchFailed(f"{tool} cannot write {kind}: {cost.said}")
        made = next(path for path in folder.glob("original.*") if ".decoded" not in path.name)
        reached = score(picture, made)
        found = Size(picture=picture.stem, kind=kind, tool=tool, level=levels[at],
                     score=reached, size=made.stat().st_size, cpu_s=cost.cpu_s)  # fmt: skip
        made.unlink()
        if reached >= _SCORE:
            best, high = found, at - 1
        else:
            low = at + 1
    return best or found


# --- tables -----------------------------------------------------------------------------------
def _sizes(media: Path, work: Path, out: Path) -> tuple[Table, list[Size]]:
    table = Table("picture", "format", "library", "quality", "score", "bytes", "CPU s",
                  title=f"smallest file that scores {_SCORE:g}")  # fmt: skip
    found = []
    for picture in pictures(media, work):
        for kind in ("jpeg", "webp", "avif"):
            for tool in TOOLS if kind == "jpeg" else TOOLS[:1] + TOOLS[2:]:
                size = smallest(tool, kind, picture, out)
                found.append(size)
                table.add_row(size.picture, kind, tool, str(size.level), f"{size.score:.1f}",
                              f"{size.size:,}", f"{size.cpu_s:.2f}")  # fmt: skip
    return table, found


def _costs(photo: Path, out: Path, rounds: int) -> tuple[Table, dict[str, object]]:
    title = f"{photo.stat().st_size / 1e6:.1f} MB JPEG, as JPEG, best of {rounds}"
    table = Table("library", "task", "wall s", "CPU s", "peak MB", title=title)
    figures: dict[str, object] = {}
    for tool in TOOLS:
        for task in ("variants", "original"):
            runs = [run_tool(tool, task, photo, out) for _ in range(rounds)]
            best = min(runs, key=lambda run: run.wall_s)
            figures[f"{tool} {task}"] = asdict(best)
            table.add_row(tool, task, f"{best.wall_s:.2f}", f"{best.cpu_s:.2f}",
                          f"{best.peak / 1e6:.0f}")  # fmt: skip
    return table, figures


def _harms(photo: Path, work: Path, out: Path) -> tuple[Table, dict[str, object]]:
    table = Table("file", "bytes", "library", "CPU s", "peak MB", "ended", "said",
                  title="hostile files, the library alone")  # fmt: skip
    figures: dict[str, object] = {}
    for path in hostile(work, photo):
        for tool in TOOLS:
            cost = run_tool(tool, "original", path, out)
            figures[f"{path.name} {tool}"] = asdict(cost)
            table.add_row(path.name, f"{path.stat().st_size:,}", tool, f"{cost.cpu_s:.2f}",
                          f"{cost.peak / 1e6:.0f}", str(cost.status), cost.said[:80])  # fmt: skip
    return table, figures


@click.command(context_settings={"show_default": True})
@click.option("--media", envvar="LECTERN_TEST_MEDIA", default=machine.ROOT.parent / "shared/media",
              type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of test recordings.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(1), default=3, help="The best one counts.")
@click.option("--sizes/--no-sizes", default=True, help="Bisect for equal quality (minutes).")
def main(media: Path, rounds: int, *, sizes: bool) -> None:
    """Compare libvips, Pillow and FFmpeg: time, memory, size at equal quality, hostile files."""
    facts = machine.facts()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        out = work / "out"
        out.mkdir()
        photo = large(media, work)
        cost_table, costs = _costs(photo, out, rounds)
        harm_table, harms = _harms(photo, work, out)
        tables, figures = [cost_table, harm_table], {"costs": costs, "hostile": harms}
        if sizes:
            for old in out.iterdir():
                old.unlink()
            size_table, found = _sizes(media, work, out)
            tables.append(size_table)
            figures["sizes"] = {f"{s.picture} {s.kind} {s.tool}": asdict(s) for s in found}
    publish(
        Report(name="images", options={"rounds": rounds}, figures=figures, tables=tables), facts
    )


if __name__ == "__main__":
    main()
