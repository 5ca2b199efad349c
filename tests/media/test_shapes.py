"""Pictures that change their size, or whose edges the container cuts off."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import UnreadableMedia
from tests.media.conftest import Media
from tests.media.looking import look

VP8 = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M"]
VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "8", "-bsf:v", "dump_extra"]
WHITE = "color=white:r=25:d=1:s="


def joined(media: Media, suffix: str, codec: list[str], *sizes: str) -> Path:
    """Return one recording of a second in each size, white with noise, as a browser writes it."""
    names = []
    for number, size in enumerate(sizes):
        noise = ["-f", "lavfi", "-i", f"{WHITE}{size},noise=alls=20:allf=t", "-pix_fmt", "yuv420p"]
        media.make(f"part-{number}.{suffix}", *noise, *codec)
        names.append(f"file part-{number}.{suffix}\n")
    listed = media.folder / "list.txt"
    listed.write_text("".join(names))
    live = ["-live", "1", "-f", "webm"] if suffix == "webm" else []
    return media.make(f"source.{suffix}", "-f", "concat", "-i", str(listed), "-c", "copy", *live)


def is_white(pixel: tuple[int, int, int]) -> bool:
    return min(pixel) > 150


@pytest.mark.parametrize(
    ("suffix", "codec"), [("webm", VP8), ("webm", VP9), ("mkv", H264)], ids=["vp8", "vp9", "h264"]
)
def test_another_shape_on_the_way_gets_bars_and_is_told(
    suffix: str, codec: list[str], media: Media
) -> None:
    """The window was turned: it is shown whole and in its own shape."""
    source = joined(media, suffix, codec, "160x120", "120x160", "160x120")
    result = media.compress(source)
    seen = look(result.path, keep=80)
    assert (seen.size, len(seen.times)) == ((160, 120), 75)
    assert is_white(seen.pixel(0.02, 0.5, frame=5))
    assert is_white(seen.pixel(0.02, 0.5, frame=70))
    middle = [is_white(seen.pixel(x, 0.5, frame=37)) for x in (0.02, 0.2, 0.3, 0.7, 0.8, 0.98)]
    assert middle == [False, False, True, True, False, False]
    assert is_white(seen.pixel(0.5, 0.02, frame=37))
    assert [word for word in result.warnings if "160x120, 120x160" in word]


def test_the_shape_that_is_shown_longest_is_kept_in_its_largest_size(media: Media) -> None:
    """A browser begins small and grows with the network."""
    result = media.compress(joined(media, "webm", VP8, "120x120", "192x108", "96x54", "96x54"))
    seen = look(result.path, keep=99)
    assert seen.size == (192, 108)
    assert is_white(seen.pixel(0.02, 0.5, frame=37))
    assert not is_white(seen.pixel(0.02, 0.5, frame=5))


def cropped(media: Media, suffix: str) -> Path:
    """Return a recording whose upper 40 of 240 lines are black and cut off by the container."""
    box = "drawbox=x=0:y=0:w=320:h=40:color=black:t=fill"
    drawn = ["-f", "lavfi", "-i", f"{WHITE}320x240,noise=alls=40:allf=t,{box}"]
    exact = ("-fflags", "+bitexact")  # no random numbers, in which the marks below may turn up
    path = media.make("plain.mkv", *drawn, *H264[:-2], "-pix_fmt", "yuv420p", *exact)
    data = path.read_bytes()
    at = data.index(b"\xe0", data.index(b"\x16\x54\xae\x6b"))
    end = at + 2 + (data[at + 1] & 0x7F)
    filler = data.index(b"\xec\x01\0\0\0\0\0\0\x02\0\0", end)
    video = bytes([0xE0, data[at + 1] + 4]) + data[at + 2 : end] + b"\x54\xbb\x81\x28"
    path.write_bytes(
        data[:at] + video + data[end:filler] + b"\xec\x85" + b"\0" * 5 + data[filler + 11 :]
    )
    return media.make(f"source.{suffix}", "-i", str(path), "-c", "copy")


@pytest.mark.parametrize("suffix", ["mkv", "mov"])
def test_what_the_container_cuts_off_is_not_shown(suffix: str, media: Media) -> None:
    source = cropped(media, suffix)
    seen = look(media.compress(source).path)
    assert seen.size == (320, 200)
    assert is_white(seen.pixel(0.5, 0.0))


def test_dolby_visions_own_colours_are_refused(media: Media) -> None:
    """They would come out green and violet; the file says so in its `dvcC` box."""
    source = media.make("source.mp4", *media.picture(seconds=1), *H264[:-2], "-pix_fmt", "yuv420p")
    data = source.read_bytes()
    at = data.index(b"pasp") - 4
    assert data[at + 20 : at + 24] == b"btrt"
    record = bytes([1, 0, 5 << 1, 0x09]) + b"\0" * 24
    source.write_bytes(data[:at] + b"\0\0\0\x24dvcC" + record + data[at + 36 :])
    with pytest.raises(UnreadableMedia, match="Dolby Vision"):
        media.compress(source)
