"""Answers of Cloud Storage that end too early, anywhere: never taken for whole ones."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.gcp import clients, objects
from infra.gcp.objects import CloudObjectStore
from infra.gcp.sessions import CloudSessions
from tests.gcp.fixtures import QUICK, StorageRig
from tests.network.faults import Fault
from tests.network.proxy import Proxy, before

LONG = "LECTERN_TORTURE" in os.environ
KEY = "uploads/run-1/source"
DATA = b"lecture " * 40_000
CUTS = range(1, 420, 7 if LONG else 45)
"""Bytes of an answer that arrive: from within its first line to within its body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A store behind a proxy, the same store without one, and a folder."""

    store: CloudObjectStore
    straight: CloudObjectStore
    proxy: Proxy
    folder: Path

    def put(self) -> bytes:
        """Commit the recording."""
        self.straight.delete(KEY)
        with self.store.create(KEY) as writer:
            writer.write(DATA)
            assert writer.commit().size == len(DATA)
        return DATA

    def read(self) -> bytes:
        """Read it as a stream."""
        with self.store.open(KEY) as body:
            assert body.size == len(DATA)
            return body.read()

    def fetch(self) -> bytes:
        """Read it as a file."""
        self.store.fetch(KEY, self.folder / "source")
        return (self.folder / "source").read_bytes()

    def look(self) -> bytes:
        """List it."""
        (found,) = self.store.list("uploads/")
        assert (found.key, found.size) == (KEY, len(DATA))
        return DATA

    def resume(self) -> bytes:
        """Ask a session of a direct upload what it has."""
        sessions = CloudSessions(self.store)
        key = f"uploads/{os.urandom(8).hex()}/source"
        opened = sessions.begin(key, size=9, content_type="video/mp4", expires_at=0.0)
        assert sessions.persisted(key, opened.handle) == 0
        return DATA


ACTS: dict[str, Callable[[Wire], bytes]] = {
    "put": Wire.put, "read": Wire.read, "fetch": Wire.fetch, "list": Wire.look,
    "begin": Wire.resume,
}  # fmt: skip


@pytest.fixture
def wire(storage: StorageRig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Wire]:
    """Give a store as the product connects to it, behind a proxy."""
    monkeypatch.setattr(objects, "_TIMEOUT_S", (5.0, 1.0))
    with before(storage.client.api_endpoint.removeprefix("http://")) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{proxy.host}")
        with contextlib.closing(clients.storage_client("test")) as client:
            store = CloudObjectStore(client, "recordings", retry=QUICK)
            yield Wire(store=store, straight=storage.store(), proxy=proxy, folder=tmp_path)


@pytest.mark.parametrize("act", ACTS)
def test_an_answer_that_breaks_off_is_asked_for_again(act: str, wire: Wire) -> None:
    """A head that ends early reads like a whole one without its last lines, and an empty body."""
    with wire.straight.create(KEY) as writer:
        writer.write(DATA)
        writer.commit()
    for cut in CUTS:
        wire.proxy.break_with(Fault(name="cut", drops=True, cut_down=cut, hits_max=1))
        assert ACTS[act](wire) == DATA, f"cut after {cut} bytes"
        wire.proxy.heal()
