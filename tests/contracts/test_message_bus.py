"""The buses; a new one joins with a class that makes it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from core.messages import Message, Topic
from infra.embedded.bus import SqliteBus
from tests.contracts.message_bus import MessageBusContract, MessageBusRig
from tests.fakes import FakeClock, MemoryBus


class TestMemoryBus(MessageBusContract):
    """The fake itself."""

    def make(self, folder: Path) -> MessageBusRig:
        """Return a bus in memory."""
        del folder
        clock = FakeClock()
        bus = MemoryBus(clock)
        return MessageBusRig(
            bus=bus, advance=clock.advance, reopen=lambda: bus, dead_letters=lambda: bus.dead
        )


class TestSqliteBus(MessageBusContract):
    """One file that several processes share."""

    def make(self, folder: Path) -> MessageBusRig:
        """Return a bus in a file."""
        clock = FakeClock()
        path = folder / "bus.sqlite"
        return MessageBusRig(
            bus=SqliteBus(path, clock=clock),
            advance=clock.advance,
            reopen=lambda: SqliteBus(path, clock=clock),
            dead_letters=lambda: buried(path),
        )


def buried(path: Path) -> list[tuple[Message, str]]:
    """Read the dead letters where they lie."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT topic, job_id, run, reason FROM dead_letters")
        return [
            (Message(topic=Topic(topic), job_id=job_id, run=run), reason)
            for topic, job_id, run, reason in rows
        ]
