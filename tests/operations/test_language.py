"""The evaluator itself, so that a query that it lets pass means something."""

from __future__ import annotations

import pytest

from tests.operations.entries import LogEntry
from tests.operations.language import UnknownSyntax, parse

ENTRY = LogEntry(
    service="lectern-courier",
    payload={
        "event": "job.deliverydeferred",
        "attempt": 3,
        "duration_s": 2.5,
        "reason": "Answered 500",
        "more": False,
        "inner": {"deep": "x"},
    },
    labels={"job_id": "video-1"},
    known={
        "severity": "WARNING",
        "trace": "projects/test/traces/abc",
        "timestamp": "2027-01-15T08:00:00Z",
        "httpRequest": {"status": 503},
    },
)
TEXT = LogEntry(service="lectern-receiver", payload=None, known={"textPayload": "Booting worker 7"})


@pytest.mark.parametrize(
    "query",
    [
        'jsonPayload.event="job.deliverydeferred"',
        'jsonPayload.event = "JOB.DeliveryDeferred"',
        "jsonPayload.attempt=3",
        'jsonPayload.attempt="3"',
        "jsonPayload.attempt>=3 AND jsonPayload.attempt<=3",
        "jsonPayload.duration_s>2 AND jsonPayload.duration_s<2.6",
        "jsonPayload.more=false",
        'jsonPayload.inner.deep="x"',
        'jsonPayload.event!="job.failed"',
        'jsonPayload.event:"DEFERRED"',
        "jsonPayload.attempt:*",
        "jsonPayload.more:*",
        'jsonPayload.reason=~"500$"',
        'jsonPayload.reason!~"^answered"',
        'jsonPayload.event=("job.failed" OR "job.deliverydeferred")',
        'jsonPayload.reason=~("^X" OR "^Answered")',
        'labels.job_id="video-1"',
        "severity=warning",
        "severity>=WARNING AND severity<ERROR",
        'trace="projects/test/traces/abc"',
        "trace:*",
        'resource.type="cloud_run_revision"',
        'resource.labels.service_name=~"^lectern-"',
        "httpRequest.status>=500",
        'timestamp>="2027-01-15T08:00:00Z"',
        'NOT jsonPayload.event="job.failed"',
        "NOT jsonPayload.nothing:*",
        "(severity=ERROR OR severity=WARNING) AND (jsonPayload.attempt=3 AND labels.job_id:*)",
        'NOT (severity=ERROR OR jsonPayload.nothing!="x")',
        "severity=WARNING -- a comment AND severity=ERROR\nAND jsonPayload.attempt=3",
        'textPayload=""',
    ],
)
def test_it_matches(query: str) -> None:
    assert parse(query)(ENTRY)


@pytest.mark.parametrize(
    "query",
    [
        'jsonPayload.event="job.deliverydeferre"',
        "jsonPayload.attempt>3",
        'jsonPayload.attempt="three"',
        "jsonPayload.nothing=3",
        "jsonPayload.nothing!=3",
        "jsonPayload.nothing<3",
        'jsonPayload.nothing!~"x"',
        "jsonPayload.reason>3",
        'labels.nothing!="x"',
        'jsonPayload.reason=~"^answered"',
        'jsonPayload.event=("job.failed" OR "job.poisoned")',
        "severity>=ERROR",
        "severity<WARNING",
        'timestamp>"2027-01-15T08:00:00Z"',
        'resource.labels.service_name="lectern"',
        "NOT severity=WARNING",
        "severity=WARNING AND severity=ERROR",
        'textPayload:"x"',
    ],
)
def test_it_does_not_match(query: str) -> None:
    assert not parse(query)(ENTRY)


def test_a_line_of_text_has_no_payload_and_the_default_severity() -> None:
    assert parse('textPayload:"booting" AND severity=DEFAULT')(TEXT)
    assert not parse("jsonPayload.event:*")(TEXT)
    assert not parse('jsonPayload.event!="job.failed"')(TEXT)
    assert not parse("trace:*")(TEXT)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "severity",
        '"job.failed"',
        "severity=",
        "severity=ERROR OR",
        "severity=ERROR jsonPayload.attempt=3",
        "severity=ERROR and jsonPayload.attempt=3",
        "severity=ERROR AND jsonPayload.attempt=3 OR jsonPayload.attempt=4",
        "(severity=ERROR",
        "severity=ERROR)",
        "severity=(ERROR AND WARNING)",
        "severity=(ERROR WARNING)",
        "severity=WARN",
        "severity>=LOUD",
        "event=x",
        "jsonPayload=x",
        "json_payload.event=x",
        "resource.service_name=x",
        'jsonPayload.attempt>"many"',
        "jsonPayload.reason=~500",
        'jsonPayload.reason=~"(?=x)"',
        'SEARCH("x")',
        "jsonPayload.event='x'",
        "-severity=ERROR",
        "AND severity=ERROR",
        'jsonPayload.event=="x"',
    ],
)
def test_what_it_does_not_know_is_refused(query: str) -> None:
    with pytest.raises(UnknownSyntax):
        parse(query)(ENTRY)
