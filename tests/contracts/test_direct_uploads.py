"""The adapters that take direct uploads themselves, and what only they promise."""
# ruff: noqa: D102 - a test's name is its sentence

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.errors import MissingObject, StoreFull, TooLarge, TruncatedUpload
from core.job import source_key
from core.ports import Session, UploadInlet
from infra.embedded.objects import FolderObjectStore
from infra.embedded.sessions import FolderSessions
from tests.contracts.direct_uploads import (
    DATA,
    KEY,
    SIZE,
    STEP,
    TTL_S,
    DirectUploadsContract,
    DirectUploadsRig,
    Put,
    begin,
    content,
)
from tests.fake_sessions import MemorySessions
from tests.fakes import FakeClock, MemoryObjectStore

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


def through(inlet: UploadInlet) -> Put:
    """Return how bytes get in without HTTP."""

    def put(session: Session, key: str, data: bytes, *, start: int = 0, size: int = SIZE) -> None:
        del session, size
        inlet.append(key, start=start, read=BytesIO(data).read)

    return put


class TestMemorySessions(DirectUploadsContract):
    """The fake itself."""

    def make(self, folder: Path) -> DirectUploadsRig:
        """Return sessions in memory."""
        del folder
        clock = FakeClock()
        objects = MemoryObjectStore(clock)
        sessions = MemorySessions(objects)
        return DirectUploadsRig(
            sessions=sessions,
            objects=objects,
            clock=clock,
            put=through(sessions),
            reopen=lambda: sessions,
        )


class TestFolderSessions(DirectUploadsContract):
    """Folders with a growing file."""

    def make(self, folder: Path) -> DirectUploadsRig:
        """Return sessions in a folder."""
        clock = FakeClock()
        objects, sessions = a_folder(folder, clock)
        return DirectUploadsRig(
            sessions=sessions,
            objects=objects,
            clock=clock,
            put=through(sessions),
            reopen=lambda: a_folder(folder, clock)[1],
        )

    def test_what_came_before_a_cut_is_kept(self, rig: DirectUploadsRig, tmp_path: Path) -> None:
        session = begin(rig)
        with pytest.raises(TruncatedUpload):
            inlet(tmp_path).append(KEY, start=0, read=cut_after(DATA, 2 * STEP + 1))
        assert rig.sessions.persisted(KEY, session.handle) == 2 * STEP

    def test_a_byte_too_many_of_unknown_length_spoils_nothing(
        self, rig: DirectUploadsRig, tmp_path: Path
    ) -> None:
        session = begin(rig)
        with pytest.raises(TooLarge):
            inlet(tmp_path).append(KEY, start=0, read=BytesIO(DATA + b"!").read)
        assert list(rig.objects.list("")) == []
        held = rig.sessions.persisted(KEY, session.handle) or 0
        assert held < SIZE
        rig.put(session, KEY, DATA[held:], start=held)
        assert content(rig) == DATA

    def test_two_writers_at_once_make_one_intact_object(
        self, rig: DirectUploadsRig, tmp_path: Path
    ) -> None:
        """Neither waits for the other's end, as it were if one had been cut unnoticed."""
        begin(rig)
        errors: list[BaseException] = []
        barrier = threading.Barrier(4)

        def write(seed: int) -> None:
            numbers = random.Random(seed)  # noqa: S311 - reproducible, no secret
            body = BytesIO(DATA)
            barrier.wait(10)
            try:
                inlet(tmp_path).append(
                    KEY, start=0, read=lambda most: body.read(numbers.randint(1, most))
                )
            except MissingObject:  # the other one's last byte was first
                pass
            except BaseException as error:  # noqa: BLE001 - shown below
                errors.append(error)

        threads = [threading.Thread(target=write, args=[seed]) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert content(rig) == DATA
        assert list((tmp_path / "data" / "partial").iterdir()) == []

    def test_what_is_safe_is_never_written_over(
        self, rig: DirectUploadsRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A second writer, with other bytes, comes while the first one is about to write."""
        begin(rig)
        then: list[bytes] = []

        def overtake() -> None:
            with contextlib.suppress(MissingObject):
                inlet(tmp_path).append(KEY, start=0, read=BytesIO(bytes(SIZE)).read)
            then.append(content(rig))

        second = threading.Thread(target=overtake)
        write = os.pwrite

        def slow_write(handle: int, data: Buffer, at: int) -> int:
            if not second.ident:
                second.start()
                second.join(0.3)  # without the lock it would be through by now
            return write(handle, data, at)

        monkeypatch.setattr(os, "pwrite", slow_write)
        with contextlib.suppress(MissingObject):
            inlet(tmp_path).append(KEY, start=0, read=BytesIO(DATA).read)
        second.join()
        assert then == [content(rig)]
        assert content(rig)[:STEP] == DATA[:STEP]

    def test_a_silent_writer_does_not_hold_up_the_one_that_resumes(
        self, rig: DirectUploadsRig, tmp_path: Path
    ) -> None:
        begin(rig)
        arrived, go_on = threading.Event(), threading.Event()
        pieces = iter([DATA[:STEP]])

        def read(_most: int) -> bytes:
            piece = next(pieces, None)
            if piece is None:
                arrived.set()
                assert go_on.wait(30)
                return b""
            return piece

        silent = threading.Thread(
            target=lambda: inlet(tmp_path).append(KEY, start=0, read=read), daemon=True
        )
        silent.start()
        assert arrived.wait(10)
        inlet(tmp_path).append(KEY, start=STEP, read=BytesIO(DATA[STEP:]).read)
        assert content(rig) == DATA
        go_on.set()
        silent.join()
        assert content(rig) == DATA

    def test_a_session_is_dropped_when_its_time_is_over(
        self, rig: DirectUploadsRig, tmp_path: Path
    ) -> None:
        session = begin(rig)
        rig.put(session, KEY, DATA[:STEP])
        rig.clock.advance(TTL_S + 1)
        assert rig.objects.discard_partials(before=rig.clock.now()) == 1
        assert list((tmp_path / "data" / "partial").iterdir()) == []
        assert rig.sessions.persisted(KEY, session.handle) is None

    def test_a_crash_between_the_last_byte_and_the_commit_is_made_good(
        self, rig: DirectUploadsRig, tmp_path: Path
    ) -> None:
        session = begin(rig)
        (file,) = (tmp_path / "data" / "partial" / "run-1").iterdir()
        file.write_bytes(DATA)
        assert rig.sessions.persisted(KEY, session.handle) == SIZE
        assert content(rig) == DATA

    def test_a_crash_between_the_commit_and_the_end_of_the_session_too(
        self, rig: DirectUploadsRig, tmp_path: Path
    ) -> None:
        session = begin(rig)
        (file,) = (tmp_path / "data" / "partial" / "run-1").iterdir()
        file.write_bytes(DATA)
        rig.objects.upload(KEY, file)
        assert rig.sessions.persisted(KEY, session.handle) == SIZE
        assert list((tmp_path / "data" / "partial").iterdir()) == []

    def test_open_sessions_count_with_all_that_they_announced(self, tmp_path: Path) -> None:
        clock = FakeClock()
        objects, _ = a_folder(tmp_path, clock)
        disk = os.statvfs(tmp_path)
        third = disk.f_bavail * disk.f_frsize // 3
        sessions = FolderSessions(tmp_path, objects=objects)
        for number in range(2):
            announce(sessions, f"run-{number}", size=third)
        with pytest.raises(StoreFull):
            announce(sessions, "run-2", size=third * 2)

    def test_the_number_of_open_sessions_is_bounded(self, tmp_path: Path) -> None:
        objects, _ = a_folder(tmp_path, FakeClock())
        sessions = FolderSessions(tmp_path, objects=objects, open_max=2)
        for number in range(2):
            announce(sessions, f"run-{number}")
        with pytest.raises(StoreFull):
            announce(sessions, "run-2")
        sessions.release(source_key("run-0"))
        announce(sessions, "run-2")


def a_folder(folder: Path, clock: FakeClock) -> tuple[FolderObjectStore, FolderSessions]:
    """Return a store and its sessions."""
    objects = FolderObjectStore(folder, clock=clock)
    return objects, FolderSessions(folder, objects=objects)


def inlet(tmp_path: Path) -> FolderSessions:
    """Return the sessions of the rig as another process has them."""
    return a_folder(tmp_path / "data", FakeClock())[1]


def announce(sessions: FolderSessions, run: str, *, size: int = 1000) -> Session:
    """Open a session."""
    return sessions.begin(
        source_key(run), size=size, content_type="video/mp4", expires_at=FakeClock().now()
    )


def cut_after(data: bytes, count: int) -> Callable[[int], bytes]:
    """Return a read that breaks off inside the piece that holds byte `count`."""
    body = BytesIO(data)

    def read(most: int) -> bytes:
        if body.tell() + most > count:
            raise TruncatedUpload("cut")
        return body.read(most)

    return read
