"""Where the example LMS keeps what it was given: a file for each id, and what came beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

FILE: Final = "file"
"""The form field of the result itself; the other files are variants of it, in fields of their
names."""
_ENDINGS: Final = {
    "video/mp4": "mp4",
    "audio/mp4": "m4a",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/avif": "avif",
}
"""What the webhook sends, by media type. Anything else is taken for a recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file of a form, on the shelf's disk already, and its media type."""

    file: BinaryIO
    media_type: str

    @property
    def ending(self) -> str:
        """Return the ending of its name."""
        return _ENDINGS.get(self.media_type, _ENDINGS["video/mp4"])


class Shelf:
    """Keeps each result as `<folder>/<video_id>.<ending>`, the ending by what it is.

    Variants of an image lie in the folder `<video_id>.variants` as `<name>.<ending>`, a set of
    renditions in the folder `<video_id>.set`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path_of(self, video_id: str) -> Path:
        """Return where the result is; where none is, a recording's name."""
        names = self._names(video_id)
        return next((path for path in names if path.exists()), names[0])

    def set_of(self, video_id: str) -> Path:
        """Return the folder of the set of renditions, if there is one."""
        return self._folder / f"{video_id}.set"

    def variants_of(self, video_id: str) -> Path:
        """Return the folder of an image's variants, if there are any."""
        return self._folder / f"{video_id}.variants"

    def put(self, video_id: str, parts: Mapping[str, Part]) -> None:
        """Make all parts durable, the result last, in place of what was there under the id."""
        for part in parts.values():
            os.fsync(part.file.fileno())
        self._put_variants(video_id, parts)
        target = self._folder / f"{video_id}.{parts[FILE].ending}"
        Path(parts[FILE].file.name).replace(target)
        for path in self._names(video_id):
            if path != target:
                path.unlink(missing_ok=True)
        _sync(self._folder)

    def _put_variants(self, video_id: str, parts: Mapping[str, Part]) -> None:
        folder = self.variants_of(video_id)
        names = {name: f"{name}.{part.ending}" for name, part in parts.items() if name != FILE}
        if not names:
            shutil.rmtree(folder, ignore_errors=True)
            return
        folder.mkdir(exist_ok=True)
        for name, stored_as in names.items():
            Path(parts[name].file.name).replace(folder / stored_as)
        for path in folder.iterdir():
            if path.name not in names.values():
                path.unlink()
        _sync(folder)

    def _names(self, video_id: str) -> list[Path]:
        return [self._folder / f"{video_id}.{ending}" for ending in _ENDINGS.values()]


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
