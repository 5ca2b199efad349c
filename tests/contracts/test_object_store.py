"""The object stores; a new one joins with a class that makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import StoreFull
from infra.embedded.objects import FolderObjectStore
from tests.contracts.object_store import ObjectStoreContract, ObjectStoreRig
from tests.fakes import FakeClock, MemoryObjectStore


class TestMemoryObjectStore(ObjectStoreContract):
    """The fake itself."""

    def make(self, folder: Path) -> ObjectStoreRig:
        """Return a store in memory."""
        del folder
        clock = FakeClock()
        store = MemoryObjectStore(clock)
        return ObjectStoreRig(store=store, clock=clock, advance=clock.advance, reopen=lambda: store)


class TestFolderObjectStore(ObjectStoreContract):
    """Files, committed by rename or link."""

    def make(self, folder: Path) -> ObjectStoreRig:
        """Return a store in a folder."""
        clock = FakeClock()
        return ObjectStoreRig(
            store=FolderObjectStore(folder, clock=clock),
            clock=clock,
            advance=clock.advance,
            reopen=lambda: FolderObjectStore(folder, clock=clock),
        )


def test_a_reserve_keeps_recordings_out_and_lets_notes_about_them_in(tmp_path: Path) -> None:
    """A refusal that could not be written down would leave its bytes on the disk for ever."""
    store = FolderObjectStore(tmp_path, clock=FakeClock(), reserve_bytes=2**62)
    for expected in (None, 500_000_000):
        with pytest.raises(StoreFull), store.create("a/b", expected_bytes=expected):
            pass
    with store.create("a/b", expected_bytes=100) as writer:
        writer.write(b"x" * 100)
        writer.commit()
