"""SQLite as two adapters use it: a connection per thread, short transactions, typed errors."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random

from core.errors import StoreFull, Unavailable

T = TypeVar("T")
_BUSY_S: Final = 20.0
"""Seconds that a writer waits for its turn; a transaction takes milliseconds."""
_LOOK_S: Final = 0.001
"""Pause between two looks whether another process's transaction is over.

SQLite's own handler sleeps up to 100 ms at a time, and whoever slept longest comes last: under
load some waited for seconds while the file was free."""
_PRIMARY: Final = 0xFF
"""The bits of an error's code that name its kind, as SQLite documents them."""
_TOGETHER_MAX: Final = 64
"""Changes that share a transaction: more than the threads of a server ask for at once."""


class _Asked(Generic[T]):
    """A change that waits for its transaction, and what came of it."""

    def __init__(self, act: Callable[[sqlite3.Connection], T]) -> None:
        self._act = act
        self._value: tuple[T] | None = None
        self._error: Exception | None = None

    @property
    def is_done(self) -> bool:
        """Tell whether its transaction is over, one way or the other."""
        return self._value is not None or self._error is not None

    def run(self, connection: sqlite3.Connection) -> None:
        """Do it; raises where nobody's change of the transaction can stand any more."""
        try:
            self._value = (self._act(connection),)
        except Exception as error:
            self._error = error
            if not connection.in_transaction:  # SQLite has rolled it back, as on a full disk
                raise

    def fail(self, error: Exception) -> None:
        """Note that the transaction failed, unless the change had failed by itself."""
        self._value, self._error = None, self._error or error

    def result(self) -> T:
        """Return what came of it, or raise that."""
        with _sqlite_errors():
            if self._error is not None:
                raise self._error
            if self._value is None:
                raise Unavailable("the job database has lost a change")
            return self._value[0]


class Database:
    """A SQLite file in WAL mode.

    With `durable` a commit is on the disk when it returns (synchronous=FULL); without it, the
    loss of power may undo the last commits, but never damages the file (NORMAL).
    """

    def __init__(self, path: Path, schema: str, *, durable: bool) -> None:
        self._path = path
        self._synchronous = "FULL" if durable else "NORMAL"
        self._local = threading.local()
        self._turn = threading.Lock()
        self._waiting: deque[_Asked[Any]] = deque()
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
        with (
            self._in_turn() as deadline,
            _sqlite_errors(),
            self._transaction(deadline) as connection,
        ):
            yield connection

    @contextlib.contextmanager
    def _transaction(self, deadline: float) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        _begin(connection, deadline)
        try:
            yield connection
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:  # SQLite itself rolls back where the disk is full
                connection.execute("ROLLBACK")

    def together(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Return `act(connection)`, done in a transaction that excludes all other writers.

        What the threads of this process ask for while another transaction runs shares the next
        one, and so its way to the disk. An `act` that raises must not have written anything; it
        may run in another thread than the caller's.
        """
        asked = _Asked(act)
        self._waiting.append(asked)
        try:
            with self._in_turn() as deadline:
                while self._waiting and not asked.is_done:  # more may stand before it than fit
                    self._do_together(deadline)
        except BaseException as error:
            if self._is_withdrawn(asked) or not isinstance(error, Unavailable):
                raise
            with self._turn:  # somebody has taken it, and knows in a moment what came of it
                pass
        return asked.result()

    def _is_withdrawn(self, asked: _Asked[Any]) -> bool:
        """Take back what nobody has begun; its turn must not come any more."""
        try:
            self._waiting.remove(asked)
        except ValueError:
            return False
        return True

    def _do_together(self, deadline: float) -> None:
        """Do all that waits; where the transaction as a whole fails, each hears of it."""
        batch: list[_Asked[Any]] = []
        try:
            with contextlib.suppress(IndexError):  # others withdraw theirs meanwhile
                while len(batch) < _TOGETHER_MAX:
                    batch.append(self._waiting.popleft())
            with _sqlite_errors(), self._transaction(deadline) as connection:
                for asked in batch:
                    asked.run(connection)
        except BaseException as error:
            plain = error if isinstance(error, Exception) else None
            for asked in batch:
                asked.fail(plain or Unavailable("a change of the job database was broken off"))
            if plain is None:
                raise

    @contextlib.contextmanager
    def _in_turn(self) -> Iterator[float]:
        """Let one thread of this process at a time look for its turn; give the time it has."""
        deadline = time.monotonic() + _BUSY_S
        if not self._turn.acquire(timeout=_BUSY_S):
            raise Unavailable("the job database has too many writers")
        try:
            yield deadline
        finally:
            self._turn.release()

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


def _begin(connection: sqlite3.Connection, deadline: float) -> None:
    """Begin a transaction that excludes all other writers, as soon as there is none."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & _PRIMARY == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() >= deadline:
                    raise
                time.sleep(_LOOK_S)
            else:
                return
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(1000 * _BUSY_S)}")


@contextlib.contextmanager
def _sqlite_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StoreFull("the disk of the job database has no room left") from error
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise Unavailable(f"the job database answers {name}") from error
