"""Sets of recordings that are not like the others, and sets that never come to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from core.errors import BadOutput, Interrupted, MediaError, NoVideoStream
from core.ladder import Ladder
from infra import ffmpeg
from lectern.cli import main
from tests.ladder.conftest import SRT, Heard, Studio
from tests.ladder.strict import decoded, pieces, read_master, read_playlist
from transcoder.ladder.make import Extras
from transcoder.ladder.segments import Measure
from transcoder.ladder.texts import Sidecar

TINY = Ladder(name="tiny", lines=(144,), segment_s=2.0)
QUICK = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p"]


def picture(studio: Studio, name: str, *args: str, size: str = "256x144", rate: int = 25) -> Path:
    """Return 4 s of a moving picture."""
    return studio.render(
        name, "-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d=4", *args, *QUICK
    )


def test_a_recording_without_sound_has_no_sound_group(studio: Studio) -> None:
    """And its codecs are those of the picture alone."""
    made = studio.make(picture(studio, "silent.mp4"), ladder=TINY)
    master = read_master(made.path / "master.m3u8")
    assert master.media == ()
    assert [v.attributes["CODECS"].count(",") for v in master.variants] == [0]
    assert "AUDIO" not in master.variants[0].attributes


def test_frames_that_come_irregularly_keep_their_times(studio: Studio) -> None:
    """A picture that stands still for long makes one long segment, and no empty ones."""
    choose = "select='lt(t,0.5)+gte(t,3)*lt(t,3.1)+gte(t,3.6)',setpts=PTS"
    source = picture(studio, "still.mkv", "-vf", choose, "-fps_mode", "vfr")
    playlist = read_playlist(studio.make(source, ladder=TINY).path / "144p" / "playlist.m3u8")
    times = [float(frame.pts * frame.time_base) for frame in decoded(playlist)]
    given = [number / 25 for number in range(100)]
    shown = [t for t in given if t < 0.5 or 3 <= t < 3.1 or t >= 3.6]
    assert times == pytest.approx(shown, abs=1e-3)
    assert [piece.times[0] for piece in pieces(playlist)] == pytest.approx([0, 3], abs=1e-3)
    assert playlist.seconds == pytest.approx([3, 1], abs=0.04)
    assert playlist.target_s == 3


def test_a_portrait_turned_by_a_flag_stands_upright(studio: Studio) -> None:
    """The short side counts."""
    picture(studio, "lying.mp4", size="320x180")
    source = studio.render("turned.mp4", "-display_rotation", "90", "-i", "lying.mp4", "-c", "copy")
    made = studio.make(source, ladder=TINY)
    assert [(t.width, t.height) for t in made.streams.videos] == [(144, 256)]
    assert decoded(read_playlist(made.path / "144p" / "playlist.m3u8"))[0].height == 256


def test_a_recording_of_less_than_a_segment_is_one(studio: Studio) -> None:
    """Also shorter than a picture of its storyboard lasts."""
    source = picture(studio, "short.mp4", "-t", "0.2")
    made = studio.make(source, ladder=TINY)
    assert read_playlist(made.path / "144p" / "playlist.m3u8").seconds == pytest.approx([0.2])
    assert (made.path / "storyboard-1.jpg").stat().st_size > 0


def test_sound_alone_has_no_set(studio: Studio) -> None:
    """It is told what to do instead."""
    source = studio.render("voice.m4a", "-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac")
    with pytest.raises(NoVideoStream, match="as sound"):
        studio.make(source)


def test_bad_subtitles_are_refused_before_anything_is_encoded(studio: Studio) -> None:
    """The encode would be in vain."""
    heard = Heard()
    bad = Extras(subtitles=(Sidecar(data=b"no subtitles"),))
    with pytest.raises(MediaError, match="hold no cue"):
        studio.make(picture(studio, "a.mp4"), ladder=TINY, extras=bad, heard=heard)
    assert heard.percents == []


def test_a_stop_ends_it_without_a_manifest(studio: Studio) -> None:
    """What has been made until then is no set."""
    heard = Heard()
    with pytest.raises(Interrupted):
        studio.make(picture(studio, "a.mp4"), heard=heard, stop=lambda: bool(heard.percents))
    assert not list(studio.folder.rglob("manifest.json"))


def test_a_set_that_does_not_pass_its_verdict_is_not_finished(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here a segment vanishes between the encoder and the check."""
    measure = Measure.__call__

    def robbed(self: Measure, name: str) -> object:
        (self.folder / name / "00001.m4s").unlink()
        return measure(self, name)

    monkeypatch.setattr(Measure, "__call__", robbed)
    with pytest.raises(BadOutput, match=r"144p lasts 2\.000 s, its source 4\.000 s"):
        studio.make(picture(studio, "a.mp4"), ladder=TINY)
    assert not list(studio.folder.rglob("manifest.json"))
    assert not list(studio.folder.rglob("master.m3u8"))


def test_renditions_that_outgrow_their_plan_are_given_up(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder as a whole is bounded, not each file alone."""
    monkeypatch.setattr("core.ladder._size_max", lambda *_: 1_000)
    monkeypatch.setattr("transcoder.ladder.program._LOOK_S", 0.0)
    with pytest.raises(BadOutput, match="grew past"):
        studio.make(picture(studio, "a.mp4", size="640x360"))


# --- the command line -------------------------------------------------------------------------
def lectern(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["compress", "--preset", "hls", *map(str, arguments)])


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LECTERN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MIN_FREE_BYTES", "0")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LECTERN_FFMPEG", str(ffmpeg.find()))


def test_the_command_makes_the_folder_at_once_and_tells_what_is_in_it(studio: Studio) -> None:
    """Nothing else is left beside the source; a second run needs --force."""
    source = picture(studio, "talk.mp4")
    text = studio.folder / "talk.de.srt"
    text.write_bytes(SRT)
    target = studio.folder / "streams"
    result = lectern(source, "-o", target, "--ladder", "full", "--subtitles", text)
    assert result.exit_code == 0, result.output
    assert "144p" in result.output
    assert "text: de" in result.output
    assert read_master(target / "master.m3u8").renditions("SUBTITLES")[0]["LANGUAGE"] == "de"
    again = lectern(source, "-o", target)
    assert (again.exit_code, "--force" in again.output) == (1, True)
    (target / "stranger").touch()
    assert lectern(source, "-o", target, "--force").exit_code == 0
    assert not (target / "stranger").exists()
    left = {path.name for path in studio.folder.iterdir()}
    assert left == {"talk.mp4", "talk.de.srt", "streams"} | (left & {"data"})


def test_a_failed_command_leaves_what_was_there(studio: Studio) -> None:
    """The old set stays whole."""
    source, target = studio.folder / "broken.mp4", studio.folder / "streams"
    source.write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    target.mkdir()
    (target / "kept").touch()
    result = lectern(source, "-o", target, "--force")
    assert result.exit_code == 1
    assert sorted(p.name for p in studio.folder.iterdir() if p.name != "data") == [
        "broken.mp4", "streams",
    ]  # fmt: skip
    assert (target / "kept").exists()
