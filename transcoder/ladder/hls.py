"""Playlists of a set, written from what its segments were measured to hold. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from core.segments import Track
from core.subtitles import TextTrack
from transcoder.ladder.command import PLAYLIST

VERSION: Final = 7
"""Fragmented MP4 with `EXT-X-MAP` needs 6, and Apple's own tools ask for 7 with it."""
MASTER: Final = "master.m3u8"
_SOUND: Final = "sound"
_TEXT: Final = "text"
_FIRST_LINES: Final = 720
"""The rendition that is listed first, and so played first, has at most as many lines."""
_UNDETERMINED: Final = "und"


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """The renditions of a set, largest first; `frame_rate` is the highest that they have."""

    videos: tuple[Track, ...]
    audio: Track | None
    texts: tuple[TextTrack, ...]
    frame_rate: float
    audio_language: str | None = None

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Return all renditions of picture and sound."""
        return (*self.videos, *([self.audio] if self.audio else []))

    @property
    def target_s(self) -> int:
        """Return the target duration, one for all playlists: the longest segment, rounded."""
        return max(round(max(track.durations_s)) for track in self.tracks) or 1

    @property
    def duration_s(self) -> float:
        """Return the time from zero until the last rendition has ended."""
        return max(track.end_s for track in self.tracks)

    def bandwidth(self, video: Track) -> tuple[int, int]:
        """Return bits a second with the sound: the most in any target duration, and on average."""
        peak, average = video.peak_rate(self.target_s), video.average_rate
        if self.audio:
            peak += self.audio.peak_rate(self.target_s)
            average += self.audio.average_rate
        return max(peak, average), average


def media_playlist(track: Track, target_s: int) -> str:
    """Return the playlist of one rendition, to lie beside its segments."""
    lines = [
        *_beginning(target_s, independent=True),
        f'#EXT-X-MAP:URI="{_base(track.init.name)}"',
    ]
    for segment, seconds in zip(track.segments, track.durations_s, strict=True):
        lines += [f"#EXTINF:{seconds:.6f},", _base(segment.file.name)]
    return _text([*lines, "#EXT-X-ENDLIST"])


def text_playlist(text: TextTrack, duration_s: float) -> str:
    """Return the playlist of subtitles that lie in one file.

    Only they may have another target duration than the rest (RFC 8216, 6.2.4).
    """
    return _text(
        [
            *_beginning(max(round(duration_s), 1), independent=False),
            f"#EXTINF:{duration_s:.6f},",
            _base(text.file_name),
            "#EXT-X-ENDLIST",
        ]
    )


def master_playlist(streams: Streams) -> str:
    """Return the playlist of all renditions; the one to begin with comes first."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    if streams.audio:
        lines.append(_sound(streams, streams.audio))
    lines += [_subtitles(text) for text in streams.texts]
    for video in _in_order(streams.videos):
        lines += [_variant(streams, video), f"{video.name}/{PLAYLIST}"]
    return _text(lines)


def _beginning(target_s: int, *, independent: bool) -> list[str]:
    return [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION}",
        f"#EXT-X-TARGETDURATION:{target_s}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        *(["#EXT-X-INDEPENDENT-SEGMENTS"] if independent else []),
    ]


def _in_order(videos: tuple[Track, ...]) -> Iterator[Track]:
    begun = [video for video in videos if min(video.width, video.height) <= _FIRST_LINES]
    first = begun[0] if begun else videos[-1]
    yield first
    yield from (video for video in videos if video is not first)


def _sound(streams: Streams, audio: Track) -> str:
    language = streams.audio_language
    return _tag(
        "#EXT-X-MEDIA",
        ("TYPE", "AUDIO"),
        ("GROUP-ID", f'"{_SOUND}"'),
        ("NAME", f'"{language or "sound"}"'),
        *([("LANGUAGE", f'"{language}"')] if language else []),
        ("DEFAULT", "YES"),
        ("AUTOSELECT", "YES"),
        ("CHANNELS", f'"{audio.channels}"'),
        ("URI", f'"{audio.name}/{PLAYLIST}"'),
    )


def _subtitles(text: TextTrack) -> str:
    return _tag(
        "#EXT-X-MEDIA",
        ("TYPE", "SUBTITLES"),
        ("GROUP-ID", f'"{_TEXT}"'),
        ("NAME", f'"{text.name}"'),
        ("LANGUAGE", f'"{text.language or _UNDETERMINED}"'),
        ("DEFAULT", "NO"),
        ("AUTOSELECT", "YES"),
        ("FORCED", "NO"),
        ("URI", f'"{text.playlist_name}"'),
    )


def _variant(streams: Streams, video: Track) -> str:
    bandwidth, average = streams.bandwidth(video)
    codecs = ",".join(track.codecs for track in (video, streams.audio) if track)
    return _tag(
        "#EXT-X-STREAM-INF",
        ("BANDWIDTH", str(bandwidth)),
        ("AVERAGE-BANDWIDTH", str(average)),
        ("CODECS", f'"{codecs}"'),
        ("RESOLUTION", f"{video.width}x{video.height}"),
        ("FRAME-RATE", f"{streams.frame_rate:.3f}"),
        ("VIDEO-RANGE", "SDR"),
        *([("AUDIO", f'"{_SOUND}"')] if streams.audio else []),
        *([("SUBTITLES", f'"{_TEXT}"')] if streams.texts else []),
        ("CLOSED-CAPTIONS", "NONE"),
    )


def _tag(name: str, *attributes: tuple[str, str]) -> str:
    return f"{name}:" + ",".join(f"{key}={value}" for key, value in attributes)


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
