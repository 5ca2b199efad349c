"""The list of a set's files with their digests; it is written last. Pure but for `describe`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from core.job import MediaSummary
from core.segments import File, Track
from transcoder.ladder.hls import Streams

MANIFEST: Final = "manifest.json"
VERSION: Final = 1
_TYPES: Final = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mpd": "application/dash+xml",
    ".vtt": "text/vtt",
    ".jpg": "image/jpeg",
    ".mp4": "video/mp4",
    ".m4s": "video/iso.segment",
}


def manifest(
    streams: Streams,
    roles: Sequence[tuple[str, File]],
    source: MediaSummary,
    warnings: Sequence[str],
) -> str:
    """Return the manifest as JSON: the source, the renditions, and every other file of the set."""
    files = [
        *(entry for track in streams.tracks for entry in _track_files(track)),
        *(_entry(role, file) for role, file in roles),
    ]
    document = {
        "version": VERSION,
        "duration_s": round(streams.duration_s, 3),
        "bytes": sum(entry["bytes"] for entry in files),
        "source": asdict(source),
        "renditions": [_rendition(streams, track) for track in streams.tracks],
        "subtitles": [
            {"file": text.file_name, "language": text.language, "cues": len(text.cues)}
            for text in streams.texts
        ],
        "warnings": list(warnings),
        "files": files,
    }
    return json.dumps(document, indent=1) + "\n"


def describe(folder: Path, name: str) -> File:
    """Return the file `name` of `folder` with its size and digest."""
    with (folder / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return File(name=name, size=(folder / name).stat().st_size, sha256=digest)


def _track_files(track: Track) -> Iterator[dict[str, Any]]:
    yield _entry("init", track.init, track.name)
    for segment in track.segments:
        yield _entry("segment", segment.file, track.name)


def _entry(role: str, file: File, rendition: str | None = None) -> dict[str, Any]:
    kind = _TYPES["." + file.name.rpartition(".")[2]]
    said = {
        "name": file.name,
        "role": role,
        "type": kind,
        "bytes": file.size,
        "sha256": file.sha256,
    }
    return {**said, "rendition": rendition} if rendition else said


def _rendition(streams: Streams, track: Track) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": track.name,
        "kind": track.kind,
        "codecs": track.codecs,
        "bytes": sum(file.size for file in track.files),
        "segments": len(track.segments),
        "average_bits_per_s": track.average_rate,
        "peak_bits_per_s": max(track.peak_rate(streams.target_s), track.average_rate),
        "start_s": round(track.start_s, 6),
        "duration_s": round(sum(track.durations_s), 6),
    }
    if track.kind == "audio":
        return {**said, "channels": track.channels, "sample_rate": track.sample_rate}
    return {
        **said,
        "width": track.width,
        "height": track.height,
        "frames": track.samples,
        "frame_rate": round(streams.frame_rate, 3),
    }
