"""The part of the disk that uploads must leave free, when many come at once."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest

from core import limits
from core.errors import StoreFull
from core.job import source_key
from infra.embedded.objects import FolderObjectStore
from infra.embedded.sessions import FolderSessions
from tests.fakes import FakeClock, a_world
from tests.http import forms
from tests.http.door import a_door, assert_problem
from tests.http.forms import Lecture

MIB = limits.MIB
RESERVE = 10 * MIB


@dataclass(slots=True, kw_only=True)
class Disk:
    """A disk of `size` bytes that holds what lies in `folder`."""

    folder: Path
    size: int
    least: int = 1 << 62
    free: int = field(init=False)
    store: FolderObjectStore = field(init=False)

    def usage(self, _path: object) -> Disk:
        """Stand in for `shutil.disk_usage`, and remember the least that was free."""
        files: dict[int, int] = {}
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # it goes away just now
                    found = Path(folder, name).stat()
                    files[found.st_ino] = found.st_size  # while it is committed it has two names
        self.free = self.size - sum(files.values())
        self.least = min(self.least, self.free)
        return self

    def write(self, name: str, *, expected: int | None, pieces: int) -> bool:
        """Write an object of so many MiB in pieces; tell whether there was room for it."""
        try:
            with self.store.create(f"uploads/{name}", expected_bytes=expected) as writer:
                for _ in range(pieces):
                    writer.write(bytes(MIB))
                writer.commit()
        except StoreFull:
            return False
        return True


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Return a disk with room for 25 MiB beside the reserve."""
    disk = Disk(folder=tmp_path, size=RESERVE + 25 * MIB)
    monkeypatch.setattr("infra.embedded.room.shutil.disk_usage", disk.usage)
    disk.store = FolderObjectStore(tmp_path, clock=FakeClock(), reserve_bytes=RESERVE)
    return disk


def test_what_is_promised_to_one_upload_is_not_promised_to_another(disk: Disk) -> None:
    """None of them has written anything when the last one asks."""
    with contextlib.ExitStack() as stack:
        for name in ("a", "b"):
            stack.enter_context(disk.store.create(f"uploads/{name}", expected_bytes=10 * MIB))
        with pytest.raises(StoreFull), disk.store.create("uploads/c", expected_bytes=10 * MIB):
            pass
        assert disk.write("d", expected=5 * MIB, pieces=5)
    assert disk.write("e", expected=10 * MIB, pieces=10), "what was not used is free again"


def test_what_an_upload_has_written_is_not_counted_twice(disk: Disk) -> None:
    with disk.store.create("uploads/a", expected_bytes=20 * MIB) as writer:
        for _ in range(19):
            writer.write(bytes(MIB))
        assert disk.write("b", expected=5 * MIB, pieces=5)
        assert not disk.write("c", expected=MIB, pieces=1)


def test_an_upload_of_unknown_length_is_stopped_where_the_reserve_begins(disk: Disk) -> None:
    """Also where the length that was announced is wrong."""
    assert not disk.write("a", expected=None, pieces=26)
    assert not disk.write("b", expected=MIB, pieces=26)
    assert disk.write("c", expected=None, pieces=25)
    assert disk.least >= RESERVE


def test_many_at_once_leave_the_reserve_alone(disk: Disk) -> None:
    """Of announced and of unknown length, and pieces of direct uploads, on a thread each."""
    sessions = FolderSessions(disk.folder, objects=disk.store)
    keys = [source_key(f"run-{number}") for number in range(4)]
    for key in keys:
        sessions.begin(key, size=6 * MIB, content_type="video/mp4", expires_at=1e12)
    done: list[bool] = []

    def append(key: str) -> bool:
        body = BytesIO(bytes(6 * MIB))
        try:
            return sessions.append(key, start=0, read=body.read) == 6 * MIB
        except StoreFull:
            return False

    works: list[Callable[[], bool]] = [
        *(partial(append, key) for key in keys),
        *(partial(disk.write, f"{n}", expected=6 * MIB, pieces=6) for n in range(4)),
        *(partial(disk.write, f"x{n}", expected=None, pieces=6) for n in range(4)),
    ]
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], bool]) -> None:
        barrier.wait()
        done.append(work())

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    disk.usage(None)
    assert disk.least >= RESERVE
    assert len(done) == len(works)
    assert any(done)
    assert not all(done)


@pytest.mark.parametrize("announced", [True, False])
def test_small_recordings_do_not_fill_the_reserve(tmp_path: Path, *, announced: bool) -> None:
    """It is there for the notes about uploads, which are as small as they are."""
    store = FolderObjectStore(tmp_path, clock=FakeClock(), reserve_bytes=1 << 60)
    body = Lecture(data=forms.recording(100)).body()
    world = a_world()
    door = a_door(world=replace(world, ledger=replace(world.ledger, objects=store)))
    answer = door.stream(BytesIO(body), announced=len(body) if announced else None)
    assert_problem(answer, 429, "busy")
    with store.create("declared/run-1/upload", expected_bytes=100) as writer:
        writer.write(bytes(100))
        writer.commit()
