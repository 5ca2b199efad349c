"""What travels on the bus can be read again, and nothing else can."""

from __future__ import annotations

import json

import pytest

from core import limits
from core.errors import BadMessage
from core.messages import VERSION, Message, Topic

MESSAGE = Message(topic=Topic.DELIVER, job_id="course-v1:Uni+A@2026", run="run-1")
FIELDS = {"v": VERSION, "topic": "deliver", "job_id": "one", "run": "run-1"}


def but(**changes: object) -> bytes:
    """Return a message that is right but for `changes`."""
    return json.dumps({**FIELDS, **changes}).encode()


def without(name: str) -> bytes:
    """Return a message that lacks a field."""
    return json.dumps({key: value for key, value in FIELDS.items() if key != name}).encode()


@pytest.mark.parametrize("topic", Topic)
def test_a_message_comes_back_as_it_was(topic: Topic) -> None:
    message = Message(topic=topic, job_id=MESSAGE.job_id, run=MESSAGE.run)
    read = Message.from_bytes(message.to_bytes())
    assert read == message
    assert read.topic is topic


def test_a_message_travels_as_small_json_with_its_version() -> None:
    assert json.loads(MESSAGE.to_bytes()) == {
        "v": 1,
        "topic": "deliver",
        "job_id": "course-v1:Uni+A@2026",
        "run": "run-1",
    }
    longest = Message(topic=Topic.TRANSCODE, job_id="x" * limits.ID_CHARS_MAX, run="r" * 36)
    assert len(longest.to_bytes()) < limits.MESSAGE_BYTES_MAX


def test_the_sample_itself_is_right() -> None:
    assert Message.from_bytes(but()) == Message(topic=Topic.DELIVER, job_id="one", run="run-1")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b"null",
        b"1",
        b'"text"',
        b"[]",
        b"{}",
        without("v"),
        without("topic"),
        without("job_id"),
        without("run"),
        but(v=VERSION + 1),
        but(v=str(VERSION)),
        but(v=None),
        but(topic="elsewhere"),
        but(topic=None),
        but(job_id=7),
        but(job_id=None),
        but(run=["run-1"]),
        but(extra="field"),
        but(job_id="x" * limits.MESSAGE_BYTES_MAX),
    ],
    ids=lambda data: data[:40].decode(errors="replace") or "empty",
)
def test_anything_else_is_a_bad_message(data: bytes) -> None:
    with pytest.raises(BadMessage):
        Message.from_bytes(data)


@pytest.mark.parametrize("data", [b"[" * 16_000, b'{"v":' * 3_000], ids=["lists", "objects"])
def test_deep_nesting_is_a_bad_message(data: bytes) -> None:
    assert len(data) <= limits.MESSAGE_BYTES_MAX
    with pytest.raises(BadMessage):
        Message.from_bytes(data)


@pytest.mark.parametrize("version", [True, 1.0])
def test_a_version_is_a_whole_number(version: object) -> None:
    with pytest.raises(BadMessage):
        Message.from_bytes(but(v=version))
