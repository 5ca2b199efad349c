"""What the tests on Google Cloud's adapters share; `conftest` hands it out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore
from google.cloud.storage import Client
from google.cloud.storage.retry import DEFAULT_RETRY
from google.pubsub_v1 import PublisherClient, SubscriberClient

from infra.gcp import clients
from infra.gcp.bus import Names
from infra.gcp.objects import CloudObjectStore
from tests.fakes import FakeClock
from tests.gcp import emulators
from tests.gcp.clocked import BusRig
from tests.gcp.storage_http import serving
from tests.gcp.storage_server import Bucket

PATIENCE_S = 5.0
QUICK = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.05).with_timeout(PATIENCE_S)
"""Retries as in production, but without its pauses."""
CHUNK_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRig:
    """A bucket of the storage server, its clock, and a client."""

    bucket: Bucket
    clock: FakeClock
    client: Client

    def store(self, *, prefix: str = "", chunk_bytes: int = CHUNK_BYTES) -> CloudObjectStore:
        """Return an adapter on the bucket."""
        return CloudObjectStore(
            self.client, "recordings", prefix=prefix, chunk_bytes=chunk_bytes, retry=QUICK
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PubSubClients:
    """Clients of the Pub/Sub emulator."""

    publisher: PublisherClient
    subscriber: SubscriberClient


@pytest.fixture
def storage() -> Iterator[StorageRig]:
    """Give an empty bucket in a storage server of its own."""
    clock = FakeClock()
    bucket = Bucket(clock.now)
    with serving(bucket) as url:
        options = {"api_endpoint": url}
        client = Client("test", credentials=AnonymousCredentials(), client_options=options)
        yield StorageRig(bucket=bucket, clock=clock, client=client)
        client.close()


@pytest.fixture(scope="session")
def firestore_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the Firestore emulator's address."""
    with emulators.running(emulators.FIRESTORE, _shared(tmp_path_factory)) as host:
        yield host


@pytest.fixture(scope="session")
def pubsub_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the Pub/Sub emulator's address."""
    with emulators.running(emulators.PUBSUB, _shared(tmp_path_factory)) as host:
        yield host


@pytest.fixture
def firestore_client(firestore_emulator: str) -> Iterator[firestore.Client]:
    """Give a client with a connection of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(emulators.FIRESTORE.variable, firestore_emulator)
        client = clients.firestore_client("test")
    yield client
    client.close()


@pytest.fixture(scope="session")
def pubsub(pubsub_emulator: str) -> Iterator[PubSubClients]:
    """Give a publisher and a subscriber."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(emulators.PUBSUB.variable, pubsub_emulator)
        both = PubSubClients(
            publisher=clients.publisher_client(), subscriber=clients.subscriber_client()
        )
    yield both
    both.publisher.transport.close()
    both.subscriber.transport.close()


@pytest.fixture
def bus_rig(pubsub: PubSubClients) -> BusRig:
    """Give topics and subscriptions of the test's own, and a bus on them."""
    names = Names(project="test", prefix=f"t{uuid4().hex}")
    return BusRig(pubsub.publisher, pubsub.subscriber, names)


def _shared(factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all workers of this test run have in common."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
