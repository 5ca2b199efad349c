"""What every store that takes direct uploads promises."""
# ruff: noqa: D102 - a test's name is its sentence

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from core.errors import AlreadyExists, LecternError, StoreFull
from core.job import source_key
from core.ports import DirectUploads, ObjectStore, Session
from tests.fakes import FakeClock

KEY = source_key("run-1")
MIB = 1024 * 1024
SIZE = 3 * MIB + 17
DATA = bytes(range(256)) * (SIZE // 256 + 1)
DATA = DATA[:SIZE]
TTL_S = 86_400.0
STEP = 256 * 1024
"""What Cloud Storage wants pieces to be multiples of."""


class Put(Protocol):
    """Sends bytes of an upload of `size` bytes to a session; raises for a refusal."""

    def __call__(
        self, session: Session, key: str, data: bytes, *, start: int = 0, size: int = SIZE
    ) -> None:
        """Send `data` as the bytes from `start` on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectUploadsRig:
    """An adapter on an empty store, how bytes get into it, and how another process sees it."""

    sessions: DirectUploads
    objects: ObjectStore
    clock: FakeClock
    put: Put
    reopen: Callable[[], DirectUploads]


class DirectUploadsContract:
    """To be inherited with `make`."""

    def make(self, folder: Path) -> DirectUploadsRig:
        """Return a rig."""
        raise NotImplementedError

    @pytest.fixture
    def rig(self, tmp_path: Path) -> DirectUploadsRig:
        """Give a rig of the test's own."""
        return self.make(tmp_path / "data")

    def test_what_is_put_whole_becomes_the_object(self, rig: DirectUploadsRig) -> None:
        session = begin(rig)
        rig.put(session, KEY, DATA)
        assert content(rig) == DATA
        assert rig.sessions.persisted(KEY, session.handle) == SIZE

    def test_nothing_is_there_at_first_and_nobody_sees_an_object(
        self, rig: DirectUploadsRig
    ) -> None:
        session = begin(rig)
        assert rig.sessions.persisted(KEY, session.handle) == 0
        rig.put(session, KEY, DATA[:STEP])
        assert list(rig.objects.list("")) == []

    def test_pieces_make_the_same_object(self, rig: DirectUploadsRig) -> None:
        session = begin(rig)
        for at in range(0, SIZE, 2 * STEP):
            assert rig.sessions.persisted(KEY, session.handle) == at
            rig.put(session, KEY, DATA[at : at + 2 * STEP], start=at)
        assert content(rig) == DATA

    def test_bytes_that_come_again_are_passed_over(self, rig: DirectUploadsRig) -> None:
        session = begin(rig)
        rig.put(session, KEY, DATA[: 4 * STEP])
        rig.put(session, KEY, bytes(2 * STEP), start=STEP)
        assert rig.sessions.persisted(KEY, session.handle) == 4 * STEP
        rig.put(session, KEY, bytes(2 * STEP) + DATA[4 * STEP :], start=2 * STEP)
        assert content(rig) == DATA

    def test_a_gap_is_refused(self, rig: DirectUploadsRig) -> None:
        session = begin(rig)
        rig.put(session, KEY, DATA[:STEP])
        with pytest.raises(LecternError):
            rig.put(session, KEY, DATA[2 * STEP : 3 * STEP], start=2 * STEP)
        assert rig.sessions.persisted(KEY, session.handle) == STEP

    def test_more_than_was_announced_is_refused(self, rig: DirectUploadsRig) -> None:
        session = begin(rig)
        with pytest.raises(LecternError):
            rig.put(session, KEY, DATA + b"!", size=SIZE + 1)
        assert list(rig.objects.list("")) == []

    def test_another_process_goes_on_where_one_stopped(self, rig: DirectUploadsRig) -> None:
        session = begin(rig)
        rig.put(session, KEY, DATA[:STEP])
        other = rig.reopen()
        assert other.persisted(KEY, session.handle) == STEP
        rig.put(session, KEY, DATA[STEP:], start=STEP)
        assert other.persisted(KEY, session.handle) == SIZE

    def test_a_cancelled_session_takes_nothing_more(self, rig: DirectUploadsRig) -> None:
        session = begin(rig)
        rig.put(session, KEY, DATA[:STEP])
        rig.sessions.cancel(KEY, session.handle)
        assert rig.sessions.persisted(KEY, session.handle) is None
        with pytest.raises(LecternError):
            rig.put(session, KEY, DATA[STEP:], start=STEP)
        assert list(rig.objects.list("")) == []

    def test_cancelling_twice_or_after_the_object_does_no_harm(self, rig: DirectUploadsRig) -> None:
        session = begin(rig)
        rig.put(session, KEY, DATA)
        rig.sessions.cancel(KEY, session.handle)
        rig.sessions.cancel(KEY, session.handle)
        assert content(rig) == DATA

    def test_releasing_leaves_the_object(self, rig: DirectUploadsRig) -> None:
        session = begin(rig)
        rig.put(session, KEY, DATA)
        rig.sessions.release(KEY)
        rig.sessions.release(KEY)
        assert content(rig) == DATA

    def test_a_taken_key_has_no_session(self, rig: DirectUploadsRig) -> None:
        rig.put(begin(rig), KEY, DATA)
        with pytest.raises(AlreadyExists):
            begin(rig)

    def test_what_can_never_fit_is_refused_at_once(self, rig: DirectUploadsRig) -> None:
        with pytest.raises(StoreFull):
            begin(rig, size=1024**5 * 6)

    def test_an_open_session_is_no_stale_partial_until_its_end(self, rig: DirectUploadsRig) -> None:
        """Also when nobody has written to it for most of its time."""
        session = begin(rig)
        rig.put(session, KEY, DATA[:STEP])
        rig.clock.advance(TTL_S - 1)
        assert rig.objects.discard_partials(before=rig.clock.now()) == 0
        assert rig.sessions.persisted(KEY, session.handle) == STEP
        rig.put(session, KEY, DATA[STEP:], start=STEP)
        assert content(rig) == DATA

    def test_neither_url_nor_handle_show_in_a_log(self, rig: DirectUploadsRig) -> None:
        session = begin(rig)
        assert session.url not in repr(session)
        assert session.handle not in repr(session)

    def test_each_session_has_a_secret_of_its_own(self, rig: DirectUploadsRig) -> None:
        urls = {begin(rig, key=source_key(f"run-{number}")).url for number in range(10)}
        assert len({url.rpartition("=")[2] for url in urls}) == 10


def begin(rig: DirectUploadsRig, *, key: str = KEY, size: int = SIZE) -> Session:
    """Open a session."""
    return rig.sessions.begin(
        key, size=size, content_type="video/mp4", expires_at=rig.clock.now() + TTL_S
    )


def content(rig: DirectUploadsRig, key: str = KEY) -> bytes:
    """Return a whole object."""
    with rig.objects.open(key) as body:
        return b"".join(iter(lambda: body.read(MIB), b""))
