"""A strict reader of what a set promises: RFC 8216 for playlists, PyAV for what they point at.

It shares no code with what makes the set.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]+)(?:,|$)')
_MEDIA_TAGS = {
    "EXTM3U", "EXT-X-VERSION", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-PLAYLIST-TYPE", "EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-MAP", "EXTINF", "EXT-X-ENDLIST",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Playlist:
    """A media playlist as it is written; `files` are paths, `init` is None for text."""

    target_s: int
    seconds: tuple[float, ...]
    files: tuple[Path, ...]
    init: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One entry of a master playlist."""

    attributes: dict[str, str]
    playlist: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """A master playlist: variants, and renditions by their type."""

    variants: tuple[Variant, ...]
    media: tuple[dict[str, str], ...]
    folder: Path

    def renditions(self, kind: str) -> list[dict[str, str]]:
        """Return the renditions of a type, such as AUDIO."""
        return [each for each in self.media if each["TYPE"] == kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one segment holds: presentation times in seconds, and whether it begins with a key."""

    times: tuple[float, ...]
    key: bool
    keys: int
    size: tuple[int, int] | None


def attributes(line: str) -> dict[str, str]:
    """Return a tag's attributes; the line must be nothing but them."""
    text = line.partition(":")[2]
    found = list(_ATTRIBUTE.finditer(text))
    assert "".join(each.group() for each in found) == text, f"malformed attributes: {line}"
    names = [each.group(1) for each in found]
    assert len(names) == len(set(names)), f"an attribute twice: {line}"
    return {each.group(1): each.group(2).strip('"') for each in found}


def read_master(path: Path) -> Master:
    """Read a master playlist and check its form."""
    first, *lines = _lines(path)
    assert first == "#EXTM3U"
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in lines
    media = tuple(attributes(line) for line in lines if line.startswith("#EXT-X-MEDIA:"))
    variants = []
    for number, line in enumerate(lines):
        if line.startswith("#EXT-X-STREAM-INF:"):
            following = lines[number + 1]
            assert not following.startswith("#")
            variants.append(Variant(attributes=attributes(line), playlist=path.parent / following))
    uris = [line for line in lines if not line.startswith("#")]
    assert len(uris) == len(variants)
    return Master(variants=tuple(variants), media=media, folder=path.parent)


def read_playlist(path: Path) -> Playlist:
    """Read a media playlist of a recording and check its form."""
    first, *lines = _lines(path)
    assert (first, lines[-1]) == ("#EXTM3U", "#EXT-X-ENDLIST")
    tags = [line[1:].partition(":")[0] for line in lines if line.startswith("#")]
    assert set(tags) <= _MEDIA_TAGS
    single = ("EXT-X-VERSION", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE")
    assert all(tags.count(tag) == 1 for tag in single)
    assert "#EXT-X-PLAYLIST-TYPE:VOD" in lines
    maps = [attributes(line)["URI"] for line in lines if line.startswith("#EXT-X-MAP")]
    target_s = int(next(x for x in lines if x.startswith("#EXT-X-TARGETDURATION")).split(":")[1])
    seconds = [float(x[8:].rstrip(",")) for x in lines if x.startswith("#EXTINF")]
    files = [path.parent / line for line in lines if not line.startswith("#")]
    assert len(seconds) == len(files)
    assert all(round(each) <= target_s for each in seconds), "a segment is over the target"
    return Playlist(
        target_s=target_s,
        seconds=tuple(seconds),
        files=tuple(files),
        init=path.parent / maps[0] if maps else None,
    )


def _lines(path: Path) -> list[str]:
    text = path.read_text("utf-8")
    assert text.endswith("\n")
    return [line for line in text.split("\n") if line]


def pieces(playlist: Playlist) -> list[Piece]:
    """Open each segment by itself, with nothing but its header before it."""
    assert playlist.init is not None
    head = playlist.init.read_bytes()
    return [_piece(head + path.read_bytes()) for path in playlist.files]


def _piece(data: bytes) -> Piece:
    with av.open(io.BytesIO(data), "r", format="mp4") as container:
        stream: Any = container.streams[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        base = float(stream.time_base)
        video = stream.type == "video"
    return Piece(
        times=tuple(sorted(packet.pts * base for packet in packets)),
        key=packets[0].is_keyframe,
        keys=sum(packet.is_keyframe for packet in packets),
        size=(stream.width, stream.height) if video else None,
    )


def decoded(playlist: Playlist) -> list[Any]:
    """Decode the whole rendition and return its frames."""
    assert playlist.init is not None
    data = playlist.init.read_bytes() + b"".join(path.read_bytes() for path in playlist.files)
    with av.open(io.BytesIO(data), "r", format="mp4") as container:
        return list(container.decode(container.streams[0]))
