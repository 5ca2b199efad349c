"""Write pictures of a rendition at given times, without decoding more than one segment each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core import limits
from core.errors import BadOutput
from core.segments import Track
from transcoder.encoder import EncoderProgress
from transcoder.ladder.pictures import segment_at, still
from transcoder.ladder.program import Program

_PIECE: Final = "piece.mp4"
_BYTES_MAX: Final = 32 * limits.MIB
"""Bytes of one picture: 4K as JPEG has about two MiB."""
_JPEG: Final = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stills:
    """Writes into the set `set_name` inside `folder`."""

    ffmpeg: Path
    program: Program
    folder: Path
    set_name: str

    @property
    def path(self) -> Path:
        """Return the set's folder."""
        return self.folder / self.set_name

    def __call__(self, track: Track, time_s: float, name: str) -> None:
        """Write the JPEG `name`: the first frame of `track` from `time_s` on in that segment.

        Where no more begins in it, the frame that stands still until its end.

        Raises BadOutput where that cannot be had, and what `Program` raises.
        """
        segment = segment_at(track, time_s)
        with (self.folder / _PIECE).open("wb") as piece:
            for file in (track.init, segment.file):
                piece.write((self.path / file.name).read_bytes())
        for of_all in (False, True):
            argv = still(self.ffmpeg, _PIECE, f"{self.set_name}/{name}", None if of_all else time_s)
            quiet = EncoderProgress(duration_s=1.0, report=lambda _: None)
            self.program(argv, file_max=_BYTES_MAX, progress=quiet)
            if self._is_picture(name):
                (self.folder / _PIECE).unlink()
                return
        raise BadOutput(f"no picture could be made at {time_s:.1f} s")

    def _is_picture(self, name: str) -> bool:
        path = self.path / name
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(_JPEG)) == _JPEG
