"""Recordings made for one property each; what comes of them is decoded and looked at."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import pytest

from tests.media.conftest import Media
from tests.media.looking import Seen, combing, digests, look, tracks

RAW = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "4", "-pix_fmt", "yuv420p"]
"""A wasteful encode, so that compressing pays."""
CORNERS = "color=red:s=160x120,drawbox=x=0:y=0:w=80:h=60:color=blue:t=fill"
"""Red, with a blue corner at the top left, and noise that costs bytes."""


def corners(media: Media, name: str, *flags: str) -> Path:
    noise = ["-f", "lavfi", "-i", f"{CORNERS},noise=alls=12:allf=t", "-t", "1", *RAW, "-r", "25"]
    plain = media.make("plain.mp4", *noise)
    return media.make(name, *flags, "-i", str(plain), "-c", "copy")


def blue_corner(seen: Seen) -> str:
    """Return which corner is blue."""
    places = {(0.1, 0.1): "top left", (0.9, 0.1): "top right"}
    places |= {(0.1, 0.9): "bottom left", (0.9, 0.9): "bottom right"}
    found = []
    for (x, y), name in places.items():
        red, _, blue = seen.pixel(x, y)
        if blue > red:
            found.append(name)
    return " and ".join(found)


@pytest.mark.parametrize(
    ("flags", "size", "corner"),
    [
        ((), (160, 120), "top left"),
        (("-display_rotation", "-90"), (120, 160), "top right"),
        (("-display_rotation", "180"), (160, 120), "bottom right"),
        (("-display_rotation", "90"), (120, 160), "bottom left"),
        (("-display_hflip",), (160, 120), "top right"),
        (("-display_vflip",), (160, 120), "bottom left"),
    ],
)
def test_the_picture_stands_upright(
    media: Media, flags: tuple[str, ...], size: tuple[int, int], corner: str
) -> None:
    seen = look(media.compress(corners(media, "turned.mp4", *flags)).path)
    assert (seen.size, blue_corner(seen)) == (size, corner)


@pytest.mark.parametrize("name", ["turned.mp4", "turned.mkv"])
def test_a_turn_that_only_the_pictures_tell_of_counts_too(media: Media, name: str) -> None:
    """H.264 can carry it in a message of its own, counted the other way round."""
    plain = corners(media, "upright.mp4")
    told = ["-bsf:v", "h264_metadata=display_orientation=insert:rotate=90"]
    seen = look(media.compress(media.make(name, "-i", str(plain), "-c", "copy", *told)).path)
    assert (seen.size, blue_corner(seen)) == ((120, 160), "bottom left")


def test_a_turn_in_matroska_counts_too(media: Media) -> None:
    seen = look(media.compress(corners(media, "turned.mkv", "-display_rotation", "-90")).path)
    assert (seen.size, blue_corner(seen)) == ((120, 160), "top right")


@pytest.mark.parametrize(
    ("given", "made"),
    [("322x242", (322, 242)), ("1280x960", (960, 720)), ("720x1280", (720, 1280))],
)
def test_sizes_are_kept_or_brought_down(media: Media, given: str, made: tuple[int, int]) -> None:
    source = media.make("source.mp4", *media.picture(given, seconds=0.6), *RAW)
    assert look(media.compress(source).path).size == made


def test_odd_sizes_become_even(media: Media) -> None:
    pixels = ["-c:v", "libx264", "-crf", "4", "-pix_fmt", "yuv444p"]
    source = media.make("source.mp4", *media.picture("321x241", seconds=1), *pixels)
    assert look(media.compress(source).path).size == (320, 240)


@pytest.mark.parametrize(
    "pixels",
    [
        ("libx264", "yuv420p10le"),
        ("libx264", "yuv444p"),
        ("libx264", "yuv422p"),
        ("libx264rgb", "rgb24"),
        ("libx264", "yuvj420p"),
    ],
)
def test_other_pixels_keep_their_colours(media: Media, pixels: tuple[str, str]) -> None:
    codec, name = pixels
    bars = ["-f", "lavfi", "-i", "color=c=0x40A0E0:s=160x120:r=25:d=1,noise=alls=9:allf=t"]
    source = media.make("source.mp4", *bars, "-c:v", codec, "-crf", "4", "-pix_fmt", name)
    frame = look(media.compress(source).path)
    assert (frame.frames[0].format.name, frame.frames[0].color_range) in {
        ("yuv420p", 1),
        ("yuv420p", 0),
    }
    for got, wanted in zip(frame.pixel(0.5, 0.5), (0x40, 0xA0, 0xE0), strict=True):
        assert got == pytest.approx(wanted, abs=26)


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"], ids=["PQ", "HLG"])
def test_hdr_keeps_its_colours_and_its_white_stays_white(media: Media, transfer: str) -> None:
    """Reference white of 203 cd/m2, red and a grey, as ITU-R BT.2408 has them in HDR."""
    patches = "color=white:s=160x120:r=25:d=1,drawbox=w=80:h=60:color=red:t=fill"
    grey = "drawbox=x=80:w=80:h=60:color=0x808080:t=fill,noise=alls=4:allf=t,format=yuv444p"
    known = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    light = "zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt2020"
    linear = "setparams=color_primaries=bt2020:color_trc=linear:colorspace=gbr"
    made = f"zscale=t={transfer}:m=bt2020nc:r=tv:npl=203,format=yuv420p10le"
    tags = f"log-level=0:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
    codec = ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "4", "-x265-params", tags]
    chain = f"{patches},{grey},{known},{light},{linear},{made}"
    source = media.make("source.mp4", "-f", "lavfi", "-i", chain, *codec, "-tag:v", "hvc1")
    seen = look(media.compress(source).path)
    frame = seen.frames[0]
    assert (frame.color_trc, frame.colorspace, frame.color_primaries) == (1, 1, 1)
    white, red, middle = (seen.pixel(x, y) for x, y in ((0.5, 0.9), (0.2, 0.2), (0.8, 0.2)))
    assert min(white) > 200
    assert max(white) - min(white) < 16
    assert red[0] > 3 * max(red[1:])
    assert all(100 < part < 150 for part in middle)


def test_fields_are_joined(media: Media) -> None:
    woven = ["-vf", "tinterlace=interleave_top,fieldorder=tff", "-flags", "+ildct+ilme"]
    moving = media.picture("320x240", "50", 1)
    source = media.make("source.mp4", *moving, *woven, *RAW, "-x264-params", "tff=1")
    before, seen = look(source), look(media.compress(source).path)
    assert before.frames[1].interlaced_frame
    assert not seen.frames[1].interlaced_frame
    assert combing(seen.frames[1]) < 0.8 * combing(before.frames[1])
    assert len(seen.times) == 25


def test_fast_recordings_are_thinned_to_sixty(media: Media) -> None:
    source = media.make("source.mp4", *media.picture("320x240", "120", 1), *RAW)
    seen = look(media.compress(source).path)
    assert len(seen.times) == 60


def test_irregular_frames_keep_their_times(media: Media) -> None:
    """A screen recorder: milliseconds, bursts, and a still of four seconds."""
    chosen = "select='lt(n,10)+eq(n,30)+between(n,130,140)'"
    source = media.make(
        "source.mkv", *media.picture("640x360", "25", 6), "-vf", chosen, "-fps_mode", "vfr", *RAW
    )
    before, after = look(source).times, look(media.compress(source).path).times
    assert len(after) == len(before) == 22
    assert after == pytest.approx([time - before[0] for time in before], abs=0.0011)


def test_a_long_last_frame_is_kept(media: Media) -> None:
    chosen = "select='lt(n,25)',setpts='if(eq(N,24),PTS+3/TB,PTS)'"
    source = media.make(
        "source.mp4", *media.picture("320x240", "25", 2), "-vf", chosen, "-fps_mode", "vfr", *RAW
    )
    result = media.compress(source)
    assert result.media.duration_s == pytest.approx(result.source_media.duration_s, abs=0.05)


@pytest.mark.parametrize("delay", ["0.5", "-0.5"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sound_that_begins_at_another_time_than_the_picture_stays_there(
    media: Media, delay: str, suffix: str
) -> None:
    """Either the sound or the picture begins half a second late."""
    inputs = [*media.picture(), "-itsoffset", delay, *media.tone()]
    mix = [*RAW, "-c:a", "aac", "-b:a", "200k", "-map", "0:v", "-map", "1:a"]
    source = media.make(f"source.{suffix}", *inputs, *mix)
    before, after = look(source), look(media.compress(source).path)
    assert before.sound_start_s is not None
    assert after.sound_start_s is not None
    given = before.sound_start_s - before.times[0]
    assert after.sound_start_s - after.times[0] == pytest.approx(given, abs=0.03)


def test_a_gap_in_the_sound_does_not_move_what_follows(media: Media) -> None:
    gap = "aselect='lt(t,1)+gte(t,2)'"
    inputs = [*media.picture(seconds=4), *media.tone(seconds=4)]
    source = media.make("source.mkv", *inputs, "-af", gap, *RAW, "-c:a", "flac")
    seen = look(media.compress(source).path)
    assert seen.sound_end_s == pytest.approx(4.0, abs=0.06)
    assert seen.sound_s == pytest.approx(4.0, abs=0.06)


def test_the_default_track_is_the_one_that_is_heard(media: Media) -> None:
    inputs = [*media.picture(), *media.tone(300), *media.tone(3000)]
    maps = ["-map", "0:v", "-map", "1:a", "-map", "2:a", *RAW, "-c:a", "aac"]
    marks = ["-disposition:a:0", "0", "-disposition:a:1", "default", "-ac:a:1", "1"]
    result = media.compress(media.make("source.mkv", *inputs, *maps, *marks))
    assert tracks(result.path) == ["video", "audio"]
    assert crossings_a_second(result.path) == pytest.approx(6000, rel=0.05)


def crossings_a_second(path: Path) -> float:
    """Return how often the sound changes its sign in its second half second."""
    signs: list[bool] = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.audio[0]):
            samples = memoryview(bytes(frame.planes[0])).cast("f")[: frame.samples]
            signs += [sample > 0 for sample in samples]
    part = signs[24_000:48_000]
    return 2 * sum(a != b for a, b in itertools.pairwise(part))


def test_surround_sound_becomes_stereo(media: Media) -> None:
    source = media.make(
        "source.mp4", *media.picture(), *media.tone(), *RAW, "-c:a", "aac", "-ac", "6"
    )
    seen = look(media.compress(source).path)
    assert seen.channels == 2
    assert seen.sound_end_s == pytest.approx(2.0, abs=0.06)


def test_small_aac_is_copied_bit_for_bit(media: Media) -> None:
    sound = ["-c:a", "aac", "-b:a", "96k", "-ac", "2"]
    sound += ["-af", "volume=5dB"]
    source = media.make("source.mp4", *media.picture(), *media.tone(), *RAW, *sound)
    assert sound_packets(media.compress(source).path) == sound_packets(source)


def sound_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(container.streams.audio[0]) if p.size]


def test_data_titles_and_chapters_are_left_behind(media: Media, tmp_path: Path) -> None:
    chapters = tmp_path / "chapters.txt"
    chapters.write_text(
        ";FFMETADATA1\ntitle=Secret\nlocation=+52.5+13.4/\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n"
    )
    words = [*media.picture(), "-i", str(chapters), "-map_metadata", "1", "-map_chapters", "1"]
    result = media.compress(media.make("source.mp4", *words, *RAW, "-timecode", "01:00:00:00"))
    assert tracks(result.path) == ["video"]
    assert b"Secret" not in result.path.read_bytes()
    with av.open(str(result.path)) as container:
        assert container.chapters() == []


def test_a_recording_that_meets_the_target_is_remuxed_bit_for_bit(media: Media) -> None:
    """A rate that leaves nothing to save: the encoder's own settings, but slower."""
    tight = ["-c:v", "libx264", "-preset", "slow", "-crf", "45", "-pix_fmt", "yuv420p"]
    sound = ["-c:a", "aac", "-b:a", "64k", "-ac", "2", "-metadata", "title=Secret"]
    source = media.make("source.mp4", *media.picture(), *media.tone(), *tight, *sound)
    result = media.compress(source)
    assert result.action == "remuxed"
    assert digests(result.path) == digests(source)
    assert sound_packets(result.path) == sound_packets(source)
    assert result.size <= source.stat().st_size
    assert b"Secret" not in result.path.read_bytes()


def test_even_a_tiny_source_in_a_better_codec_does_not_grow(media: Media) -> None:
    codec = ["-c:v", "libx265", "-preset", "fast", "-b:v", "30k", "-x265-params", "log-level=0"]
    moving = media.picture("640x360", "25", 3)
    source = media.make("source.mp4", *moving, *codec, "-tag:v", "hvc1")
    result = media.compress(source)
    assert result.action == "encoded"
    assert result.size <= source.stat().st_size


def test_a_webm_without_duration_is_taken(media: Media) -> None:
    codec = ["-c:v", "libvpx", "-b:v", "2M", "-deadline", "realtime", "-f", "webm", "-live", "1"]
    result = media.compress(media.make("source.webm", *media.picture(), *codec))
    assert result.media.duration_s == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("flags", ["frag_keyframe+empty_moov", "frag_keyframe", "dash"])
def test_a_fragmented_mp4_is_taken_whole(media: Media, flags: str) -> None:
    """What browsers and recorders write that must survive a crash."""
    inputs = [*media.picture(), *media.tone()]
    words = [*RAW, "-g", "10", "-c:a", "aac", "-movflags", flags]
    result = media.compress(media.make("source.mp4", *inputs, *words))
    assert result.media.duration_s == pytest.approx(2.0, abs=0.05)
    assert len(look(result.path).times) == 50


def test_an_avi_with_raw_sound_is_taken(media: Media) -> None:
    codec = ["-c:v", "mpeg4", "-q:v", "2", "-c:a", "pcm_s16le"]
    result = media.compress(media.make("source.avi", *media.picture(), *media.tone(), *codec))
    assert result.media.audio_codec == "aac"
    assert len(look(result.path).times) == 50
