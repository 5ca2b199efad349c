"""What happens to a job while its pieces are made: the part of `core.transitions` about boards."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from core import board as boards
from core import events as ev
from core import limits
from core.board import Board
from core.errors import LeaseLost, StaleMessage
from core.job import Job, Policy, State
from core.messages import Message, Topic


def waits_for_pieces(job: Job) -> bool:
    """Return whether pieces are to be made before the job's own next step."""
    return job.board is not None and not job.board.is_complete


def needs_piece(job: Job, message: Message) -> bool:
    """Return whether the piece that `message` asks for is still to be made."""
    return (
        message.piece is not None
        and job.state is State.PROCESSING
        and job.board is not None
        and piece_message(job, message.piece) == message
        and message.piece in job.board.missing()
    )


def piece_message(job: Job, number: int) -> Message:
    """Return the message that asks for a piece."""
    return Message(
        topic=Topic.TRANSCODE,
        job_id=job.job_id,
        run=job.run,
        piece=number,
        traceparent=job.traceparent,
    )


def board_of(job: Job, event: ev.OfPiece) -> Board:
    """Return the board that `event` is about.

    Raises StaleMessage, or LeaseLost for a worker's report, when the job has gone on.
    """
    board = job.board
    if job.state is State.PROCESSING and board is not None and board.cut == event.cut:
        return board
    reason = f"the job is {job.state} and waits for no piece of cut {event.cut}"
    raise StaleMessage(reason) if isinstance(event, ev.PieceClaimed) else LeaseLost(reason)


def cut_step(job: Job, event: ev.PiecesCut, now: float, policy: Policy) -> ev.Step:
    """Free the lease and have every piece made."""
    before = job.board
    board = Board(
        cut=event.fence,
        plan_key=event.plan_key,
        pieces=event.pieces,
        since=now,
        work_s=before.work_s if before else 0.0,
        cpu_s=(before.cpu_s if before else 0.0) + event.cpu_s,
        claimed=before.claimed if before else 0,
        cuts=before.cuts + 1 if before else 1,
    )
    fields = {
        "lease_until": None,
        "claims": 0,
        "failure": None,
        "outage_since": None,
        "board": board,
        "progress": board.progress,
        "source": replace(job.source, media=event.source_media),
        "warnings": event.warnings[: limits.WARNINGS_MAX],
        "due_at": now,
        "wake_at": now + policy.republish_after_s,
    }
    return fields, tuple(_publish(job, number) for number in range(event.pieces))


def piece_step(job: Job, event: ev.OfPiece, now: float, policy: Policy) -> ev.Step:  # noqa: PLR0911 - a flat table of cases
    """Return what a piece's event changes; raises what `core.board` raises."""
    board = board_of(job, event)
    match event:
        case ev.PieceClaimed():
            return _noted(boards.claimed(board, event.number, now, policy.piece_lease_s))
        case ev.PieceRenewed():
            number, claim = event.number, event.claim
            return _noted(boards.renewed(board, number, claim, now, policy.piece_lease_s))
        case ev.PieceReleased():
            back = _publish(job, event.number)
            return {"board": boards.released(board, event.number, event.claim)}, (back,)
        case ev.PieceRetried():
            later = boards.put_off(
                board,
                event.number,
                event.claim,
                now=now,
                delay_s=event.delay_s,
                is_outage=event.is_outage,
            )
            again = _publish(job, event.number, delay_s=event.delay_s)
            return {"board": later, "failure": event.failure}, (again,)
        case ev.PieceMade():
            after = boards.made(board, event.number, work_s=event.work_s, cpu_s=event.cpu_s)
            return _went_on(job, board, after, event.warnings, now, policy)
        case ev.PiecesRefused():
            return _went_on(job, board, _refused(board, event), (), now, policy)
        case ev.PieceFailed():
            if event.claim is not None:
                boards.check_held(board, event.number, event.claim)
            wake_at = now + policy.confirm_ttl_s
            return {"failure": event.failure, "wake_at": wake_at}, ()
        case _:
            assert_never(event)


def wake_pieces(job: Job, now: float, policy: Policy) -> ev.Step:
    """Publish every piece that nobody holds once more, with growing patience."""
    if job.board is None:
        return {}, ()
    waited = min(now - job.board.since, limits.REPUBLISH_MAX_S)
    wake_at = now + max(policy.republish_after_s, waited / 2)
    return {"wake_at": wake_at}, tuple(_publish(job, n) for n in job.board.waiting(now))


def _refused(board: Board, event: ev.PiecesRefused) -> Board:
    """Have the recording cut anew, within a bound, or made as a whole."""
    if board.whole_because is not None:
        return board
    if event.anew and board.may_be_cut_anew:
        return board if board.anew_because is not None else boards.dropped(board, event.reason)
    return boards.refused(board, event.reason)


def _went_on(
    job: Job,
    before: Board,
    after: Board,
    warnings: tuple[str, ...],
    now: float,
    policy: Policy,
) -> ev.Step:
    """Note what has become of the board; ask for the job's own step once nothing is missing."""
    if after is before:
        return {}, ()
    known = tuple(dict.fromkeys((*job.warnings, *warnings)))[: limits.WARNINGS_MAX]
    fields = {
        "board": after,
        "progress": after.progress,
        "failure": None,
        "warnings": known,
    }
    if not after.is_complete:
        return fields, ()
    message = Message(
        topic=Topic.TRANSCODE, job_id=job.job_id, run=job.run, traceparent=job.traceparent
    )
    waiting = {"due_at": now, "wake_at": now + policy.republish_after_s}
    return {**fields, **waiting}, (ev.Publish(message=message),)


def _noted(board: Board) -> ev.Step:
    return {"board": board}, ()


def _publish(job: Job, number: int, *, delay_s: float = 0.0) -> ev.Publish:
    return ev.Publish(message=piece_message(job, number), delay_s=delay_s)
