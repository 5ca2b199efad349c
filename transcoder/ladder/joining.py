"""Join the pieces of a ladder: nothing is encoded, and no segment of a picture is touched.

Sound, storyboard, slide changes and poster are taken from the joined result, which is at hand.
The segments of the pictures stay where their workers have put them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core import limits
from core.acceptance import remarks
from core.errors import BadOutput
from core.ladder import LadderPlan
from core.ladder_pieces import LadderCut, PieceSet, joined
from core.media import Container, MediaInfo
from core.segments import SetEvidence, Track
from core.subtitles import parse
from transcoder.command import reading
from transcoder.encoder import EncoderProgress
from transcoder.ladder.command import (
    AUDIO,
    copied_sound,
    opening,
    segments,
    side_outputs,
    side_pictures,
)
from transcoder.ladder.make import SET, Shop, judge
from transcoder.ladder.program import Program
from transcoder.ladder.texts import Sidecar
from transcoder.ladder.write import write

_POSTER_BYTES_MAX: Final = 32 * limits.MIB


def join_set(
    cut: LadderCut,
    parts: Sequence[PieceSet],
    info: MediaInfo,
    shop: Shop,
    *,
    result: str,
    source: Callable[[], Path],
    subtitles: Sequence[Sidecar] = (),
) -> Path:
    """Write all that a set has besides its pieces' segments, and return its folder.

    `result` is the joined recording, a file in the shop's folder; `source()` brings the source
    there, for its text tracks. The manifest, written last, names the segments too. Raises
    BadOutput where the pieces do not fit together, and what `make_set` raises.
    """
    given = [(sidecar.language, parse(sidecar.data)) for sidecar in subtitles]
    plan, videos = cut.plan, joined(parts)
    folder = shop.folder / SET
    for name in (*(track.name for track in videos), *([AUDIO] if plan.audio else [])):
        (folder / name).mkdir(parents=True)
    heard = EncoderProgress(duration_s=plan.duration_s, report=shop.encoded)
    shop.program(
        _command(shop.ffmpeg, plan, result),
        file_max=plan.file_max,
        progress=heard,
        output=(folder, plan.size_max),
    )
    audio = shop.measure(AUDIO) if plan.audio else None
    frames = sum(part.frames for part in parts)
    judge(SetEvidence(plan=plan, source=info, videos=videos, audio=audio, frames=frames), ())
    streams, told = shop.streams(info, source().name, (videos, audio), given)
    poster = _Poster(ffmpeg=shop.ffmpeg, program=shop.program, folder=shop.folder, result=result)
    write(plan, streams, info.summary(), (*remarks(info), *told), poster, ())
    return folder


def _command(ffmpeg: Path, plan: LadderPlan, result: str) -> list[str]:
    sound = ["-map", "0:a:0", *copied_sound(), *segments(plan, f"{SET}/{AUDIO}")]
    return [
        *opening(ffmpeg),
        *reading(Container.MP4, result),
        *("-filter_complex", ";".join(side_pictures(plan, "[0:v:0]"))),
        *(sound if plan.audio else []),
        *side_outputs(SET),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Poster:
    """Takes stills from the joined result."""

    ffmpeg: Path
    program: Program
    folder: Path
    result: str

    @property
    def path(self) -> Path:
        """Return the set's folder."""
        return self.folder / SET

    def __call__(self, track: Track, time_s: float, name: str) -> None:
        """Write the JPEG `name`: the frame that is shown from `time_s` on, or the first of all."""
        del track
        for start_s in (time_s, 0.0):
            quiet = EncoderProgress(duration_s=1.0, report=lambda _: None)
            argv = self._still(start_s, f"{SET}/{name}")
            self.program(argv, file_max=_POSTER_BYTES_MAX, progress=quiet)
            if (self.path / name).is_file():
                return
        raise BadOutput(f"no picture could be made at {time_s:.1f} s")

    def _still(self, start_s: float, output: str) -> list[str]:
        return [
            *opening(self.ffmpeg),
            *("-ss", f"{start_s:.3f}", *reading(Container.MP4, self.result)),
            *("-map", "0:v:0", "-frames:v", "1", "-vf", "scale=out_range=full,format=yuvj420p"),
            *("-map_metadata", "-1", "-fflags", "+bitexact"),
            *("-c:v", "mjpeg", "-q:v", "3", "-f", "image2", "-update", "1", f"file:{output}"),
        ]
