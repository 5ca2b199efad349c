"""Make the set of one recording: renditions and streams, pictures, text, and their list."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core import limits
from core.acceptance import accept, remarks
from core.errors import BadOutput, NoVideoStream, UnreadableMedia
from core.job import MediaSummary
from core.ladder import Ladder, LadderPlan, ladder_plan
from core.media import Container, MediaInfo
from core.ports import Progress
from core.segments import SetEvidence, Track, set_verdict
from core.sniffing import ACCEPTED, sniff
from core.subtitles import Cue, parse
from transcoder.compress import Toolbox
from transcoder.encoder import EncoderProgress, damage
from transcoder.ladder.command import AUDIO, ladder_command
from transcoder.ladder.hls import Streams
from transcoder.ladder.program import Program
from transcoder.ladder.segments import Measure
from transcoder.ladder.stills import Stills
from transcoder.ladder.texts import Sidecar, Texts, text_tracks
from transcoder.ladder.write import Written, write
from transcoder.probe import Probe

SET: Final = "set"
THUMBNAILS_MAX: Final = 100
"""Pictures at given times that one call makes."""
_PROBED, _ENCODED, _CHECKED, _DONE = 2.0, 94.0, 97.0, 100.0
"""Percent of the work behind us after each part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSet:
    """A set that has passed its verdict, complete in the folder `path`; `work_s` seconds."""

    path: Path
    size: int
    files: int
    streams: Streams
    source_media: MediaSummary
    warnings: tuple[str, ...]
    work_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What is wanted besides: subtitles from files, and pictures at moments in seconds."""

    subtitles: tuple[Sidecar, ...] = ()
    thumbnails_s: tuple[float, ...] = ()


def make_set(
    source: Path,
    folder: Path,
    *,
    ladder: Ladder,
    toolbox: Toolbox,
    budget_s: float,
    progress: Progress,
    stop: Callable[[], bool],
    extras: Extras | None = None,
) -> MadeSet:
    """Make a set of `source`, a file inside the private `folder`, in its new folder `set`.

    `budget_s` bounds the wall time. Raises a MediaError for what is the file's fault, a
    PassingFailure for what may pass, and Interrupted within 2 s after `stop()` has become true;
    what lies in `folder` then is no set. A set has a `manifest.json`, which is written last.
    """
    began = time.monotonic()
    asked = extras or Extras()
    if len(asked.thumbnails_s) > THUMBNAILS_MAX:
        raise ValueError(f"{THUMBNAILS_MAX} thumbnails are the most")
    given = [(sidecar.language, parse(sidecar.data)) for sidecar in asked.subtitles]
    shop = shop_in(folder, toolbox, began + budget_s, progress, stop)
    info = shop.probe(source.name, _container(source))
    accept(info)
    if info.video is None:
        raise NoVideoStream("a ladder needs a picture; compress the recording as sound instead")
    progress.report(_PROBED)
    plan = ladder_plan(info, ladder)
    frames, damaged = shop.encode(plan, source.name)
    videos, audio = shop.measure_all(plan)
    judge(SetEvidence(plan=plan, source=info, videos=videos, audio=audio, frames=frames), damaged)
    progress.report(_CHECKED)
    streams, told = shop.streams(info, source.name, (videos, audio), given)
    made = shop.write(plan, streams, info, (*remarks(info), *damaged, *told), asked.thumbnails_s)
    progress.report(_DONE)
    return MadeSet(
        path=folder / SET,
        size=made.size,
        files=made.files,
        streams=streams,
        source_media=info.summary(),
        warnings=made.warnings,
        work_s=time.monotonic() - began,
    )


def _container(source: Path) -> Container:
    with source.open("rb") as file:
        container = sniff(file.read(limits.SNIFF_BYTES))
    if container is None:
        raise UnreadableMedia(f"whatever its name, the file is not what is taken: {ACCEPTED}")
    return container


def judge(evidence: SetEvidence, damaged: tuple[str, ...]) -> None:
    """Raise BadOutput where a set may not be handed out; `damaged` are words about its source."""
    defects = set_verdict(evidence)
    if defects:
        raise BadOutput(f"the set is not what was planned: {'; '.join((*defects[:5], *damaged))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The programs of one set; all run inside `folder`."""

    folder: Path
    ffmpeg: Path
    probe: Probe
    program: Program
    measure: Measure
    progress: Progress

    def encode(self, plan: LadderPlan, source: str) -> tuple[int | None, tuple[str, ...]]:
        """Make all renditions; return the frames of each, and warnings about the source."""
        for name in (*(variant.name for variant in plan.variants), AUDIO if plan.audio else "."):
            (self.folder / SET / name).mkdir(parents=True, exist_ok=True)
        heard = EncoderProgress(duration_s=plan.duration_s, report=self.encoded)
        ended = self.program(
            ladder_command(self.ffmpeg, plan, source, SET, cores=os.cpu_count() or 1),
            file_max=plan.file_max,
            progress=heard,
            output=(self.folder / SET, plan.size_max),
        )
        return heard.frames, damage(ended)

    def encoded(self, share: float) -> None:
        """Report the share of the encode that is done."""
        self.progress.report(_PROBED + (_ENCODED - _PROBED) * share)

    def measure_all(self, plan: LadderPlan) -> tuple[tuple[Track, ...], Track | None]:
        """Return what was made."""
        videos = tuple(self.measure(variant.name) for variant in plan.variants)
        return videos, self.measure(AUDIO) if plan.audio else None

    def streams(
        self,
        info: MediaInfo,
        source: str,
        tracks: tuple[tuple[Track, ...], Track | None],
        given: list[tuple[str | None, tuple[Cue, ...]]],
    ) -> tuple[Streams, list[str]]:
        """Return the renditions with the subtitles that were given and that the source holds."""
        texts = Texts(ffmpeg=self.ffmpeg, program=self.program)
        named = texts.streams(source, info.container)
        own, warnings = texts.embedded(source, info.container, named)
        heard = info.audio.index if info.audio else None
        picture = info.video.picture if info.video else None
        peak_fps = picture.peak_fps if picture and picture.vfr else picture.fps if picture else 0.0
        made = Streams(
            videos=tracks[0],
            audio=tracks[1],
            texts=text_tracks([*given, *own]),
            frame_rate=min(peak_fps, limits.FRAME_RATE_MAX),
            audio_language=next((n.language for n in named if n.index == heard), None),
        )
        return made, warnings

    def write(
        self,
        plan: LadderPlan,
        streams: Streams,
        info: MediaInfo,
        warnings: tuple[str, ...],
        thumbnails_s: tuple[float, ...],
    ) -> Written:
        """Write pictures, playlists and text into the set, and its manifest at the very end."""
        stills = Stills(ffmpeg=self.ffmpeg, program=self.program, folder=self.folder, set_name=SET)
        return write(plan, streams, info.summary(), warnings, stills, thumbnails_s)


def shop_in(
    folder: Path,
    toolbox: Toolbox,
    deadline: float,
    progress: Progress,
    stop: Callable[[], bool],
) -> Shop:
    """Return the programs for `folder`; `deadline` is on the monotonic clock."""
    python = toolbox.python
    return Shop(
        folder=folder,
        ffmpeg=toolbox.ffmpeg,
        probe=Probe(python=python, folder=folder, deadline=deadline, stop=stop),
        program=Program(python=python, folder=folder, deadline=deadline, stop=stop),
        measure=Measure(python=python, folder=folder / SET, deadline=deadline, stop=stop),
        progress=progress,
    )
