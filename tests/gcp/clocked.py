"""Lets Pub/Sub's deadlines pass by the test's clock, and counts what Cloud Monitoring counts.

An emulator has its own clock. Here every deadline that the adapter asks for is asked of the
emulator as a very long one; when the test's clock passes it, the message is given back with
deadline 0, which is what Pub/Sub does itself. The adapter's code is the same as ever.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import PubsubMessage, PullRequest, PullResponse

from core.messages import Message, Topic
from infra.gcp.bus import DEAD_LETTERS, DEADLINE_MAX_S, Names, PubSubBus
from tests.fakes import FakeClock

CALL_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    subscription: str
    until: float


class ClockedSubscriber:
    """The part of SubscriberClient that the bus uses, on the test's clock."""

    def __init__(self, real: SubscriberClient, clock: FakeClock) -> None:
        self.acknowledged: Counter[str] = Counter()
        self._real = real
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()

    def pull(self, *, request: PullRequest, retry: Any, timeout: float) -> PullResponse:
        """Ask the emulator for what it has now: waiting would only cost the test time."""
        del timeout
        now = PullRequest(
            subscription=request.subscription,
            max_messages=request.max_messages,
            return_immediately=True,
        )
        answer = self._real.pull(request=now, retry=retry, timeout=CALL_S)
        for received in answer.received_messages:
            self._hold(received.ack_id, request.subscription, DEADLINE_MAX_S)
        return answer

    def modify_ack_deadline(
        self, *, subscription: str, ack_ids: list[str], ack_deadline_seconds: int, **options: Any
    ) -> None:
        """Hide messages for so many seconds of the test's clock, or give them back for 0."""
        for ack_id in ack_ids:
            self._hold(ack_id, subscription, ack_deadline_seconds)
        self._real.modify_ack_deadline(
            subscription=subscription,
            ack_ids=ack_ids,
            ack_deadline_seconds=DEADLINE_MAX_S if ack_deadline_seconds else 0,
            **options,
        )

    def acknowledge(self, *, subscription: str, ack_ids: list[str], **options: Any) -> None:
        """Acknowledge, and count what was still held."""
        with self._lock:
            dropped = [self._held.pop(ack_id, None) for ack_id in ack_ids]
            self.acknowledged[subscription] += sum(held is not None for held in dropped)
        self._real.acknowledge(subscription=subscription, ack_ids=ack_ids, **options)

    def get_subscription(self, **arguments: Any) -> Any:
        """Ask the emulator."""
        return self._real.get_subscription(**arguments)

    def give_back_lapsed(self) -> None:
        """Do what Pub/Sub does when a deadline passes."""
        now = self._clock.now()
        with self._lock:
            lapsed = {ack_id: held for ack_id, held in self._held.items() if held.until <= now}
            for ack_id in lapsed:
                del self._held[ack_id]
        for ack_id, held in lapsed.items():
            self._real.modify_ack_deadline(
                subscription=held.subscription,
                ack_ids=[ack_id],
                ack_deadline_seconds=0,
                timeout=CALL_S,
            )

    def _hold(self, ack_id: str, subscription: str, seconds: float) -> None:
        with self._lock:
            self._held.pop(ack_id, None)
            if seconds:
                until = self._clock.now() + seconds
                self._held[ack_id] = _Held(subscription=subscription, until=until)


class CountingPublisher:
    """The part of PublisherClient that the bus uses; counts what was published."""

    def __init__(self, real: PublisherClient) -> None:
        self.published: Counter[str] = Counter()
        self._real = real
        self._lock = threading.Lock()

    def publish(self, *, topic: str, messages: list[PubsubMessage], **options: Any) -> Any:
        """Publish and count."""
        answer = self._real.publish(topic=topic, messages=messages, **options)
        with self._lock:
            self.published[topic] += len(messages)
        return answer


class BusRig:
    """Topics and subscriptions under `names`, buses on them, and a clock that moves both."""

    def __init__(
        self, publisher: PublisherClient, subscriber: SubscriberClient, names: Names
    ) -> None:
        self.names = names
        self.clock = FakeClock()
        self.publisher = publisher
        self.subscriber = subscriber
        self.clocked = ClockedSubscriber(subscriber, self.clock)
        self.counting = CountingPublisher(publisher)
        self._dead: list[PubsubMessage] = []
        provide(publisher, subscriber, names)

    def bus(self) -> PubSubBus:
        """Return a bus as one process has it."""
        return PubSubBus(
            cast("PublisherClient", self.counting),
            cast("SubscriberClient", self.clocked),
            self.names,
            clock=self.clock,
            backlog=self._backlog,
        )

    def advance(self, s: float) -> None:
        """Let `s` seconds pass for the bus and for Pub/Sub."""
        self.clock.advance(s)
        self.clocked.give_back_lapsed()

    def dead_letters(self) -> list[PubsubMessage]:
        """Return all dead letters so far."""
        request = PullRequest(
            subscription=self.names.subscription(DEAD_LETTERS),
            max_messages=100,
            return_immediately=True,
        )
        answer = self.subscriber.pull(request=request, timeout=CALL_S)
        self._dead += [received.message for received in answer.received_messages]
        return self._dead

    def buried(self) -> Sequence[tuple[Message, str]]:
        """Return the dead letters as the contract wants them."""
        return [
            (Message.from_bytes(letter.data), letter.attributes["reason"])
            for letter in self.dead_letters()
        ]

    def _backlog(self, topic: Topic) -> int:
        """Count as Cloud Monitoring's `num_undelivered_messages` does, without its delay."""
        published = self.counting.published[self.names.topic(topic)]
        return published - self.clocked.acknowledged[self.names.subscription(topic)]


def provide(publisher: PublisherClient, subscriber: SubscriberClient, names: Names) -> None:
    """Make the topics and subscriptions that Terraform makes in a real project."""
    publisher.create_topic(name=names.topic(DEAD_LETTERS), timeout=CALL_S)
    for name in (DEAD_LETTERS, *Topic):
        if name != DEAD_LETTERS:
            publisher.create_topic(name=names.topic(name), timeout=CALL_S)
        wanted: dict[str, Any] = {
            "name": names.subscription(name),
            "topic": names.topic(name),
            "ack_deadline_seconds": DEADLINE_MAX_S,
        }
        if name != DEAD_LETTERS:
            wanted["dead_letter_policy"] = {
                "dead_letter_topic": names.topic(DEAD_LETTERS),
                "max_delivery_attempts": 100,
            }
        subscriber.create_subscription(request=wanted, timeout=CALL_S)
