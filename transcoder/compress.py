"""Make one recording small: probe, plan, encode, verdict."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core import limits
from core.errors import BadOutput, EncodeFailed, UnreadableMedia
from core.job import MediaSummary
from core.media import Container, MediaInfo, accept, sniff
from core.plan import Copy, Plan, plans
from core.ports import Progress
from core.presets import Preset
from core.verdict import Evidence, verdict
from transcoder.encoder import Encoder, EncoderProgress
from transcoder.probe import Probe
from transcoder.runner import Outgrown

_PROBED: Final = 2.0
_ENCODED: Final = 97.0
_DONE: Final = 100.0
"""Percent of the work behind us after each part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """The programs: FFmpeg, and the Python of the environment that PyAV is installed in."""

    ffmpeg: Path
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """A verified result. `action` is `encoded` or `remuxed`, `work_s` the seconds it took."""

    path: Path
    size: int
    sha256: str
    source_media: MediaSummary
    media: MediaSummary
    action: str
    warnings: tuple[str, ...]
    work_s: float


def compress(
    source: Path,
    folder: Path,
    *,
    preset: Preset,
    toolbox: Toolbox,
    budget_s: float,
    progress: Progress,
    stop: Callable[[], bool],
) -> Compressed:
    """Make `source`, a file inside the private `folder`, small; everything stays in `folder`.

    The result has passed its verdict and is never larger than the source. `budget_s` bounds the
    wall time. Raises a MediaError for what is the file's fault, a PassingFailure for what may
    pass, and Interrupted within 2 s after `stop()` has become true.
    """
    began = time.monotonic()
    workshop = _workshop(folder, toolbox, began + budget_s, progress, stop)
    info = workshop.probe(source.name, _container(source))
    accept(info)
    workshop.meter.reach(_PROBED)
    made = _first_that_fits(workshop, source.name, info, preset)
    workshop.meter.reach(_DONE)
    return Compressed(
        path=made.path,
        size=made.info.size,
        sha256=_digest(made.path),
        source_media=info.summary(),
        media=made.info.summary(),
        action=made.plan.action,
        warnings=made.warnings,
        work_s=time.monotonic() - began,
    )


@dataclass(slots=True, kw_only=True)
class _Meter:
    """Reports a percentage that never falls, over however many attempts."""

    progress: Progress
    percent: float = field(default=0.0)

    def reach(self, percent: float) -> None:
        self.percent = max(self.percent, percent)
        self.progress.report(self.percent)

    def encoded(self, share: float) -> None:
        self.reach(_PROBED + (_ENCODED - _PROBED) * share)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Workshop:
    folder: Path
    probe: Probe
    encoder: Encoder
    meter: _Meter


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    path: Path
    plan: Plan
    info: MediaInfo
    warnings: tuple[str, ...]


def _workshop(
    folder: Path,
    toolbox: Toolbox,
    deadline: float,
    progress: Progress,
    stop: Callable[[], bool],
) -> _Workshop:
    return _Workshop(
        folder=folder,
        probe=Probe(python=toolbox.python, folder=folder, deadline=deadline, stop=stop),
        encoder=Encoder(
            ffmpeg=toolbox.ffmpeg,
            python=toolbox.python,
            folder=folder,
            deadline=deadline,
            stop=stop,
        ),
        meter=_Meter(progress=progress),
    )


def _container(source: Path) -> Container:
    with source.open("rb") as file:
        container = sniff(file.read(limits.SNIFF_BYTES))
    if container is None:
        raise UnreadableMedia("the file is no MP4, MOV, Matroska, WebM or AVI, whatever its name")
    return container


def _first_that_fits(workshop: _Workshop, source: str, info: MediaInfo, preset: Preset) -> _Made:
    """Follow the plans until one gives an output that is no larger than its source."""
    for number, plan in enumerate(plans(info, preset)):
        path = workshop.folder / f"output-{number}.mp4"
        try:
            return _make(workshop, source, path, info, plan)
        except Outgrown:
            path.unlink(missing_ok=True)
        except (BadOutput, EncodeFailed):
            path.unlink(missing_ok=True)
            if not isinstance(plan.video, Copy):
                raise
    raise BadOutput("every output would be larger than the source; keep the source as it is")


def _make(workshop: _Workshop, source: str, path: Path, info: MediaInfo, plan: Plan) -> _Made:
    heard = EncoderProgress(duration_s=info.duration_s, report=workshop.meter.encoded)
    warnings = workshop.encoder(plan, source, path.name, progress=heard)
    workshop.meter.reach(_ENCODED)
    made = workshop.probe(path.name, Container.MP4)
    defects = verdict(Evidence(plan=plan, source=info, output=made, frames=heard.frames))
    if defects:
        raise BadOutput(f"the output is not what was planned: {'; '.join(defects)}")
    if isinstance(plan.video, Copy):
        warnings += workshop.encoder.check(path.name, progress=heard)
    return _Made(path=path, plan=plan, info=made, warnings=warnings)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
