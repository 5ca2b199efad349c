"""HEVC and AV1 under the same target as H.264: bytes, quality and computing time of short cuts."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from rich.table import Table

from bench import clips
from bench.encode_runs import Made, probed, product, reference
from bench.vmaf import Quality, measure
from core.codecs import Codec
from core.errors import LecternError
from core.presets import SMART, in_codec

CUT_S: Final = 15.0
"""Seconds of each recording: x265 needs about ten times as long as x264 at `veryfast`."""
_SCORED_EVERY: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One codec on one cut; the ratios are against the reference on the same cut."""

    recording: str
    codec: Codec
    crf: float
    bytes_ratio: float
    cpu_ratio: float
    told: float | None
    quality: Quality


def rows(source: Path, folder: Path) -> list[Row]:
    """Make the first seconds of `source` in each codec, in the empty `folder`.

    Raises LecternError or CalledProcessError where one of them cannot be made.
    """
    given = clips.cut(source, CUT_S, folder / f"cut{source.suffix}")
    info = probed(folder, given.name)
    against = reference(given, folder)
    made = {
        codec: product(given, folder, replace(in_codec(SMART, codec), name=f"smart-{codec}"))
        for codec in Codec
    }
    outputs = [(each.path, each.size) for each in made.values()]
    qualities = measure(given, info, outputs, _SCORED_EVERY)
    return [
        _row(source.name, codec, each, against, quality)
        for (codec, each), quality in zip(made.items(), qualities, strict=True)
    ]


def _row(recording: str, codec: Codec, made: Made, against: Made, quality: Quality) -> Row:
    choice = made.choice
    return Row(
        recording=recording,
        codec=codec,
        crf=choice.preset.crf if choice else 0.0,
        bytes_ratio=made.path.stat().st_size / against.path.stat().st_size,
        cpu_ratio=made.cpu_s / against.cpu_s,
        told=choice.expected.mean if choice and choice.expected else None,
        quality=quality,
    )


def rows_or_none(source: Path, folder: Path) -> list[Row]:
    """Return `rows`, or none where an encoder is missing or fails."""
    try:
        return rows(source, folder)
    except (LecternError, subprocess.CalledProcessError):
        return []


def table(found: list[Row]) -> Table:
    """Return the table of what was found."""
    shown = Table(
        "recording", "codec", "CRF", "bytes x ref", "VMAF told", "VMAF found", "CPU x ref",
        title=f"Other codecs under the same target, {CUT_S:g} s of each recording",
    )  # fmt: skip
    for row in found:
        shown.add_row(
            row.recording,
            row.codec,
            f"{row.crf:g}",
            f"{row.bytes_ratio:.2f}",
            f"{row.told:.2f}" if row.told is not None else "-",
            f"{row.quality.mean:.2f}",
            f"{row.cpu_ratio:.2f}",
        )
    return shown


def figures(found: list[Row]) -> list[Mapping[str, object]]:
    """Return the same as JSON values."""
    return [asdict(row) for row in found]
