"""A session that cannot even begin on this machine."""

from __future__ import annotations

import asyncio
import errno
import threading
from typing import NoReturn

import pytest

from core.delivery import Unanswered
from core.placement import PlaceOutcome
from infra.sftp import SftpDepot
from tests.sftp.lectures import Lecture

PATIENCE_S = 10.0


def outcome() -> PlaceOutcome | None:
    """Return what comes of a delivery; None where it waits for ever."""
    depot = SftpDepot(
        host="sftp.uni.example",
        user="somebody",
        password="hush-password",
        fingerprint="SHA256:" + "A" * 43,
        connect_timeout_s=1,
        stall_timeout_s=1,
        total_timeout_s=1,
    )
    outcomes: list[PlaceOutcome] = []

    def work() -> None:
        outcomes.append(depot.place("/videos/a.mp4", Lecture().opened, size=1))

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(PATIENCE_S)
    return outcomes[0] if outcomes else None


def test_without_a_thread_to_spare_the_attempt_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease would be renewed for as long as it waits."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "sftp":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert outcome() == Unanswered(reason="no connection could be begun here")


def test_without_a_file_to_spare_the_attempt_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop needs some of its own."""

    def refuse() -> NoReturn:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(asyncio.events, "new_event_loop", refuse)
    assert outcome() == Unanswered(reason="no connection could be begun here")
    assert "sftp" not in {thread.name for thread in threading.enumerate()}
