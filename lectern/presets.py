"""`lectern presets`: what each preset, quality and set of renditions means."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from core.images import IMAGE_QUALITIES, LONG_SIDES, ImageFormat
from core.ladder import LADDERS, RUNGS
from core.presets import BY_NAME
from core.qualities import RECORDINGS

_BITS: int = 1000


def run() -> None:
    """Print the tables that the code itself works by."""
    console = Console()
    for table in (_presets(), _qualities(), _ladders(), _images(), _variants()):
        console.print(table)


def _presets() -> Table:
    table = Table("preset", "lines", "speed", "CRF", "GOP", "sound", "loudness", "VMAF aimed at",
                  title="Presets (PRESET, --preset)")  # fmt: skip
    for preset in BY_NAME.values():
        target = preset.target
        table.add_row(
            preset.name,
            f"{preset.lines}p",
            preset.speed,
            f"{preset.crf:g}" if target is None else f"{preset.crf:g} until sampled",
            f"{preset.gop_s:g} s",
            f"AAC, {preset.audio_rate_per_channel // _BITS} kb/s a channel",
            "as it is" if preset.loudness_lufs is None else f"{preset.loudness_lufs:g} LUFS",
            "-" if target is None else f"{target.mean:g}, 5th percentile {target.low:g}",
        )
    return table


def _qualities() -> Table:
    table = Table("quality", "at most", "CRF", "VMAF with samples", "video at most", "sound",
                  title="Qualities of recordings (quality, --quality)")  # fmt: skip
    for level, quality in RECORDINGS.items():
        table.add_row(
            level.value,
            f"{quality.lines}p",
            f"{quality.crf_step:+g}" if quality.crf_step else "the preset's",
            f"{quality.target.mean:g}, 5th percentile {quality.target.low:g}",
            f"{quality.video_rate_max / _BITS**2:g} Mb/s",
            f"AAC, {quality.audio_rate_per_channel // _BITS} kb/s a channel",
        )
    return table


def _ladders() -> Table:
    table = Table("renditions", "lines", title="Sets of renditions (renditions, --ladder)")
    known = {rung.lines for rung in RUNGS}
    for name, ladder in LADDERS.items():
        lines = ", ".join(f"{each}p" for each in sorted(known.intersection(ladder.lines)))
        table.add_row(name, lines)
    return table


def _images() -> Table:
    lossy = (ImageFormat.JPEG, ImageFormat.WEBP, ImageFormat.AVIF)
    numbers = (f"{each.upper()} from" for each in lossy)
    table = Table("quality", "SSIM of 99 % of its blocks", *numbers,
                  title="Qualities of images (quality, --quality)")  # fmt: skip
    for level, quality in IMAGE_QUALITIES.items():
        first = (str(quality.numbers[each].steps[0]) for each in lossy)
        table.add_row(level.value, f"{quality.bar:g}", *first)
    return table


def _variants() -> Table:
    table = Table("variant", "long side", title="Sizes of images (variants, --variants)")
    for variant, side in LONG_SIDES.items():
        table.add_row(variant.value, f"{side} pixels" if side else "the source's")
    return table
