"""One image through one library, as a program of its own so that its memory can be told.

`python -m bench.images_tools TOOL TASK SOURCE FOLDER FORMAT QUALITY`
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from infra import ffmpeg

SIDES: Final = {"thumbnail": 320, "medium": 1024, "large": 2048}
TOOLS: Final = ("libvips", "libvips, trellis", "Pillow", "FFmpeg")
_AVIF_SPEED: Final = 6
"""Of 0 to 10: what libavif, libheif and FFmpeg's libaom are all told."""


def with_libvips(
    task: str, source: Path, folder: Path, kind: str, quality: int, *, trellis: bool = False
) -> None:
    """Stream where possible; thumbnails are decoded at a fraction of the size."""
    import pyvips  # noqa: PLC0415 - the other tools must not pay for it

    known: dict[str, dict[str, Any]] = {
        "jpeg": {"optimize_coding": True, "interlace": True},
        "webp": {"effort": 4},
        "avif": {"effort": 9 - _AVIF_SPEED, "compression": "av1"},
        "png": {},
    }
    options = known[kind]
    if trellis and kind == "jpeg":
        options |= {"trellis_quant": True, "overshoot_deringing": True, "optimize_scans": True,
                    "quant_table": 3}  # fmt: skip
    if kind != "png":
        options["Q"] = quality
    sizes = SIDES if task == "variants" else {}
    for name, side in sizes.items():
        small = pyvips.Image.thumbnail(str(source), side, height=side, size="down")
        small.write_to_file(str(folder / f"{name}.{kind}"), keep="none", **options)
    image = pyvips.Image.new_from_file(str(source), access="sequential", fail_on="warning")
    image.write_to_file(str(folder / f"original.{kind}"), keep="none", **options)


def with_trellis(task: str, source: Path, folder: Path, kind: str, quality: int) -> None:
    """As `with_libvips`, with what its mozjpeg can do beyond libjpeg-turbo."""
    with_libvips(task, source, folder, kind, quality, trellis=True)


def with_pillow(task: str, source: Path, folder: Path, kind: str, quality: int) -> None:
    """Decode once whole, and thumbnails at a fraction of the size where the format can."""
    from PIL import Image, ImageOps  # noqa: PLC0415

    known: dict[str, dict[str, Any]] = {
        "jpeg": {"optimize": True, "progressive": True},
        "webp": {"method": 4},
        "avif": {"speed": _AVIF_SPEED},
        "png": {},
    }
    options = known[kind]
    sizes = SIDES if task == "variants" else {}
    for name, side in sizes.items():
        with Image.open(source) as image:
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
            upright = ImageOps.exif_transpose(image)
            upright.save(folder / f"{name}.{kind}", quality=quality, **options)
    with Image.open(source) as image:
        image.load()
        image.save(folder / f"original.{kind}", quality=quality, **options)


def with_ffmpeg(task: str, source: Path, folder: Path, kind: str, quality: int) -> None:
    """One decode for all sizes."""
    codec = {
        "jpeg": ["-c:v", "mjpeg", "-q:v", str(quality), "-huffman", "optimal"],
        "webp": ["-c:v", "libwebp", "-quality", str(quality), "-compression_level", "4"],
        "avif": ["-c:v", "libaom-av1", "-still-picture", "1", "-crf", str(quality),
                 "-cpu-used", str(_AVIF_SPEED), "-f", "avif"],
        "png": ["-c:v", "png"],
    }[kind]  # fmt: skip
    pixels = {"jpeg": "yuvj420p", "webp": "yuv420p", "avif": "yuv420p", "png": "rgb24"}[kind]
    sizes = SIDES if task == "variants" else {}
    program = str(ffmpeg.find())
    argv = [program, "-v", "error", "-nostdin", "-y", "-i", f"file:{source}"]
    for name, side in sizes.items():
        box = f"scale={side}:{side}:force_original_aspect_ratio=decrease:flags=lanczos"
        argv += ["-map", "0:v:0", "-frames:v", "1", "-vf", f"{box},format={pixels}", *codec]
        argv += ["-map_metadata", "-1", f"file:{folder / f'{name}.{_ending(kind)}'}"]
    argv += ["-map", "0:v:0", "-frames:v", "1", "-pix_fmt", pixels, *codec, "-map_metadata", "-1"]
    argv.append(f"file:{folder / f'original.{_ending(kind)}'}")
    subprocess.run(argv, check=True)


def _ending(kind: str) -> str:
    return "jpg" if kind == "jpeg" else kind


_WITH: Final[dict[str, Callable[[str, Path, Path, str, int], None]]] = dict(
    zip(TOOLS, (with_libvips, with_trellis, with_pillow, with_ffmpeg), strict=True)
)


if __name__ == "__main__":
    tool, task, source, folder, kind, quality = sys.argv[1:]
    _WITH[tool](task, Path(source), Path(folder), kind, int(quality))
