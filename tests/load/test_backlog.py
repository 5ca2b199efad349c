"""A long queue makes no single message dearer: counted in the steps that SQLite takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.messages import Message, Topic
from infra.embedded.bus import SqliteBus
from tests.fakes import FakeClock

FEW, MANY = 20, 3000
STEPS = 50
"""SQLite tells of every so many of its steps."""


class Counted:
    """A bus that counts the steps of SQLite's machine, and its clock."""

    def __init__(self, folder: Path, messages: int, *, delay_s: float) -> None:
        self.clock = FakeClock()
        self.bus = SqliteBus(folder / f"{messages}.db", clock=self.clock)
        self.ticks = 0
        with self.bus._database.writing() as connection:
            for number in range(messages):
                connection.execute(
                    "INSERT INTO work (topic, job_id, run, piece, due_at) VALUES (?, ?, ?, -1, ?)",
                    (Topic.DELIVER, f"job-{number}", f"run-{number}", self.clock.now() + delay_s),
                )
            connection.set_progress_handler(self._tick, STEPS)

    def receive(self) -> int:
        """Ask once; return how often SQLite told of its steps meanwhile."""
        before = self.ticks
        self.handout = self.bus.receive(Topic.DELIVER, lease_s=10)
        return self.ticks - before

    def _tick(self) -> None:
        self.ticks += 1


@pytest.mark.parametrize("delay_s", [0.0, 3600.0], ids=["due", "put off"])
def test_a_receive_takes_as_many_steps_from_a_long_queue_as_from_a_short_one(
    delay_s: float, tmp_path: Path
) -> None:
    """Work that waits, and deliveries that wait for an LMS which is down."""
    few, many = (Counted(tmp_path, count, delay_s=delay_s) for count in (FEW, MANY))
    assert many.receive() <= few.receive() + 2
    assert (many.handout is None) == (delay_s > 0)


def test_a_lease_that_runs_out_is_seen_in_a_long_queue(tmp_path: Path) -> None:
    """The short way of looking must not overlook what was handed out and never came back."""
    queue = Counted(tmp_path, 3, delay_s=0.0)
    for _ in range(3):
        queue.receive()
        assert queue.handout is not None
    queue.receive()
    assert queue.handout is None
    queue.clock.advance(10.5)
    queue.receive()
    assert queue.handout is not None
    bus = queue.bus
    bus.publish(Message(topic=Topic.TRANSCODE, job_id="late", run="run"), delay_s=5.0)
    assert bus.receive(Topic.TRANSCODE, lease_s=10) is None
    queue.clock.advance(5.5)
    assert bus.receive(Topic.TRANSCODE, lease_s=10) is not None
