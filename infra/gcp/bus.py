"""Messages on Pub/Sub, pulled one at a time.

Pub/Sub has no delays: a message carries the time when it is due, and one that comes early is
put back by its deadline, in steps of at most 600 s. It knows no exact leases either: they begin
when Pub/Sub says so, and a message may come twice. The job's record decides, not the bus.
Order is neither asked for nor needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from google.api_core.exceptions import (
    Aborted,
    DeadlineExceeded,
    InternalServerError,
    ResourceExhausted,
    ServiceUnavailable,
    Unknown,
)
from google.api_core.retry import Retry, if_exception_type
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import PubsubMessage, PullRequest, ReceivedMessage

from core import limits, trace
from core.errors import BadMessage
from core.job import State
from core.messages import Message, Topic
from core.ports import Clock, Handout, JobStore
from infra.gcp.failures import unavailable

DEADLINE_MAX_S: Final = 600
"""Longest time that Pub/Sub hides a message in one go; longer leases are cut to it."""
DEAD_LETTERS: Final = "dead-letters"
_CALL_S: Final = 20.0
"""Seconds for one call with its retries."""
_WAIT_S: Final = 1.0
"""Seconds that an empty `receive` waits for a message: one open call instead of many."""
_EARLY_MAX: Final = 100
"""Early messages that one `receive` puts back before it gives up for now."""
_HANDOUTS_MAX: Final = limits.MESSAGE_DELIVERIES_MAX // 2
"""A message that was put back so often goes on as a fresh copy, before Pub/Sub buries it."""
_PASSING: Final = (
    Aborted, DeadlineExceeded, InternalServerError, ResourceExhausted, ServiceUnavailable, Unknown
)  # fmt: skip

Backlog = Callable[[Topic], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """How topics and their pull subscriptions are called in `project`."""

    project: str
    prefix: str = "lectern"

    def topic(self, name: str) -> str:
        """Return the full name of a topic: that of a `Topic`, or DEAD_LETTERS."""
        return f"projects/{self.project}/topics/{self.prefix}-{name}"

    def subscription(self, name: str) -> str:
        """Return the full name of the subscription to it."""
        return f"projects/{self.project}/subscriptions/{self.prefix}-{name}"


class PubSubBus:
    """One topic and one subscription for each `Topic`, and one topic for dead letters.

    The subscriptions need a dead-letter policy: without one Pub/Sub does not count deliveries.
    Calls are synchronous: when `publish` returns, Pub/Sub has the message, and no thread of
    this process has anything left to do. `backlog` tells `depth`.
    """

    def __init__(
        self,
        publisher: PublisherClient,
        subscriber: SubscriberClient,
        names: Names,
        *,
        clock: Clock,
        backlog: Backlog | None = None,
        wait_s: float = _WAIT_S,
    ) -> None:
        self._publisher = publisher
        self._subscriber = subscriber
        self._names = names
        self._clock = clock
        self._backlog = backlog
        self._wait_s = wait_s
        self._retry = Retry(
            predicate=if_exception_type(*_PASSING), initial=0.1, maximum=2.0, timeout=_CALL_S
        )

    def publish(self, message: Message, *, delay_s: float = 0.0) -> None:
        """Publish the message with the time when it is due."""
        self._publish(message, due_at=self._clock.now() + delay_s, deliveries=0)

    def receive(self, topic: Topic, *, lease_s: float) -> Handout | None:
        """Return a message that is due; those that are not, or are no messages, are put away."""
        for _ in range(_EARLY_MAX):
            received = self._pull(topic)
            if received is None:
                return None
            message = self._read(topic, received)
            if message is not None and (handout := self._take(message, received, lease_s)):
                return handout
        return None

    def ack(self, handout: Handout) -> None:
        """Drop the message; after the lease Pub/Sub may have handed it out again."""
        self._ack(handout.message.topic, _Receipt.of(handout).ack_id)

    def nack(self, handout: Handout, *, delay_s: float) -> None:
        """Give the message back; without effect after the lease, when it is another's."""
        receipt = _Receipt.of(handout)
        now = self._clock.now()
        if now >= receipt.leased_until:
            return
        if delay_s <= DEADLINE_MAX_S:
            self._hide(handout.message.topic, receipt.ack_id, delay_s)
        else:
            self._publish(handout.message, due_at=now + delay_s, deliveries=handout.deliveries)
            self._ack(handout.message.topic, receipt.ack_id)

    def bury(self, handout: Handout, reason: str) -> None:
        """Publish the message as a dead letter with its reason, then drop it."""
        attributes = {**_attributes(handout.message), "deliveries": str(handout.deliveries)}
        self._bury(handout.message.to_bytes(), attributes, reason)
        self.ack(handout)

    def depth(self, topic: Topic) -> int:
        """Return what `backlog` tells, 0 without one; raises Unavailable if Pub/Sub is away.

        Pub/Sub itself counts nothing; its metric in Cloud Monitoring is minutes old.
        """
        with unavailable("Pub/Sub"):
            self._subscriber.get_subscription(
                subscription=self._names.subscription(topic), retry=self._retry, timeout=_CALL_S
            )
        return self._backlog(topic) if self._backlog else 0

    def _publish(self, message: Message, *, due_at: float, deliveries: int) -> None:
        attributes = {
            **_attributes(message), "due_at": repr(due_at), "deliveries": str(deliveries)
        }  # fmt: skip
        self._send(self._names.topic(message.topic), message.to_bytes(), attributes)

    def _send(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        envelope = PubsubMessage(data=data, attributes=attributes)
        with unavailable("Pub/Sub"):
            self._publisher.publish(
                topic=topic, messages=[envelope], retry=self._retry, timeout=_CALL_S
            )

    def _pull(self, topic: Topic) -> ReceivedMessage | None:
        """Return the next message, or None once `wait_s` has passed.

        A message that comes just then stays hidden for the subscription's own deadline.
        """
        request = PullRequest(subscription=self._names.subscription(topic), max_messages=1)
        with unavailable("Pub/Sub"):
            try:
                answer = self._subscriber.pull(request=request, retry=None, timeout=self._wait_s)
            except DeadlineExceeded:
                return None
        return next(iter(answer.received_messages), None)

    def _read(self, topic: Topic, received: ReceivedMessage) -> Message | None:
        """Return the message, or bury what is none."""
        try:
            return _message_for(topic, received)
        except BadMessage as error:
            self._bury(received.message.data, received.message.attributes, error.detail)
            self._ack(topic, received.ack_id)
            return None

    def _take(self, message: Message, received: ReceivedMessage, lease_s: float) -> Handout | None:
        """Lease the message, or put it back until it is due."""
        now = self._clock.now()
        due_at = _number(received, "due_at")
        if due_at > now:
            self._postpone(message, received, due_at, now)
            return None
        lease_s = min(lease_s, DEADLINE_MAX_S)
        self._hide(message.topic, received.ack_id, lease_s)
        receipt = _Receipt(leased_until=now + lease_s, ack_id=received.ack_id)
        return Handout(message=message, receipt=str(receipt), deliveries=_deliveries(received))

    def _postpone(
        self, message: Message, received: ReceivedMessage, due_at: float, now: float
    ) -> None:
        if received.delivery_attempt < _HANDOUTS_MAX:
            self._hide(message.topic, received.ack_id, due_at - now)
            return
        earlier = int(_number(received, "deliveries"))
        self._publish(message, due_at=due_at, deliveries=earlier)
        self._ack(message.topic, received.ack_id)

    def _hide(self, topic: Topic, ack_id: str, seconds: float) -> None:
        """Have Pub/Sub hand the message out again after `seconds`, rounded up."""
        with unavailable("Pub/Sub"):
            self._subscriber.modify_ack_deadline(
                subscription=self._names.subscription(topic),
                ack_ids=[ack_id],
                ack_deadline_seconds=min(math.ceil(max(seconds, 0.0)), DEADLINE_MAX_S),
                retry=self._retry,
                timeout=_CALL_S,
            )

    def _ack(self, topic: Topic, ack_id: str) -> None:
        with unavailable("Pub/Sub"):
            self._subscriber.acknowledge(
                subscription=self._names.subscription(topic),
                ack_ids=[ack_id],
                retry=self._retry,
                timeout=_CALL_S,
            )

    def _bury(self, data: bytes, attributes: Mapping[str, str], reason: str) -> None:
        reason = reason[: limits.REASON_CHARS_MAX]
        self._send(self._names.topic(DEAD_LETTERS), data, {**attributes, "reason": reason})


def waiting_jobs(jobs: JobStore) -> Backlog:
    """Return a backlog that counts the jobs whose next step belongs to the topic."""

    def backlog(topic: Topic) -> int:
        counts = jobs.counts()
        states = (State.STORING,) if topic is Topic.DELIVER else (State.QUEUED, State.PROCESSING)
        return sum(counts.get(state, 0) for state in states)

    return backlog


@dataclass(frozen=True, slots=True, kw_only=True)
class _Receipt:
    leased_until: float
    ack_id: str

    def __str__(self) -> str:
        return f"{self.leased_until!r} {self.ack_id}"

    @classmethod
    def of(cls, handout: Handout) -> _Receipt:
        until, _, ack_id = handout.receipt.partition(" ")
        return cls(leased_until=float(until), ack_id=ack_id)


def _attributes(message: Message) -> dict[str, str]:
    attributes = {"topic": message.topic.value, "job_id": message.job_id, "run": message.run}
    return {**attributes, trace.HEADER: message.traceparent} if message.traceparent else attributes


def _message_for(topic: Topic, received: ReceivedMessage) -> Message:
    message = Message.from_bytes(received.message.data)
    if message.topic is not topic:
        raise BadMessage(f"a message for {message.topic} came with {topic}")
    return replace(message, traceparent=received.message.attributes.get(trace.HEADER))


def _deliveries(received: ReceivedMessage) -> int:
    """Return how often the message was handed out, with the copies that it was before."""
    return int(_number(received, "deliveries")) + max(received.delivery_attempt, 1)


def _number(received: ReceivedMessage, name: str) -> float:
    """Return an attribute as a number, 0 if it is none: then the message is due, and new."""
    try:
        return float(received.message.attributes.get(name, "0"))
    except ValueError:
        return 0.0
