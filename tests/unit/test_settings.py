"""Settings out of the environment, secrets that make themselves, and events as lines."""

from __future__ import annotations

import json
import logging
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from core.keys import KeyRing
from core.transitions import TRANSITIONS
from infra import wiring
from infra.embedded import secrets
from infra.logging import _ERRORS, _WARNINGS, StructuredLog, configure
from infra.settings import SettingsError, load

KEYS = "first-key-0123456789, second-key-0123456789"


@pytest.fixture
def root_logger() -> Iterator[None]:
    """Put the logging back as it was."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:], root.level = before


def test_several_keys_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERNAL_SERVICE_KEY", KEYS)
    assert wiring.service_keys(load()) == ("first-key-0123456789", "second-key-0123456789")


def test_settings_never_show_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERNAL_SERVICE_KEY", KEYS)
    monkeypatch.setenv("WEBHOOK_SECRET", "a-secret-of-the-lms")
    shown = repr(load())
    assert "first-key" not in shown
    assert "a-secret" not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "99999"),
        ("MAX_RETRIES", "often"),
        ("LEASE_S", "0"),
        ("LMS_STORE_URL", "lms.example"),
        ("LMS_STORE_URL", "http://lms:99999/store"),
        ("LMS_STORE_URL", "http://l ms/store"),
        ("WEBHOOK_SECRET", "whsec_%%%"),
        ("KEEP_RECORD_S", "inf"),
        ("CONFIRM_TTL_S", "nan"),
        ("MAX_UPLOADS_AT_ONCE", "1000"),
        ("LOG_FORMAT", "xml"),
        ("UPLOAD_ORIGIN", "https://lms.example.org/page"),
        ("UPLOAD_ORIGIN", "*"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"^{name}: [^\n]+$"):
        load()


def test_the_service_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    key = secrets.service_key(tmp_path)
    assert secrets.service_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / "service-key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["service-key"]


@pytest.mark.usefixtures("root_logger")
def test_an_event_is_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure(style="json", level="INFO")
    StructuredLog().emit("job.failed", job_id="video-1", note=None, duration_s=1.5)
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["severity"], line["job_id"]) == ("job.failed", "ERROR", "video-1")
    assert line["duration_s"] == 1.5
    assert "note" not in line
    assert line["time"].endswith("+00:00")


@pytest.mark.usefixtures("root_logger")
def test_a_person_gets_short_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure(style="text", level="INFO")
    StructuredLog().emit("job.storing", job_id="video-1", state="storing", fence=3)
    out = capsys.readouterr().out
    assert "job.storing" in out
    assert "video-1" in out
    assert "{" not in out


def test_every_event_that_has_a_level_is_one_that_is_emitted() -> None:
    """A name that is spelled differently here would be logged at INFO, where nobody looks."""
    product = ("core", "receiver", "confirmer", "transcoder", "functions", "infra", "lectern")
    root = Path(__file__).resolve().parents[2]
    text = "".join(p.read_text() for name in product for p in (root / name).rglob("*.py"))
    emitted = set(re.findall(r'\._?emit\(\s*"([a-z_.]+)"', text))
    emitted |= {
        f"job.{name.lower()}" for kinds in TRANSITIONS.values() for name in map(_name, kinds)
    }
    assert sorted((_WARNINGS | _ERRORS) - emitted) == []


@pytest.mark.usefixtures("root_logger")
def test_a_person_sees_the_trace_of_a_defect(capsys: pytest.CaptureFixture[str]) -> None:
    configure(style="text", level="ERROR")
    StructuredLog().emit("http.internal_error", error_id="abc123", trace="Traceback: boom")
    out = capsys.readouterr().out
    assert "error_id=abc123" in out
    assert "Traceback: boom" in out


def _name(kind: type) -> str:
    return kind.__name__


CLOUD = {
    "LECTERN_BACKEND": "gcp",
    "GOOGLE_CLOUD_PROJECT": "a-project",
    "LECTERN_BUCKET": "a-bucket",
    "PUSH_AUDIENCE": "an-audience",
    "PUSH_SERVICE_ACCOUNT": "push@example.org",
    "PORT": "0",
}
SIGNING = {"WEBHOOK_SECRET": "whsec_bGVjdGVybi1leGFtcGxlLXNlY3JldC0wMDE="}
OPENING = {"INTERNAL_SERVICE_KEY": "a-key-of-the-lms-0123456789"}


@pytest.mark.parametrize(
    ("service", "has", "lacks"),
    [
        ("receiver", SIGNING, "INTERNAL_SERVICE_KEY"),
        ("receiver", {**OPENING, "PUBLIC_URL": "https://lectern.example"}, "WEBHOOK_SECRET"),
        ("confirmer", SIGNING, "INTERNAL_SERVICE_KEY"),
        ("transcoder", OPENING, "WEBHOOK_SECRET"),
        ("transcoder", {**OPENING, "PUSH_STEPS": "deliver"}, "WEBHOOK_SECRET"),
    ],
)
def test_a_service_of_a_deployment_does_not_start_without_its_own_secret(
    service: str, has: Mapping[str, str], lacks: str
) -> None:
    """One line, before it listens: several instances cannot each make one up."""
    done = subprocess.run(
        [sys.executable, "-m", service],
        env={"PATH": os.environ["PATH"], **CLOUD, **has},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = f"{service}: {lacks} is required with LECTERN_BACKEND=gcp\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_what_a_service_does_not_hold_it_cannot_use() -> None:
    """No key admits anybody, no set has a URL, and nothing is delivered without a signature."""
    settings = load(
        {
            "lectern_backend": "gcp",
            "google_cloud_project": "a-project",
            "lectern_bucket": "a-bucket",
            "public_url": "https://lectern.example",
        }
    )
    assert not KeyRing(wiring.service_keys(settings)).admits("")
    assert wiring.links(settings) is None
    with pytest.raises(SettingsError, match=r"^WEBHOOK_SECRET is required"):
        wiring.courier(settings)
