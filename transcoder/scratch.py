"""Private folders for work on recordings."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def private_folder(scratch: Path, name: str) -> Iterator[Path]:
    """Give a step a folder of its own that nobody else can read, and remove it at the end."""
    folder = scratch / name
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
