"""Google Cloud's adapters join the suites of their ports."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from google.cloud import firestore

from core.errors import Unavailable
from infra.gcp.jobs import FirestoreJobStore, document_id
from tests.contracts.job_store import JobStoreContract, JobStoreRig, in_another_form
from tests.contracts.message_bus import MessageBusContract, MessageBusRig
from tests.contracts.object_store import KEY, ObjectStoreContract, ObjectStoreRig
from tests.gcp.clocked import BusRig
from tests.gcp.fixtures import StorageRig


class TestCloudObjectStore(ObjectStoreContract):
    """Against the storage server in this process, which enforces preconditions."""

    @pytest.fixture(autouse=True)
    def _join(self, storage: StorageRig) -> None:
        self.storage = storage

    def make(self, folder: Path) -> ObjectStoreRig:
        """Return a store on an empty bucket."""
        del folder
        return ObjectStoreRig(
            store=self.storage.store(),
            clock=self.storage.clock,
            advance=self.storage.clock.advance,
            reopen=self.storage.store,
        )

    def test_stale_unfinished_objects_are_dropped_and_counted(self, rig: ObjectStoreRig) -> None:
        """Cloud Storage lists no sessions: its own week ends them, and leaving ends them at once.

        So there is nothing to count, and nothing left that could be dropped.
        """
        with rig.store.create(KEY) as writer:
            writer.write(b"x" * 2_000_000)
            rig.advance(100)
            assert len(self.storage.bucket.sessions) == 1
            assert rig.store.discard_partials(before=rig.clock.now() - 50) == 0
        assert self.storage.bucket.sessions == {}
        assert list(rig.store.list("")) == []

    def test_a_dropped_object_cannot_be_committed(self, rig: ObjectStoreRig) -> None:
        """It is Cloud Storage that drops it, after a week."""
        with rig.store.create(KEY) as writer:
            writer.write(b"x" * 2_000_000)
            self.storage.bucket.expire_sessions()
            with pytest.raises(Unavailable, match="session"):
                writer.commit()
        assert list(rig.store.list("")) == []


class TestFirestoreJobStore(JobStoreContract):
    """Against Google's Firestore emulator, in a collection of the test's own."""

    @pytest.fixture(autouse=True)
    def _join(self, firestore_client: firestore.Client) -> None:
        self.client = firestore_client

    def make(self, folder: Path) -> JobStoreRig:
        """Return an empty store."""
        del folder
        collection = f"jobs-{uuid4().hex}"
        return JobStoreRig(
            store=FirestoreJobStore(self.client, collection),
            reopen=lambda: FirestoreJobStore(self.client, collection),
            spoil=partial(self.spoil, collection),
        )

    def spoil(self, collection: str, job_id: str) -> None:
        """Write a job's record as another release would."""
        document = self.client.collection(collection).document(document_id(job_id))
        record = (document.get().to_dict() or {})["record"]
        document.update({"record": in_another_form(record), "state": "archived"})


@pytest.mark.filterwarnings("ignore:The return_immediately flag:DeprecationWarning")
class TestPubSubBus(MessageBusContract):
    """Against Google's Pub/Sub emulator, whose deadlines pass by the test's clock."""

    @pytest.fixture(autouse=True)
    def _join(self, bus_rig: BusRig) -> None:
        self.parts = bus_rig

    def make(self, folder: Path) -> MessageBusRig:
        """Return a bus on empty topics."""
        del folder
        return MessageBusRig(
            bus=self.parts.bus(),
            advance=self.parts.advance,
            reopen=self.parts.bus,
            dead_letters=self.parts.buried,
        )
