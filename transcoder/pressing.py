"""The Press that works with FFmpeg: short recordings in one go, long ones in pieces."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from core import limits
from core.assignment import ASSIGNMENT_FORMAT, Assignment
from core.errors import BadOutput
from core.ladder import HLS, LADDERS, LadderPlan
from core.ladder_pieces import PieceSet, ladder_cut
from core.order import Order
from core.pieces import PicturePiece, PiecePlan, cut, worth_cutting
from core.plan import plans
from core.ports import Progress
from core.presets import Preset
from core.qualities import in_quality
from transcoder.compress import (
    Compressed,
    Survey,
    Toolbox,
    Workshop,
    compress,
    examined,
    finished,
    first_that_fits,
    survey,
    workshop_in,
)
from transcoder.images.make import MadeImages, make_images
from transcoder.ladder.joining import join_set
from transcoder.ladder.make import Extras, make_set, shop_in
from transcoder.ladder.part import PartBeside, planned_ladder
from transcoder.ladder.texts import Sidecar
from transcoder.pieces.assemble import assemble
from transcoder.pieces.encode import MadePiece, encode_piece
from transcoder.pieces.ranged import FileRanges, Ranges
from transcoder.pieces.timeline import take_timeline
from transcoder.pieces.workshop import Workshop as Bench
from transcoder.runner import Outgrown

_JOINED: Final = "joined.mp4"
_CUT_FROM: Final = 4
"""Pieces from which on a recording is cut: shorter ones gain little, and would take two turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPress:
    """Makes media with `preset`, each call within `budget_s` seconds.

    A recording of four pieces of `piece_s` seconds or more is cut; none is for a `piece_s` of 0.
    """

    preset: Preset
    toolbox: Toolbox
    budget_s: float
    piece_s: float

    def begin(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed | Assignment:
        """Make a short recording small, or cut a long one; see `Press`."""
        began = time.monotonic()
        workshop = self._workshop(folder, progress, stop)
        found = survey(workshop, source, in_quality(self.preset, order.quality))
        ladder = planned_ladder(found.info, order)
        return self._go_on(workshop, source, found, attempt=0, began=began, ladder=ladder)

    def whole(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed:
        """Make a recording small in one go."""
        return compress(
            source,
            folder,
            preset=in_quality(self.preset, order.quality),
            toolbox=self.toolbox,
            budget_s=self.budget_s,
            progress=progress,
            stop=stop,
        )

    def picture(
        self, source: Path, folder: Path, *, order: Order, stop: Callable[[], bool]
    ) -> MadeImages:
        """Make what is asked for of an image."""
        return make_images(
            source,
            folder,
            order=order,
            python=self.toolbox.python,
            budget_s=min(self.budget_s, limits.IMAGE_WALL_S),
            stop=stop,
        )

    def make(
        self,
        assignment: Assignment,
        number: int,
        source: Ranges,
        folder: Path,
        *,
        stop: Callable[[], bool],
    ) -> MadePiece:
        """Make one piece; see `Press`."""
        plan, piece = assignment.pieces, assignment.pieces.pieces[number]
        bench = self._bench(folder, stop, time.monotonic() + self.budget_s)
        beside = None
        if assignment.ladder is not None and isinstance(piece, PicturePiece):
            beside = PartBeside(cut=assignment.ladder, pieces=plan, piece=piece, workshop=bench)
        try:
            made = encode_piece(plan, piece, source, bench, beside=beside)
        except Outgrown:
            raise BadOutput(f"piece {number} alone would be larger than the source") from None
        return beside.added_to(made) if beside else made

    def join(
        self,
        assignment: Assignment,
        pieces: Sequence[Path],
        fetch: Callable[[], Path],
        folder: Path,
        *,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed | Assignment:
        """Join the pieces; see `Press`."""
        began = time.monotonic() - assignment.work_s
        workshop = self._workshop(folder, progress, stop)
        found = Survey(
            info=assignment.source,
            preset=assignment.preset,
            warnings=assignment.warnings,
            quality=assignment.quality,
        )
        try:
            return self._joined(workshop, assignment, pieces, found, began)
        except Outgrown:
            following = assignment.attempt + 1
            ladder = assignment.ladder.plan if assignment.ladder else None
            return self._go_on(
                workshop, fetch(), found, attempt=following, began=began, ladder=ladder
            )
        except BadOutput:
            made = first_that_fits(workshop, fetch().name, found, attempt=assignment.attempt)
            return finished(workshop, found, made, began=began)

    def join_renditions(
        self,
        assignment: Assignment,
        parts: Sequence[PieceSet],
        result: Path,
        source: Callable[[], Path],
        folder: Path,
        *,
        subtitles: Sequence[Sidecar],
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Path:
        """Join the parts of a set; see `Press`."""
        if assignment.ladder is None:
            raise BadOutput("no set was made in pieces")
        deadline = time.monotonic() + self.budget_s
        return join_set(
            assignment.ladder,
            parts,
            assignment.source,
            shop_in(folder, self.toolbox, deadline, progress, stop),
            result=result.name,
            source=source,
            subtitles=subtitles,
        )

    def renditions(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,
        subtitles: Sequence[Sidecar],
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Path:
        """Make a set of renditions; see `Press`."""
        made = make_set(
            source,
            folder,
            ladder=LADDERS[order.ladder or HLS.name],
            toolbox=self.toolbox,
            budget_s=self.budget_s,
            progress=progress,
            stop=stop,
            extras=Extras(subtitles=tuple(subtitles)),
        )
        return made.path

    def _joined(
        self,
        workshop: Workshop,
        assignment: Assignment,
        paths: Sequence[Path],
        found: Survey,
        began: float,
    ) -> Compressed:
        plan = assignment.pieces
        bench = self._bench(workshop.folder, workshop.stop, workshop.deadline)
        output = assemble(plan, paths, bench, _JOINED)
        made = examined(
            workshop, output.path, found.info, plan.plan, frames=output.frames, warnings=()
        )
        done = finished(workshop, found, made, began=began)
        return replace(done, making=done.making and replace(done.making, pieces=len(paths)))

    def _go_on(
        self,
        workshop: Workshop,
        source: Path,
        found: Survey,
        *,
        attempt: int,
        began: float,
        ladder: LadderPlan | None,
    ) -> Compressed | Assignment:
        """Follow the plans from `attempt` on: the first of them in pieces, if it can be."""
        done = self._cut(workshop, source, found, attempt)
        if done is None:
            made = first_that_fits(workshop, source.name, found, attempt=attempt)
            return finished(workshop, found, made, began=began)
        plan, times = done
        return Assignment(
            version=ASSIGNMENT_FORMAT,
            attempt=attempt,
            preset=found.preset,
            source=found.info,
            pieces=plan,
            warnings=found.warnings,
            work_s=time.monotonic() - began,
            quality=found.quality,
            ladder=ladder_cut(ladder, plan, times) if ladder else None,
        )

    def _cut(
        self, workshop: Workshop, source: Path, found: Survey, attempt: int
    ) -> tuple[PiecePlan, Sequence[int]] | None:
        """Return the pieces and when the source's frames are shown."""
        plan = next(islice(plans(found.info, found.preset), attempt, None), None)
        if plan is None or self.piece_s <= 0:
            return None
        if found.info.duration_s < _CUT_FROM * self.piece_s:
            return None
        if worth_cutting(found.info, plan, piece_s=self.piece_s) is not None:
            return None
        bench = self._bench(workshop.folder, workshop.stop, workshop.deadline)
        timeline = take_timeline(FileRanges(source), plan, bench)
        made = cut(found.info, plan, timeline, piece_s=self.piece_s)
        return None if made.whole or timeline.picture is None else (made, timeline.picture.times)

    def _workshop(self, folder: Path, progress: Progress, stop: Callable[[], bool]) -> Workshop:
        deadline = time.monotonic() + self.budget_s
        return workshop_in(folder, self.toolbox, deadline, progress, stop)

    def _bench(self, folder: Path, stop: Callable[[], bool], deadline: float) -> Bench:
        return Bench(
            ffmpeg=self.toolbox.ffmpeg,
            python=self.toolbox.python,
            folder=folder,
            deadline=deadline,
            stop=stop,
        )
