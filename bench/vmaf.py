"""How good outputs are: VMAF against the scaled source, at the size of each output."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench import machine
from core.media import MediaInfo
from core.plan import VideoEncode, encoding_of
from core.presets import LECTURE
from transcoder.command import filters

_LOW_SHARE: Final = 0.05
_MODEL: Final = "version=vmaf_v0.6.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Mean and 5th percentile of VMAF over the frames that were scored."""

    mean: float
    low: float
    frames: int


def measure(
    source: Path, info: MediaInfo, outputs: Sequence[tuple[Path, tuple[int, int]]], every: int
) -> list[Quality]:
    """Return the quality of each output (its path, width and height), one frame in `every`.

    The source is decoded once, and scaled by the filters of the product for each output. Frames
    are paired by their time.
    """
    video = encoding_of(info, LECTURE)
    graph = [f"[0:{video.index}]split={len(outputs)}" + "".join(_named("s", outputs))]
    for number, (_, size) in enumerate(outputs):
        graph += _comparison(number, _scaled(video, size), every)
    inputs = [word for path, _ in outputs for word in ("-i", str(path))]
    maps = [word for name in _named("o", outputs) for word in ("-map", name, "-f", "null", "-")]
    subprocess.run(
        [str(machine.encoder()), "-v", "error", "-nostdin", "-apply_cropping", "all",
         "-i", str(source), *inputs, "-filter_complex", ";".join(graph), *maps],
        check=True,
        cwd=source.parent,
    )  # fmt: skip
    return [_read(source.parent / _log(number)) for number in range(len(outputs))]


def _scaled(video: VideoEncode, size: tuple[int, int]) -> str:
    return filters(replace(video, width=size[0], height=size[1], frame_gap_min_s=None))


def _comparison(number: int, scaled: str, every: int) -> list[str]:
    begun = "setpts=PTS-STARTPTS"
    options = (
        f"model={_MODEL}:n_threads=1:n_subsample={every}"
        f":ts_sync_mode=nearest:log_fmt=json:log_path={_log(number)}"
    )
    return [
        f"[s{number}]{scaled},{begun}[r{number}]",
        f"[{number + 1}:v]{begun}[m{number}]",
        f"[m{number}][r{number}]libvmaf={options}[o{number}]",
    ]


def _named(letter: str, outputs: Sequence[object]) -> list[str]:
    return [f"[{letter}{number}]" for number in range(len(outputs))]


def _log(number: int) -> str:
    return f"vmaf-{number}.json"


def _read(log: Path) -> Quality:
    scores = sorted(f["metrics"]["vmaf"] for f in json.loads(log.read_text())["frames"])
    return Quality(
        mean=statistics.fmean(scores),
        low=scores[int(len(scores) * _LOW_SHARE)],
        frames=len(scores),
    )
