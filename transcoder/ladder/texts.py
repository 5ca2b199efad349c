"""Find a recording's own subtitles and read them; read those that come beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core import limits
from core.errors import MediaError, UnreadableMedia
from core.media import Container
from core.subtitles import BYTES_MAX, Cue, TextTrack, language, parse
from transcoder.allowed import DEMUXERS
from transcoder.encoder import EncoderProgress
from transcoder.ladder.command import opening
from transcoder.ladder.program import Program
from transcoder.runner import Bounds, Collector, run

_CHILD: Final = Path(__file__).with_name("texts_child.py")
FOLDER: Final = "subtitles"
DECODERS: Final = "mov_text,subrip,srt,ass,ssa,webvtt,text"
"""Subtitles that are text; those that are pictures are left behind."""
_TEXT_CODECS: Final = frozenset(DECODERS.split(","))
TRACKS_MAX: Final = 16
"""Text tracks that are taken of a recording."""
_ANSWER_BYTES_MAX: Final = 64 * limits.KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """A file of subtitles that comes with the recording; `language` a BCP 47 tag, if known."""

    data: bytes
    language: str | None = None

    @classmethod
    def read(cls, path: Path) -> Sidecar:
        """Read `talk.srt` or `talk.de.vtt`; raises UnreadableMedia for too large a file."""
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
        suffixes = path.suffixes[:-1]
        return cls(data=data, language=language(suffixes[-1][1:]) if suffixes else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A stream of the source with its language."""

    index: int
    kind: str
    codec: str
    language: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Reads text tracks of files in `folder`; `deadline` is on the monotonic clock."""

    ffmpeg: Path
    program: Program

    def streams(self, source: str, container: Container) -> tuple[Named, ...]:
        """Return the streams of `source` by name; none where it cannot be opened."""
        answer = Collector(most=_ANSWER_BYTES_MAX)
        wish = {"file": source, "demuxer": DEMUXERS[container], "max_streams": limits.STREAMS_MAX}
        program = self.program
        ended = run(
            [program.python, "-I", "-B", str(_CHILD), json.dumps(wish)],
            folder=program.folder,
            python=program.python,
            bounds=Bounds(
                memory_bytes=limits.PROBE_MEMORY_BYTES, file_bytes=0, deadline=program.deadline
            ),
            listener=answer,
            stop=program.stop,
        )
        if ended.status or answer.seen > _ANSWER_BYTES_MAX:
            return ()
        return tuple(
            Named(
                index=facts["index"],
                kind=facts["kind"],
                codec=facts["codec"],
                language=language(facts["language"]),
            )
            for facts in json.loads(answer.data)
        )

    def embedded(
        self, source: str, container: Container, streams: Sequence[Named]
    ) -> tuple[list[tuple[str | None, tuple[Cue, ...]]], list[str]]:
        """Return the cues of each text track with its language, and warnings about others."""
        found, warnings = [], []
        texts = [s for s in streams if s.kind == "subtitle"]
        for stream in texts[:TRACKS_MAX]:
            if stream.codec not in _TEXT_CODECS:
                warnings.append(f"subtitles in {stream.codec} are pictures and were left out")
                continue
            try:
                cues = self._read(source, container, stream.index)
            except MediaError as error:
                warnings.append(f"a text track was left out: {error.detail}")
                continue
            if cues:
                found.append((stream.language, cues))
        return found, warnings

    def _read(self, source: str, container: Container, index: int) -> tuple[Cue, ...]:
        name = f"text-{index}.vtt"
        argv = [
            *opening(self.ffmpeg),
            *_reading(container, source),
            *("-map", f"0:{index}", "-map_metadata", "-1", "-map_chapters", "-1"),
            *("-c:s", "webvtt", "-f", "webvtt", f"file:{name}"),
        ]
        quiet = EncoderProgress(duration_s=1.0, report=_nobody)
        self.program(argv, file_max=BYTES_MAX, progress=quiet)
        path = self.program.folder / name
        if not path.is_file():
            raise UnreadableMedia("it has no text")
        data = path.read_bytes()
        path.unlink()
        return parse(data)


def _reading(container: Container, source: str) -> list[str]:
    """Return how `source` is opened: by one demuxer, for text only."""
    demuxer = DEMUXERS[container]
    return [
        *("-f", demuxer, "-format_whitelist", demuxer, "-protocol_whitelist", "file"),
        *("-codec_whitelist", DECODERS, "-max_streams", str(limits.STREAMS_MAX)),
        *("-i", f"file:{source}"),
    ]


def _nobody(_: float) -> None:
    """Report to nobody."""


def text_tracks(
    found: Sequence[tuple[str | None, tuple[Cue, ...]]],
) -> tuple[TextTrack, ...]:
    """Return the tracks with names and files of their own, in the order in which they came."""
    tracks: list[TextTrack] = []
    for number, (tag, cues) in enumerate(found, start=1):
        stem = f"{number}-{tag}" if tag else str(number)
        taken = {track.name for track in tracks}
        name = tag if tag and tag not in taken else f"{tag or 'text'} {number}"
        tracks.append(
            TextTrack(
                name=name,
                language=tag,
                file_name=f"{FOLDER}/{stem}.vtt",
                playlist_name=f"{FOLDER}/{stem}.m3u8",
                cues=cues,
            )
        )
    return tuple(tracks)
