"""The step that makes one piece of a recording which was cut."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core import limits
from core.assignment import Assignment
from core.board import Board
from core.errors import (
    AlreadyExists,
    BadMessage,
    BadOutput,
    Interrupted,
    LeaseLost,
    LecternError,
    MediaError,
    MissingObject,
    PassingFailure,
    ScratchFull,
    Unavailable,
    UnreadablePlan,
)
from core.events import (
    OfPiece,
    PieceFailed,
    PieceMade,
    PieceReleased,
    PieceRetried,
    PiecesRefused,
)
from core.job import Job, piece_key, piece_scratch_name
from core.ledger import Ledger
from core.messages import Message
from core.ports import ObjectStore
from core.retries import after_piece_failure, is_worth_another_try
from transcoder.heartbeat import Heartbeat
from transcoder.ladder.part import no_set
from transcoder.parts import Parts
from transcoder.pieces.encode import MadePiece
from transcoder.pieces.stored import StoredRanges
from transcoder.press import Press
from transcoder.scratch import private_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceStep:
    """Handles messages about a piece. `scratch` is a folder for its private folders.

    The piece is committed under a key of its own: the first worker to commit it made it, and
    what a late one made is dropped.
    """

    ledger: Ledger
    press: Press
    scratch: Path
    stop: Callable[[], bool]

    def __call__(self, message: Message) -> None:
        """Make the piece; raises what `dispatch` knows to dispose of."""
        job = self.ledger.claim_piece(message)
        board, number = job.board, message.piece
        if board is None or number is None:
            return
        claim = board.piece(number).claim
        try:
            self._held(job, board, number, claim)
        except ScratchFull as error:
            event = self._after(board, number, claim, error)
            self.ledger.apply(job.job_id, event)

    def _commit_part(self, job: Job, board: Board, number: int, made: MadePiece) -> tuple[str, ...]:
        """Commit what the piece gives to a set; return a warning where that is not to be had."""
        error = made.part_error
        if made.part is not None and made.part_folder is not None:
            try:
                parts = Parts(self.ledger.objects, job.run, board)
                parts.commit(number, made.part, made.part_folder)
            except Interrupted:
                raise
            except Exception as failed:  # noqa: BLE001 - whatever it is, the piece itself is made
                error = failed
        if error is None:
            return ()
        now = self.ledger.clock.now()
        if is_worth_another_try(error, board.piece(number), self.ledger.policy, now):
            raise error
        return (no_set(error),)

    def _after(
        self, board: Board, number: int, claim: int, error: LecternError
    ) -> PieceRetried | PieceFailed:
        now = self.ledger.clock.now()
        return after_piece_failure(board, number, claim, error, self.ledger.policy, now)

    def _held(self, job: Job, board: Board, number: int, claim: int) -> None:
        name = piece_scratch_name(job.run, number, claim)
        with (
            private_folder(self.scratch, name) as folder,
            Heartbeat.of_piece(self.ledger, job, number, claim) as beat,
        ):
            try:
                event: OfPiece = self._make(job, board, number, folder, beat)
            except Interrupted:
                if beat.lost:
                    raise LeaseLost(f"claim {claim} of piece {number} was overtaken") from None
                released = PieceReleased(cut=board.cut, number=number, claim=claim)
                self.ledger.apply(job.job_id, released)
                raise
            except BadOutput as error:
                event = PiecesRefused(cut=board.cut, reason=error.detail)
            except UnreadablePlan as error:
                event = self._unread(board, number, claim, error)
            except (MediaError, PassingFailure, Unavailable, MissingObject) as error:
                event = self._after(board, number, claim, error)
                self.ledger.log.emit(
                    "piece.failed", piece=number, code=error.code, reason=error.detail
                )
            self.ledger.apply(job.job_id, event)

    def _unread(
        self, board: Board, number: int, claim: int, error: UnreadablePlan
    ) -> PieceRetried | PieceFailed | PiecesRefused:
        """Give back a piece whose plan cannot be read; have all cut anew if nobody can for long."""
        self.ledger.log.emit("piece.failed", piece=number, code=error.code, reason=error.detail)
        since = board.piece(number).outage_since
        if since is None or self.ledger.clock.now() - since < board.plan_patience_s:
            return self._after(board, number, claim, error)
        return PiecesRefused(cut=board.cut, reason=error.detail, anew=True)

    def _make(
        self, job: Job, board: Board, number: int, folder: Path, beat: Heartbeat
    ) -> PieceMade:
        before_s = children_s()
        began = self.ledger.clock.now()
        assignment = read_assignment(self.ledger.objects, board.plan_key)
        with StoredRanges(self.ledger.objects, job.source.key) as source:
            made = self.press.make(
                assignment, number, source, folder, stop=lambda: self.stop() or beat.lost
            )
        warnings = made.warnings + self._commit_part(job, board, number, made)
        with contextlib.suppress(AlreadyExists):
            self.ledger.objects.upload(piece_key(board.plan_key, number), made.path)
        cpu_s, work_s = children_s() - before_s, self.ledger.clock.now() - began
        self.ledger.log.emit(
            "piece.made",
            organization_id=job.organization_id,
            piece=number,
            pieces=board.pieces,
            fetched_bytes=made.fetched,
            cpu_s=round(cpu_s, 3),
            duration_s=round(work_s, 3),
        )
        return PieceMade(
            cut=board.cut, number=number, work_s=work_s, cpu_s=cpu_s, warnings=warnings
        )


def read_assignment(objects: ObjectStore, key: str) -> Assignment:
    """Return the stored assignment; raises MissingObject, and UnreadablePlan for another's."""
    with objects.open(key) as body:
        data = body.read()
    try:
        return Assignment.from_bytes(data)
    except BadMessage as error:
        reason = f"the pieces were planned by another release: {error.detail}"
        raise UnreadablePlan(reason[: limits.REASON_CHARS_MAX]) from error


def children_s() -> float:
    """Return the CPU seconds of all children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
