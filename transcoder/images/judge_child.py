"""Look at what was made of one image, afresh. Runs as a program, in the sandbox.

It is told what the maker was told, and prints for each variant that was made what its file holds
and how like its source it looks. The source is decoded anew too.
"""

from __future__ import annotations

import json
import sys
from typing import Final

import pyvips

from transcoder.images.pixels import (
    Damaged,
    Facts,
    Image,
    decode,
    likeness,
    load,
    prepare,
    reason,
    resemblance,
)

_METADATA: Final = ("exif-data", "xmp-data", "iptc-data", "photoshop-data", "gainmap-data")
_JUDGED_FRAMES: Final = 5


def main(argument: str) -> int:
    """Print the facts."""
    wish: Facts = json.loads(argument)
    prepare()
    try:
        source = decode(wish)
        answer: Facts = {
            "made": [_facts(wish, variant, source.image) for variant in wish["variants"]]
        }
    except (Damaged, pyvips.Error) as error:
        answer = {"error": "unreadable", "reason": reason(error)}
    except MemoryError:
        answer = {"error": "memory", "reason": "it needs more memory than a step may use"}
    sys.stdout.write(json.dumps(answer))
    return 0


def _facts(wish: Facts, variant: Facts, source: Image) -> Facts:
    name, kind = variant["file"], variant["format"]
    made = load(name, kind)
    frames = made.get("n-pages") if made.get_typeof("n-pages") else 1
    mean, low = _moving(wish, variant, frames) if variant["moving"] else _still(made, source)
    fields = made.get_fields()
    return {
        "name": variant["name"],
        "width": made.width,
        "height": made.height,
        "frames": frames,
        "mean": mean,
        "low": low,
        "metadata": [field for field in _METADATA if field in fields],
    }


def _still(made: Image, source: Image) -> tuple[float, float]:
    image = made.copy_memory()
    given = _fitted(source, image)
    mean, low = likeness(given, image)
    return min(mean, resemblance(given, image)), low


def _moving(wish: Facts, variant: Facts, frames: int) -> tuple[float, float]:
    """Compare pictures from beginning to end; all of them are decoded."""
    load(variant["file"], "webp", pages=-1).avg()
    last = min(frames, wish["frames"]) - 1
    pages = sorted({last * turn // _JUDGED_FRAMES for turn in range(_JUDGED_FRAMES + 1)})
    found = []
    for page in pages:
        made = load(variant["file"], "webp", page=page).copy_memory()
        given = load(wish["file"], "webp", page=page).copy_memory()
        found.append(likeness(_fitted(given, made), made))
    return min(mean for mean, _ in found), min(low for _, low in found)


def _fitted(source: Image, made: Image) -> Image:
    """Shrink the source to the result's size; a result of another shape shows in the likeness."""
    if (source.width, source.height) == (made.width, made.height):
        return source
    small = source.thumbnail_image(made.width, height=made.height, size="force")
    return small.copy_memory()
