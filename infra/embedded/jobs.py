"""Jobs in SQLite: the record as JSON, beside it the columns that are searched."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from core.job import Job, State
from core.ports import Unreadable
from infra import records
from infra.embedded.sqlite import Database

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS jobs (
    job_id TEXT PRIMARY KEY,
    run TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    wake_at REAL NOT NULL,
    written INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_by_wake_at ON jobs (wake_at);
CREATE UNIQUE INDEX IF NOT EXISTS jobs_by_written ON jobs (written);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state);
"""
_GET: Final = "SELECT record FROM jobs WHERE job_id = ?"
_PUT: Final = """
INSERT INTO jobs (job_id, run, state, wake_at, record, written)
VALUES (?, ?, ?, ?, ?, (SELECT COALESCE(MAX(written), 0) + 1 FROM jobs))
ON CONFLICT (job_id) DO UPDATE SET
    run = excluded.run, state = excluded.state, wake_at = excluded.wake_at,
    record = excluded.record, written = excluded.written
"""
_DUE: Final = "SELECT job_id, record FROM jobs WHERE wake_at <= ? ORDER BY wake_at LIMIT ?"
_RECENT: Final = """
SELECT job_id, record FROM jobs WHERE (?1 IS NULL OR state = ?1)
ORDER BY written DESC LIMIT ?2
"""


class SqliteJobStore:
    """Keeps the jobs in one SQLite file, which any number of processes may share."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA, durable=True)

    def get(self, job_id: str) -> Job | None:
        """Return the job, or None."""
        with self._database.reading() as connection:
            row = connection.execute(_GET, (job_id,)).fetchone()
        return records.decode(row[0], job_id) if row else None

    def update(self, job_id: str, change: Callable[[Job | None], Job]) -> Job:
        """Change the job in a transaction; see `core.ports.JobStore.update`."""

        def act(connection: sqlite3.Connection) -> Job:
            row = connection.execute(_GET, (job_id,)).fetchone()
            before = records.decode(row[0], job_id) if row else None
            after = change(before)
            if after is not before:
                connection.execute(_PUT, _row(after))
            return after

        return self._database.together(act)

    def due(self, now: float, *, limit: int) -> Sequence[Job | Unreadable]:
        """Return the jobs that the sweep must look at, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(_DUE, (now, limit)).fetchall()
        return [records.decode_or_name(record, job_id) for job_id, record in rows]

    def recent(self, *, limit: int, state: State | None = None) -> list[Job]:
        """Return the jobs that were written last, newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(_RECENT, (state, limit)).fetchall()
        found = [records.decode_or_name(record, job_id) for job_id, record in rows]
        return [job for job in found if isinstance(job, Job)]

    def owner(self, run: str) -> str | None:
        """Return the id of the job with this run."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT job_id FROM jobs WHERE run = ?", (run,)).fetchone()
        return str(row[0]) if row else None

    def counts(self) -> Mapping[State, int]:
        """Return the number of jobs in each state that has any."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state").fetchall()
        known = set(State)  # another release may have written others
        return {State(state): int(count) for state, count in rows if state in known}

    def forget(self, job_id: str, run: str) -> None:
        """Delete the record of this run."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM jobs WHERE job_id = ? AND run = ?", (job_id, run))


def _row(job: Job) -> tuple[str, str, str, float, str]:
    return (job.job_id, job.run, job.state, job.wake_at, records.encode(job))
