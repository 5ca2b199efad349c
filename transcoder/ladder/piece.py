"""Encode the renditions of one picture piece out of its excerpt, in segments."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from core.errors import BadOutput
from core.ladder import LadderPlan, Variant
from core.ladder_pieces import LadderCut, PieceSet, key_times_s, piece_set, span_s
from core.pieces import PicturePiece, PiecePlan
from transcoder.command import encoding, reading
from transcoder.encoder import EncoderProgress
from transcoder.ladder.command import cascade, opening, segments, tags, true_durations
from transcoder.ladder.program import Program
from transcoder.ladder.segments import Measure
from transcoder.pieces.arguments import excerpt_container, taken_chain
from transcoder.pieces.workshop import Workshop

PIECE_FOLDER: Final = "renditions"
"""Folder of a piece's renditions inside its private folder."""


def encode_set_piece(
    cut: LadderCut,
    pieces: PiecePlan,
    piece: PicturePiece,
    excerpt: str,
    base: int,
    workshop: Workshop,
) -> PieceSet:
    """Make the segments of `piece` in the folder `PIECE_FOLDER`; `base` is the excerpt's tick 0.

    Raises BadOutput where they are not what was planned, and what `Program` raises.
    """
    folder = workshop.folder / PIECE_FOLDER
    for variant in cut.plan.variants:
        (folder / variant.name).mkdir(parents=True)
    program = Program(
        python=workshop.python,
        folder=workshop.folder,
        deadline=workshop.deadline,
        stop=workshop.stop,
    )
    heard = EncoderProgress(duration_s=1.0, report=lambda _: None)
    program(
        _command(workshop.ffmpeg, cut, pieces, piece, excerpt, base),
        file_max=cut.plan.file_max,
        progress=heard,
        output=(folder, cut.plan.size_max),
    )
    if heard.frames != piece.frames:
        raise BadOutput(f"a piece of the set has {heard.frames} frames, not {piece.frames}")
    measure = Measure(
        python=workshop.python, folder=folder, deadline=workshop.deadline, stop=workshop.stop
    )
    return piece_set(piece.frames, tuple(measure(each.name) for each in cut.plan.variants))


def _command(
    ffmpeg: Path,
    cut: LadderCut,
    pieces: PiecePlan,
    piece: PicturePiece,
    excerpt: str,
    base: int,
) -> list[str]:
    """Return the arguments: frames are taken and timed as those of the result are."""
    plan = cut.plan
    threads = ["-threads", "1"] if (os.cpu_count() or 1) <= len(plan.variants) else []
    first = plan.variants[0].video
    span = span_s(pieces, piece)
    taken = taken_chain(replace(pieces, plan=replace(pieces.plan, video=first)), piece, base)
    outputs: list[str] = []
    for variant in plan.variants:
        outputs += [*_rendition(variant, cut, span), *threads]
        outputs += segments(_shortest(plan), f"{PIECE_FOLDER}/{variant.name}")
    return [
        *opening(ffmpeg),
        *threads,
        "-copyts",
        *reading(excerpt_container(pieces.form), excerpt),
        *("-filter_complex", cascade(plan.variants, f"[0:0]{taken}")),
        *outputs,
    ]


def _shortest(plan: LadderPlan) -> LadderPlan:
    """Have the muxer cut at every IDR picture: those that are forced lie further apart."""
    return replace(plan, segment_s=plan.segment_s / 100)


def _rendition(variant: Variant, cut: LadderCut, span_s: tuple[Fraction, Fraction]) -> list[str]:
    """Force IDR pictures inside of the piece; its first picture is one by itself."""
    video = variant.video
    inside = key_times_s(cut, span_s)[1:]
    keys = ["-force_key_frames:v", ",".join(f"{time:.6f}" for time in inside)] if inside else []
    last = f"round({float(span_s[1])!r}/TB)-DTS"
    if cut.gap_s is not None:
        last = f"round({cut.gap_s!r}/TB)"
    return [
        *("-map", f"[{variant.name}]", "-fps_mode", "vfr"),
        *("-enc_time_base:v", f"{video.time_base.numerator}:{video.time_base.denominator}"),
        *encoding(video),
        *keys,
        *tags(video),
        *("-bsf:v", true_durations(last=last)),
    ]
