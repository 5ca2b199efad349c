"""Files that are damaged, not what they seem, or out to harm."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from core.errors import (
    BadOutput,
    DamagedSource,
    EncodeFailed,
    MediaTooComplex,
    NoVideoStream,
    UnreadableMedia,
)
from tests.media.conftest import Media
from tests.media.test_made_recordings import RAW


def ordinary(media: Media, *flags: str, seconds: float = 4) -> Path:
    inputs = [*media.picture(seconds=seconds), *media.tone(seconds=seconds)]
    return media.make("source.mp4", *inputs, *RAW, "-c:a", "aac", *flags)


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def left_over(media: Media) -> set[str]:
    """Return the names of the files in the job's folder."""
    return {path.name for path in (media.folder / f"job-{media.runs}").iterdir()}


def test_an_mp4_cut_at_sixty_percent_is_refused_with_both_durations(media: Media) -> None:
    source = cut(ordinary(media, "-movflags", "+faststart"), 0.6)
    with pytest.raises(DamagedSource, match=r"announces 4\.0 s and holds 2\.\d s"):
        media.compress(source)


def test_an_mp4_that_is_cut_before_its_index_is_refused_as_damaged(media: Media) -> None:
    with pytest.raises(DamagedSource, match="index"):
        media.compress(cut(ordinary(media), 0.6))


def test_a_matroska_cut_at_sixty_percent_is_refused(media: Media) -> None:
    source = media.make("source.mkv", *media.picture(seconds=4), *RAW)
    with pytest.raises(DamagedSource):
        media.compress(cut(source, 0.6))


def test_an_avi_cut_at_sixty_percent_is_refused(media: Media) -> None:
    source = media.make("source.avi", *media.picture(seconds=4), "-c:v", "mpeg4", "-q:v", "2")
    with pytest.raises(DamagedSource):
        media.compress(cut(source, 0.6))


def test_damage_in_places_is_told(media: Media) -> None:
    """The job either ends with a warning, or with an error that names the trouble."""
    source = ordinary(media, "-movflags", "+faststart")
    data = bytearray(source.read_bytes())
    chance = random.Random(7)  # noqa: S311 - the same damage in each run
    for _ in range(200):
        data[chance.randrange(len(data) // 4, len(data))] = chance.randrange(256)
    source.write_bytes(data)
    try:
        warnings = media.compress(source).warnings
    except (EncodeFailed, BadOutput, UnreadableMedia) as error:
        warnings = (str(error),)
    assert warnings
    assert str(media.folder) not in warnings[0]


def test_damage_in_a_picture_that_is_copied_is_told_too(media: Media) -> None:
    tight = ["-c:v", "libx264", "-preset", "slow", "-crf", "45", "-pix_fmt", "yuv420p"]
    source = media.make("source.mp4", *media.picture(seconds=3), *tight)
    data = bytearray(source.read_bytes())
    middle = len(data) // 3
    data[middle : middle + 400] = b"\xff" * 400
    source.write_bytes(data)
    result = media.compress(source)
    assert result.action == "remuxed"
    assert "damaged in places" in result.warnings[0]


def test_a_playlist_under_a_recordings_name_leaks_nothing(media: Media) -> None:
    private = media.folder / "private.ts"
    media.make("private.ts", *media.picture(), *RAW)
    playlist = media.folder / "lecture.mp4"
    playlist.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{private}\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(UnreadableMedia):
        media.compress(playlist)
    assert left_over(media) == {"source"}


def test_a_playlist_behind_a_recordings_first_bytes_leaks_nothing(media: Media) -> None:
    playlist = media.folder / "lecture.mp4"
    head = b"\x00\x00\x00\x14ftypisom\x00\x00\x00\x00isom"
    playlist.write_bytes(head + b"\n#EXTM3U\n#EXTINF:2,\n../private.ts\n")
    with pytest.raises(UnreadableMedia):
        media.compress(playlist)
    assert left_over(media) == {"source"}


def test_a_cover_beside_the_picture_is_not_shown(media: Media) -> None:
    cover = media.make("cover.png", *media.picture("64x64", seconds=1), "-frames:v", "1")
    words = ["-i", str(cover), *media.picture(), "-map", "0:v", "-map", "1:v", "-c:v:0", "copy"]
    marks = ["-disposition:v:0", "attached_pic", "-c:v:1", "libx264", "-crf", "4"]
    pixels = ["-pix_fmt:v:1", "yuv420p", "-preset", "ultrafast"]
    result = media.compress(media.make("source.mp4", *words, *marks, *pixels))
    assert (result.media.width, result.media.height) == (320, 240)


def test_an_empty_file_is_refused(media: Media) -> None:
    empty = media.folder / "empty.mp4"
    empty.touch()
    with pytest.raises(UnreadableMedia):
        media.compress(empty)


def test_noise_behind_a_good_head_is_refused(media: Media) -> None:
    noise = media.folder / "noise.mkv"
    chance = random.Random(1)  # noqa: S311 - the same noise in each run
    head = b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska"
    noise.write_bytes(head + chance.randbytes(100_000))
    with pytest.raises((UnreadableMedia, NoVideoStream)):
        media.compress(noise)


def test_a_picture_beyond_all_bounds_is_refused(media: Media) -> None:
    huge = ["-f", "lavfi", "-i", "color=s=8400x4300:r=1:d=1", "-c:v", "mjpeg"]
    with pytest.raises((MediaTooComplex, UnreadableMedia)):
        media.compress(media.make("source.mkv", *huge))
