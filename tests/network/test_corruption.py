"""A bit that turns on its way to or from Cloud Storage, over plain HTTP: a checksum must tell."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from core.errors import AlreadyExists, Unavailable
from infra.gcp import objects
from infra.gcp.objects import CloudObjectStore
from tests.gcp.fixtures import QUICK, StorageRig
from tests.network.faults import Fault
from tests.network.proxy import Proxy, before

LONG = "LECTERN_TORTURE" in os.environ
KEY = "uploads/run-1/source"
DATA = b"lecture " * 40_000
HEAD_BYTES = 4_000
"""More than the head of any request or answer here, so what is bent is the body."""
BENT_UP = Fault(name="bent request", flip_up=HEAD_BYTES + 100_000, hits_max=1)
BENT_DOWN = Fault(name="bent answer", flip_down=HEAD_BYTES + 100_000, hits_max=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A store whose connections go through a proxy, and the same store without one."""

    store: CloudObjectStore
    straight: CloudObjectStore
    proxy: Proxy
    rig: StorageRig

    def put(self) -> None:
        """Commit the recording through the proxy."""
        with self.store.create(KEY) as writer:
            writer.write(DATA)
            writer.commit()

    def read(self) -> bytes:
        """Read it through the proxy."""
        with self.store.open(KEY) as body:
            return body.read()


@pytest.fixture
def wire(storage: StorageRig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Give a store behind a proxy, which waits less long for bytes that do not come."""
    monkeypatch.setattr(objects, "_TIMEOUT_S", (5.0, 1.0))
    host = storage.client.api_endpoint.removeprefix("http://")
    with before(host) as proxy:
        options = {"api_endpoint": f"http://{proxy.host}"}
        client = Client("test", credentials=AnonymousCredentials(), client_options=options)
        with contextlib.closing(client):
            store = CloudObjectStore(client, "recordings", retry=QUICK)
            yield Wire(store=store, straight=storage.store(), proxy=proxy, rig=storage)


def test_a_recording_that_is_bent_on_its_way_in_is_refused_and_not_kept(wire: Wire) -> None:
    """The server compares with the checksum that came with the last chunk."""
    wire.proxy.break_with(BENT_UP)
    with pytest.raises(Unavailable):
        wire.put()
    assert wire.proxy.hits == 1
    assert wire.rig.bucket.objects == {}
    wire.put()
    assert wire.read() == DATA


def test_a_server_that_compares_nothing_is_found_out_by_the_sender(wire: Wire) -> None:
    """What the object says of itself is compared too, and the bent one removed."""
    wire.rig.bucket.checks_hashes = False
    wire.proxy.break_with(BENT_UP)
    with pytest.raises(Unavailable, match="arrived changed"):
        wire.put()
    assert wire.rig.bucket.objects == {}


@pytest.mark.parametrize("way", ["open", "fetch"])
def test_a_recording_that_is_bent_on_its_way_out_is_not_believed(
    way: str, wire: Wire, tmp_path: Path
) -> None:
    """Neither as a stream nor as a file; read again it is right."""
    wire.put()
    reads: dict[str, Callable[[], bytes]] = {
        "open": wire.read,
        "fetch": lambda: _fetched(wire, tmp_path / "source"),
    }
    wire.proxy.break_with(BENT_DOWN)
    with pytest.raises(Unavailable):
        reads[way]()
    assert wire.proxy.hits == 1
    assert not (tmp_path / "source").exists()
    assert reads[way]() == DATA


@pytest.mark.parametrize("at", range(20, 800, 20 if LONG else 180))
def test_a_bit_that_turns_in_what_the_server_says_raises_nothing_but_unavailable(
    at: int, wire: Wire
) -> None:
    """A status, a header, a length, a name: whatever is bent, no false object stays."""
    wire.proxy.break_with(replace(BENT_DOWN, flip_down=at))
    with contextlib.suppress(Unavailable, AlreadyExists):
        wire.put()
    wire.proxy.heal()
    assert {stored.data for stored in wire.rig.bucket.objects.values()} <= {DATA}


def _fetched(wire: Wire, to: Path) -> bytes:
    wire.store.fetch(KEY, to)
    return to.read_bytes()
