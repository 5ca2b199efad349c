"""Dead letters: what becomes of a job whose message the bus has given up.

A dead letter tells more about the bus and its receivers than about the job. Nearly all come from
hours in which every message was refused: a store that did not answer, a wrong audience, a bad
release. Nothing is wrong with those recordings. If their jobs failed, the sources would be deleted
one `CONFIRM_TTL_S` later, and a weekend's outage would lose a weekend's lectures.

So the record decides, not the bus's count of deliveries. It counts the workers that took the step
and vanished (`claims`), and a job has `CLAIMS_MAX` of those whatever limit the subscription sets:

| the job | what happens | event, outcome |
|---|---|---|
| waits for this step and has claims left | a line `Buried`; the sweep publishes the step again | `message.buried`, `left_to_sweep` |
| waits for this step and has none left | `failed` or `store_failed`, code `dead_letter` | `message.buried`, `given_up` |
| has gone on, is in hand, or is not due | nothing | `message.void` |

`message.buried` is an error event either way: somebody must look. A failed job keeps its source
until its TTL and may be sent again under its id; one in `store_failed` can be redelivered. The
message itself is not this function's to keep or to drop: another subscription of the dead-letter
topic holds it for 31 days.
"""  # noqa: E501 - a table

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from core import limits, trace
from core.errors import (
    BadMessage,
    BadRequest,
    LeaseHeld,
    NotDue,
    NotFound,
    StaleMessage,
    UnreadableRecord,
)
from core.events import Buried
from core.job import UNFINISHED, Failure
from core.ledger import Ledger
from core.messages import Message

EVENT_TYPE: Final = "google.cloud.pubsub.topic.v1.messagePublished"
CODE: Final = "dead_letter"
"""The failure's code of a job that is given up."""
_PUBSUB_DELIVERIES: Final = "CloudPubSubDeadLetterSourceDeliveryCount"
_PUBSUB_SUBSCRIPTION: Final = "CloudPubSubDeadLetterSourceSubscription"
_VOID: Final = (StaleMessage, LeaseHeld, NotDue, NotFound, UnreadableRecord)
"""The job does not wait for this message; or nobody can read it, and the sweep sees to it later."""
_COUNT_DIGITS_MAX: Final = 9
"""Digits of a number of deliveries; more are not a number that Pub/Sub or we have written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message on the dead-letter topic and what its attributes say of its past."""

    message_id: str
    data: bytes
    attributes: Mapping[str, str]

    @property
    def deliveries(self) -> int:
        """Return how often the message was delivered, in all copies that it had; 0 if unknown.

        Our own `bury` writes all of them into `deliveries`. When Pub/Sub buries a message that
        attribute holds those of the copies before, and Pub/Sub adds its own count.
        """
        return self._count("deliveries") + self._count(_PUBSUB_DELIVERIES)

    @property
    def reason(self) -> str | None:
        """Return why it was buried; None where Pub/Sub did it, which gives no reason."""
        return self._text("reason", limits.REASON_CHARS_MAX)

    @property
    def subscription(self) -> str | None:
        """Return the subscription that Pub/Sub buried it for; None if a worker did."""
        return self._text(_PUBSUB_SUBSCRIPTION, limits.ID_CHARS_MAX)

    @property
    def job_id(self) -> str | None:
        """Return the job that the attributes name, for messages that cannot be read."""
        return self._text("job_id", limits.ID_CHARS_MAX)

    def message(self) -> Message:
        """Return the message with the trace that came beside it; raises BadMessage."""
        message = Message.from_bytes(self.data)
        return replace(message, traceparent=self.attributes.get(trace.HEADER))

    def failure(self) -> Failure:
        """Return what a job is told of its message."""
        count = f"{self.deliveries} deliveries" if self.deliveries else "its last delivery"
        why = f" ({self.reason})" if self.reason else ""
        reason = f"message {self.message_id} became a dead letter after {count}{why}"
        return Failure(code=CODE, reason=reason)

    def _count(self, name: str) -> int:
        text = self.attributes.get(name, "")
        sound = text.isascii() and text.isdigit() and len(text) <= _COUNT_DIGITS_MAX
        return int(text) if sound else 0

    def _text(self, name: str, chars_max: int) -> str | None:
        return self.attributes.get(name, "")[:chars_max] or None


def read(data: object) -> DeadLetter:
    """Read the data of a `messagePublished` event; raises BadRequest if it is none."""
    message = data.get("message") if isinstance(data, dict) else None
    if not isinstance(message, dict):
        raise BadRequest("the event's data has no message")
    message_id = message.get("messageId") or message.get("message_id")
    attributes = message.get("attributes") or {}
    body = message.get("data") or ""
    if not isinstance(message_id, str) or not isinstance(attributes, dict):
        raise BadRequest("the event's message needs a messageId, and attributes must be an object")
    if not isinstance(body, str):
        raise BadRequest("the event's message must have base64 text as its data")
    try:
        decoded = base64.b64decode(body, validate=True)
    except ValueError as error:
        raise BadRequest("the event's message must have base64 text as its data") from error
    texts = {name: value for name, value in attributes.items() if isinstance(value, str)}
    return DeadLetter(message_id=message_id[: limits.ID_CHARS_MAX], data=decoded, attributes=texts)


def take(letter: DeadLetter, ledger: Ledger) -> None:
    """Record what the letter means for its job; taking it again changes nothing.

    What is no message of ours is an error event and nothing more. Raises Unavailable: then the
    letter must come again.
    """
    try:
        message = letter.message()
    except BadMessage as error:
        ledger.log.emit(
            "dead_letter.malformed", **_facts(letter), job_id=letter.job_id, why=error.detail
        )
        return
    with ledger.log.bind(job_id=message.job_id, traceparent=message.traceparent):
        _apply(letter, message, ledger)


def _apply(letter: DeadLetter, message: Message, ledger: Ledger) -> None:
    try:
        job = ledger.apply(message.job_id, Buried(message=message, failure=letter.failure()))
    except _VOID as reason:
        facts = _facts(letter)
        ledger.log.emit("message.void", **{**facts, "reason": reason.code}, topic=message.topic)
        return
    ledger.log.emit(
        "message.buried",
        **_facts(letter),
        topic=message.topic,
        organization_id=job.organization_id,
        state=job.state.value,
        claims=job.claims,
        outcome="left_to_sweep" if job.state in UNFINISHED else "given_up",
    )


def _facts(letter: DeadLetter) -> dict[str, object]:
    return {
        "message_id": letter.message_id,
        "deliveries": letter.deliveries or None,
        "subscription": letter.subscription,
        "reason": letter.reason,
    }
