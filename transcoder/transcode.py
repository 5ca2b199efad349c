"""The transcode step: source in, verified rendition out, all under one lease.

A long recording takes it twice. The first time it is cut into pieces, which are steps of their
own (`piece_step`); the second time the pieces are joined.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from core.assignment import Assignment
from core.board import Board
from core.errors import (
    Interrupted,
    LeaseLost,
    LecternError,
    MediaError,
    MissingObject,
    PassingFailure,
    ScratchFull,
    TooLarge,
    Unavailable,
    UnreadablePlan,
    UnsupportedType,
)
from core.events import Encoded, Failed, PiecesCut, Released, Retried
from core.job import Job, Rendition, cut_key, output_key, piece_key, scratch_name
from core.ledger import Ledger
from core.messages import Message
from core.ports import Progress
from core.retries import after_failure
from transcoder.compress import Compressed
from transcoder.heartbeat import Heartbeat
from transcoder.image_step import (
    Cost,
    commit_pictures,
    is_image,
    make_pictures,
    withdraw_variants,
)
from transcoder.piece_step import PieceStep, children_s, read_assignment
from transcoder.press import Press
from transcoder.scratch import private_folder
from transcoder.sets import MadeFolder, SetWork, withdraw

_ASSIGNMENT: Final = "assignment"
_SET_FROM: Final = 60
"""Percent of the work behind a job whose result is made and whose set is not: HLS in three sizes
takes about as much CPU time as the result."""
_DONE: Final = 100


_FORESEEN: Final = (
    MediaError,
    PassingFailure,
    Unavailable,
    MissingObject,
    UnsupportedType,
    TooLarge,
)
"""What may be wrong with a recording or an image, or with what the step rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcode:
    """Handles `Topic.TRANSCODE`. `scratch` is a folder for the private folders of its jobs.

    `price_per_cpu_s` is what a CPU second costs, for receipts.
    """

    ledger: Ledger
    press: Press
    scratch: Path
    stop: Callable[[], bool]
    price_per_cpu_s: float = 0.0

    def __call__(self, message: Message) -> None:
        """Do the step that `message` asks for; raises what `dispatch` knows to dispose of."""
        if message.piece is None:
            self._step(message)
        else:
            PieceStep(ledger=self.ledger, press=self.press, scratch=self.scratch, stop=self.stop)(
                message
            )

    def _step(self, message: Message) -> None:
        job = self.ledger.claim(message)
        try:
            self._held(job)
        except ScratchFull as error:
            self.ledger.apply(job.job_id, self._after(job, error))

    def _after(self, job: Job, error: LecternError) -> Retried | Failed:
        return after_failure(job, error, self.ledger.policy, self.ledger.clock.now())

    def _held(self, job: Job) -> None:
        name = scratch_name(job.run, job.fence)
        with private_folder(self.scratch, name) as folder, Heartbeat(self.ledger, job) as beat:
            try:
                result = self._work(job, folder, beat)
            except Interrupted:
                if beat.lost:
                    raise LeaseLost(f"fence {job.fence} was overtaken") from None
                self.ledger.apply(job.job_id, Released(fence=job.fence))
                raise
            except _FORESEEN as error:
                self.ledger.apply(job.job_id, self._after(job, error))
                return
            self._commit(job, result)

    def _work(self, job: Job, folder: Path, beat: Heartbeat) -> Encoded | PiecesCut:
        before_s = children_s()

        def stop() -> bool:
            return self.stop() or beat.lost

        def fetch() -> Path:
            source = folder / "source"
            if not source.exists():
                self.ledger.objects.fetch(job.source.key, source)
            return source

        if is_image(job):
            return self._pictured(job, fetch(), folder, stop, before_s)
        share = _SET_FROM if job.order.ladder else _DONE
        plan = self._plan(job)
        made = self._made(job, plan, folder, fetch, progress=_Part(0, share, beat), stop=stop)
        if isinstance(made, Assignment):
            if beat.lost:
                raise Interrupted("the lease was lost")
            return self._cut(job, made, folder, children_s() - before_s)
        renditions = None
        if job.order.ladder:
            progress = _Part(share, _DONE, beat)
            renditions = self._renditions(
                job, plan, made, folder, fetch, progress=progress, stop=stop
            )
        if beat.lost:
            raise Interrupted("the lease was lost")
        return self._encoded(job, made, renditions, children_s() - before_s)

    def _plan(self, job: Job) -> Assignment | None:
        """Return how the pieces were made that are to be joined; None where there are none.

        Nor are there any that another release has planned in its own way, if none of its workers
        came to join them for a while.
        """
        board = job.board
        if board is None or not board.is_planned:
            return None
        try:
            return read_assignment(self.ledger.objects, board.plan_key)
        except UnreadablePlan:
            since, now = job.outage_since, self.ledger.clock.now()
            if since is None or now - since < board.plan_patience_s:
                raise
            return None

    def _renditions(
        self,
        job: Job,
        plan: Assignment | None,
        made: Compressed,
        folder: Path,
        fetch: Callable[[], Path],
        *,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> MadeFolder:
        """Join the set that the pieces have made, or make it in one go where there are none."""
        if plan is not None and plan.ladder is not None:
            return self._sets.join(
                job, plan, made.path, fetch, folder, progress=progress, stop=stop
            )
        return self._sets.make(job, fetch, folder, progress=progress, stop=stop)

    def _pictured(
        self, job: Job, source: Path, folder: Path, stop: Callable[[], bool], before_s: float
    ) -> Encoded:
        made = make_pictures(job, self.press, source, folder, stop=stop)
        if stop():
            raise Interrupted("told to stop")
        cost = Cost(cpu_s=children_s() - before_s, price_per_cpu_s=self.price_per_cpu_s)
        return commit_pictures(job, made, self.ledger.objects, cost)

    @property
    def _sets(self) -> SetWork:
        return SetWork(ledger=self.ledger, press=self.press)

    def _made(
        self,
        job: Job,
        plan: Assignment | None,
        folder: Path,
        fetch: Callable[[], Path],
        *,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed | Assignment:
        order, board = job.order, job.board
        if board is not None and plan is not None:
            pieces = self._fetch_pieces(board, folder)
            rest = _Part(board.progress, _DONE, progress)
            return self.press.join(plan, pieces, fetch, folder, progress=rest, stop=stop)
        if board is None or (board.whole_because is None and board.may_be_cut_anew):
            return self.press.begin(fetch(), folder, order=order, progress=progress, stop=stop)
        return self.press.whole(fetch(), folder, order=order, progress=progress, stop=stop)

    def _fetch_pieces(self, board: Board, folder: Path) -> list[Path]:
        paths = [folder / f"made-{number}" for number in range(board.pieces)]
        for number, path in enumerate(paths):
            self.ledger.objects.fetch(piece_key(board.plan_key, number), path)
        return paths

    def _cut(self, job: Job, assignment: Assignment, folder: Path, cpu_s: float) -> PiecesCut:
        path, key = folder / _ASSIGNMENT, cut_key(job.run, job.fence)
        path.write_bytes(assignment.to_bytes())
        self.ledger.objects.upload(key, path)
        return PiecesCut(
            fence=job.fence,
            plan_key=key,
            pieces=len(assignment.pieces.pieces),
            source_media=assignment.source.summary(),
            cpu_s=cpu_s,
            warnings=assignment.warnings,
        )

    def _encoded(
        self, job: Job, made: Compressed, renditions: MadeFolder | None, cpu_s: float
    ) -> Encoded:
        key = output_key(job.run, job.fence)
        self.ledger.objects.upload(key, made.path)
        ladder, told = self._sets.commit(job, renditions) if renditions else (None, ())
        spent_s = (job.board.cpu_s if job.board else 0.0) + cpu_s
        making = made.making and replace(
            made.making, cpu_s=spent_s, price_per_cpu_s=self.price_per_cpu_s
        )
        output = Rendition(
            key=key,
            size=made.size,
            sha256=made.sha256,
            media=made.media,
            action=made.action,
            work_s=made.work_s + (job.board.work_s if job.board else 0.0),
            making=making,
            ladder=ladder,
        )
        before = job.warnings if job.board else ()
        warnings = tuple(dict.fromkeys((*before, *made.warnings, *told)))
        return Encoded(
            fence=job.fence, source_media=made.source_media, output=output, warnings=warnings
        )

    def _commit(self, job: Job, result: Encoded | PiecesCut) -> None:
        try:
            self.ledger.apply(job.job_id, result)
        except LeaseLost:
            if isinstance(result, Encoded):
                self._withdraw(job, result.output.key)
            raise
        if isinstance(result, Encoded) and job.board is not None:
            self._discard_pieces(job.board)

    def _withdraw(self, job: Job, key: str) -> None:
        """Delete an output that was not recorded; a lost answer may hide that it was."""
        now = self.ledger.jobs.get(job.job_id)
        if now is None or now.output is None or now.output.key != key:
            self.ledger.objects.delete(key)
            withdraw(self.ledger.objects, job, job.fence)
            withdraw_variants(job, self.ledger.objects)

    def _discard_pieces(self, board: Board) -> None:
        """Delete what the output no longer needs; what is left goes with the run's objects."""
        with contextlib.suppress(Unavailable):
            for number in range(board.pieces):
                self.ledger.objects.delete(piece_key(board.plan_key, number))


@dataclass(frozen=True, slots=True)
class _Part:
    """Progress of what leads from `first` to `last` percent of the whole."""

    first: int
    last: int
    progress: Progress

    def report(self, percent: float) -> None:
        self.progress.report(self.first + percent * (self.last - self.first) / 100)
