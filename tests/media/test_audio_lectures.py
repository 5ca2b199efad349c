"""Recordings without a picture: a lecture to be heard becomes an M4A."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import NoVideoStream, UnreadableMedia
from tests.media.conftest import Media
from tests.media.listening import heard
from tests.media.looking import tags, tracks
from tests.media.test_made_recordings import sound_packets

CODECS = {
    "source.wav": ("pcm_s16le",),
    "source.flac": ("flac",),
    "source.mp3": ("libmp3lame", "-b:a", "160k"),
    "source.opus": ("libopus", "-b:a", "160k"),
    "source.m4a": ("aac", "-b:a", "200k"),
    "source.webm": ("libopus", "-b:a", "160k"),
}


def boxes(path: Path) -> list[str]:
    """Return the names of an MP4's boxes, and behind the first its brand."""
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        names.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at : at + 4], "big")
    return [data[8:12].decode(), *names]


@pytest.mark.parametrize("name", CODECS)
def test_sound_alone_becomes_an_m4a(name: str, media: Media) -> None:
    codec = ["-c:a", *CODECS[name], "-ac", "2", "-metadata", "title=Secret"]
    source = media.make(name, *media.tone(440, 2), *codec)
    result = media.compress(source)
    before, after = heard(source), heard(result.path)
    assert result.size == result.path.stat().st_size <= source.stat().st_size
    assert (result.media.width, result.media.height, result.media.audio_codec) == (0, 0, "aac")
    assert (result.media.video_codec, result.warnings) == ("", ())
    assert tracks(result.path) == ["audio"]
    brand, *names = boxes(result.path)
    assert (brand, names.index("moov") < names.index("mdat")) == ("M4A ", True)
    assert after.seconds == pytest.approx(before.seconds, abs=0.05)
    assert after.pitch() == pytest.approx(440, rel=0.02)
    assert len(after.channels) == len(before.channels)
    assert set(tags(result.path)) <= {"major_brand", "minor_version", "compatible_brands"}
    assert b"Secret" not in result.path.read_bytes()


def test_small_sound_is_taken_over_bit_by_bit(media: Media) -> None:
    voice = [*media.tone(), "-af", "volume=2dB", "-c:a", "aac", "-b:a", "64k"]
    source = media.make("source.m4a", *voice)
    result = media.compress(source)
    assert (result.action, tracks(result.path)) == ("remuxed", ["audio"])
    assert sound_packets(result.path) == sound_packets(source)


@pytest.mark.parametrize("suffix", ["m4a", "mp3"])
def test_a_cover_is_no_picture(suffix: str, media: Media) -> None:
    cover = media.make("cover.png", *media.picture(seconds=1), "-frames:v", "1")
    words = ["-i", str(cover), *media.tone(), "-map", "1:a", "-map", "0:v", "-c:v", "copy"]
    marks = ["-disposition:v:0", "attached_pic", "-b:a", "200k"]
    source = media.make(f"source.{suffix}", *words, *marks)
    assert tracks(source) == ["audio", "video"]
    assert tracks(media.compress(source).path) == ["audio"]


def test_a_wave_file_whose_recorder_died_is_taken_whole(media: Media) -> None:
    """Its sizes were never written."""
    source = media.make("source.wav", *media.tone(440, 2))
    data = bytearray(source.read_bytes())
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = b"\xff" * 4
    source.write_bytes(data)
    result = media.compress(source)
    assert result.media.duration_s == pytest.approx(2, abs=0.05)
    assert result.warnings == ()


def test_real_music_becomes_small(shared_media: Path, media: Media) -> None:
    source = shared_media / "guitar.wav"
    result = media.compress(source)
    assert result.size < 0.2 * source.stat().st_size
    assert result.media.duration_s == pytest.approx(result.source_media.duration_s, abs=0.05)


@pytest.mark.parametrize(
    "disguise",
    [
        lambda text: b"ID3\x04\x00\x00\x00\x00\x00\x00" + text,
        lambda text: b"RIFF\xff\xff\xff\xffWAVEfmt " + text,
        lambda text: b"OggS\x00\x02" + b"\0" * 20 + b"\x01\x13OpusHead" + text,
    ],
)
def test_a_playlist_behind_sounds_first_bytes_leaks_nothing(
    media: Media, disguise: Callable[[bytes], bytes]
) -> None:
    media.make("private.wav", *media.tone())
    playlist = media.folder / "lecture.wav"
    playlist.write_bytes(disguise(b"\n#EXTM3U\n#EXTINF:10,\n../private.wav\n" * 20))
    with pytest.raises((UnreadableMedia, NoVideoStream)):
        media.compress(playlist)
    assert {path.name for path in (media.folder / f"job-{media.runs}").iterdir()} == {"source"}
