"""Private folders for work on recordings."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

from core.errors import ScratchFull

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextlib.contextmanager
def private_folder(scratch: Path, name: str) -> Iterator[Path]:
    """Give a step a folder of its own that nobody else can read, and remove it at the end.

    Whatever is in it by then goes too. Raises ScratchFull where there is no room for a folder,
    or where the block finds none for its files.
    """
    folder = scratch / name
    with _room():
        folder.mkdir(parents=True, mode=0o700)  # one that is there belongs to somebody else
    try:
        with _room():
            yield folder
    finally:
        _remove(folder)


@contextlib.contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise ScratchFull("the worker's disk has no room for the recording") from error


def _remove(folder: Path) -> None:
    """Remove the folder, also where a program has nested or locked what is in it."""
    with contextlib.suppress(OSError, RecursionError):
        shutil.rmtree(folder)
        return
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
        _flatten(folder)
        folder.rmdir()


def _flatten(folder: Path) -> None:
    """Empty the folder: what lies deeper is moved up, so no path grows with the depth."""
    names = (folder / f".{number}" for number in count())
    while inner := list(folder.iterdir()):
        for path in inner:
            if _is_folder(path):
                path.chmod(0o700)
                for child in list(path.iterdir()):
                    if _is_folder(child):
                        child.chmod(0o700)
                    child.rename(next(name for name in names if not os.path.lexists(name)))
                path.rmdir()
            else:
                path.unlink()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
