"""An encode that gets on is seen to get on, however late one of its outputs begins."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import Interrupted
from core.ladder import ladder_plan
from core.media import Container
from core.presets import LECTURE, Speed
from infra import ffmpeg
from tests.ladder.conftest import SMALL, Heard, Made, Studio
from transcoder.compress import Toolbox, compress
from transcoder.encoder import EncoderProgress
from transcoder.ladder import joining
from transcoder.ladder.command import AUDIO
from transcoder.ladder.make import SET, shop_in


def test_progress_moves_long_before_the_first_sheet_is_full(small_set: Made) -> None:
    """The only sheet of a short recording is written at its end; till then FFmpeg says nothing."""
    moved = [percent for percent in small_set.heard.percents if percent > 2]
    assert moved[0] < 20
    assert len([percent for percent in moved if percent < 90]) > 5


def test_progress_comes_while_the_encode_goes_on(small_set: Made, studio: Studio) -> None:
    """Who listens can call it off in its first half; at its end nothing of that is true."""
    heard = Heard()
    with pytest.raises(Interrupted):
        studio.make(
            small_set.source, heard=heard, stop=lambda: 2 < max(heard.percents, default=0) < 50
        )
    assert heard.percents[-1] < 50


def test_joining_tells_how_far_it_is(small_set: Made, tmp_path: Path) -> None:
    """Sheets of a long recording are as far apart there, and nothing else takes time."""
    (tmp_path / "joined.mp4").write_bytes(small_set.source.read_bytes())
    (tmp_path / SET / AUDIO).mkdir(parents=True)
    toolbox = Toolbox(ffmpeg=ffmpeg.find(), python=sys.executable)
    shop = shop_in(tmp_path, toolbox, time.monotonic() + 60, Heard(), lambda: False)
    plan = ladder_plan(shop.probe("joined.mp4", Container.MP4), SMALL)
    shares: list[float] = []
    shop.program(
        joining._command(shop.ffmpeg, plan, "joined.mp4"),
        file_max=plan.file_max,
        progress=EncoderProgress(duration_s=plan.duration_s, report=shares.append),
    )
    assert shares == sorted(shares)
    assert shares[0] < 0.2
    assert len([share for share in shares if share < 0.9]) > 5


def test_an_encode_whose_sound_sets_in_late_tells_how_far_it_is(studio: Studio) -> None:
    """Here in the last second of nine: the file that is written begins with both."""
    source = studio.render(
        "late.mp4",
        *("-f", "lavfi", "-i", "testsrc2=s=256x144:r=25:d=9", "-itsoffset", "8"),
        *("-f", "lavfi", "-i", "sine=f=440:d=1", "-c:v", "libx264", "-preset", "ultrafast"),
        *("-pix_fmt", "yuv420p", "-crf", "12", "-c:a", "aac"),
    )
    heard, work = Heard(), studio.folder / "work"
    work.mkdir()
    shutil.copyfile(source, work / "source")
    compress(
        work / "source",
        work,
        preset=replace(LECTURE, speed=Speed.ULTRAFAST, audio_copy_rate_max=0),
        toolbox=Toolbox(ffmpeg=ffmpeg.find(), python=sys.executable),
        budget_s=60,
        progress=heard,
        stop=lambda: False,
    )
    moved = [percent for percent in heard.percents if percent > 2]
    assert heard.percents == sorted(heard.percents)
    assert moved[0] < 20


def test_the_further_of_two_clocks_counts() -> None:
    """What FFmpeg has read and what it has written are told on one line each."""
    shares: list[float] = []
    heard = EncoderProgress(duration_s=10.0, report=shares.append)
    heard.feed(b"seen_s=2.5\nout_time_us=1000000\nseen_s=0.5\nseen_s=4\nout_time_us=5000000\n")
    assert shares == [0.25, 0.25, 0.25, 0.4, 0.5]


@pytest.mark.parametrize("word", ["", "-", "nan", "inf", "-1", "1e999", "0x10", "N/A"])
def test_what_is_no_time_moves_nothing(word: str) -> None:
    """Words of a program that has a stranger's file before it."""
    shares: list[float] = []
    heard = EncoderProgress(duration_s=10.0, report=shares.append)
    before = heard.pulse()
    heard.feed(f"seen_s={word}\n".encode())
    assert heard.pulse() == before
    assert not any(shares)
