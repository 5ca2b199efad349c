"""Make one recording small: probe, plan, encode, verdict."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from core import limits
from core.acceptance import accept, remarks
from core.errors import (
    BadOutput,
    DamagedSource,
    EncodeFailed,
    EncoderKilled,
    MediaError,
    PassingFailure,
    UnreadableMedia,
)
from core.job import MediaSummary
from core.making import Levels, Making, Quality
from core.media import Container, MediaInfo
from core.plan import AudioEncode, Copy, Plan, plans
from core.ports import Progress
from core.presets import Preset
from core.smart import Choice
from core.sniffing import ACCEPTED, sniff
from core.verdict import Evidence, shortfall, verdict
from transcoder.command import command
from transcoder.encoder import Encoder, EncoderProgress
from transcoder.loudness import Meter as LoudnessMeter
from transcoder.probe import Probe
from transcoder.runner import Bounds, Collector, Outgrown, run
from transcoder.sampling import Sampler

_PROBED: Final = 2.0
_SAMPLED: Final = 15.0
_ENCODED: Final = 97.0
_DONE: Final = 100.0
"""Percent of the work behind us after each part."""
_LATE_S: Final = 5.0
"""Seconds from the picture to the sound that the slowest encode gets through well within
`STALL_S`."""
_VERSION: Final = re.compile(r"ffmpeg version (\S{1,60})")
_ASK_S: Final = 5.0
"""Seconds for FFmpeg to tell its version."""
_VERSION_BYTES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """The programs: FFmpeg, and the Python of the environment that PyAV is installed in."""

    ffmpeg: Path
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """A verified result. `action` is `encoded` or `remuxed`, `work_s` the seconds it took.

    `choice` says what samples of the recording led to, where the preset asked for any, `making`
    what the receipt tells of programs and arguments.
    """

    path: Path
    size: int
    sha256: str
    source_media: MediaSummary
    media: MediaSummary
    action: str
    warnings: tuple[str, ...]
    work_s: float
    choice: Choice | None = None
    making: Making | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was found out before anything is made. `preset` is the one that samples led to."""

    info: MediaInfo
    preset: Preset
    warnings: tuple[str, ...]
    choice: Choice | None = None
    quality: Quality | None = None


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
    workshop = workshop_in(folder, toolbox, began + budget_s, progress, stop)
    found = survey(workshop, source, preset)
    made = first_that_fits(workshop, source.name, found)
    return finished(workshop, found, made, began=began)


def survey(workshop: Workshop, source: Path, preset: Preset) -> Survey:
    """Measure the recording and choose how it is made; raises what `compress` raises."""
    info = workshop.probe(source.name, _container(source))
    accept(info, salvage=preset.salvage)
    told = remarks(info)
    if preset.loudness_lufs is not None:
        info = workshop.loudness(info, source.name)
    workshop.meter.reach(_PROBED)
    choice = workshop.sampler(source.name, info, preset, report=workshop.meter.sampled)
    return Survey(
        info=info,
        preset=choice.preset,
        warnings=(*told, *choice.warnings),
        choice=choice if preset.target else None,
        quality=_quality(info, choice),
    )


def finished(workshop: Workshop, found: Survey, made: Made, *, began: float) -> Compressed:
    """Return the result of what was made; `began` is on the monotonic clock."""
    workshop.meter.reach(_DONE)
    return Compressed(
        path=made.path,
        size=made.info.size,
        sha256=_digest(made.path),
        source_media=found.info.summary(),
        media=made.info.summary(),
        action=made.plan.action,
        warnings=(*found.warnings, *made.warnings),
        work_s=time.monotonic() - began,
        choice=found.choice,
        making=_making(workshop, found, made),
    )


@dataclass(slots=True, kw_only=True)
class _Meter:
    """Reports a percentage that never falls, over however many attempts."""

    progress: Progress
    percent: float = field(default=0.0)
    before: float = field(default=_PROBED)

    def reach(self, percent: float) -> None:
        self.percent = max(self.percent, percent)
        self.progress.report(self.percent)

    def sampled(self, share: float) -> None:
        self.reach(_PROBED + (_SAMPLED - _PROBED) * share)
        self.before = self.percent

    def encoded(self, share: float) -> None:
        self.reach(self.before + (_ENCODED - self.before) * share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """The programs at work in one private folder."""

    folder: Path
    toolbox: Toolbox
    deadline: float
    stop: Callable[[], bool]
    probe: Probe
    loudness: LoudnessMeter
    sampler: Sampler
    encoder: Encoder
    meter: _Meter


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An output that has passed its verdict."""

    path: Path
    plan: Plan
    info: MediaInfo
    warnings: tuple[str, ...]


def workshop_in(
    folder: Path,
    toolbox: Toolbox,
    deadline: float,
    progress: Progress,
    stop: Callable[[], bool],
) -> Workshop:
    """Return the programs for `folder`; `deadline` is on the monotonic clock."""
    return Workshop(
        folder=folder,
        toolbox=toolbox,
        deadline=deadline,
        stop=stop,
        probe=Probe(python=toolbox.python, folder=folder, deadline=deadline, stop=stop),
        loudness=LoudnessMeter(
            ffmpeg=toolbox.ffmpeg,
            python=toolbox.python,
            folder=folder,
            deadline=deadline,
            stop=stop,
        ),
        sampler=Sampler(
            ffmpeg=toolbox.ffmpeg,
            python=toolbox.python,
            folder=folder,
            deadline=deadline,
            stop=stop,
        ),
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
        raise UnreadableMedia(f"whatever its name, the file is not what is taken: {ACCEPTED}")
    return container


def first_that_fits(workshop: Workshop, source: str, found: Survey, *, attempt: int = 0) -> Made:
    """Follow the plans from `attempt` on, until an output is no larger than its source."""
    for number, plan in enumerate(plans(found.info, found.preset)):
        if number < attempt:
            continue
        path = workshop.folder / f"output-{number}.mp4"
        try:
            return _make(workshop, source, path, found.info, plan)
        except Outgrown:
            _discard(path)
        except (BadOutput, EncodeFailed):
            _discard(path)
            if not isinstance(plan.video, Copy):
                raise
    raise BadOutput("every output would be larger than the source; keep the source as it is")


def _discard(path: Path) -> None:
    """Make room; what is no file stays until the folder is removed."""
    with contextlib.suppress(OSError):
        path.unlink()


def _make(workshop: Workshop, source: str, path: Path, info: MediaInfo, plan: Plan) -> Made:
    heard = EncoderProgress(duration_s=info.duration_s, report=workshop.meter.encoded)
    warnings = workshop.encoder(plan, source, path.name, progress=heard, late_sound=_is_late(info))
    workshop.meter.reach(_ENCODED)
    return examined(workshop, path, info, plan, frames=heard.frames, warnings=warnings)


def _is_late(info: MediaInfo) -> bool:
    """Return whether the sound sets in long after the picture."""
    if info.video is None or info.audio is None:
        return False
    return info.audio.start_s - info.video.start_s > _LATE_S


def examined(
    workshop: Workshop,
    path: Path,
    info: MediaInfo,
    plan: Plan,
    *,
    frames: int | None,
    warnings: tuple[str, ...],
) -> Made:
    """Return the output if it is what the plan promised; raises BadOutput or DamagedSource.

    Raises EncoderKilled where the folder itself is gone.
    """
    made = _reread(workshop, path)
    evidence = Evidence(plan=plan, source=info, output=made, frames=frames, damaged=bool(warnings))
    if defects := verdict(evidence):
        error = DamagedSource if evidence.damaged else BadOutput
        raise error(f"the output is not what was planned: {'; '.join(defects)}")
    if evidence.damaged:
        warnings += shortfall(evidence)
    if isinstance(plan.video, Copy):
        heard = EncoderProgress(duration_s=info.duration_s, report=workshop.meter.encoded)
        warnings += workshop.encoder.check(path.name, progress=heard)
    return Made(path=path, plan=plan, info=made, warnings=warnings)


def _reread(workshop: Workshop, path: Path) -> MediaInfo:
    """Measure the output, which must be a file of its own: no link to another, no pipe."""
    if not workshop.folder.is_dir():
        raise EncoderKilled("the folder of the step was removed by somebody else")
    if path.is_symlink() or not path.is_file():
        raise BadOutput("the encoder said success, and wrote no file")
    try:
        return workshop.probe(path.name, Container.MP4)
    except MediaError as error:
        raise BadOutput(f"the output cannot be read again: {error}") from error


def _making(workshop: Workshop, found: Survey, made: Made) -> Making:
    """Return what the receipt tells; the step adds what it has cost."""
    argv = command(workshop.toolbox.ffmpeg, made.plan, "source", made.path.name)
    return Making(
        preset=found.preset.name,
        ffmpeg=_version(workshop.toolbox.ffmpeg, workshop.toolbox.python),
        arguments=tuple(argv[1:]),
        cpu_s=0.0,
        price_per_cpu_s=0.0,
        quality=found.quality,
        levels=_levels(found.info, made.plan),
    )


def _quality(info: MediaInfo, choice: Choice) -> Quality | None:
    """Return what samples promise of the encode that they led to."""
    video = info.video
    if choice.expected is None or not choice.probes or video is None or video.picture is None:
        return None
    return Quality(
        mean=choice.expected.mean,
        low=choice.expected.low,
        sampled_s=len(choice.probes[-1].sizes) / max(video.picture.fps, 1.0),
    )


def _levels(info: MediaInfo, plan: Plan) -> Levels | None:
    audio = info.audio
    heard = audio.sound.loudness if audio and audio.sound else None
    if heard is None:
        return None
    gain = plan.audio.gain if isinstance(plan.audio, AudioEncode) else None
    return Levels(source_lufs=heard.integrated_lufs, gain_db=gain.db if gain else 0.0)


@cache
def _version(ffmpeg: Path, python: str) -> str:
    """Return the first words that the program says of itself; a result stands without them."""
    told = Collector(most=_VERSION_BYTES)
    bounds = Bounds(
        memory_bytes=limits.ENCODE_MEMORY_BYTES, file_bytes=0, deadline=time.monotonic() + _ASK_S
    )
    with contextlib.suppress(MediaError, PassingFailure):
        run(
            [str(ffmpeg), "-version"],
            folder=ffmpeg.parent,
            python=python,
            bounds=bounds,
            listener=told,
            stop=lambda: False,
        )
    match = _VERSION.match(told.data.decode("ascii", "replace"))
    return match[1] if match else "unknown"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
