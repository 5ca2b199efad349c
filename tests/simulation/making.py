"""What stands in for a set of renditions, for a piece's part of one, and for an image's sizes.

A segment says of which recording it is, how it was made, and where its place is; no two that were
made are the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final

from core.assignment import Assignment
from core.images import ImageFormat, ImageInfo, ImageKind, Likeness
from core.images import Variant as Size
from core.ladder import LADDERS, ladder_plan
from core.ladder_pieces import LadderCut, PieceSet, joined, piece_set
from core.order import Order
from core.pieces import PicturePiece
from core.segments import File, Segment, Track
from core.sets import MANIFEST
from core.timeline import Keyframe
from tests.fake_press import assignment_of
from tests.simulation.recordings import sha256
from tests.unit.media_facts import recording as a_recording
from transcoder.images.make import ENCODED, MadeImage, MadeImages

OF_A_SET: Final = "the set has come to nothing"
"""The words of whatever befalls a set."""
WHOLE: Final = "whole"
"""How a segment was made that no piece gave."""
_INIT: Final = b"the header of every piece"
_MASTER: Final = "master.m3u8"
_SEGMENTS: Final = 2


def segment(origin: str, way: str, place: tuple[int, int], made: int) -> bytes:
    """Return a segment of the recording `origin`; `place` is its piece and its number in that."""
    return f"{origin}|{way}|{place[0]}|{place[1]}|{made}".encode()


def write_set(folder: Any, origin: str, made: int) -> Any:
    """Write a set that was made in one go, and return its folder."""
    place = folder / "set"
    entries = []
    for number in range(_SEGMENTS):
        data = segment(origin, WHOLE, (0, number), made)
        (place / f"a/{number}.m4s").write_bytes(data)
        entries.append(_entry(f"a/{number}.m4s", "segment", data))
    return _finished(place, entries)


def write_part(folder: Any, origin: str, place: tuple[int, int], made: int) -> PieceSet:
    """Write what a piece gives to a set; `place` is the attempt, and the number of the piece."""
    attempt, number = place
    (folder / "init").write_bytes(_INIT)
    segments = []
    for at in range(1 + (made + number) % 2):
        data = segment(origin, str(attempt), (number, at), made)
        (folder / f"{at}").write_bytes(data)
        segments.append(_segment(f"{at}", at, data))
    track = Track(
        name="a", kind="video", codecs="avc1.64001f", timescale=1, width=640, height=360,
        channels=0, sample_rate=0, shift=0, init=_file("init", _INIT), segments=tuple(segments),
    )  # fmt: skip
    return piece_set(1, (track,))


def write_joined(folder: Any, parts: Sequence[PieceSet]) -> Any:
    """Write a set over the parts of all pieces, whose files lie elsewhere."""
    (track,) = joined(parts)
    entries: list[dict[str, object]] = [
        {
            "name": file.name,
            "role": "init" if file is track.init else "segment",
            "type": "video/iso.segment",
            "bytes": file.size,
            "sha256": file.sha256,
        }
        for file in track.files
    ]
    return _finished(folder / "set", entries)


def write_pictures(folder: Any, origin: str, order: Order, made: int) -> MadeImages:
    """Write an image in every size of the order, each of other bytes."""
    form = ImageFormat(order.image_format or ImageFormat.PNG)
    images = []
    for name in order.variants:
        data, path = f"{origin} {name} {made}".encode(), folder / f"{name}.{form}"
        path.write_bytes(data)
        image = MadeImage(
            variant=Size(name), path=path, size=len(data), sha256=sha256(data), width=64,
            height=36, format=form, action=ENCODED, likeness=Likeness(mean=0.99, low=0.97),
        )  # fmt: skip
        images.append(image)
    info = ImageInfo(kind=ImageKind.PNG, size=99, width=640, height=360)
    return MadeImages(source=info, images=tuple(images), warnings=(), work_s=0.5)


@cache
def laddered(pieces: int, attempt: int) -> Assignment:
    """Return pieces of pictures, each of which gives a part of a set."""
    usual = assignment_of(pieces, attempt)
    pictures = tuple(
        PicturePiece(
            number=number, start=number, end=number + 1, read_end=number + 1,
            keyframe=Keyframe(time=number, decoded=number, position=number), frames=1,
            first=number, last=number,
        )
        for number in range(pieces)
    )  # fmt: skip
    ladder = LadderCut(plan=ladder_plan(a_recording(), LADDERS["hls"]), gap_s=0.04)
    return replace(usual, pieces=replace(usual.pieces, pieces=pictures), ladder=ladder)


def _finished(place: Any, entries: Iterable[dict[str, object]]) -> Any:
    """Write what a player begins with, and the manifest."""
    master = b"#EXTM3U"
    (place / _MASTER).write_bytes(master)
    said = {
        "version": 1,
        "duration_s": 6.0,
        "renditions": [_RENDITION],
        "subtitles": [],
        "warnings": [],
        "files": [_entry(_MASTER, "hls", master), *entries],
    }
    (place / MANIFEST).write_text(json.dumps(said))
    return place


_RENDITION: Final = {
    "name": "a",
    "codecs": "avc1.64001f",
    "bytes": 99,
    "average_bits_per_s": 99,
    "peak_bits_per_s": 99,
}


def _entry(name: str, role: str, data: bytes) -> dict[str, object]:
    file = _file(name, data)
    return {
        "name": name, "role": role, "type": "text/plain", "bytes": file.size, "sha256": file.sha256,
    }  # fmt: skip


def _file(name: str, data: bytes) -> File:
    return File(name=name, size=len(data), sha256=sha256(data))


def _segment(name: str, at: int, data: bytes) -> Segment:
    return Segment(
        file=_file(name, data), start=at, end=at + 1, decode=at, duration=1, samples=1, syncs=1,
        sync=True, whole=True,
    )  # fmt: skip
