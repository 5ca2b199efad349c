"""The reader of lines, held to what Google writes about its agent."""

from __future__ import annotations

import json

from tests.operations.entries import LogEntry, read


def entry(**fields: object) -> LogEntry:
    """Return the entry of a JSON line."""
    return read("lectern-receiver", json.dumps(fields))


def test_special_fields_leave_the_payload() -> None:
    found = entry(
        **{
            "severity": "WARNING",
            "message": "job.retried",
            "event": "job.retried",
            "trace": "Traceback: a field of ours",
            "time": "2027-01-15T08:00:00Z",
            "httpRequest": {"status": 503},
            "logging.googleapis.com/trace": "projects/test/traces/abc",
            "logging.googleapis.com/spanId": "1",
            "logging.googleapis.com/trace_sampled": True,
            "logging.googleapis.com/labels": {"job_id": "video-1"},
            "logging.googleapis.com/sourceLocation": {"line": "1"},
        }
    )
    assert found.payload == {
        "message": "job.retried",
        "event": "job.retried",
        "trace": "Traceback: a field of ours",
    }
    assert found.labels == {"job_id": "video-1"}
    assert found.known == {
        "severity": "WARNING",
        "trace": "projects/test/traces/abc",
        "spanId": "1",
        "traceSampled": True,
        "sourceLocation": {"line": "1"},
        "httpRequest": {"status": 503},
        "timestamp": "2027-01-15T08:00:00Z",
    }


def test_a_message_with_nothing_beside_it_is_text() -> None:
    found = entry(severity="ERROR", message="a pool is full")
    assert found.payload is None
    assert found.known == {"severity": "ERROR", "textPayload": "a pool is full"}


def test_what_is_no_json_object_is_text_of_no_severity() -> None:
    for line in ("[notice] a worker", "17", '["x"]', '{"cut'):
        found = read("lectern-receiver", line)
        assert (found.payload, found.known) == (None, {"textPayload": line})


def test_a_severity_of_another_name_is_the_default() -> None:
    assert entry(severity="warn", event="x").known["severity"] == "DEFAULT"
    assert entry(severity="info", event="x").known["severity"] == "INFO"


def test_the_resource_names_the_service() -> None:
    assert entry(event="x").resource["labels"]["service_name"] == "lectern-receiver"
