"""The job stores; a new one joins with a class that makes it."""
# ruff: noqa: D102 - a test's name is its sentence

from __future__ import annotations

import contextlib
import multiprocessing
import sqlite3
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

from infra.embedded.jobs import SqliteJobStore
from tests.contracts.job_store import (
    JobStoreContract,
    JobStoreRig,
    in_another_form,
    one_more_or_first,
)
from tests.fakes import MemoryJobStore

PROCESSES = 8
TURNS = 5
PROCESS_WAIT_S = 60


class TestMemoryJobStore(JobStoreContract):
    """The fake itself."""

    def make(self, folder: Path) -> JobStoreRig:
        """Return a store in memory."""
        del folder
        store = MemoryJobStore()
        return JobStoreRig(store=store, reopen=lambda: store, spoil=store.spoiled.add)


class TestSqliteJobStore(JobStoreContract):
    """One file that several processes share."""

    def make(self, folder: Path) -> JobStoreRig:
        """Return a store in a file."""
        path = folder / "jobs.sqlite"
        return JobStoreRig(
            store=SqliteJobStore(path),
            reopen=lambda: SqliteJobStore(path),
            spoil=partial(spoil, path),
        )

    def test_processes_that_open_a_new_file_at_once_lose_no_update(self, tmp_path: Path) -> None:
        path = tmp_path / "jobs.sqlite"
        spawn = multiprocessing.get_context("spawn")
        together = spawn.Barrier(PROCESSES)
        workers = [spawn.Process(target=count, args=(path, together)) for _ in range(PROCESSES)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(PROCESS_WAIT_S)
        assert [worker.exitcode for worker in workers] == [0] * PROCESSES
        job = SqliteJobStore(path).get("one")
        assert job is not None
        assert job.retries == PROCESSES * TURNS - 1


def spoil(path: Path, job_id: str) -> None:
    """Write a job's record as another release would."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        (record,) = connection.execute(
            "SELECT record FROM jobs WHERE job_id = ?", (job_id,)
        ).fetchone()
        connection.execute(
            "UPDATE jobs SET record = ?, state = 'archived' WHERE job_id = ?",
            (in_another_form(record), job_id),
        )


def count(path: Path, together: Barrier) -> None:
    """Count up the job in the file, as one of several processes."""
    together.wait(PROCESS_WAIT_S)
    store = SqliteJobStore(path)
    for _ in range(TURNS):
        store.update("one", one_more_or_first)
