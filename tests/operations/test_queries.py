"""Every query that an operator or an alert relies on, on lines that the services wrote."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from tests.operations import documents, expected
from tests.operations.conftest import Week
from tests.operations.entries import LogEntry
from tests.operations.language import parse

PAGE: Final = documents.blocks("logs")
SQL: Final = documents.blocks("sql")
COMMANDS: Final = documents.blocks("bash")
METRICS: Final = documents.metric_filters()
_SERVICES: Final = ("core", "receiver", "transcoder", "confirmer", "functions", "infra")
needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")


def find(week: Week, query: str) -> list[LogEntry]:
    """Return the entries that the query finds."""
    matches = parse(week.fill(query))
    return [entry for entry in week.entries if matches(entry)]


def by_event(entries: Iterable[LogEntry]) -> dict[str | None, Counter[str | None]]:
    """Return of which jobs there is how much of each event."""
    found: dict[str | None, Counter[str | None]] = defaultdict(Counter)
    for entry in entries:
        found[entry.event][entry.job_id] += 1
    return dict(found)


def counted(wanted: expected.Found) -> dict[str | None, Counter[str | None]]:
    """Return an expectation in the same form."""
    return {event: Counter(jobs) for event, jobs in wanted.items()}


# What they find
@pytest.mark.parametrize("name", sorted(PAGE.keys() | expected.PAGE.keys()))
def test_a_query_of_the_page_finds_what_it_must_and_nothing_else(week: Week, name: str) -> None:
    assert by_event(find(week, PAGE[name])) == counted(expected.PAGE[name])


@pytest.mark.parametrize("name", sorted(METRICS.keys() | expected.METRICS.keys()))
def test_a_filter_of_terraform_finds_what_it_must_and_nothing_else(week: Week, name: str) -> None:
    assert by_event(find(week, METRICS[name])) == counted(expected.METRICS[name])


def test_what_metrics_take_from_a_line_is_in_each_line_that_they_find(week: Week) -> None:
    for name, field in documents.metric_fields():
        found = find(week, METRICS[name])
        assert found, name
        assert [entry.event for entry in found if field not in (entry.payload or {})] == [], name


def test_what_alerts_show_of_a_line_is_written_by_somebody(week: Week) -> None:
    assert documents.extracted_by_alerts() <= fields_of(week.entries)


# What they name
def fields_of(entries: Iterable[LogEntry]) -> set[str]:
    """Return the names of all fields of the payloads."""
    return {name for entry in entries for name in entry.payload or {}}


def source() -> str:
    """Return the code of all services."""
    paths = (path for folder in _SERVICES for path in (documents.ROOT / folder).rglob("*.py"))
    return "\n".join(path.read_text("utf-8") for path in paths)


@pytest.mark.parametrize("text", [*PAGE.values(), *METRICS.values()], ids=[*PAGE, *METRICS])
def test_every_field_in_a_query_is_in_some_line(week: Week, text: str) -> None:
    assert set(re.findall(r"jsonPayload\.(\w+)", text)) <= fields_of(week.entries)


def test_every_event_in_a_query_is_played_or_at_least_in_the_code(week: Week) -> None:
    texts = "\n".join([*PAGE.values(), *METRICS.values(), *SQL.values(), *COMMANDS.values()])
    named = set(re.findall(r"""["']((?:[a-z_]+)\.[a-z_]+)["']""", texts))
    played = {entry.event for entry in week.entries}
    assert named - played == expected.NOT_PLAYED
    code = source()
    assert [event for event in expected.NOT_PLAYED if f'"{event}"' not in code] == []


@pytest.mark.parametrize("name", sorted(SQL))
def test_an_sql_statement_names_fields_that_the_lines_of_its_filter_have(
    week: Week, name: str
) -> None:
    """Each stands under a filter of the same name; the fields are those of the lines it finds."""
    text = SQL[name]
    known = fields_of(find(week, PAGE[name]))
    assert set(re.findall(r"JSON_VALUE\(json_payload\.(\w+)\)", text)) <= known
    assert text.count("json_payload") == text.count("JSON_VALUE(json_payload.")
    assert "\nFROM `PROJECT_ID.global._Default._AllLogs`\n" in text
    assert text.count("(") == text.count(")")


def test_the_page_has_an_sql_statement_for_every_question_that_asks_for_a_sum() -> None:
    assert SQL.keys() >= {
        "failing_callbacks",
        "slowest_encodes",
        "stuck_jobs",
        "cost_per_organization",
        "time_in_each_state",
    }


def test_every_alert_of_terraform_stands_in_the_pages_table() -> None:
    rows = set(re.findall(r"^\| ([^|]+) \|", documents.page(), re.MULTILINE))
    assert [title for title in documents.alert_titles() if title not in rows] == []


def test_every_link_inside_the_page_leads_somewhere() -> None:
    text = re.sub(r"^```.*?^```$", "", documents.page(), flags=re.DOTALL | re.MULTILINE)
    seen: Counter[str] = Counter()
    anchors = set[str]()
    for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        anchors.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) - anchors == set()


# What the lines promise
def test_one_trace_spans_receive_transcode_store_and_confirm(week: Week) -> None:
    trace = f"projects/test/traces/{week.traces['good']}"
    events = {
        (entry.service, entry.event) for entry in week.entries if entry.known.get("trace") == trace
    }
    assert events >= {
        ("lectern-receiver", "job.received"),
        ("lectern-transcoder", "job.encoded"),
        ("lectern-courier", "job.delivered"),
        ("lectern-confirmer", "job.confirmed"),
    }


def test_every_event_of_a_job_says_whose_it_is_and_how_it_stands(week: Week) -> None:
    wanted = {"job_id", "organization_id", "state", "duration_s", "attempt", "fence", "trace_id"}
    changes = [entry for entry in week.entries if (entry.event or "").startswith("job.")]
    assert len(changes) > 80
    for entry in changes:
        untraced = {"trace_id"} if entry.job_id == "direct" else set()
        assert wanted - untraced <= (entry.payload or {}).keys(), entry
        assert entry.labels["job_id"] == entry.job_id


# On one machine
@pytest.fixture
def log(week: Week, tmp_path: Path) -> Path:
    """The folder of a log file with the week's lines as they were written."""
    (tmp_path / "lectern.log").write_text("\n".join(week.lines) + "\n", "utf-8")
    return tmp_path


def run(week: Week, log: Path, name: str) -> list[str]:
    """Return the lines that one of the page's commands prints."""
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", week.fill(COMMANDS[name])],
        cwd=log,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@needs_jq
def test_jq_finds_the_same_of_a_video(week: Week, log: Path) -> None:
    assert len(run(week, log, "jq_what_happened")) == len(find(week, PAGE["what_happened"]))


@needs_jq
def test_jq_tells_which_callbacks_fail_and_why(week: Week, log: Path) -> None:
    assert run(week, log, "jq_failing_callbacks") == [
        "org-b\tflaky\t1\tanswered 500",
        "org-b\tflaky\t2\tanswered 503",
        "org-b\trefused\t1\tthe LMS answered 410: it no longer wants this recording",
    ]


@needs_jq
def test_jq_sorts_the_encodes(week: Week, log: Path) -> None:
    rows = [row.split("\t") for row in run(week, log, "jq_slowest_encodes")]
    assert {row[3] for row in rows} == set(expected.PAGE["slowest_encodes"]["job.encoded"])
    seconds = [float(row[0]) for row in rows]
    assert seconds == sorted(seconds, reverse=True)


@needs_jq
def test_jq_lists_stuck_jobs(week: Week, log: Path) -> None:
    jobs = Counter(row.split("\t")[2] for row in run(week, log, "jq_stuck_jobs"))
    assert jobs == Counter(expected.PAGE["stuck_jobs"]["job.woken"])


@needs_jq
def test_jq_adds_up_what_an_organization_costs(week: Week, log: Path) -> None:
    rows = [row.split("\t") for row in run(week, log, "jq_cost_per_organization")]
    assert [row[0] for row in rows] == ["org-a", "org-b"]
    for organization, seconds, taken, given in rows:
        own = [
            e.payload
            for e in week.entries
            if e.payload and e.payload.get("organization_id") == organization
        ]
        encoding = [p["state_before_s"] for p in own if p.get("state_before") == "processing"]
        assert float(seconds) == pytest.approx(sum(encoding))
        assert int(taken) == sum(p["source_bytes"] for p in own if p["event"] == "job.received")
        assert int(given) == sum(p["output_bytes"] for p in own if p["event"] == "job.delivered")


@needs_jq
def test_jq_shows_the_traceback_of_an_error(week: Week, log: Path) -> None:
    assert "RuntimeError: a defect" in run(week, log, "jq_error_by_id")


@needs_jq
def test_every_jq_command_of_the_page_is_tried_here() -> None:
    text = Path(__file__).read_text("utf-8")
    assert [name for name in COMMANDS if f'"{name}")' not in text] == []
