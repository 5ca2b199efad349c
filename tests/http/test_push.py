"""POST /push/<topic>: what a push is answered, and what Pub/Sub makes of the answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from core.errors import (
    Interrupted,
    LeaseHeld,
    LeaseLost,
    LecternError,
    NotDue,
    NotFound,
    StaleMessage,
    Unauthorized,
    Unavailable,
    WorkerLost,
)
from core.keys import KeyRing
from core.messages import Message, Topic
from infra.http import OPEN_PATHS, new_app
from tests.fakes import World, a_world
from transcoder.dispatch import Handler
from transcoder.push import PATHS, blueprint

TOKEN = "Bearer a.good.token"
MESSAGE = Message(topic=Topic.TRANSCODE, job_id="video-1", run="run-1")
DELIVERIES_MAX = 5


def verify(header: str | None) -> None:
    """Admit the one good token."""
    if header != TOKEN:
        raise Unauthorized("the token is not a JWT")


def nothing(_message: Message) -> None:
    """Do a step that has nothing to do."""


def envelope(
    message: Message | bytes = MESSAGE, *, attempt: object = 1, **changes: object
) -> dict[str, Any]:
    """Return what Pub/Sub sends; `changes` replace members of its message."""
    data = message.to_bytes() if isinstance(message, Message) else message
    attributes = {"topic": "transcode", "job_id": "video-1", "run": "run-1", "due_at": "1.5"}
    inner = {
        "data": base64.b64encode(data).decode(),
        "attributes": attributes,
        "messageId": "1234",
        "message_id": "1234",
        "publishTime": "2026-11-21T09:00:00.000Z",
        **changes,
    }
    return {
        "message": inner,
        "subscription": "projects/p/subscriptions/lectern-transcode",
        "deliveryAttempt": attempt,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """The app with its fakes; `paused` has the seconds that were waited."""

    world: World
    app: Flask
    paused: list[float]

    def send(
        self, body: Mapping[str, object] | bytes, *, to: str = "transcode", token: str = TOKEN
    ) -> TestResponse:
        """Push a body."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": token, "Content-Type": "application/json"}
        return self.app.test_client().post(f"/push/{to}", data=data, headers=headers)

    def event(self, name: str) -> dict[str, object]:
        """Return the fields of the one event of that name, without its request's random trace."""
        (fields,) = [fields for event, fields in self.world.log.events if event == name]
        return {name: value for name, value in fields.items() if name != "traceparent"}


def a_push(
    handler: Handler = nothing,
    *,
    world: World | None = None,
    handlers: Mapping[Topic, Handler] | None = None,
    verify: Callable[[str | None], None] = verify,
) -> Push:
    """Return the endpoints with one handler for all topics, or with `handlers`."""
    world, paused = world or a_world(), list[float]()

    def pause(seconds: float) -> None:
        paused.append(seconds)
        world.clock.advance(seconds)

    app = new_app("transcoder", keys=KeyRing(["a-service-key-of-others"]), log=world.log,
                  open_paths=OPEN_PATHS | PATHS)  # fmt: skip
    app.register_blueprint(
        blueprint(
            handlers=handlers or dict.fromkeys(Topic, handler),
            verify=verify,
            clock=world.clock,
            log=world.log,
            deliveries_max=DELIVERIES_MAX,
            pause=pause,
        )
    )
    return Push(world=world, app=app, paused=paused)


def failing(*errors: BaseException) -> Handler:
    """Return a handler that raises these in turn, and then does its work."""
    left = list(errors)

    def handler(_message: Message) -> None:
        if left:
            raise left.pop(0)

    return handler


def assert_refused(answer: TestResponse, status: int, code: str) -> None:
    """Check for a problem of this code."""
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert answer.get_json(force=True)["code"] == code


@pytest.mark.parametrize("topic", Topic)
def test_a_message_reaches_the_handler_of_its_topic(topic: Topic) -> None:
    seen: list[tuple[Topic, Message]] = []
    handlers: dict[Topic, Handler] = {
        each: lambda message, each=each: seen.append((each, message))  # type: ignore[misc] # mypy infers no default arguments of lambdas
        for each in Topic
    }
    message = Message(topic=topic, job_id="video-1", run="run-1")
    answer = a_push(handlers=handlers).send(envelope(message), to=topic)
    assert (answer.status_code, answer.data) == (204, b"")
    assert seen == [(topic, message)]


def test_the_step_happens_in_the_trace_of_its_recording() -> None:
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    push = a_push(lambda _: push.world.log.emit("step"))
    attributes = {"traceparent": traceparent, "job_id": "video-1"}
    push.send(envelope(attributes=attributes))
    traces = {name: fields.get("traceparent") for name, fields in push.world.log.events}
    assert traces["step"] == traces["push.done"] == traceparent
    assert traces["http.request"] != traceparent


def test_what_was_done_is_told_with_job_topic_and_attempt() -> None:
    push = a_push(lambda _: push.world.clock.advance(2.5))
    push.send(envelope(attempt=3))
    assert push.event("push.done") == {
        "job_id": "video-1",
        "topic": "transcode",
        "message_id": "1234",
        "delivery_attempt": 3,
        "duration_s": 2.5,
    }
    assert push.event("http.request")["job_id"] == "video-1"


@pytest.mark.parametrize("attempt", [None, "3", 1.5, True, [1]])
def test_an_attempt_that_is_not_counted_is_not_told(attempt: object) -> None:
    """Without a dead-letter policy, and by the emulator, none is."""
    push = a_push()
    assert push.send(envelope(attempt=attempt)).status_code == 204
    assert push.event("push.done")["delivery_attempt"] is None


@pytest.mark.parametrize("token", ["", "Bearer x.y.z", "a.good.token"])
def test_without_its_token_a_push_is_refused_before_it_is_read(token: str) -> None:
    push = a_push(lambda _: pytest.fail("nobody is let in"))
    answer = push.send(b"not looked at", token=token)
    assert_refused(answer, 401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert push.world.log.names() == ["push.refused", "http.request"]
    assert not token or token not in repr(push.world.log.events) + answer.text


def test_a_service_key_opens_no_push_endpoint() -> None:
    client = a_push(lambda _: pytest.fail("nobody is let in")).app.test_client()
    headers = {"X-API-Key": "a-service-key-of-others"}
    answer = client.post("/push/transcode", json=envelope(), headers=headers)
    assert answer.status_code == 401


def test_a_token_that_cannot_be_judged_now_is_no_wrong_token() -> None:
    def verify(_header: str | None) -> None:
        raise Unavailable("Google's certificates could not be fetched")

    push = a_push(lambda _: pytest.fail("nobody is let in"), verify=verify)
    assert_refused(push.send(envelope()), 503, "unavailable")


@pytest.mark.parametrize("error", [StaleMessage, LeaseHeld, LeaseLost, NotFound, WorkerLost])
def test_a_message_that_has_nothing_to_say_any_more_is_dropped(error: type[LecternError]) -> None:
    push = a_push(failing(error("void")))
    assert push.send(envelope()).status_code == 204
    assert push.event("message.void")["reason"] == error.code


@pytest.mark.parametrize(
    ("error", "retry_after", "reason"),
    [
        (Interrupted("told to stop"), "1", "not_done"),
        (Unavailable("the job store does not answer"), "5", "not_done"),
        (KeyError("a defect"), "30", "KeyError"),
    ],
)
def test_what_may_work_later_is_refused_so_that_it_comes_again(
    error: Exception, retry_after: str, reason: str
) -> None:
    push = a_push(failing(error))
    answer = push.send(envelope(attempt=2))
    assert_refused(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == retry_after
    told = push.event("push.again")
    assert (told["job_id"], told["topic"], told["delivery_attempt"], told["reason"]) == (
        "video-1", "transcode", 2, reason,
    )  # fmt: skip
    assert push.event("http.request")["code"] == "unavailable"
    assert "message.buried" not in push.world.log.names()
    assert push.send(envelope(attempt=3)).status_code == 204


@pytest.mark.parametrize("left_s", [0.05, 7.0])
def test_a_message_that_is_hardly_early_is_waited_for(left_s: float) -> None:
    """Clocks of instances differ; a callback's first pause is short, a sweep a minute away."""
    world = a_world()
    early = NotDue("not yet", due_at=world.clock.now() + left_s)
    push = a_push(failing(early), world=world)
    assert push.send(envelope()).status_code == 204
    assert push.paused == [pytest.approx(left_s)]
    assert "message.early" not in world.log.names()


def test_a_message_that_is_still_early_after_the_wait_comes_again() -> None:
    world = a_world()
    due_at = world.clock.now() + 1
    errors = NotDue("not yet", due_at=due_at), NotDue("not yet", due_at=due_at + 3)
    push = a_push(failing(*errors), world=world)
    assert push.send(envelope()).headers["Retry-After"] == "3"
    assert push.paused == [pytest.approx(1)]


def test_a_message_that_is_far_too_early_is_dropped() -> None:
    world = a_world()
    push = a_push(failing(NotDue("not yet", due_at=world.clock.now() + 60)), world=world)
    assert push.send(envelope()).status_code == 204
    assert push.paused == []
    assert push.event("message.early") == {
        "job_id": "video-1", "topic": "transcode", "due_in_s": 60.0,
    }  # fmt: skip


MALFORMED: Mapping[str, bytes | dict[str, Any]] = {
    "an empty body": b"",
    "no JSON": b"{",
    "no UTF-8": b"\xff\xfe\xff",
    "endless brackets": b"[" * 60_000,
    "no object": b"[1]",
    "no message": {"subscription": "s"},
    "a message that is no object": {"message": ["data"]},
    "no data": envelope(data=None),
    "data that is no text": envelope(data=5),
    "no base64": envelope(data="$" + base64.b64encode(MESSAGE.to_bytes()).decode()),
    "base64 beyond ASCII": envelope(data="é30="),
    "data that is no message": envelope(b"hello"),
    "an unknown version": envelope(MESSAGE.to_bytes().replace(b'"v":1', b'"v":2')),
    "an unknown topic": envelope(MESSAGE.to_bytes().replace(b"transcode", b"transport")),
    "an unknown field": envelope(MESSAGE.to_bytes().replace(b'"run"', b'"ran"')),
    "a message for another topic": envelope(
        Message(topic=Topic.DELIVER, job_id="video-1", run="run-1")
    ),
    "a message over its bound": envelope(MESSAGE.to_bytes() + b" " * 17_000),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_cannot_be_read_is_refused_each_time_and_told(name: str) -> None:
    """Only what is refused becomes a dead letter in the end; a 204 would lose it."""
    push = a_push(lambda _: pytest.fail("there is nothing to handle"))
    assert_refused(push.send(MALFORMED[name]), 400, "bad_request")
    told = push.event("push.malformed")
    assert told["topic"] == "transcode"
    assert told["reason"]
    if isinstance(MALFORMED[name], dict) and "deliveryAttempt" in MALFORMED[name]:
        assert (told["job_id"], told["message_id"], told["delivery_attempt"]) == (
            "video-1", "1234", 1,
        )  # fmt: skip


@pytest.mark.parametrize("attributes", [None, ["job_id"], {"job_id": 5}])
def test_attributes_that_are_none_do_no_harm(attributes: object) -> None:
    push = a_push()
    assert push.send(envelope(attributes=attributes)).status_code == 204
    assert push.event("http.request")["job_id"] == "video-1"
    assert push.send(envelope(b"hello", attributes=attributes)).status_code == 400


def test_an_id_in_the_log_is_cut_to_its_bound() -> None:
    push = a_push()
    push.send(envelope(b"hello", attributes={"job_id": "x" * 9000}, messageId="1" * 9000))
    told = push.event("push.malformed")
    assert (told["job_id"], told["message_id"]) == ("x" * 128, "1" * 128)


@pytest.mark.parametrize("announced", [True, False])
def test_an_envelope_over_its_bound_is_refused(*, announced: bool) -> None:
    push = a_push(lambda _: pytest.fail("there is nothing to handle"))
    body = json.dumps(envelope(padding="x" * 70_000)).encode()
    if announced:
        assert_refused(push.send(body), 413, "too_large")
        return
    answer = push.app.test_client().post(
        "/push/transcode",
        input_stream=BytesIO(body),
        headers={"Authorization": TOKEN},
        environ_overrides={
            "wsgi.input_terminated": True,
            "HTTP_TRANSFER_ENCODING": "chunked",
            "CONTENT_LENGTH": "",
        },
    )
    assert_refused(answer, 413, "too_large")


def test_a_cut_envelope_comes_again() -> None:
    body = json.dumps(envelope()).encode()
    answer = (
        a_push(lambda _: pytest.fail("there is nothing to handle"))
        .app.test_client()
        .post(
            "/push/transcode",
            input_stream=BytesIO(body[:-9]),
            headers={"Authorization": TOKEN},
            environ_overrides={"CONTENT_LENGTH": str(len(body))},
        )
    )
    assert_refused(answer, 400, "truncated_upload")


def test_a_topic_that_this_service_does_not_handle_is_refused() -> None:
    push = a_push(handlers={Topic.DELIVER: nothing})
    assert_refused(push.send(envelope()), 404, "not_found")


def test_a_topic_that_does_not_exist_is_not_open_to_anyone() -> None:
    assert a_push().send(envelope(), to="transport").status_code == 401


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_push_is_a_post(method: str) -> None:
    answer = a_push().app.test_client().open(
        "/push/transcode", method=method, headers={"Authorization": TOKEN}
    )  # fmt: skip
    assert answer.status_code == 405


@pytest.mark.parametrize("body", [envelope(attempt=DELIVERIES_MAX), envelope(b"hello", attempt=9)])
def test_the_last_delivery_of_a_message_is_told_as_its_burial(body: dict[str, Any]) -> None:
    push = a_push(failing(KeyError("a defect")))
    assert push.send(body).status_code in {400, 503}
    told = push.event("message.buried")
    assert (told["job_id"], told["topic"]) == ("video-1", "transcode")
    assert told["delivery_attempt"] == body["deliveryAttempt"]
    assert told["reason"] in {"KeyError", "bad_message"}
