"""The set in a real browser: H.264 and AAC through Media Source Extensions."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.ladder.browser import browser, opened, served
from tests.ladder.conftest import Made

PLAYER = Path(__file__).with_name("player.html")


def test_a_browser_plays_the_set_and_changes_the_rendition_with_every_segment(
    small_set: Made, tmp_path: Path
) -> None:
    """All frames are shown, none is damaged, nothing is missing between two segments."""
    browser()
    shutil.copyfile(PLAYER, tmp_path / "player.html")
    (tmp_path / "set").symlink_to(small_set.path)
    with served(tmp_path) as (url, answers):
        found = opened(f"{url}/player.html?rate=4", answers)
    assert "error" not in found, found
    assert (found["frames"], found["corrupted"]) == (160, 0)
    assert sorted(found["sizes"]) == ["256x144", "426x240", "640x360"]
    assert found["begun"] < 0.5
    assert found["ended"] == pytest.approx(6.4, abs=0.05)
    assert found["duration"] == pytest.approx(found["said"], abs=0.05)
    assert found["buffered"]["video"] == [[pytest.approx(0), pytest.approx(6.4, abs=0.01)]]
    ((start, end),) = found["buffered"]["audio"]
    assert start == pytest.approx(0.3, abs=0.05)
    assert end == pytest.approx(6.4, abs=0.05)
