"""Emulators are shared by those who use them, and gone with the last one."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.gcp import emulators, keeper

WAIT_S = 20.0


def test_the_emulator_lives_as_long_as_somebody_holds_the_lock(tmp_path: Path) -> None:
    users, state = tmp_path / "users", tmp_path / "host"
    state.write_text("127.0.0.1:1")
    pid = tmp_path / "pid"
    script = f"import os, time, pathlib; pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))"
    with users.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        command = [sys.executable, "-c", f"{script}; time.sleep(600)"]
        files = [str(users), str(state), str(tmp_path / "log")]
        process = subprocess.Popen([sys.executable, keeper.__file__, *files, *command])
        until(lambda: pid.exists() and bool(pid.read_text()))
        assert process.poll() is None
        emulator = psutil.Process(int(pid.read_text()))
        assert emulator.is_running()
    process.wait(WAIT_S)
    assert not state.exists()
    assert not emulator.is_running()


def test_where_there_is_none_the_test_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere(tmp_path, monkeypatch)
    monkeypatch.delenv("LECTERN_REQUIRE_EMULATORS", raising=False)
    with (
        pytest.raises(pytest.skip.Exception, match="FIRESTORE_EMULATOR_HOST"),
        emulators.running(emulators.FIRESTORE, tmp_path),
    ):
        pass


def test_where_one_is_required_its_absence_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere(tmp_path, monkeypatch)
    monkeypatch.setenv("LECTERN_REQUIRE_EMULATORS", "1")
    with (
        pytest.raises(pytest.fail.Exception, match="PUBSUB_EMULATOR_HOST"),
        emulators.running(emulators.PUBSUB, tmp_path),
    ):
        pass


def test_an_emulator_that_runs_elsewhere_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "emulators:8085")
    with emulators.running(emulators.PUBSUB, tmp_path) as host:
        assert host == "emulators:8085"


def nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide every emulator."""
    monkeypatch.setenv("PATH", str(folder))
    for emulator in (emulators.FIRESTORE, emulators.PUBSUB):
        monkeypatch.delenv(emulator.variable, raising=False)


def until(condition: object) -> None:
    """Wait until `condition()`; fails after a while."""
    assert callable(condition)
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
