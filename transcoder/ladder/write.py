"""Write what stands around the segments of a set: pictures, text, playlists, the manifest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from core.errors import BadOutput
from core.job import MediaSummary
from core.ladder import LOOK_SIZE, TILE_COLUMNS, TILE_ROWS, LadderPlan
from core.looks import Looks, chapters, poster_s
from core.segments import Track
from core.subtitles import webvtt
from transcoder.ladder.command import LOOKS, PLAYLIST, SHEETS
from transcoder.ladder.dash import MPD, mpd
from transcoder.ladder.hls import MASTER, Streams, master_playlist, media_playlist, text_playlist
from transcoder.ladder.manifest import MANIFEST, describe, manifest
from transcoder.ladder.pictures import POSTER, STORYBOARD, chapter_list, storyboard, tiles

CHAPTERS: Final = "chapters.vtt"
THUMBNAIL: Final = "thumbnails/{:09.3f}.jpg"
_POSTER_LINES: Final = 720
"""Lines of the rendition that the poster is taken from, at most."""


class Still(Protocol):
    """Writes pictures into the set at `path`, which lies in `folder`."""

    @property
    def folder(self) -> Path:
        """Return the private folder."""
        ...

    @property
    def path(self) -> Path:
        """Return the set's folder."""
        ...

    def __call__(self, track: Track, time_s: float, name: str) -> None:
        """Write the JPEG `name`: what `track` shows at a time."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a set amounts to: bytes and number of files, its manifest included."""

    size: int
    files: int
    warnings: tuple[str, ...]


def write(
    plan: LadderPlan,
    streams: Streams,
    source: MediaSummary,
    warnings: tuple[str, ...],
    stills: Still,
    thumbnails_s: tuple[float, ...],
) -> Written:
    """Write all that is missing into the set's folder; the manifest comes last."""
    folder = stills.path
    roles = [
        *_pictures(plan, streams, stills, thumbnails_s),
        *_texts(folder, plan, streams),
        *_playlists(folder, streams),
    ]
    listed = [(role, describe(folder, name)) for role, name in roles]
    text = manifest(streams, listed, source, warnings)
    _remove_strangers(folder, streams, {name for _, name in roles})
    (folder / MANIFEST).write_text(text)
    files = [*(file for _, file in listed), *(f for track in streams.tracks for f in track.files)]
    size = sum(file.size for file in files) + len(text.encode())
    return Written(size=size, files=len(files) + 1, warnings=warnings)


def _pictures(
    plan: LadderPlan, streams: Streams, stills: Still, thumbnails_s: tuple[float, ...]
) -> Iterator[tuple[str, str]]:
    looks = stills.folder / LOOKS
    wide, high = LOOK_SIZE
    seen = Looks(data=looks.read_bytes(), size=wide * high, every_s=float(1 / plan.look_fps))
    track = _shown(streams)
    stills(track, poster_s(seen), POSTER)
    yield "poster", POSTER
    if thumbnails_s:
        (stills.path / THUMBNAIL).parent.mkdir(exist_ok=True)
    for time_s in sorted(set(thumbnails_s)):
        name = THUMBNAIL.format(time_s)
        stills(track, time_s, name)
        yield "thumbnail", name
    (stills.path / CHAPTERS).write_text(chapter_list(chapters(seen), streams.duration_s))
    yield "chapters", CHAPTERS


def _shown(streams: Streams) -> Track:
    fitting = [v for v in streams.videos if min(v.width, v.height) <= _POSTER_LINES]
    return fitting[0] if fitting else streams.videos[-1]


def _texts(folder: Path, plan: LadderPlan, streams: Streams) -> Iterator[tuple[str, str]]:
    sheets = -(-tiles(plan, streams.duration_s) // (TILE_COLUMNS * TILE_ROWS))
    (folder / STORYBOARD).write_text(storyboard(plan, streams.duration_s))
    yield "storyboard", STORYBOARD
    for number in range(1, sheets + 1):
        if not (folder / (SHEETS % number)).is_file():
            raise BadOutput(f"sheet {number} of the storyboard is missing")
        yield "storyboard-sheet", SHEETS % number
    for text in streams.texts:
        (folder / text.file_name).parent.mkdir(exist_ok=True)
        (folder / text.file_name).write_text(webvtt(text.cues, until_s=streams.duration_s))
        yield "subtitles", text.file_name


def _playlists(folder: Path, streams: Streams) -> Iterator[tuple[str, str]]:
    texts = {MASTER: master_playlist(streams), MPD: mpd(streams)}
    for track in streams.tracks:
        texts[f"{track.name}/{PLAYLIST}"] = media_playlist(track, streams.target_s)
    for text in streams.texts:
        texts[text.playlist_name] = text_playlist(text, streams.duration_s)
    for name, words in texts.items():
        (folder / name).write_text(words)
        yield {MASTER: "hls", MPD: "dash"}.get(name, "playlist"), name


def _remove_strangers(folder: Path, streams: Streams, written: set[str]) -> None:
    """Leave nothing that the manifest does not name."""
    known = written | {file.name for track in streams.tracks for file in track.files}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and str(path.relative_to(folder)) not in known:
            path.unlink()
