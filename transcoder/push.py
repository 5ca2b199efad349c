"""Pub/Sub's push endpoints: each request brings one message, and the status disposes of it.

| what became of the message | status | what Pub/Sub does |
|---|---|---|
| its step is done, or the record says that there is none to do | 204 | drops it |
| it came more than `_WAIT_S` too early | 204 | drops it; the sweep publishes it when it is due |
| the worker stops or is busy, a store does not answer, a defect | 503 | brings it again, later |
| it cannot be read, or it is of another topic | 400, 413, 404 | the same, then buries it |
| the token is not that of our push subscription | 401 | the same |

A push can only be taken or refused. Pub/Sub reads no `Retry-After` (it is for people and
probes), so no delay can be asked for: the subscription's retry policy sets the pause, and enough
refusals slow down all messages of the subscription. So an early message is not refused until it
is due, and not published again either, because it would come back at once. It is dropped: every
job that waits has a `wake_at`, `republish_after_s` past the time when its step is due, and the
first sweep after that publishes the message. The price is that a step starts up to
`republish_after_s` and one sweep interval late; short pauses are waited out instead. The
message's own `due_at` is not looked at: the record knows better.

What can never succeed is refused as well, each time with an error event: only a refused message
becomes a dead letter, after the attempts that the subscription's dead-letter policy grants. Taken
with 204 it would be gone.
"""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, g, jsonify, request

from core import limits, problems, trace
from core.errors import (
    BadMessage,
    BadRequest,
    NotDue,
    NotFound,
    TooLarge,
    TruncatedUpload,
    Unauthorized,
    Unavailable,
)
from core.messages import Message, Topic
from core.ports import Clock, EventLog
from transcoder.dispatch import Again, Done, Handler, dispatch

PATHS: Final = frozenset(f"/push/{topic}" for topic in Topic)
"""Paths whose requests carry Pub/Sub's token instead of a service key."""
_ENVELOPE_BYTES_MAX: Final = 4 * limits.MESSAGE_BYTES_MAX
"""Bytes of a request: a message in base64 is a third longer, and attributes come with it."""
_WAIT_S: Final = 7.0
"""An early message is waited for so long: more than instances' clocks differ, and than the first
pause after a failed callback (5 s with its jitter); less than the time that a stop leaves."""

Verify = Callable[[str | None], None]
"""Takes the Authorization header; raises Unauthorized, whose words hold nothing of the token, or
Unavailable where it cannot tell."""


def blueprint(
    *,
    handlers: Mapping[Topic, Handler],
    verify: Verify,
    clock: Clock,
    log: EventLog,
    deliveries_max: int,
    pause: Callable[[float], None] = time.sleep,
) -> Blueprint:
    """Return `POST /push/<topic>` for the topics of `handlers`.

    `deliveries_max` is that of the subscriptions' dead-letter policy: a refusal of that delivery
    is recorded as `message.buried`. How many requests run at once is the platform's setting.
    """
    endpoint = _Endpoint(
        handlers=handlers,
        verify=verify,
        clock=clock,
        log=log,
        deliveries_max=deliveries_max,
        pause=pause,
    )
    routes = Blueprint("push", __name__)
    routes.add_url_rule("/push/<topic>", "push", view_func=endpoint.receive, methods=["POST"])
    routes.after_request(_challenge)
    return routes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    """What a push says of its message; None for what it does not say, or not in its form."""

    data: str | None
    message_id: str | None
    job_id: str | None
    traceparent: str | None
    attempt: int | None

    @classmethod
    def of(cls, body: bytes) -> _Envelope:
        """Read what can be read; `message` tells whether it is enough."""
        try:
            outer = _members(json.loads(body))
        except (ValueError, RecursionError):
            outer = {}
        inner = _members(outer.get("message"))
        attributes = _members(inner.get("attributes"))
        attempt = outer.get("deliveryAttempt")
        return cls(
            data=_text(inner.get("data")),
            message_id=_name(inner.get("messageId")),
            job_id=_name(attributes.get("job_id")),
            traceparent=_name(attributes.get(trace.HEADER)),
            attempt=attempt if type(attempt) is int else None,
        )

    def context(self) -> Mapping[str, object]:
        """Return the recording's trace, in place of that of Pub/Sub's own request."""
        return {trace.HEADER: self.traceparent} if self.traceparent else {}

    def message(self, topic: Topic) -> Message:
        """Return the message; raises BadMessage for none, or one of another topic."""
        if self.data is None:
            raise BadMessage("the body is no push envelope with data")
        try:
            data = base64.b64decode(self.data, validate=True)
        except ValueError as error:
            raise BadMessage("the envelope's data is not base64") from error
        message = Message.from_bytes(data)
        if message.topic is not topic:
            raise BadMessage(f"a message for {message.topic} came to {topic}")
        return replace(message, traceparent=self.traceparent)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Endpoint:
    handlers: Mapping[Topic, Handler]
    verify: Verify
    clock: Clock
    log: EventLog
    deliveries_max: int
    pause: Callable[[float], None]

    def receive(self, topic: str) -> Response:
        self._admit()
        known = self._known(topic)
        envelope = _Envelope.of(_body())
        with self.log.bind(**envelope.context()):
            message = self._message(known, envelope)
            began = self.clock.now()
            outcome = dispatch(self._on_time(known), message, clock=self.clock, log=self.log)
            self._record(message, envelope, outcome, self.clock.now() - began)
        return _answer(outcome)

    def _admit(self) -> None:
        try:
            self.verify(request.headers.get("Authorization"))
        except Unauthorized as error:
            self.log.emit("push.refused", reason=error.detail)
            raise

    def _known(self, topic: str) -> Topic:
        for known in self.handlers:
            if known == topic:
                return known
        raise NotFound("this service takes no messages here; mend the subscription's endpoint")

    def _message(self, topic: Topic, envelope: _Envelope) -> Message:
        g.job_id = envelope.job_id
        try:
            message = envelope.message(topic)
        except BadMessage as error:
            reason = error.detail[: limits.REASON_CHARS_MAX]
            self._emit("push.malformed", topic, envelope, job_id=envelope.job_id, reason=reason)
            self._tell_burial(topic, envelope, job_id=envelope.job_id, reason=error.code)
            raise BadRequest("the message cannot be read; see the event push.malformed") from error
        g.job_id = message.job_id
        return message

    def _on_time(self, topic: Topic) -> Handler:
        """Return the topic's handler with its early messages waited for, or left to the sweep."""
        handler = self.handlers[topic]

        def step(message: Message) -> None:
            try:
                handler(message)
            except NotDue as early:
                left_s = max(early.due_at - self.clock.now(), 0.0)
                if left_s > _WAIT_S:
                    early_by = {"topic": topic, "due_in_s": round(left_s, 3)}
                    self.log.emit("message.early", job_id=message.job_id, **early_by)
                    return
                self.pause(left_s)
                handler(message)

        return step

    def _record(
        self, message: Message, envelope: _Envelope, outcome: Done | Again, duration_s: float
    ) -> None:
        fields = {"job_id": message.job_id, "duration_s": round(duration_s, 3)}
        if isinstance(outcome, Done):
            self._emit("push.done", message.topic, envelope, **fields)
            return
        reason = outcome.error or "not_done"
        self._emit("push.again", message.topic, envelope, **fields, reason=reason)
        self._tell_burial(message.topic, envelope, job_id=message.job_id, reason=reason)

    def _tell_burial(self, topic: Topic, envelope: _Envelope, **fields: object) -> None:
        """Record that Pub/Sub is refused the message for the last time and buries it."""
        if envelope.attempt is not None and envelope.attempt >= self.deliveries_max:
            self._emit("message.buried", topic, envelope, **fields)

    def _emit(self, event: str, topic: Topic, envelope: _Envelope, **fields: object) -> None:
        self.log.emit(
            event,
            topic=topic,
            message_id=envelope.message_id,
            delivery_attempt=envelope.attempt,
            **fields,
        )


def _body() -> bytes:
    """Return the whole body, or refuse it."""
    announced, most = request.content_length, _ENVELOPE_BYTES_MAX
    if announced is None or announced <= most:
        data: bytes = request.stream.read(most + 1)
        if announced is not None and len(data) < announced:
            raise TruncatedUpload(f"{len(data)} of {announced} bytes arrived; send it again")
        if len(data) <= most:
            return data
    raise TooLarge(f"a push has at most {most} bytes")


def _answer(outcome: Done | Again) -> Response:
    if isinstance(outcome, Done):
        return Response(status=HTTPStatus.NO_CONTENT)
    error = Unavailable("the step is not done; deliver the message again")
    g.code = error.code
    response = jsonify(problems.problem(error))
    response.status_code = error.http_status
    response.content_type = problems.MEDIA_TYPE
    response.headers["Retry-After"] = str(max(math.ceil(outcome.delay_s), 1))
    return response


def _challenge(response: Response) -> Response:
    """Name the scheme that these endpoints want: not the service key of the others."""
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _members(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _name(value: object) -> str | None:
    """Return an id for the log, cut to a bound."""
    return value[: limits.ID_CHARS_MAX] if isinstance(value, str) else None
