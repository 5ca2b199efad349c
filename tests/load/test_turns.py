"""Writers of the embedded job store: what waits together is written together, and fairly."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConflictingUpload, StoreFull, Unavailable
from core.job import Job, Policy
from core.submission import receive
from infra.embedded import sqlite
from infra.embedded.jobs import SqliteJobStore
from tests.fakes import an_upload
from tests.service.harness import until

WRITERS = 8


class Asked(deque[Any]):
    """What waits, with the number of all that ever did."""

    appended = 0

    def append(self, one: Any, /) -> None:
        """Add and count."""
        super().append(one)
        self.appended += 1


@dataclass(slots=True)
class Queue:
    """A job store in whose way another process stands, and writers that wait behind it."""

    jobs: SqliteJobStore
    other: sqlite3.Connection
    pool: ThreadPoolExecutor
    asked: Asked
    transactions: list[int] = field(default_factory=list)

    def wait_for(self, count: int) -> None:
        """Return once so many changes were asked for; whoever came first has begun to wait."""
        until(lambda: self.asked.appended == count, f"{count} changes that wait")
        self.asked.appended = 0

    def add(self, number: int, error: Exception | None = None) -> Future[Job]:
        """Have a writer record a job, or fail."""

        def change(_job: Job | None) -> Job:
            self.transactions.append(threading.get_ident())
            if error is not None:
                raise error
            return a_job(number)

        return self.pool.submit(self.jobs.update, f"job-{number}", change)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """Give a store that another process holds until it rolls back."""
    jobs = SqliteJobStore(tmp_path / "jobs.db")
    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with contextlib.closing(other), ThreadPoolExecutor(WRITERS + 1) as pool:
        jobs._database._waiting = asked = Asked()
        yield Queue(jobs, other, pool, asked)


def a_job(number: int) -> Job:
    """Return a job as it is first recorded."""
    upload = replace(an_upload(f"job-{number}", run=f"run-{number}"), committed_at=None)
    return receive(None, upload, 1.0, Policy())[0]


def test_what_waits_for_one_turn_shares_the_next(queue: Queue) -> None:
    """Eight uploads that end at once cost two transactions, not eight ways to the disk."""
    asked = [queue.add(number) for number in range(WRITERS)]
    queue.wait_for(WRITERS)
    queue.other.execute("ROLLBACK")
    assert [future.result().job_id for future in asked] == [f"job-{n}" for n in range(WRITERS)]
    assert len(set(queue.transactions)) <= 2, "one thread did it for all"
    assert {job.job_id for job in queue.jobs.recent(limit=99)} == {
        f"job-{n}" for n in range(WRITERS)
    }


def test_a_change_that_is_refused_spoils_no_other(queue: Queue) -> None:
    asked = [queue.add(number) for number in range(WRITERS)]
    refused = queue.add(99, ConflictingUpload("taken"))
    queue.wait_for(WRITERS + 1)
    queue.other.execute("ROLLBACK")
    assert all(future.result() for future in asked)
    with pytest.raises(ConflictingUpload):
        refused.result()
    assert queue.jobs.get("job-99") is None


def test_where_the_disk_is_full_each_one_hears_of_it(queue: Queue) -> None:
    """None of a transaction that failed was told that it is safe."""
    asked = [queue.add(number) for number in range(WRITERS)]
    queue.wait_for(WRITERS)
    queue.other.execute("ROLLBACK")
    [future.result() for future in asked]
    connection = queue.jobs._database._connection
    full = "PRAGMA max_page_count = 1"
    monkey = queue.jobs._database

    def tiny() -> sqlite3.Connection:
        made = connection()
        made.execute(full)
        return made

    monkey._connection = tiny  # type: ignore[method-assign] # a disk without room
    queue.other.execute("BEGIN IMMEDIATE")
    late = [queue.add(number) for number in range(100, 100 + WRITERS)]
    queue.wait_for(WRITERS)
    queue.other.execute("ROLLBACK")
    failed = [future.exception() for future in late]
    told = {number for number, error in zip(range(100, 108), failed, strict=True) if error is None}
    assert any(isinstance(error, StoreFull) for error in failed)
    assert {n for n in range(100, 108) if queue.jobs.get(f"job-{n}")} == told


def test_a_turn_that_never_comes_changes_nothing_later(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was told Unavailable must not find the change done by another afterwards."""
    monkeypatch.setattr(sqlite, "_BUSY_S", 0.2)
    asked = [queue.add(number) for number in range(WRITERS)]
    for future in asked:
        with pytest.raises(Unavailable):
            future.result()
    queue.other.execute("ROLLBACK")
    assert queue.add(50).result().job_id == "job-50"
    assert [job.job_id for job in queue.jobs.recent(limit=99)] == ["job-50"]


# --- what is told must be what was done ---------------------------------------------------------
def standing(queue: Queue, number: int, error: BaseException | None = None) -> sqlite._Asked[str]:
    """Let a change wait whose thread has not come to its turn yet."""

    def act(connection: sqlite3.Connection) -> str:
        if error is not None:
            raise error
        connection.execute("PRAGMA user_version = 1")
        return f"done {number}"

    asked: sqlite._Asked[str] = sqlite._Asked(act)
    queue.asked.append(asked)
    return asked


def test_a_newcomer_whose_turn_comes_early_does_what_stands_before_it_too(queue: Queue) -> None:
    """The lock is not given in the order of the changes; more may wait than fit together."""
    before = [standing(queue, number) for number in range(2 * sqlite._TOGETHER_MAX)]
    queue.other.execute("ROLLBACK")
    assert queue.add(50).result().job_id == "job-50"
    assert [each.result() for each in before] == [f"done {n}" for n in range(len(before))]


class OverInTheQueue:
    """A turn for which a thread waits in vain, until another has taken its change."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.again = threading.Event()
        self.done = threading.Event()

    def acquire(self, *, timeout: float) -> bool:
        """Wait until the change is taken, and have no time left."""
        until(lambda: not self.asked, f"the change is taken within {timeout} s")
        return False

    def __enter__(self) -> None:
        self.again.set()
        assert self.done.wait(10)

    def __exit__(self, *_exc: object) -> None:
        """Leave."""


def test_whoever_s_time_is_over_hears_of_a_change_that_another_does(queue: Queue) -> None:
    """Told Unavailable while the change is committed, it would ask again for what is done."""
    database = queue.jobs._database
    turn = OverInTheQueue(queue.asked)
    database._turn = turn  # type: ignore[assignment]
    late = queue.add(1)
    queue.wait_for(1)
    doing = queue.pool.submit(database._do_together, time.monotonic() + 20)
    until(lambda: turn.again.is_set() or late.done(), "the end of its time")
    queue.other.execute("ROLLBACK")
    doing.result()
    turn.done.set()
    assert late.result().job_id == "job-1"
    assert queue.jobs.get("job-1") is not None


class Withdrawing(Asked):
    """Loses what stands behind the first one at the moment in which that one is taken."""

    def popleft(self) -> Any:
        """Take the first."""
        first = super().popleft()
        self.clear()
        return first


def test_a_change_withdrawn_meanwhile_takes_no_other_along(queue: Queue) -> None:
    queue.jobs._database._waiting = queue.asked = Withdrawing()
    first, second = standing(queue, 1), standing(queue, 2)
    queue.other.execute("ROLLBACK")
    queue.jobs._database._do_together(time.monotonic() + 20)
    assert first.result() == "done 1"
    assert not second.is_done


def test_where_a_transaction_is_broken_off_no_change_of_it_passes_for_done(queue: Queue) -> None:
    """An interruption ends the thread that worked for others too."""
    good, bad = standing(queue, 1), standing(queue, 2, KeyboardInterrupt())
    queue.other.execute("ROLLBACK")
    with pytest.raises(KeyboardInterrupt):
        queue.jobs._database._do_together(time.monotonic() + 20)
    for asked in (good, bad):
        with pytest.raises(Unavailable, match="broken off"):
            asked.result()
    version = queue.other.execute("PRAGMA user_version").fetchone()
    assert version == (0,)
    assert queue.add(3).result().job_id == "job-3"
