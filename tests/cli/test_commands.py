"""The command line without a service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from core.events import Claimed, DeliveryRefused
from core.job import Failure, source_key
from infra import wiring
from infra.settings import load
from lectern.cli import main
from tests.conftest import make_clip
from tests.fakes import an_encoded, an_upload, put
from tests.service.harness import ROOT, until


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every command a data folder of its own and a wide terminal."""
    folder = tmp_path / "data"
    monkeypatch.setenv("LECTERN_DATA_DIR", str(folder))
    monkeypatch.setenv("MIN_FREE_BYTES", "0")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    return folder


def lectern(*arguments: str | Path) -> Result:
    """Run one command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def store_failed_job(folder: Path) -> None:
    """Leave a job behind whose LMS refused the result."""
    ledger = wiring.connect(load({"lectern_data_dir": folder})).ledger
    put(ledger.objects, source_key("run-1"), b"a recording")
    ledger.receive(an_upload("video-1", run="run-1"))
    ledger.apply("video-1", Claimed())
    put(ledger.objects, "outputs/run-1/1.mp4", b"a result")
    ledger.apply("video-1", an_encoded("run-1", 1))
    ledger.apply("video-1", Claimed())
    failure = Failure(code="store_gone", reason="the LMS answered 410")
    ledger.apply("video-1", DeliveryRefused(fence=2, failure=failure))


def test_compress_makes_a_small_file_beside_its_source(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "small.mp4"
    done = lectern("compress", clip, "-o", output)
    assert done.exit_code == 0, done.output
    assert 0 < output.stat().st_size < clip.stat().st_size
    assert "% saved" in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.mp4"]


def test_compress_replaces_nothing_unless_it_is_told_to(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "small.mp4"
    output.write_bytes(b"precious")
    refused = lectern("compress", clip, "-o", output)
    assert (refused.exit_code, output.read_bytes()) == (1, b"precious")
    assert "--force" in refused.output
    assert lectern("compress", clip, "-o", output, "--force").exit_code == 0
    assert output.read_bytes() != b"precious"


def test_compress_says_in_one_line_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    bad = tmp_path / "notes.mp4"
    bad.write_text("these are no moving pictures")
    done = lectern("compress", bad)
    assert done.exit_code == 1
    words = "lectern: unreadable_media: whatever its name, the file is not what is taken: MP4, MOV"
    assert done.output.splitlines()[-1].startswith(words)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.mp4"]


def test_ctrl_c_during_compress_leaves_nothing_behind(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "long.mp4", seconds=15, size="1280x720", rate=30)
    process = subprocess.Popen(
        [sys.executable, "-m", "lectern", "compress", "--preset", "lecture", str(source)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    with process.stderr:
        until(lambda: list(tmp_path.glob(".lectern-*/output-*")), "an encode under way")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 1, process.stderr.read()
    assert [path.name for path in tmp_path.iterdir()] == ["long.mp4"]


def test_doctor_finds_this_machine_well() -> None:
    done = lectern("doctor")
    assert done.exit_code == 0, done.output
    for thing in ("Python", "FFmpeg", "libx264", "fences", "ready: store", "ready: ffmpeg"):
        assert thing in done.output


def test_doctor_says_how_to_cure_a_missing_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LECTERN_FFMPEG", "/nowhere/ffmpeg")
    done = lectern("doctor")
    assert done.exit_code == 1
    assert "LECTERN_FFMPEG: /nowhere/ffmpeg is no executable file" in done.output


def test_jobs_and_job_show_what_is_known(data: Path) -> None:
    store_failed_job(data)
    listed = lectern("jobs")
    assert "video-1" in listed.output
    assert "store_failed" in listed.output
    shown = lectern("job", "video-1")
    for words in ("store_gone", "the LMS answered 410", "DeliveryRefused", "1280x720", "msg_run-1"):
        assert words in shown.output
    as_json = json.loads(lectern("job", "video-1", "--json").output)
    assert as_json["failure"] == {"code": "store_gone", "reason": "the LMS answered 410"}
    (line,) = lectern("jobs", "--json", "--state", "store_failed").output.splitlines()
    assert json.loads(line)["video_id"] == "video-1"


def test_redeliver_leads_a_refused_job_back_to_storing(data: Path) -> None:
    store_failed_job(data)
    done = lectern("redeliver", "video-1")
    assert done.exit_code == 0
    assert "storing" in done.output
    again = wiring.connect(load({"lectern_data_dir": data})).ledger.read("video-1")
    assert (again.state, again.failure) == ("storing", None)


@pytest.mark.parametrize("command", ["job", "redeliver"])
def test_an_unknown_id_is_one_line_and_status_one(command: str) -> None:
    done = lectern(command, "nobody")
    assert done.exit_code == 1
    assert done.output.startswith("lectern: not_found: there is no job nobody")


def test_an_unknown_state_is_one_line_that_lists_the_known_ones() -> None:
    done = lectern("jobs", "--state", "asleep")
    assert done.exit_code != 0
    assert "asleep" in done.output
    assert "store_failed" in done.output


def test_sweep_tells_what_it_did(data: Path) -> None:
    store_failed_job(data)
    done = lectern("sweep")
    assert done.exit_code == 0
    assert done.output == (
        "0 jobs looked at; removed: 0 orphans, 0 unfinished uploads, 0 folders of lost workers.\n"
    )
