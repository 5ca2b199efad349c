"""The pieces that a long recording was cut into, and who has which: a part of the job's record.

A piece has a lease of its own and no fence: its object is committed under one key, and the first
to commit it made it. What a late worker reports of a piece that is done changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from core import limits
from core.errors import LeaseHeld, LeaseLost, NotDue, StaleMessage

_CUT_PERCENT = 5
_MADE_PERCENT = 95
"""Percent of a job's work that are behind it when it is cut, and when all pieces are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPiece:
    """A piece that was begun and is not done. `claims` counts the workers that vanished over it.

    `claim` is the number of its last claim: no two claims of a board, or of the one after it, have
    the same, so that a late worker is told from the present one.
    """

    number: int
    claims: int = 0
    claim: int = 0
    retries: int = 0
    due_at: float = 0.0
    lease_until: float | None = None
    outage_since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What is known of `pieces` pieces, numbered from 0, since they were cut.

    `cut` is the fence under which that was done, `plan_key` names the object that says how each
    is made. A piece that is in neither `done` nor `begun` was never taken. `work_s` and `cpu_s`
    are the seconds that those done have taken together. `whole_because` says why the recording
    must be made as a whole after all: then there are no pieces. `claimed` counts all claims, `cuts`
    how often it was cut. `anew_because` says why it must be cut once more: then too there are none.
    """

    cut: int
    plan_key: str
    pieces: int
    since: float
    done: tuple[int, ...] = ()
    begun: tuple[OpenPiece, ...] = ()
    work_s: float = 0.0
    cpu_s: float = 0.0
    whole_because: str | None = None
    claimed: int = 0
    cuts: int = 1
    anew_because: str | None = None

    @property
    def is_planned(self) -> bool:
        """Return whether the recording is made of these pieces."""
        return self.whole_because is None and self.anew_because is None

    @property
    def may_be_cut_anew(self) -> bool:
        """Return whether another cut may be tried where the plan of this one cannot be read."""
        return self.cuts < limits.CUTS_MAX

    @property
    def plan_patience_s(self) -> float:
        """Return for how long to wait for somebody who can read the plan."""
        longer = limits.PLAN_PATIENCE_S * (1 << min(self.cuts - 1, limits.CUTS_MAX))
        return min(longer, limits.OUTAGE_RETRY_MAX_S)

    @property
    def is_complete(self) -> bool:
        """Return whether every piece is made."""
        return len(self.done) == self.pieces

    @property
    def progress(self) -> int:
        """Return how far the job is, in percent."""
        share = len(self.done) / max(self.pieces, 1)
        return _CUT_PERCENT + int((_MADE_PERCENT - _CUT_PERCENT) * share)

    def missing(self) -> tuple[int, ...]:
        """Return the numbers of the pieces that are still to be made."""
        done = set(self.done)
        return tuple(number for number in range(self.pieces) if number not in done)

    def waiting(self, now: float) -> tuple[int, ...]:
        """Return the numbers of those that nobody holds and that are due."""
        busy = {p.number for p in self.begun if p.due_at > now or (p.lease_until or 0.0) > now}
        return tuple(number for number in self.missing() if number not in busy)

    def piece(self, number: int) -> OpenPiece:
        """Return what is known of a piece; raises StaleMessage for one that is not to be made."""
        if not 0 <= number < self.pieces or number in self.done:
            raise StaleMessage(f"piece {number} is not to be made any more")
        return next((p for p in self.begun if p.number == number), OpenPiece(number=number))

    def has_claims(self, number: int) -> bool:
        """Return whether the piece may be given to one worker more."""
        return self.piece(number).claims < limits.CLAIMS_MAX


def claimed(board: Board, number: int, now: float, lease_s: float) -> Board:
    """Give a piece to a worker; raises StaleMessage, LeaseHeld or NotDue."""
    piece = board.piece(number)
    if piece.lease_until is not None and piece.lease_until > now:
        raise LeaseHeld(f"piece {number} is held for {piece.lease_until - now:.1f} s more")
    if piece.due_at > now:
        raise NotDue(f"piece {number} is due in {piece.due_at - now:.1f} s", due_at=piece.due_at)
    claim = board.claimed + 1
    taken = replace(piece, claims=piece.claims + 1, claim=claim, lease_until=now + lease_s)
    return replace(_with(board, taken), claimed=claim)


def renewed(board: Board, number: int, claim: int, now: float, lease_s: float) -> Board:
    """Prolong the lease of the worker that holds the piece; raises LeaseLost."""
    return _with(board, replace(_held(board, number, claim), lease_until=now + lease_s))


def released(board: Board, number: int, claim: int) -> Board:
    """Take the piece back undone, which costs no claim; raises LeaseLost."""
    piece = _held(board, number, claim)
    return _with(board, replace(piece, claims=piece.claims - 1, lease_until=None))


def first_heard(before: float | None, now: float) -> float:
    """Return since when a record knows of trouble that it is told of `now`."""
    return now if before is None else before


def put_off(
    board: Board, number: int, claim: int, *, now: float, delay_s: float, is_outage: bool
) -> Board:
    """Take the piece back for another try; raises LeaseLost. An outage costs none."""
    piece = _held(board, number, claim)
    return _with(
        board,
        replace(
            piece,
            claims=0,
            retries=piece.retries + (not is_outage),
            due_at=now + delay_s,
            lease_until=None,
            outage_since=first_heard(piece.outage_since, now) if is_outage else None,
        ),
    )


def check_held(board: Board, number: int, claim: int) -> None:
    """Raise LeaseLost for a claim that was overtaken."""
    _held(board, number, claim)


def made(board: Board, number: int, *, work_s: float = 0.0, cpu_s: float = 0.0) -> Board:
    """Note that the piece's object is committed, whoever did it."""
    if number in board.done:
        return board
    board.piece(number)
    rest = tuple(piece for piece in board.begun if piece.number != number)
    done = tuple(sorted((*board.done, number)))
    return replace(
        board,
        done=done,
        begun=rest,
        work_s=board.work_s + work_s,
        cpu_s=board.cpu_s + cpu_s,
    )


def refused(board: Board, reason: str) -> Board:
    """Give the pieces up."""
    return replace(board, pieces=0, done=(), begun=(), whole_because=reason)


def dropped(board: Board, reason: str) -> Board:
    """Give up these pieces, for others that are cut anew."""
    return replace(board, pieces=0, done=(), begun=(), anew_because=reason)


def _held(board: Board, number: int, claim: int) -> OpenPiece:
    try:
        piece = board.piece(number)
    except StaleMessage as error:
        raise LeaseLost(error.detail) from error
    if piece.claim != claim or piece.lease_until is None:
        raise LeaseLost(f"claim {claim} of piece {number} was overtaken")
    return piece


def _with(board: Board, piece: OpenPiece) -> Board:
    others = (p for p in board.begun if p.number != piece.number)
    return replace(board, begun=tuple(sorted((*others, piece), key=lambda p: p.number)))
