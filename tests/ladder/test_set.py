"""The set of a small lecture: what its playlists promise is what its segments hold."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from xml.etree import ElementTree as ET

import av
import pytest

from tests.ladder.conftest import Made
from tests.ladder.strict import Playlist, decoded, pieces, read_master, read_playlist

FRAMES = 160
SECONDS = 6.4
"""Of the picture; the last packet of sound ends a millisecond later."""
MPD = {"": "urn:mpeg:dash:schema:mpd:2011"}


def videos(made: Made) -> list[Playlist]:
    return [read_playlist(made.path / name / "playlist.m3u8") for name in ("360p", "240p", "144p")]


def audio(made: Made) -> Playlist:
    return read_playlist(made.path / "audio" / "playlist.m3u8")


def test_no_rendition_is_larger_than_the_source(small_set: Made) -> None:
    """The source has 360 lines, which is no rung of this ladder, and so a rung of its own."""
    master = read_master(small_set.path / "master.m3u8")
    sizes = [variant.attributes["RESOLUTION"] for variant in master.variants]
    assert sizes == ["640x360", "426x240", "256x144"]


def test_each_rendition_has_every_frame_of_the_source_once(small_set: Made) -> None:
    """Frames and their times are the source's, in every rendition."""
    for playlist in videos(small_set):
        times = [float(frame.pts * frame.time_base) for frame in decoded(playlist)]
        assert times == pytest.approx([number / 25 for number in range(FRAMES)], abs=1e-4)


def test_segments_begin_with_their_only_key_picture_at_the_same_moments(small_set: Made) -> None:
    """So a player can change the rendition at any of them."""
    cuts = []
    for playlist in videos(small_set):
        found = pieces(playlist)
        assert all(piece.key and piece.keys == 1 for piece in found)
        cuts.append([piece.times[0] for piece in found])
    assert cuts[0] == cuts[1] == cuts[2] == pytest.approx([0, 2, 4, 6])


def test_durations_are_those_of_the_segments(small_set: Made) -> None:
    """Each EXTINF leads to the first time of the next segment, and all make up the source."""
    for playlist in (*videos(small_set), audio(small_set)):
        starts = [piece.times[0] for piece in pieces(playlist)]
        said = [starts[0]]
        for seconds in playlist.seconds:
            said.append(said[-1] + seconds)
        assert said[:-1] == pytest.approx(starts, abs=1e-3)
        assert said[-1] == pytest.approx(SECONDS, abs=0.1)
    assert {playlist.target_s for playlist in (*videos(small_set), audio(small_set))} == {2}


def test_segments_follow_each_other_without_a_gap(small_set: Made) -> None:
    """No packet of sound and no frame is missing or there twice."""
    for playlist, step_s in ((audio(small_set), 1024 / 48_000), (videos(small_set)[0], 1 / 25)):
        times = [time for piece in pieces(playlist) for time in piece.times]
        assert {round(b - a, 4) for a, b in pairwise(times)} == {round(step_s, 4)}


def test_late_sound_stays_late(small_set: Made) -> None:
    """The tone begins 0.3 s after the picture; the segments themselves say so."""
    frames = decoded(audio(small_set))
    first = next(f for f in frames if max(memoryview(bytes(f.planes[0])).cast("f")) > 0.01)
    assert float(first.pts * first.time_base) == pytest.approx(0.3, abs=0.02)


def test_the_master_playlist_tells_the_truth(small_set: Made) -> None:
    """Codecs, sizes and rates are those of what it points at."""
    master = read_master(small_set.path / "master.m3u8")
    (sound,) = master.renditions("AUDIO")
    assert (sound["CHANNELS"], sound["LANGUAGE"]) == ("2", "de")
    sound_bytes = [path.stat().st_size for path in audio(small_set).files]
    for variant in master.variants:
        said, playlist = variant.attributes, read_playlist(variant.playlist)
        assert said["AUDIO"] == sound["GROUP-ID"]
        assert playlist.init is not None
        record = playlist.init.read_bytes().partition(b"avcC")[2]
        assert said["CODECS"] == f"avc1.{record[1:4].hex()},mp4a.40.2"
        assert float(said["FRAME-RATE"]) == 25
        sizes = [path.stat().st_size for path in playlist.files]
        average = 8 * sum(sizes) / SECONDS + 8 * sum(sound_bytes) / sum(audio(small_set).seconds)
        assert int(said["AVERAGE-BANDWIDTH"]) == pytest.approx(average, rel=0.01)
        peak = max(8 * (a + b) / 2 for a, b in zip(sizes[:3], sound_bytes, strict=False))
        assert peak * 0.98 <= int(said["BANDWIDTH"])
        assert int(said["AVERAGE-BANDWIDTH"]) <= int(said["BANDWIDTH"])


def test_dash_describes_the_same_segments(small_set: Made) -> None:
    """Every segment of the description is there, with the times of the playlists."""
    root = ET.parse(small_set.path / "manifest.mpd").getroot()  # noqa: S314 - written by ourselves
    assert root.get("mediaPresentationDuration") == "PT6.401S"
    for group in root.findall("./Period/AdaptationSet", MPD):
        if group.get("contentType") == "text":
            continue
        template = group.find("SegmentTemplate", MPD)
        assert template is not None
        scale, media = int(template.get("timescale", "")), template.get("media", "")
        ticks = [int(s.get("d", "")) for s in template.iter(f"{{{MPD['']}}}S")
                 for _ in range(int(s.get("r", "0")) + 1)]  # fmt: skip
        for representation in group.findall("Representation", MPD):
            name = representation.get("id", "")
            playlist = read_playlist(small_set.path / name / "playlist.m3u8")
            assert [tick / scale for tick in ticks] == pytest.approx(playlist.seconds, abs=1e-5)
            for number, path in enumerate(playlist.files):
                said = media.replace("$RepresentationID$", name)
                assert small_set.path / said.replace("$Number%05d$", f"{number:05}") == path


def test_the_manifest_names_every_file_with_its_digest(small_set: Made) -> None:
    """Nothing else lies in the folder; the manifest itself was written last."""
    manifest = json.loads((small_set.path / "manifest.json").read_text())
    there = {str(p.relative_to(small_set.path)) for p in small_set.path.rglob("*") if p.is_file()}
    assert {file["name"] for file in manifest["files"]} == there - {"manifest.json"}
    for file in manifest["files"]:
        data = (small_set.path / file["name"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert small_set.made.files == len(there)
    assert small_set.made.size == sum((small_set.path / name).stat().st_size for name in there)
    assert [r["name"] for r in manifest["renditions"]] == ["360p", "240p", "144p", "audio"]


def test_progress_grows_to_its_end(small_set: Made) -> None:
    """What is reported never falls."""
    assert small_set.heard.percents == sorted(small_set.heard.percents)
    assert small_set.heard.percents[-1] == 100


def test_a_clean_recording_has_no_warnings(small_set: Made) -> None:
    """Tracks that are not wanted are no damage."""
    assert small_set.made.warnings == ()


# --- pictures and text ------------------------------------------------------------------------
def picture(path: Path) -> tuple[tuple[int, int], float]:
    """Return a JPEG's size and its mean grey."""
    with av.open(str(path)) as container:
        frame = next(container.decode(container.streams.video[0]))
        grey = bytes(frame.reformat(format="gray").planes[0])
    return (frame.width, frame.height), fmean(grey)


def test_the_poster_is_not_the_black_beginning(small_set: Made) -> None:
    """The first second of the lecture is black."""
    size, grey = picture(small_set.path / "poster.jpg")
    assert size == (640, 360)
    assert grey > 60


def test_thumbnails_show_their_moments(small_set: Made) -> None:
    """Black at 0.2 s, bright at 5 s, and the last frame for a moment after the end."""
    names = sorted(p.name for p in (small_set.path / "thumbnails").iterdir())
    assert names == ["00000.200.jpg", "00005.000.jpg", "00099.000.jpg"]
    greys = [picture(small_set.path / "thumbnails" / name)[1] for name in names]
    assert greys[0] < 20
    assert min(greys[1:]) > 60


def test_the_storyboard_says_where_each_picture_lies(small_set: Made) -> None:
    """Its times are without gaps, its places inside of the sheet, the first picture black."""
    cues = (small_set.path / "storyboard.vtt").read_text().split("\n\n")[1:]
    times = [cue.partition("\n")[0].split(" --> ") for cue in cues]
    assert times[0][0] == "00:00:00.000"
    assert [end for _, end in times[:-1]] == [start for start, _ in times[1:]]
    assert times[-1][1] == "00:00:06.401"
    size, _ = picture(small_set.path / "storyboard-1.jpg")
    for cue in cues:
        name, _, where = cue.strip().partition("\n")[2].partition("#xywh=")
        x, y, wide, high = map(int, where.split(","))
        assert name == "storyboard-1.jpg"
        assert x + wide <= size[0]
        assert y + high <= size[1]
        assert (wide, high) == (160, 90)


def test_subtitles_are_in_the_master_playlist_and_in_their_files(small_set: Made) -> None:
    """One from a file beside the recording, in Latin-1, two from inside of it."""
    master = read_master(small_set.path / "master.m3u8")
    said = [(m["NAME"], m["LANGUAGE"]) for m in master.renditions("SUBTITLES")]
    assert said == [("de", "de"), ("en", "en"), ("text 3", "und")]
    texts = []
    for media in master.renditions("SUBTITLES"):
        playlist = read_playlist(small_set.path / media["URI"])
        assert sum(playlist.seconds) == pytest.approx(SECONDS, abs=0.05)
        texts.append(playlist.files[0].read_text("utf-8"))
    assert "00:00:00.500 --> 00:00:02.000\nGrüße &amp; Küsse\n" in texts[0]
    assert "00:00:01.000 --> 00:00:03.500\nThe <i>theorem</i> of Bayes\n" in texts[1]
    assert all(text.startswith("WEBVTT\n") for text in texts)


def test_chapters_begin_at_zero_and_end_with_the_recording(small_set: Made) -> None:
    """A recording without slide changes is one chapter."""
    text = (small_set.path / "chapters.vtt").read_text()
    assert text == "WEBVTT\n\n1\n00:00:00.000 --> 00:00:06.401\nPart 1\n"
