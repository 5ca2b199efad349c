"""Fixtures: the lines of a bad week, written once for all tests."""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.operations.documents import ROOT
from tests.operations.entries import LogEntry, read

_PLAY_S: Final = 180.0

try:
    importlib.import_module("functions_framework")
    importlib.import_module("google.cloud.logging_v2")
except ImportError:
    if os.environ.get("LECTERN_REQUIRE_EMULATORS"):
        raise
    collect_ignore_glob = ["test_queries.py"]  # installed without the `gcp` extra


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """What was written: raw lines, and as entries; and what cannot be known beforehand."""

    lines: Sequence[str]
    entries: Sequence[LogEntry]
    traces: dict[str, str]
    error_id: str

    def fill(self, query: str) -> str:
        """Put values in for the words in capitals."""
        return (
            query.replace("VIDEO_ID", "flaky")
            .replace("TRACE_ID", self.traces["flaky"])
            .replace("PROJECT_ID", "test")
            .replace("ERROR_ID", self.error_id)
        )


@pytest.fixture(scope="session")
def week(tmp_path_factory: pytest.TempPathFactory) -> Week:
    """Read what the scenes wrote; the first of the test processes that needs it plays them."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "week"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "facts.json").exists():
            _play(folder)
    text = (folder / "lines.jsonl").read_text("utf-8")
    written = [json.loads(line) for line in text.splitlines()]
    facts = json.loads((folder / "facts.json").read_text("utf-8"))
    return Week(
        lines=[each["line"] for each in written],
        entries=[read(each["service"], each["line"]) for each in written],
        traces=facts["traces"],
        error_id=facts["errors"]["defect"],
    )


def _play(folder: Path) -> None:
    """Play the scenes in a process of their own."""
    from tests.operations.scenes import environment  # noqa: PLC0415 - needs the `gcp` extra

    done = subprocess.run(
        [sys.executable, "-m", "tests.operations.scenes", str(folder)],
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=_PLAY_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
