"""SQLite as two adapters use it: a connection per thread, short transactions, typed errors."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random

from core.errors import StoreFull, Unavailable

_BUSY_S: Final = 20.0
"""Seconds that a writer waits for its turn; a transaction takes milliseconds."""


class Database:
    """A SQLite file in WAL mode.

    With `durable` a commit is on the disk when it returns (synchronous=FULL); without it, the
    loss of power may undo the last commits, but never damages the file (NORMAL).
    """

    def __init__(self, path: Path, schema: str, *, durable: bool) -> None:
        self._path = path
        self._synchronous = "FULL" if durable else "NORMAL"
        self._local = threading.local()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _sqlite_errors():
            self._create(schema)

    def fingerprint(self) -> tuple[int, ...]:
        """Return numbers that change with almost every commit: the log's time and size."""
        try:
            log = self._path.with_name(f"{self._path.name}-wal").stat()
        except FileNotFoundError:
            return ()
        return (log.st_mtime_ns, log.st_size)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection for statements that only read."""
        with _sqlite_errors():
            yield self._connection()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection inside a transaction that excludes all other writers."""
        with _sqlite_errors():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:  # SQLite itself rolls back where the disk is full
                    connection.execute("ROLLBACK")

    @retry(
        retry=retry_if_exception_type(sqlite3.OperationalError),
        stop=stop_after_delay(_BUSY_S),
        wait=wait_random(0.01, 0.1),
        reraise=True,
    )
    def _create(self, schema: str) -> None:
        """Make the file what it must be; the change to WAL does not wait for others by itself."""
        with contextlib.closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(schema)

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection; one made before a fork must not be used after it."""
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.connection = self._connect()
            self._local.pid = os.getpid()
        connection: sqlite3.Connection = self._local.connection
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        return connection


@contextlib.contextmanager
def _sqlite_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StoreFull("the disk of the job database has no room left") from error
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise Unavailable(f"the job database answers {name}") from error
