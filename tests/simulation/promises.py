"""What Lectern promises, watched from outside: at each write, each deletion, each delivery.

Nothing here asks the product whether it was right; the rules are said once more.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NoReturn

from core import limits
from core.board import Board, OpenPiece
from core.job import (
    RESTARTABLE,
    UNFINISHED,
    Job,
    State,
    declaration_key,
    outcome_key,
    output_key,
    piece_key,
    run_of,
    source_key,
)
from core.messages import Message, Topic
from core.order import Order
from tests.simulation.beside import Beside
from tests.simulation.recordings import sha256
from tests.simulation.schedule import Broken, Process

if TYPE_CHECKING:
    from tests.simulation.world import World

END: Final = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPIRED})
"""States that a run never leaves."""
WITH_OUTPUT: Final = frozenset({State.STORING, State.STORED, State.STORE_FAILED})
PASSING: Final = frozenset(
    {"encoder_killed", "encoder_stalled", "step_timed_out", "missing_object"}
)
OUTAGES: Final = frozenset({"scratch_full", "store_full", "unavailable"})
"""What a step rests on was at fault: that costs no try, for as long as callbacks are tried."""
POISON: Final = frozenset({"worker_lost", "dead_letter"})


class Promises:
    """Raises Broken as soon as a promise is."""

    def __init__(self) -> None:
        self.world: World
        self.runs: dict[str, Job] = {}  # as each was recorded first
        self.known: set[tuple[str, str]] = set()  # (job_id, sha256) that ever had a record
        self.acknowledged: set[str] = set()  # runs that somebody was answered 200 for
        self.ended: dict[str, State] = {}
        self.ended_at: dict[str, float] = {}
        self.outputs: dict[str, tuple[str, int]] = {}  # run: digest and size
        self.cuts: set[tuple[str, int]] = set()
        self.verified: set[tuple[str, str]] = set()  # source's and result's digest
        self.outcomes: dict[str, str | None] = {}
        self.sources: set[str] = set()  # runs whose source was ever whole
        self.trouble_began: dict[str, float] = {}  # run: its first outage
        self.beside = Beside(self)

    # --- the record ------------------------------------------------------------------------
    def recorded(self, before: Job | None, after: Job) -> None:
        """Watch a write of the record, before it is visible."""
        if before is None or before.run != after.run:
            self._began(before, after)
            return
        self.beside.recorded(after)
        if after.failure is not None and after.failure.code in OUTAGES:
            self.trouble_began.setdefault(after.run, self.world.hub.now)
        process = self._process()
        if after.board is not before.board and after.board is not None:
            self._boarded(after, after.board)
        if after.fence != before.fence:
            self._claimed(before, after, process)
        elif process is not None and process.role == "worker":
            self._reported(before, after, process)
        elif after.lease_until is None and after.state in UNFINISHED and self._is_leased(before):
            self.broken(f"{after.job_id}: the lease was taken from its worker")
        if after.state is not before.state:
            self._moved(before, after, process)
        self._stays(before, after)

    def _stays(self, before: Job, after: Job) -> None:
        """Watch what no event may change."""
        if after.output is not before.output and before.state is not State.PROCESSING:
            self.broken(f"{after.job_id}: the output changed in {before.state}")
        if after.organization_id != before.organization_id or after.source.key != before.source.key:
            self.broken(f"{after.job_id}: another organization or source under the same run")
        if after.history[-1].state is not after.state:
            self.broken(f"{after.job_id}: the history ends in {after.history[-1].state}")

    def _began(self, before: Job | None, after: Job) -> None:
        """A run begins once, on bytes that are safe, under an id that is free."""
        run, source = after.run, after.source
        if before is not None and before.state not in RESTARTABLE:
            self.broken(f"{after.job_id}: run {run} replaces one that is {before.state}")
        if before is not None and after.fence < before.fence:
            self.broken(f"{after.job_id}: the fence shrinks")
        if before is not None and after.organization_id != before.organization_id:
            self.broken(f"{after.job_id}: another organization has taken the id")
        if run in self.runs:
            self.broken(f"{after.job_id}: run {run} begins a second time")
        if after.state is not State.QUEUED:
            self.broken(f"{after.job_id}: begins as {after.state}")
        held = self.world.objects.held.get(source.key)
        if held is None or sha256(held[0]) != source.sha256 or len(held[0]) != source.size:
            self.broken(f"{after.job_id}: recorded before its source is durable, or of other bytes")
        if source.key != source_key(run):
            self.broken(f"{after.job_id}: the source of another run")
        self.runs[run] = after
        self.known.add((after.job_id, source.sha256))

    def _claimed(self, before: Job, after: Job, process: Process | None) -> None:
        if after.fence != before.fence + 1:
            self.broken(f"{after.job_id}: fence {before.fence} became {after.fence}")
        now = self.world.hub.now
        if self._is_leased(before):
            self.broken(f"{after.job_id}: a second worker while the first holds the lease")
        if after.lease_until is None:
            if before.claims < limits.CLAIMS_MAX:
                self.broken(f"{after.job_id}: given up as poison after {before.claims} claims")
            return
        if before.state not in UNFINISHED or before.due_at > now:
            self.broken(f"{after.job_id}: claimed while {before.state}, due at {before.due_at}")
        if process is not None:
            process.asked_again = False
            process.claim = (after.job_id, after.run, after.fence)

    def _reported(self, before: Job, after: Job, process: Process) -> None:
        """A worker writes: only what it holds, under the fence or claim that it has."""
        if before.board is not None and self._took_a_piece(before, after, process):
            return
        if process.piece is not None:
            self._reported_piece(before, after, process.piece)
            return
        if process.claim is None:
            given_up = after.state is State.FAILED and after.failure is not None
            if not (given_up and after.failure and after.failure.code == "worker_lost"):
                self.broken(f"{after.job_id}: a worker without a claim has written")
            return
        if process.claim != (before.job_id, before.run, before.fence):
            self.broken(f"{process.claim} has written under fence {before.fence} of {before.run}")
        done = before.state is State.COMPLETED and after.cleaned  # it deletes what it has completed
        if before.lease_until is None and not done:
            self.broken(f"{process.claim} has written without a lease")

    def _took_a_piece(self, before: Job, after: Job, process: Process) -> bool:
        """Tell whether the write is a piece's claim, and note it."""
        old, new = before.board, after.board
        if old is None or new is None or old.cut != new.cut:
            return False
        claims = {piece.number: piece for piece in old.begun}
        now = self.world.hub.now
        for piece in new.begun:
            known = claims.get(piece.number)
            if piece.claims != (known.claims if known else 0) + 1:
                continue
            if known and (known.lease_until or 0.0) > now:
                self.broken(f"{after.job_id}: piece {piece.number} has a second worker")
            process.asked_again = False
            process.piece = (after.run, new.cut, piece.number, piece.claim)
            return True
        return False

    def _reported_piece(self, before: Job, after: Job, held: tuple[str, int, int, int]) -> None:
        run, cut, number, claim = held
        board = before.board
        if board is None or (before.run, board.cut) != (run, cut):
            self.broken(f"{held}: a piece of an earlier cut has written")
        if board is None or after.board is None or after.board.whole_because:
            return
        if number in after.board.done and number not in board.done:
            return  # whoever has committed the object may say so
        mine = any(
            (each.number, each.claim) == (number, claim) and each.lease_until is not None
            for each in board.begun
        )
        if not mine:
            what = "failed the job" if after.state is State.FAILED else "has written"
            self.broken(f"{held}: a worker whose claim was overtaken {what}")

    def _moved(self, before: Job, after: Job, process: Process | None) -> None:
        """Watch a change of the state."""
        role = process.role if process is not None else None
        state, who = after.state, after.job_id
        if before.state in END:
            self.broken(f"{who}: {before.state} became {state}")
        if state is State.STORING and before.state is State.PROCESSING:
            self._encoded(after)
        if state is State.STORED:
            self._expect_taken(after)
        if state is State.COMPLETED:
            self._completed(after, process)
        if state is State.CANCELLED and (role != "cancel" or before.state is not State.QUEUED):
            self.broken(f"{who}: cancelled by {role} while {before.state}")
        if state is State.EXPIRED:
            self._expired(before, after)
        if state is State.FAILED:
            self._failed(before, after)
        if state is State.STORE_FAILED:
            self._store_failed(before, after)
        if state in END:
            self.ended[after.run] = state
            self.ended_at[after.run] = self.world.hub.now

    def _encoded(self, job: Job) -> None:
        """An output is recorded when it is durable, hashed, and has passed its verdict."""
        output = job.output
        held = self.world.objects.held.get(output.key) if output else None
        if output is None or held is None:
            self.broken(f"{job.job_id}: the output was recorded before it was durable")
        if sha256(held[0]) != output.sha256 or len(held[0]) != output.size:
            self.broken(f"{job.job_id}: the output is not what the record says")
        if (job.source.sha256, output.sha256) not in self.verified:
            self.broken(f"{job.job_id}: an output without a passed verdict")
        if output.key != output_key(job.run, job.fence, output.key.rpartition(".")[2]):
            self.broken(f"{job.job_id}: the output of another fence: {output.key}")
        self.outputs[job.run] = output.sha256, output.size
        self.beside.encoded(job)

    def _completed(self, job: Job, process: Process | None) -> None:
        if process is not None and process.role == "worker":
            self.world.lms.expect_told(job)
            return
        if process is None or process.role != "confirm" or process.job_id != job.job_id:
            self.broken(f"{job.job_id}: completed without a confirmation")
        if process.said is not None and (job.output is None or process.said != job.output.sha256):
            self.broken(f"{job.job_id}: a confirmation of other bytes has completed it")

    def _expect_taken(self, job: Job) -> None:
        lms = self.world.lms
        if job.run not in lms.said_yes or self.outputs[job.run][0] not in lms.taken[job.run]:
            self.broken(f"{job.job_id}: stored, but the LMS has not got it whole and answered 200")

    def _expired(self, before: Job, after: Job) -> None:
        since = next(
            new.at
            for old, new in reversed(list(pairwise(after.history[:-1])))
            if new.state is before.state and old.state is not before.state
        )
        if self.world.hub.now < since + self.world.policy.confirm_ttl_s:
            self.broken(f"{after.job_id}: expired before its TTL")

    def _failed(self, before: Job, after: Job) -> None:
        """A job fails for what lies in its file, or when all its tries are used up."""
        code = after.failure.code if after.failure else "none"
        tries = [before.retries, *(piece.retries for piece in _begun(before.board))]
        claims = [before.claims, *(piece.claims for piece in _begun(before.board))]
        if code in PASSING:
            if max(tries) < self.world.policy.max_retries:
                self.broken(f"{after.job_id}: failed by {code} after {tries} tries")
        elif code in OUTAGES:
            began = self.trouble_began.get(after.run, self.world.hub.now)
            lasted_s = self.world.hub.now - began
            if lasted_s < self.world.policy.store_retry_for_s:
                self.broken(f"{after.job_id}: failed by {code} after {lasted_s:.0f} s")
        elif code in POISON:
            if max(claims) < limits.CLAIMS_MAX:
                self.broken(f"{after.job_id}: failed as {code} after {claims} claims")
        elif after.source.sha256 not in self.world.press.at_fault:
            self.broken(f"{after.job_id}: failed by {code}, but the file is not at fault")

    def _store_failed(self, before: Job, after: Job) -> None:
        code = after.failure.code if after.failure else "none"
        if code in POISON:
            if before.claims < limits.CLAIMS_MAX:
                self.broken(f"{after.job_id}: {code} after {before.claims} claims")
        elif after.run not in self.world.lms.refused:
            window = self.world.policy.store_retry_for_s
            if before.delivery is None or self.world.hub.now < before.delivery.since + window:
                self.broken(f"{after.job_id}: given up by {code} before its time")

    def _boarded(self, job: Job, board: Board) -> None:
        """A piece is made once, and its object is there before it counts."""
        if any(one >= two for one, two in pairwise(board.done)) or len(board.done) > board.pieces:
            self.broken(f"{job.job_id}: pieces counted twice: {board.done}")
        if job.state is not State.PROCESSING or board.whole_because:
            return
        self.cuts.add((job.run, board.cut))
        keys = [board.plan_key, *(piece_key(board.plan_key, number) for number in board.done)]
        for key in keys:
            if key not in self.world.objects.held:
                self.broken(f"{job.job_id}: {key} counts as made and is not there")

    def forgotten(self, job: Job) -> None:
        """Watch the end of a record."""
        if job.state not in END or not job.cleaned:
            self.broken(f"{job.job_id}: forgotten while {job.state}, cleaned: {job.cleaned}")
        if self.world.hub.now < self.ended_at[job.run] + self.world.policy.keep_record_s:
            self.broken(f"{job.job_id}: forgotten too early")

    # --- objects and messages --------------------------------------------------------------
    def committed(self, key: str, data: bytes) -> None:
        """Watch a new object."""
        run = run_of(key) or ""
        if key == source_key(run):
            self.sources.add(run)
        self.beside.committed(key, run, data)
        if key == outcome_key(run):
            if run in self.outcomes and declaration_key(run) in self.world.objects.held:
                self.broken(f"what became of upload {run} is decided a second time")
            if run in self.outcomes:
                return  # by a late sweep, about an upload that is over: an orphan
            self.outcomes[run] = json.loads(data)["code"]

    def deleted(self, key: str) -> None:
        """Watch a deletion, before it has happened."""
        run = run_of(key) or ""
        job = next((job for job in self.world.jobs.held.values() if job.run == run), None)
        if key in {declaration_key(run), outcome_key(run)}:
            if job is not None and job.state in UNFINISHED and run not in self.outcomes:
                self.broken(f"{key} is deleted before its outcome is known")
            if job is None and run not in self.outcomes and run not in self.runs:
                self.broken(f"{key} is deleted before its outcome is known")
            return
        self.beside.deleted(key, run, job)
        if job is None:
            return
        now, ttl_s = self.world.hub.now, self.world.policy.confirm_ttl_s
        needed = job.state in UNFINISHED | WITH_OUTPUT or (
            job.state is State.FAILED and now < job.history[-1].at + ttl_s
        )
        if key == job.source.key and needed:
            self.broken(f"{job.job_id}: the source is deleted while {job.state}")
        if job.output is not None and key == job.output.key and job.state in WITH_OUTPUT:
            self.broken(f"{job.job_id}: the output is deleted while {job.state}")
        board = job.board
        if board is not None and job.state is State.PROCESSING and not board.whole_because:
            made = {piece_key(board.plan_key, number) for number in board.done}
            if key in made or key == board.plan_key:
                self.broken(f"{job.job_id}: {key} is deleted while it is needed")

    def published(self, message: Message) -> None:
        """Watch a message: it asks for nothing that is not in the record yet."""
        if message.run not in self.runs:
            self.broken(f"a message about run {message.run}, which is not recorded")
        if message.topic is Topic.DELIVER and message.run not in self.outputs:
            self.broken(f"a message to deliver {message.run}, which has no recorded output")
        if message.piece is not None and all(run != message.run for run, _ in self.cuts):
            self.broken(f"a message about a piece of {message.run}, which is not recorded as cut")

    def answered(self, job: Job, job_id: str, digest: str) -> None:
        """Watch an answer of 200 to an upload."""
        if (job.job_id, job.source.sha256) != (job_id, digest):
            self.broken(f"{job_id}: 200 for bytes that the job does not have")
        if job.run not in self.runs:
            self.broken(f"{job_id}: 200 without a record")
        self.acknowledged.add(job.run)

    def refused(self, job_id: str, organization: str, digest: str, order: Order) -> None:
        """Watch an answer of 409: the id was another's, or had other bytes or wishes."""
        if not any(
            run.job_id == job_id
            and (run.organization_id, run.source.sha256, run.order) != (organization, digest, order)
            for run in self.runs.values()
        ):
            self.broken(f"{job_id}: 409 for bytes that nothing contradicts")

    # --- how it is done --------------------------------------------------------------------
    def broken(self, what: str) -> NoReturn:
        """End the history."""
        self.world.trouble.say(f"BROKEN: {what}")
        self.world.found = what
        raise Broken(what)

    def _process(self) -> Process | None:
        task = self.world.hub.current
        return task.process if task is not None else self.world.calm_process

    def _is_leased(self, job: Job) -> bool:
        return job.lease_until is not None and job.lease_until > self.world.hub.now


def _begun(board: Board | None) -> tuple[OpenPiece, ...]:
    return board.begun if board is not None else ()
