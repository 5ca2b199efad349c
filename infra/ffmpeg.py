"""Where FFmpeg is: the one from the locked wheel, unless the operator names another."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


class FfmpegMissing(Exception):
    """No usable FFmpeg; the message says how to get one."""


def find(override: Path | None = None) -> Path:
    """Return the path of the FFmpeg to run; raises FfmpegMissing."""
    if override is not None:
        found = shutil.which(override)
        if found is None:
            raise FfmpegMissing(f"LECTERN_FFMPEG: {override} is no executable file")
        return Path(found).absolute()
    import imageio_ffmpeg  # noqa: PLC0415 - only who encodes needs it

    try:
        path = Path(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise FfmpegMissing(
            "no FFmpeg is installed: install the locked requirements again, or set LECTERN_FFMPEG"
        ) from error
    if not os.access(path, os.X_OK):
        raise FfmpegMissing(f"{path} is not executable")
    return path
