"""From a piece to FFmpeg's arguments: those of the whole recording, with another input and ends."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from core.media import Container
from core.pieces import PicturePiece, PiecePlan, SoundPiece
from core.plan import AudioEncode, Copy, Plan, VideoEncode
from core.timeline import SoundLine
from transcoder.command import command, filters

_UNEDITED: Final = ("-use_editlist", "0")
"""A piece's times are only those between its frames; an edit list would round its beginning."""
_FORM_CONTAINERS: Final = {
    "matroska": Container.MATROSKA,
    "mp4": Container.MP4,
    "mov": Container.MP4,
}


def picture_command(
    ffmpeg: Path, plan: PiecePlan, piece: PicturePiece, base: int, names: tuple[str, str]
) -> list[str]:
    """Return the arguments that encode the piece's frames out of its excerpt.

    `base` is the source's tick at the excerpt's tick 0. Frames get the times of the whole
    output before anything else is done to them, so that every decision about them is the same.
    """
    video = _encode(plan.plan)
    alone = replace(plan.plan, video=replace(video, index=0), audio=None)
    return _command(ffmpeg, alone, plan.form, names, ("-vf", taken_chain(plan, piece, base)))


def taken_chain(plan: PiecePlan, piece: PicturePiece, base: int) -> str:
    """Return the filters that give a piece's frames of its excerpt the times of the whole."""
    video = _encode(plan.plan)
    return (
        f"setpts=PTS+{base + plan.shift},"
        f"{_before_choosing(video)}"
        f"select='gte(t,{_before_s(plan, piece.start)!r})*lt(t,{_before_s(plan, piece.end)!r})',"
        f"{filters(replace(video, deinterlace=False))}"
    )


def excerpt_container(form: str | None) -> Container:
    """Return what an excerpt of this form is read as."""
    return _FORM_CONTAINERS[form or ""]


def sound_command(
    ffmpeg: Path, plan: PiecePlan, piece: SoundPiece, base: int, names: tuple[str, str]
) -> list[str]:
    """Return the arguments that encode the piece's samples out of its excerpt.

    `base` is the sample at the excerpt's tick 0.
    """
    line, audio = sound_of(plan), plan.plan.audio
    if not isinstance(audio, AudioEncode):
        raise TypeError("only sound that is encoded has pieces")
    alone = replace(plan.plan, video=None, audio=replace(audio, index=0))
    end = "" if piece.sound_end is None else f":end_pts={piece.sound_end - base}"
    chain = f"atrim=start_pts={piece.sound_start - base}{end},"
    return _command(ffmpeg, alone, line.form, names, ("-af", chain))


def stream_command(ffmpeg: Path, plan: PiecePlan, form: str, names: tuple[str, str]) -> list[str]:
    """Return the arguments that copy or encode the whole sound out of its excerpt."""
    line, audio = sound_of(plan), plan.plan.audio
    if audio is None:
        raise TypeError("there is no sound")
    alone = replace(plan.plan, video=None, audio=replace(audio, index=0))
    if isinstance(audio, Copy):
        return _command(ffmpeg, alone, form, names, None)
    heard = round((line.first_heard - line.first_packet) * line.time_base * line.sample_rate)
    return _command(ffmpeg, alone, form, names, ("-af", f"atrim=start_pts={heard},"))


def whole_form(plan: PiecePlan) -> str:
    """Return how a sound's packets are kept with their own times."""
    milliseconds = sound_of(plan).time_base == Fraction(1, 1000)
    if plan.plan.container is Container.MATROSKA and milliseconds:
        return "matroska"
    return sound_of(plan).form or "mov"


def sound_of(plan: PiecePlan) -> SoundLine:
    """Return what is known of the sound."""
    if plan.sound is None:
        raise TypeError("there is no sound")
    return plan.sound


def _encode(plan: Plan) -> VideoEncode:
    if not isinstance(plan.video, VideoEncode):
        raise TypeError("only a picture that is encoded has pieces")
    return plan.video


def _before_choosing(video: VideoEncode) -> str:
    """Return the filters that look at a frame's neighbours."""
    rest = filters(replace(video, deinterlace=False))
    return filters(video).removesuffix(rest)


def _before_s(plan: PiecePlan, time: int) -> float:
    """Return the second half a tick before `time`; filters may count in finer ticks than these."""
    return float((time + plan.shift - Fraction(1, 2)) * plan.source_time_base)


def _command(
    ffmpeg: Path,
    alone: Plan,
    form: str | None,
    names: tuple[str, str],
    chain: tuple[str, str] | None,
) -> list[str]:
    """Return the arguments of `alone`, with what `chain` puts before its filters.

    A chain of pictures is the whole chain; one of sound goes before the plan's own.
    """
    source, output = names
    argv = command(ffmpeg, replace(alone, container=excerpt_container(form)), source, output)
    if chain:
        option, text = chain
        at = argv.index(option) + 1
        argv[at] = text + argv[at] if option == "-af" else text
    return [argv[0], "-copyts", *argv[1:-3], *_UNEDITED, "-f", "mp4", argv[-1]]
