"""The object stores; a new one joins with a class that makes it."""

from __future__ import annotations

from pathlib import Path

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
