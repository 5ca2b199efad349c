"""A worker's disk in memory, with what the steps ask of `pathlib.Path` and `shutil`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.simulation.trouble import Trouble


class SimPath:
    """A scratch folder, a private folder in it, or a file in that; names may have slashes."""

    __slots__ = ("_disk", "_file", "_folder")

    def __init__(self, disk: SimDisk, folder: str | None = None, file: str | None = None) -> None:
        self._disk = disk
        self._folder = folder
        self._file = file

    def __truediv__(self, name: str) -> SimPath:
        if self._folder is None:
            return SimPath(self._disk, name)
        return SimPath(self._disk, self._folder, f"{self._file}/{name}" if self._file else name)

    @property
    def name(self) -> str:
        """Return the last part."""
        return self._file or self._folder or "scratch"

    def mkdir(self, *, parents: bool, mode: int) -> None:
        """Make a private folder."""
        del parents, mode
        if self.name in self._disk.folders:
            raise FileExistsError(self.name)
        self._disk.folders[self.name] = {}

    def is_dir(self) -> bool:
        """Tell whether it is the scratch folder or a private one."""
        return self._folder is None or self._folder in self._disk.folders

    def iterdir(self) -> Iterator[SimPath]:
        """Return the private folders."""
        return iter([self / name for name in self._disk.folders])

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return self._file in self._disk.folders.get(self._folder or "", {})

    is_file = exists

    def read_bytes(self) -> bytes:
        """Return the file's content."""
        files = self._disk.folders.get(self._folder or "", {})
        if self._file not in files:
            raise FileNotFoundError(self.name)
        return files[self._file]

    def write_bytes(self, data: bytes) -> int:
        """Write the file."""
        if self._folder not in self._disk.folders or self._file is None:
            raise FileNotFoundError(self._folder)
        self._disk.folders[self._folder][self._file] = data
        return len(data)

    def write_text(self, text: str) -> int:
        """Write the file."""
        return self.write_bytes(text.encode())

    def remove(self) -> None:
        """Remove a folder, unless the process that would do it is dead."""
        if self._disk.trouble.dies():
            return
        if self._file is None:
            self._disk.folders.pop(self._folder or "", None)
            return
        files, inside = self._disk.folders.get(self._folder or "", {}), f"{self._file}/"
        for name in [name for name in files if name.startswith(inside)]:
            del files[name]


class SimDisk:
    """The private folders by name, with their files."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble
        self.folders: dict[str, dict[str, bytes]] = {}
        self.scratch = SimPath(self)


class SimShutil:
    """Stands for the module `shutil`."""

    @staticmethod
    def rmtree(path: Any, *, ignore_errors: bool = False) -> None:
        """Remove a private folder."""
        del ignore_errors
        path.remove()
