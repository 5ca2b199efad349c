"""Secrets that the embedded service makes for itself survive what a first start may meet."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from infra.embedded import secrets

STARTERS = 4


def test_a_secret_is_on_the_disk_before_anybody_is_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First what the file holds, then its name."""
    path = tmp_path / "service-key"
    synced: list[tuple[str, bool]] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        found = os.fstat(handle)
        kind = "folder" if stat.S_ISDIR(found.st_mode) else f"file of {found.st_size} bytes"
        synced.append((kind, path.exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    key = secrets.service_key(tmp_path)
    assert synced == [(f"file of {len(key)} bytes", False), ("folder", True)]


@pytest.mark.parametrize("left", ["", "\n"])
def test_an_empty_file_is_no_secret_and_is_made_anew(tmp_path: Path, left: str) -> None:
    """As a power cut may leave it; an empty key would let nobody in, or everybody."""
    path = tmp_path / "webhook-secret"
    path.write_text(left)
    secret = secrets.webhook_secret(tmp_path)
    assert secret.startswith("whsec_")
    assert secrets.webhook_secret(tmp_path) == path.read_text() == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["webhook-secret"]


@pytest.mark.parametrize("left", [None, ""])
def test_processes_that_start_together_agree_on_one(tmp_path: Path, left: str | None) -> None:
    for turn in range(20):
        folder = tmp_path / str(turn)
        folder.mkdir()
        if left is not None:
            (folder / "service-key").write_text(left)
        together = Barrier(STARTERS)

        def start(folder: Path = folder, together: Barrier = together) -> str:
            together.wait()
            return secrets.service_key(folder)

        with ThreadPoolExecutor(STARTERS) as pool:
            told = {one.result() for one in [pool.submit(start) for _ in range(STARTERS)]}
        assert told == {(folder / "service-key").read_text()}
