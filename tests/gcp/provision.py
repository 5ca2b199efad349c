"""`python -m tests.gcp.provision`: topics and subscriptions on the Pub/Sub emulator.

What Terraform makes in a real project, where this refuses to run. It may run again: what is there
stays, with its messages, and only learns where to push. The bucket needs nothing: the Cloud Storage
server begins with it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from google.api_core.exceptions import AlreadyExists
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import PushConfig

from core.messages import Topic
from infra.gcp import clients
from infra.gcp.bus import DEAD_LETTERS, DEADLINE_MAX_S, Names
from infra.required import on_pubsub_emulator
from infra.settings import load

DELIVERIES_MAX: Final = 100
ENDPOINTS: Final[Mapping[str, str]] = {
    Topic.TRANSCODE: "TRANSCODE_PUSH_URL",
    Topic.DELIVER: "DELIVER_PUSH_URL",
    DEAD_LETTERS: "DEAD_LETTER_PUSH_URL",
}
"""Topics and the environment variables that say where their messages are pushed."""
_CALL_S: Final = 20.0


class NotAnEmulator(Exception):
    """The environment leads to Google's own Pub/Sub."""


def provide(
    publisher: PublisherClient,
    subscriber: SubscriberClient,
    names: Names,
    endpoints: Mapping[str, str],
) -> None:
    """Make the topics, a push subscription for each, and one that keeps the dead letters.

    `endpoints` maps topics to URLs. Raises NotAnEmulator.
    """
    must_be_emulator()
    for topic in (DEAD_LETTERS, *Topic):  # the others' policy names the first
        _topic(publisher, names.topic(topic))
    for topic in Topic:
        pushed = {**_pushed(names, topic, endpoints[topic]), **_buries(names)}
        _subscription(subscriber, {"name": names.subscription(topic), **pushed})
    told = _pushed(names, DEAD_LETTERS, endpoints[DEAD_LETTERS])
    _subscription(subscriber, {"name": names.subscription(f"{DEAD_LETTERS}-push"), **told})
    kept = {"name": names.subscription(DEAD_LETTERS), "topic": names.topic(DEAD_LETTERS)}
    _subscription(subscriber, kept)


def must_be_emulator() -> None:
    """Raise NotAnEmulator unless the environment leads to the emulator."""
    if not on_pubsub_emulator():
        raise NotAnEmulator("PUBSUB_EMULATOR_HOST is not set; for a real project use Terraform")


def _pushed(names: Names, topic: str, url: str) -> dict[str, Any]:
    return {
        "topic": names.topic(topic),
        "ack_deadline_seconds": DEADLINE_MAX_S,
        "push_config": {"push_endpoint": url},
        "retry_policy": {"minimum_backoff": {"seconds": 1}, "maximum_backoff": {"seconds": 10}},
    }


def _buries(names: Names) -> dict[str, Any]:
    policy = {
        "dead_letter_topic": names.topic(DEAD_LETTERS),
        "max_delivery_attempts": DELIVERIES_MAX,
    }
    return {"dead_letter_policy": policy}


def _topic(publisher: PublisherClient, name: str) -> None:
    try:
        publisher.create_topic(name=name, timeout=_CALL_S)
    except AlreadyExists:
        return


def _subscription(subscriber: SubscriberClient, wanted: dict[str, Any]) -> None:
    try:
        subscriber.create_subscription(request=wanted, timeout=_CALL_S)
    except AlreadyExists:
        subscriber.modify_push_config(
            subscription=wanted["name"],
            push_config=PushConfig(wanted.get("push_config", {})),
            timeout=_CALL_S,
        )


def main() -> int:
    """Provide what the environment names; return the exit status."""
    argparse.ArgumentParser(prog="provision", description=__doc__).parse_args()
    try:
        must_be_emulator()
        settings = load()
        names = Names(project=settings.google_cloud_project, prefix=settings.pubsub_prefix)
        endpoints = {topic: os.environ[name] for topic, name in ENDPOINTS.items()}
        provide(clients.publisher_client(), clients.subscriber_client(), names, endpoints)
    except KeyError as error:
        sys.stderr.write(f"provision: {error.args[0]} is not set\n")
        return 1
    except NotAnEmulator as error:
        sys.stderr.write(f"provision: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
