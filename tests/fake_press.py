"""A Press that works with bytes instead of media."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from core.assignment import ASSIGNMENT_FORMAT, Assignment
from core.errors import Interrupted
from core.images import ImageFormat, ImageInfo, ImageKind, Likeness
from core.images import Variant as Size
from core.ladder_pieces import PieceSet
from core.media import Container
from core.order import Order
from core.pieces import PIECES_FORMAT, PiecePlan, StreamPiece
from core.plan import Plan
from core.ports import Progress
from core.presets import DEFAULT
from tests.fakes import a_media_summary, sha256_of
from tests.unit.media_facts import recording
from transcoder.compress import Compressed
from transcoder.images.make import ENCODED, MadeImage, MadeImages
from transcoder.ladder.texts import Sidecar
from transcoder.pieces.encode import MadePiece
from transcoder.pieces.ranged import Ranges

SOURCE: Final = b"a recording"
RESULT: Final = b"a small lecture"
Act = Callable[[Path], None]


class FakePress:
    """Writes a result into the folder, after having done `act` there.

    With `pieces` a recording is cut into so many, and again for as long as `too_large` is above 0.
    """

    def __init__(self, act: Act | None = None, *, pieces: int = 0) -> None:
        self.act = act
        self.set_act: Act | None = None
        self.sidecars: list[Sidecar] = []
        self.pieces = pieces
        self.too_large = 0
        self.folders: list[Path] = []
        self.did: list[str] = []

    def begin(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed | Assignment:
        """Cut, or do all."""
        if self.pieces:
            self._work("begin", folder, stop)
            assert source.read_bytes() == SOURCE
            return assignment(self.pieces)
        return self.whole(source, folder, order=order, progress=progress, stop=stop)

    def whole(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,  # noqa: ARG002 - the quality changes nothing here
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed:
        """Do all."""
        assert source.read_bytes() == SOURCE
        progress.report(50)
        self._work("whole", folder, stop)
        return compressed(folder, RESULT)

    def picture(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,
        stop: Callable[[], bool],
    ) -> MadeImages:
        """Make an image of every size that is asked for, each of other bytes."""
        assert source.read_bytes() == SOURCE
        self._work("picture", folder, stop)
        return pictures(folder, order)

    def make(
        self,
        assignment: Assignment,
        number: int,
        source: Ranges,
        folder: Path,
        *,
        stop: Callable[[], bool],
    ) -> MadePiece:
        """Make a piece that names itself."""
        self._work(f"make {number}", folder, stop)
        assert source.size == len(SOURCE)
        assert source.read(2, 3) == SOURCE[2:5]
        path = folder / f"piece-{number}.mp4"
        path.write_bytes(f"{assignment.attempt}.{number};".encode())
        return MadePiece(path=path, frames=1, fetched=3, warnings=())

    def join(
        self,
        assignment: Assignment,
        pieces: Sequence[Path],
        fetch: Callable[[], Path],
        folder: Path,
        *,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Compressed | Assignment:
        """Put the pieces one after the other."""
        progress.report(50)
        self._work("join", folder, stop)
        if self.too_large:
            self.too_large -= 1
            assert fetch().read_bytes() == SOURCE
            return assignment_of(self.pieces, assignment.attempt + 1)
        return compressed(folder, b"".join(path.read_bytes() for path in pieces))

    def join_renditions(
        self,
        assignment: Assignment,
        parts: Sequence[PieceSet],
        result: Path,
        source: Callable[[], Path],
        folder: Path,
        *,
        subtitles: Sequence[Sidecar],
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Path:
        """Refuse: pieces of bytes give no parts."""
        raise NotImplementedError

    def renditions(
        self,
        source: Path,
        folder: Path,
        *,
        order: Order,
        subtitles: Sequence[Sidecar],
        progress: Progress,
        stop: Callable[[], bool],
    ) -> Path:
        """Write a set of three files, after having done `set_act` in the folder."""
        assert source.read_bytes() == SOURCE
        progress.report(50)
        self._work(f"set {order.ladder}", folder, stop)
        self.sidecars = [*subtitles]
        (folder / "set").mkdir()
        if self.set_act:
            self.set_act(folder)
        return a_set(folder / "set")

    def _work(self, what: str, folder: Path, stop: Callable[[], bool]) -> None:
        self.did.append(what)
        self.folders.append(folder)
        if self.act:
            self.act(folder)
        if stop():
            raise Interrupted("told to stop")


SET_FILES: Final = {
    "master.m3u8": ("hls", "application/vnd.apple.mpegurl", b"#EXTM3U\n720p/playlist.m3u8\n"),
    "720p/playlist.m3u8": ("playlist", "application/vnd.apple.mpegurl", b"#EXTM3U\n00000.m4s\n"),
    "720p/00000.m4s": ("segment", "video/iso.segment", bytes(range(256)) * 400),
}
"""Files of the set that is always made: role, type and content by path."""


def a_set(folder: Path) -> Path:
    """Write the set into its folder, the manifest last, and return the folder."""
    for name, (_, _, data) in SET_FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps(a_manifest()))
    return folder


def a_manifest() -> dict[str, object]:
    """Return what the set's own manifest says."""
    return {
        "version": 1,
        "duration_s": 6.0,
        "bytes": sum(len(data) for _, _, data in SET_FILES.values()),
        "source": {},
        "renditions": [
            {
                "name": "720p",
                "kind": "video",
                "codecs": "avc1.64001f",
                "bytes": 102_400,
                "average_bits_per_s": 136_533,
                "peak_bits_per_s": 140_000,
                "width": 1280,
                "height": 720,
            }
        ],
        "subtitles": [],
        "warnings": ["from the set"],
        "files": [
            {
                "name": name,
                "role": role,
                "type": kind,
                "bytes": len(data),
                "sha256": sha256_of(data),
            }
            for name, (role, kind, data) in SET_FILES.items()
        ],
    }


def compressed(folder: Path, result: bytes) -> Compressed:
    """Return `result` as `compress.compress` would."""
    (folder / "output.mp4").write_bytes(result)
    return Compressed(
        path=folder / "output.mp4",
        size=len(result),
        sha256=sha256_of(result),
        source_media=a_media_summary(width=1920, height=1080),
        media=a_media_summary(),
        action="encoded",
        warnings=("a warning",),
        work_s=1.0,
    )


def assignment(pieces: int) -> Assignment:
    """Return what a recording is cut into at first."""
    return assignment_of(pieces, 0)


def assignment_of(pieces: int, attempt: int) -> Assignment:
    """Return pieces that hold nothing of any media."""
    info = replace(recording(), size=len(SOURCE))
    plan = Plan(
        container=Container.MP4,
        video=None,
        audio=None,
        width=0,
        height=0,
        frame_s=0.04,
        size_max=100,
    )
    return Assignment(
        version=ASSIGNMENT_FORMAT,
        attempt=attempt,
        preset=DEFAULT,
        source=info,
        pieces=PiecePlan(
            version=PIECES_FORMAT,
            plan=plan,
            pieces=tuple(StreamPiece(number=number) for number in range(pieces)),
            source_size=len(SOURCE),
        ),
        warnings=("from the survey",),
        work_s=1.0,
    )


def pictures(folder: Path, order: Order) -> MadeImages:
    """Return an image of every size in the order."""
    form = ImageFormat(order.image_format or ImageFormat.PNG)
    images = []
    for name in order.variants:
        data = f"a {name} image".encode()
        path = folder / f"{name}.{form}"
        path.write_bytes(data)
        images.append(
            MadeImage(
                variant=Size(name),
                path=path,
                size=len(data),
                sha256=sha256_of(data),
                width=640,
                height=360,
                format=form,
                action=ENCODED,
                likeness=Likeness(mean=0.999, low=0.97),
            )
        )
    info = ImageInfo(kind=ImageKind.PNG, size=len(SOURCE), width=640, height=360)
    return MadeImages(source=info, images=tuple(images), warnings=("a colour",), work_s=0.5)


def raising(error: Exception) -> Act:
    """Return an act that raises `error`."""

    def act(_folder: Path) -> None:
        raise error

    return act
