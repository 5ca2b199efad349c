"""The lines that services write: what Cloud Logging and people find in them."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from infra.logging import StructuredLog, configure

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
Style = Literal["auto", "json", "text"]


class Lines:
    """What has been written to stdout since logging was set up."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self._lines: list[str] = []

    def text(self) -> list[str]:
        """Return the lines as they are, without that of Google's library about itself."""
        self._lines += self._capture.readouterr().out.splitlines()
        return [line for line in self._lines if "logging.googleapis.com/diagnostic" not in line]

    def last(self) -> dict[str, Any]:
        """Return the last line, parsed."""
        line: dict[str, Any] = json.loads(self.text()[-1])
        return line


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """Catch stdout, and put logging back as it was."""
    root, own = logging.getLogger(), logging.getLogger("lectern")
    before = root.handlers[:], root.level, own.level
    yield Lines(capsys)
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])


def set_up(project: str | None) -> StructuredLog:
    """Write JSON, for Cloud Logging where there is a project."""
    if project is not None:
        pytest.importorskip("google.cloud.logging_v2", reason="installed without the gcp extra")
    configure(style="json", level="INFO", cloud_project=project)
    return StructuredLog()


@pytest.mark.parametrize("project", [None, "my-project"])
def test_an_event_has_the_same_fields_everywhere(lines: Lines, project: str | None) -> None:
    """A query that works on a laptop's log works on Cloud Logging's payload."""
    set_up(project).emit("job.failed", job_id="lecture-1", organization_id="uni-1", attempt=2)
    line = lines.last()
    fields = {name: line[name] for name in ("event", "job_id", "organization_id", "attempt")}
    assert fields == {
        "event": "job.failed", "job_id": "lecture-1", "organization_id": "uni-1", "attempt": 2
    }  # fmt: skip
    assert line["severity"] == "ERROR"


def test_cloud_logging_finds_trace_span_labels_and_place(lines: Lines) -> None:
    """The names are those of structured logging on Cloud Run."""
    set_up("my-project").emit("job.stored", job_id="lecture-1", traceparent=TRACEPARENT)
    line = lines.last()
    assert line["logging.googleapis.com/trace"] == f"projects/my-project/traces/{TRACE}"
    assert line["logging.googleapis.com/spanId"] == SPAN
    assert line["logging.googleapis.com/trace_sampled"] is True
    assert line["logging.googleapis.com/labels"]["job_id"] == "lecture-1"
    assert line["logging.googleapis.com/sourceLocation"]["file"] == __file__
    assert line["trace_id"] == TRACE
    assert "traceparent" not in line


def test_a_message_that_looks_like_a_field_stays_one(lines: Lines) -> None:
    """Nothing that a caller sends can make up a severity or a second line."""
    evil = 'x\n{"severity":"ERROR"}'
    set_up("my-project").emit("http.unavailable", reason=evil, severity="EMERGENCY")
    (line,) = map(json.loads, lines.text())
    assert line["severity"] == "WARNING"
    assert line["reason"] == evil


@pytest.mark.parametrize("project", [None, "my-project"])
def test_bound_fields_reach_every_event_of_the_block(lines: Lines, project: str | None) -> None:
    """Inner blocks add to outer ones, an event's own field wins, and the end is the end."""
    log = set_up(project)
    with log.bind(job_id="outer", traceparent=TRACEPARENT), log.bind(attempt=3):
        log.emit("one", job_id="own")
        line = lines.last()
        assert (line["job_id"], line["attempt"], line["trace_id"]) == ("own", 3, TRACE)
    log.emit("two")
    assert "job_id" not in lines.last()
    assert "trace_id" not in lines.last()


def test_what_one_thread_binds_no_other_sees(lines: Lines) -> None:
    """Requests that are served at the same time do not mix."""
    log = set_up(None)
    with log.bind(job_id="mine"):
        other = threading.Thread(target=log.emit, args=("elsewhere",))
        other.start()
        other.join()
    assert "job_id" not in lines.last()


def test_text_is_for_people(lines: Lines) -> None:
    """A trace id helps nobody at a terminal."""
    configure(style="text", level="INFO")
    StructuredLog().emit("job.stored", job_id="lecture-1", traceparent=TRACEPARENT, attempt=1)
    (line,) = lines.text()
    assert "job.stored" in line
    assert "lecture-1" in line
    assert "attempt=1" in line
    assert TRACE not in line


def test_a_warning_of_a_library_is_a_line_of_the_same_form(lines: Lines) -> None:
    """Also what is not an event can be parsed."""
    set_up("my-project")
    logging.getLogger("urllib3").warning("Retrying (%s)", "x")
    assert (lines.last()["message"], lines.last()["severity"]) == ("Retrying (x)", "WARNING")
