"""Recordings that are sampled, encoded and looked at."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.codecs import Codec
from core.errors import Interrupted
from core.media import Container, MediaInfo
from core.plan import encoding_of
from core.presets import LECTURE, SMART, Preset, in_codec
from core.smart import Kind
from core.windows import Window
from infra import ffmpeg
from lectern.compress import _reasons
from tests.media.conftest import Heard
from tests.media.looking import look
from transcoder.compress import Compressed, Toolbox, compress
from transcoder.probe import Probe
from transcoder.quality import greeting, maker_of, taking

BUDGET_S = 60.0
OLD_ENCODER = "screencast_term_1080p15_444.mp4"
PAGE = "drawgrid=w=64:h=36:t=2:c=black@0.7,drawbox=w=200:h=100:x=30:y=30:t=fill:c=blue"
VOICE = "aevalsrc='0.3*sin(2*PI*180*t)*gt(mod(t,0.25),0.13)':s=48000"
NOT_MEASURING = '#!/bin/sh\ncase "$*" in *libvmaf*) exit 1 ;; esac\nexec "{program}" "$@"\n'


class Workshop:
    """Makes recordings, and compresses each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = ffmpeg.find()
        self.runs = 0

    def make(self, name: str, *args: str) -> Path:
        """Return a file that FFmpeg has made of `args`."""
        path = self.folder / name
        words = [str(self.program), "-v", "error", "-y", *args, str(path)]
        subprocess.run(words, check=True, timeout=60)
        return path

    def compress(
        self,
        source: Path,
        *,
        preset: Preset = SMART,
        program: Path | None = None,
        budget_s: float = BUDGET_S,
        stop: Callable[[], bool] = lambda: False,
    ) -> tuple[Compressed, list[str], list[float]]:
        """Return the result, the names that are left in its folder, and the percentages."""
        self.runs += 1
        folder = self.folder / f"job-{self.runs}"
        folder.mkdir()
        shutil.copyfile(source, folder / "source")
        percents = Heard()
        made = compress(
            folder / "source",
            folder,
            preset=preset,
            toolbox=Toolbox(ffmpeg=program or self.program, python=sys.executable),
            budget_s=budget_s,
            progress=percents,
            stop=stop,
        )
        return made, sorted(path.name for path in folder.iterdir()), percents.percents


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """One folder for all recordings."""
    return Workshop(tmp_path_factory.mktemp("smart"))


@pytest.fixture(scope="module")
def page(workshop: Workshop) -> Path:
    """Nine seconds of a page that stays, with a voice in two channels that differ a little."""
    return workshop.make(
        "page.mp4",
        *("-f", "lavfi", "-i", f"color=white:s=640x360:r=60:d=9,{PAGE}"),
        *("-f", "lavfi", "-t", "9", "-i", VOICE),
        *("-f", "lavfi", "-t", "9", "-i", "anoisesrc=a=0.0005:r=48000:s=1"),
        *("-filter_complex", "[1:a][2:a]amix=normalize=0[noisy];[1:a][noisy]amerge[both]"),
        *("-map", "0:v", "-map", "[both]", "-c:v", "libx264", "-preset", "ultrafast"),
        *("-crf", "12", "-c:a", "aac", "-b:a", "160k"),
    )


@pytest.fixture(scope="module")
def footage(workshop: Workshop) -> Path:
    """Ten seconds in which all of the picture moves, with sound in true stereo."""
    sound = "sine=f=300:d=10[left];sine=f=700:d=10[right];[left][right]amerge"
    return workshop.make(
        "footage.mp4",
        *("-f", "lavfi", "-i", "mandelbrot=s=384x216:r=25,trim=duration=10,noise=alls=6:allf=t"),
        *("-filter_complex", f"{sound}[both]", "-map", "0:v", "-map", "[both]"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "14", "-c:a", "aac", "-t", "10"),
    )


def vmaf(workshop: Workshop, source: Path, output: Path) -> float:
    """Return the mean score of an output that has its source's size."""
    log = workshop.folder / "vmaf.json"
    counted = "settb=1/1000,setpts=N*40"
    options = "n_subsample=3:log_fmt=json:log_path=vmaf.json"
    subprocess.run(
        [str(workshop.program), "-v", "error", "-y", "-i", str(output), "-i", str(source),
         "-lavfi", f"[0:v]{counted}[a];[1:v]{counted}[b];[a][b]libvmaf={options}",
         "-f", "null", "-"],
        check=True, timeout=60, cwd=workshop.folder,
    )  # fmt: skip
    frames = json.loads(log.read_text())["frames"]
    return statistics.fmean(frame["metrics"]["vmaf"] for frame in frames)


def test_a_page_with_a_voice_becomes_one_channel_at_thirty_frames(
    workshop: Workshop, page: Path
) -> None:
    """A still page needs neither 60 frames a second nor stereo, and its samples are removed."""
    made, left, percents = workshop.compress(page)
    seen = look(made.path)
    assert made.choice is not None
    assert made.choice.kind is Kind.SLIDES
    assert made.choice.voice is not None
    assert (made.choice.voice.speech, seen.channels) == (True, 1)
    assert len(seen.times) == pytest.approx(9 * 30, abs=1)
    assert left == ["output-0.mp4", "source"]
    assert made.warnings == ()
    assert percents == sorted(percents)
    assert any(2 < percent < 15 for percent in percents)
    assert "one channel" in _reasons(made.choice)


def test_moving_pictures_reach_the_quality_that_was_told(workshop: Workshop, footage: Path) -> None:
    """What three seconds of samples promise is kept by the whole recording, in true stereo."""
    made, _, _ = workshop.compress(footage)
    assert made.choice is not None
    assert made.choice.kind is Kind.CAMERA
    assert made.choice.expected is not None
    told = made.choice.expected.mean
    assert vmaf(workshop, footage, made.path) == pytest.approx(told, abs=1.5)
    assert (told == pytest.approx(93.4, abs=0.8)) or made.choice.expected.crf in {18, 34}
    assert look(made.path).channels == 2


def test_an_encoder_that_cannot_measure_costs_the_samples_and_not_the_job(
    workshop: Workshop, footage: Path
) -> None:
    """FFmpeg is often built without VMAF: the preset's own figures stand, and it is said."""
    program = workshop.folder / "ffmpeg-without-vmaf"
    program.write_text(NOT_MEASURING.format(program=workshop.program))
    program.chmod(0o755)
    made, left, _ = workshop.compress(footage, program=program)
    assert made.choice is not None
    assert (made.choice.kind, made.choice.preset.crf) == (None, SMART.crf)
    assert made.choice.voice is not None
    assert [warning for warning in made.warnings if "could not be sampled" in warning]
    assert left == ["output-0.mp4", "source"]


def test_a_worker_that_must_stop_stops_while_it_samples(workshop: Workshop, footage: Path) -> None:
    """The step is handed back within two seconds, and no sample is left."""
    asked: list[float] = []

    def stop() -> bool:
        folder = workshop.folder / f"job-{workshop.runs}"
        if any(folder.glob("sample*")):
            asked.append(time.monotonic())
        return bool(asked)

    with pytest.raises(Interrupted):
        workshop.compress(footage, stop=stop)
    assert time.monotonic() - asked[0] < 2
    assert [p.name for p in (workshop.folder / f"job-{workshop.runs}").iterdir()] == ["source"]


def test_a_recording_of_an_instant_is_encoded_as_the_preset_has_it(workshop: Workshop) -> None:
    """Its samples would cost more than they save."""
    short = workshop.make(
        "short.mp4", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=0.8", "-preset", "ultrafast"
    )
    made, _, _ = workshop.compress(short)
    assert made.choice is not None
    assert (made.choice.kind, made.choice.probes, made.warnings) == (None, (), ())
    assert made.choice.preset.crf == SMART.crf


def test_a_clip_of_two_seconds_is_sampled_too(workshop: Workshop) -> None:
    """A clip of a telephone, held upright: its short side stays, and it reaches the target."""
    clip = workshop.make(
        "clip.mp4",
        *("-f", "lavfi", "-i", "mandelbrot=s=216x384:r=25,trim=duration=2,noise=alls=6:allf=t"),
        *("-preset", "ultrafast", "-crf", "14"),
    )
    made, _, _ = workshop.compress(clip)
    assert made.choice is not None
    assert made.choice.expected is not None
    assert (made.media.width, made.media.height) == (216, 384)
    assert made.size <= clip.stat().st_size
    assert vmaf(workshop, clip, made.path) == pytest.approx(made.choice.expected.mean, abs=1.0)


@pytest.mark.parametrize("codec", [Codec.HEVC, Codec.AV1])
def test_other_codecs_where_a_caller_asks_for_them(workshop: Workshop, codec: Codec) -> None:
    """The file plays, and has every frame; greetings of an encoder are no damage."""
    short = workshop.make(
        f"{codec}.mp4", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=2", "-preset", "ultrafast"
    )
    made, _, _ = workshop.compress(short, preset=in_codec(SMART, codec))
    assert (made.media.video_codec, made.warnings) == (codec, ())
    assert len(look(made.path).times) == 50


def test_samples_of_full_colour_by_an_old_encoder_are_whole(workshop: Workshop) -> None:
    """Before version 151 x264 coded 4:4:4 in its own way, and says so in the first frame only."""
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("LECTERN_TEST_MEDIA", root.parent / "shared" / "media"))
    if not (folder / OLD_ENCODER).is_file():
        pytest.skip(f"{OLD_ENCODER} is not among the recordings: set LECTERN_TEST_MEDIA")
    source = workshop.folder / OLD_ENCODER
    shutil.copyfile(folder / OLD_ENCODER, source)
    video = encoding_of(_probed(source), SMART)
    kind = (workshop.program, Container.MP4, source.name)
    asked = subprocess.run(
        greeting(*kind, video), cwd=workshop.folder, check=True, capture_output=True, timeout=60
    )
    maker = maker_of(asked.stdout)
    window = Window(start_s=29, length_s=1, exact=False)
    words = [
        subprocess.run(
            taking(*kind, video, window, "window.h264", maker=told),
            cwd=workshop.folder, check=True, capture_output=True, timeout=60,
        ).stderr
        for told in (maker, None)
    ]  # fmt: skip
    assert maker == 142
    assert words[0] == b""
    assert b"error while decoding" in words[1]


def _probed(source: Path) -> MediaInfo:
    probe = Probe(
        python=sys.executable,
        folder=source.parent,
        deadline=time.monotonic() + BUDGET_S,
        stop=lambda: False,
    )
    return probe(source.name, Container.MP4)


def test_an_encoder_that_names_itself_is_heard() -> None:
    """Most streams hold no such words."""
    assert maker_of(b"....x264 - core 148 r2643 5c65704 - H.264/MPEG-4") == 148
    assert maker_of(b"x264 - core") is None


def test_the_plain_preset_takes_no_samples() -> None:
    """`lecture` encodes every recording alike."""
    assert LECTURE.target is None
