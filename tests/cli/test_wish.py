"""What is typed for `lectern compress` is done or refused; nothing is ignored."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from core.codecs import Codec
from core.ladder import HLS, Ladder, ladder_plan
from core.presets import LECTURE, SMART, Speed, at_speed, in_codec
from core.smart import Kind, styled
from infra import wiring
from infra.settings import Settings, SettingsError, load
from lectern.cli import main
from lectern.ladder import extras
from lectern.lms import _delivery_port
from tests.conftest import make_clip
from tests.images import drawing
from tests.unit.media_facts import audio, recording, video
from transcoder.compress import Toolbox
from transcoder.main import _press


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each command a data folder of its own, and put back the handlers that it installs."""
    monkeypatch.setenv("LECTERN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MIN_FREE_BYTES", "0")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def compress(*arguments: str | Path) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, ["compress", *map(str, arguments)])


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG with much to save."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(drawing.jpeg(drawing.photo(360, 240), quality=97))
    return path


# --- what means nothing -----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "refused"),
    [
        (["--preset", "hls", "--quality", "low"], "--quality"),
        (["--preset", "hls", "--codec", "av1"], "--codec"),
        (["--preset", "hls", "--codec", "h264"], "--codec"),
        (["--preset", "hls", "--salvage"], "--salvage"),
        (["--ladder", "full"], "--ladder"),
        (["--subtitles", __file__], "--subtitles"),
        (["--thumbnails", "1"], "--thumbnails"),
    ],
)
def test_what_a_recording_has_no_use_for_is_refused(
    clip: Path, tmp_path: Path, options: list[str], refused: str
) -> None:
    """With the word itself, and what it is for; nothing is written."""
    done = compress(*options, clip, "-o", tmp_path / "made")
    assert done.exit_code == 2
    assert f"Error: {refused} is for " in done.output
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "options",
    [["--codec", "av1"], ["--preset", "hls"], ["--salvage"], ["--speed", "slow"]],
)
def test_what_an_image_has_no_use_for_is_refused(photo: Path, options: list[str]) -> None:
    """Its content says that it is one."""
    done = compress(*options, photo)
    assert done.exit_code == 2
    assert f"Error: {options[0]} is for " in done.output
    assert done.output.rstrip().endswith("not for an image")
    assert [path.name for path in photo.parent.glob("photo*")] == ["photo.jpg"]


# --- names ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("pic.png", [], "pic.png would hold a JPEG; name it pic.jpg"),
        ("pic.WebP", [], "name it pic.jpg, or add --format webp"),
        ("pic.jpg", ["--format", "webp"], "pic.jpg would hold a WEBP; name it pic.webp"),
    ],
)
def test_an_image_is_not_written_under_a_name_of_another_format(
    photo: Path, name: str, options: list[str], told: str
) -> None:
    """Programs that go by names would refuse it."""
    done = compress(photo, "-o", photo.with_name(name), *options)
    assert done.exit_code == 1
    assert told in done.output
    assert not photo.with_name(name).exists()


@pytest.mark.parametrize("name", ["small.JPEG", "small.bak"])
def test_other_names_of_an_image_are_its_users_affair(photo: Path, name: str) -> None:
    """Endings that promise nothing else."""
    done = compress(photo, "-o", photo.with_name(name))
    assert done.exit_code == 0, done.output
    assert photo.with_name(name).read_bytes().startswith(b"\xff\xd8\xff")


def test_a_recording_is_not_written_under_a_name_of_another_format(
    clip: Path, tmp_path: Path
) -> None:
    """What is made is an MP4."""
    done = compress(clip, "-o", tmp_path / "talk.webm")
    assert done.exit_code == 1
    assert "talk.webm would hold an MP4; name it talk.mp4" in done.output
    assert not (tmp_path / "talk.webm").exists()


# --- thumbnails -------------------------------------------------------------------------------
def test_thumbnails_are_made_at_the_moments_that_are_given(tmp_path: Path) -> None:
    """They stand in the set under their times."""
    source = make_clip(tmp_path / "talk.mp4", seconds=2, size="256x144", rate=25)
    done = compress("--preset", "hls", source, "-o", tmp_path / "set", "--thumbnails", "0.5, 1.5")
    assert done.exit_code == 0, done.output
    made = sorted(path.name for path in (tmp_path / "set" / "thumbnails").iterdir())
    assert made == ["00000.500.jpg", "00001.500.jpg"]
    assert "thumbnails/00001.500.jpg" in (tmp_path / "set" / "manifest.json").read_text()


@pytest.mark.parametrize("word", ["", "soon", "1,", "-1", "nan", "inf", "1e9", "1;2"])
def test_what_is_no_moment_is_refused(clip: Path, tmp_path: Path, word: str) -> None:
    """Before anything is made."""
    done = compress("--preset", "hls", clip, "-o", tmp_path / "set", f"--thumbnails={word}")
    assert done.exit_code == 1
    assert "is no moment; give seconds, such as 10,60,300" in done.output
    assert not (tmp_path / "set").exists()


def test_thumbnails_are_bounded() -> None:
    """A hundred of them."""
    assert len(extras((), ",".join(map(str, range(100)))).thumbnails_s) == 100
    with pytest.raises(ValueError, match="100 pictures are the most"):
        extras((), ",".join(map(str, range(101))))


# --- speed ------------------------------------------------------------------------------------
def test_the_encoder_works_at_the_speed_that_is_asked_for(tmp_path: Path) -> None:
    """Its own words in the result: `ultrafast` has no CABAC, which every other speed has."""
    source = make_clip(tmp_path / "talk.mp4", seconds=2, size="256x144", rate=25)
    for number, speed in enumerate(([], ["--speed", "ultrafast"])):
        target = tmp_path / f"{number}.mp4"
        assert compress("--preset", "lecture", *speed, source, "-o", target).exit_code == 0
        assert (b"cabac=0" in target.read_bytes()) == bool(speed)


def test_samples_leave_a_speed_that_was_asked_for() -> None:
    """Without one the kind of recording decides."""
    kinds = {kind: styled(SMART, kind, 26).speed for kind in Kind}
    assert set(kinds.values()) == {"medium", "fast"}
    asked = at_speed(SMART, Speed.MEDIUM)
    assert {styled(asked, kind, 26).speed for kind in Kind} == {"medium"}
    assert (
        styled(at_speed(in_codec(SMART, Codec.HEVC), Speed.SLOW), Kind.CAMERA, 28).speed == "slow"
    )


def test_all_renditions_are_made_at_the_speed_that_is_asked_for() -> None:
    """In place of each rung's own."""
    source = recording(video(), audio())
    swift = Ladder(name="swift", lines=HLS.lines, speed=Speed.SUPERFAST)
    assert {v.video.speed for v in ladder_plan(source, HLS).variants} == {"veryfast"}
    assert {v.video.speed for v in ladder_plan(source, swift).variants} == {"superfast"}


def test_a_speed_for_an_encoder_that_has_other_ones_is_refused(clip: Path, tmp_path: Path) -> None:
    """SVT-AV1 counts its speeds."""
    done = compress("--codec", "av1", "--speed", "fast", clip, "-o", tmp_path / "a.mp4")
    assert done.exit_code == 1
    assert "the encoder of av1 has no speed fast" in done.output


def test_a_deployment_chooses_the_speed_of_its_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """By ENCODER_SPEED; without it the preset's own stands, and a wrong word stops the start."""
    toolbox = Toolbox(ffmpeg=Path("ffmpeg"), python="python")

    def speed() -> str:
        return _press(wiring.connect(load()), toolbox, 60.0).preset.speed

    assert speed() == LECTURE.speed
    monkeypatch.setenv("ENCODER_SPEED", "veryfast")
    assert speed() == "veryfast"
    monkeypatch.setenv("ENCODER_SPEED", "warp")
    with pytest.raises(SettingsError, match="ENCODER_SPEED"):
        load()


# --- the example LMS --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://127.0.0.1:8090/store", 8090),
        ("http://127.0.0.1:9191/store", 9191),
        ("https://lms.example/store", 8090),
    ],
)
def test_the_example_lms_listens_where_the_service_delivers(
    monkeypatch: pytest.MonkeyPatch, url: str, port: int
) -> None:
    """At the port of LMS_STORE_URL, if it names one."""
    monkeypatch.setenv("LMS_STORE_URL", url)
    settings: Settings = load()
    assert _delivery_port(settings) == port
