"""Messages in SQLite. A message is a row; the same work published twice is the same row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.messages import Message, Topic
from core.ports import Clock, Handout
from infra.embedded.sqlite import Database

_WHOLE: Final = -1
"""Stands in a row for a message about no piece: SQLite counts each NULL as another value."""
_SCHEMA: Final = """
DROP TABLE IF EXISTS messages;
CREATE TABLE IF NOT EXISTS work (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    job_id TEXT NOT NULL,
    run TEXT NOT NULL,
    piece INTEGER NOT NULL,
    traceparent TEXT,
    due_at REAL NOT NULL,
    leased_until REAL NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 1,
    deliveries INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, job_id, run, piece)
) STRICT;
CREATE INDEX IF NOT EXISTS work_by_due_at ON work (topic, due_at);
CREATE TABLE IF NOT EXISTS dead_letters (
    topic TEXT NOT NULL,
    job_id TEXT NOT NULL,
    run TEXT NOT NULL,
    deliveries INTEGER NOT NULL,
    reason TEXT NOT NULL,
    buried_at REAL NOT NULL
) STRICT;
"""
_PUBLISH: Final = """
INSERT INTO work (topic, job_id, run, piece, traceparent, due_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (topic, job_id, run, piece) DO UPDATE
SET due_at = excluded.due_at, version = version + 1
"""
_NEXT: Final = """
SELECT id FROM work WHERE topic = ?1 AND due_at <= ?2 AND leased_until <= ?2
ORDER BY due_at LIMIT 1
"""
_NEXT_AT: Final = """
SELECT MIN(at) FROM (
    SELECT MIN(due_at) AS at FROM work WHERE topic = ?1 AND due_at > ?2
    UNION ALL SELECT MIN(leased_until) FROM work WHERE topic = ?1 AND due_at <= ?2
)
"""
"""When to look again, or a little earlier: by the index alone, however many messages wait."""
_GLANCE_S: Final = 1.0
"""Longest time for which an unchanged file is trusted: its clock ticks in milliseconds."""
_LEASE: Final = """
UPDATE work SET leased_until = ?, deliveries = deliveries + 1 WHERE id = ?
RETURNING id, job_id, run, piece, traceparent, version, deliveries
"""
_FREE: Final = "UPDATE work SET leased_until = 0 WHERE id = ? AND deliveries = ?"
_POSTPONE: Final = """
UPDATE work SET due_at = ?4 WHERE id = ?1 AND deliveries = ?2 AND version = ?3
"""
_DROP: Final = "DELETE FROM work WHERE id = ? AND deliveries = ? AND version = ?"
_BURY: Final = """
INSERT INTO dead_letters
SELECT topic, job_id, run, deliveries, ?3, ?4 FROM work WHERE id = ?1 AND deliveries = ?2
"""
_DROP_ANY: Final = "DELETE FROM work WHERE id = ? AND deliveries = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quiet:
    """Nothing is due before `until`, as long as the file has this fingerprint."""

    fingerprint: tuple[int, ...]
    until: float


class SqliteBus:
    """Keeps the messages in one SQLite file. Losing some to a power cut is covered by the sweep."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._database = Database(path, _SCHEMA, durable=False)
        self._clock = clock
        self._quiet: dict[Topic, _Quiet] = {}

    def publish(self, message: Message, *, delay_s: float = 0.0) -> None:
        """Have the message handed out after `delay_s`; merged with an equal one."""
        due_at = self._clock.now() + delay_s
        with self._database.writing() as connection:
            piece = _WHOLE if message.piece is None else message.piece
            what = (message.topic, message.job_id, message.run, piece)
            connection.execute(_PUBLISH, (*what, message.traceparent, due_at))

    def receive(self, topic: Topic, *, lease_s: float) -> Handout | None:
        """Return the message that has been due longest, or None."""
        now = self._clock.now()
        if not self._has_due(topic, now):
            return None  # polling must not take the write lock
        with self._database.writing() as connection:
            found = connection.execute(_NEXT, (topic, now)).fetchone()
            if found is None:
                return None
            row = connection.execute(_LEASE, (now + lease_s, found[0])).fetchone()
        number, job_id, run, piece, traceparent, version, deliveries = row
        message = Message(
            topic=topic,
            job_id=job_id,
            run=run,
            piece=None if piece == _WHOLE else piece,
            traceparent=traceparent,
        )
        return Handout(message=message, receipt=f"{number}:{version}", deliveries=deliveries)

    def _has_due(self, topic: Topic, now: float) -> bool:
        """Look for a due message, but not again while the file is as it was.

        An idle worker asks twenty times a second; the file's time costs a hundredth of a query.
        """
        fingerprint = self._database.fingerprint()
        quiet = self._quiet.get(topic)
        if quiet is not None and quiet.fingerprint == fingerprint and now < quiet.until:
            return False
        with self._database.reading() as connection:
            if connection.execute(_NEXT, (topic, now)).fetchone():
                return True
            (next_at,) = connection.execute(_NEXT_AT, (topic, now)).fetchone()
        until = now + _GLANCE_S if next_at is None else min(next_at, now + _GLANCE_S)
        self._quiet[topic] = _Quiet(fingerprint=fingerprint, until=until)
        return False

    def ack(self, handout: Handout) -> None:
        """Drop the message, or free it where it was published anew meanwhile."""
        number, version = _receipt(handout)
        with self._database.writing() as connection:
            connection.execute(_DROP, (number, handout.deliveries, version))
            connection.execute(_FREE, (number, handout.deliveries))

    def nack(self, handout: Handout, *, delay_s: float) -> None:
        """Give the message back for a later handout; a newer publication keeps its own time."""
        number, version = _receipt(handout)
        due_at = self._clock.now() + delay_s
        with self._database.writing() as connection:
            connection.execute(_POSTPONE, (number, handout.deliveries, version, due_at))
            connection.execute(_FREE, (number, handout.deliveries))

    def bury(self, handout: Handout, reason: str) -> None:
        """Move the message to the dead letters."""
        number, _ = _receipt(handout)
        with self._database.writing() as connection:
            row = (number, handout.deliveries, reason, self._clock.now())
            connection.execute(_BURY, row)
            connection.execute(_DROP_ANY, (number, handout.deliveries))

    def depth(self, topic: Topic) -> int:
        """Return how many messages wait or are in hand."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT COUNT(*) FROM work WHERE topic = ?", (topic,))
            return int(row.fetchone()[0])


def _receipt(handout: Handout) -> tuple[int, int]:
    """Return the message's number, which no other ever has, and the version handed out."""
    number, _, version = handout.receipt.partition(":")
    return int(number), int(version)
