"""Google's clients with the credentials of the environment, or without any for emulators.

The libraries find emulators themselves by FIRESTORE_EMULATOR_HOST, PUBSUB_EMULATOR_HOST and
STORAGE_EMULATOR_HOST. Clients must be made after a fork: gRPC does not survive one.
"""

from __future__ import annotations

from google.cloud import firestore, storage
from google.cloud.pubsub_v1 import PublisherClient as BatchingPublisher
from google.cloud.pubsub_v1 import SubscriberClient as StreamingSubscriber
from google.pubsub_v1 import PublisherClient, SubscriberClient

from infra.gcp import answers


def storage_client(project: str) -> storage.Client:
    """Return a client of Cloud Storage that takes no answer for whole which broke off."""
    client = storage.Client(project=project)
    answers.watch(client._http)  # noqa: SLF001 - the library has no setting for hooks
    return client


def firestore_client(project: str, database: str | None = None) -> firestore.Client:
    """Return a client of a Firestore database, the default one if none is named."""
    return firestore.Client(project=project, database=database)


def publisher_client() -> PublisherClient:
    """Return a publisher that sends at once, without the batches and threads of its facade."""
    return PublisherClient(transport=BatchingPublisher().transport)


def subscriber_client() -> SubscriberClient:
    """Return a subscriber that pulls when asked."""
    return SubscriberClient(transport=StreamingSubscriber().transport)
