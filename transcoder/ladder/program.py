"""Run FFmpeg for a set: within its folder, its bytes and its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core import limits
from core.errors import BadOutput
from transcoder.encoder import EncoderProgress, failure
from transcoder.runner import Bounds, Exit, Outgrown, run

_LOOK_S: Final = 2.0
_LOOK_SHARE: Final = 20.0
"""The folder is measured every two seconds, and rests twenty times as long as that takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Runs FFmpeg in `folder`; `deadline` is on the monotonic clock."""

    python: str
    folder: Path
    deadline: float
    stop: Callable[[], bool]

    def __call__(
        self,
        argv: list[str],
        *,
        file_max: int,
        progress: EncoderProgress,
        output: tuple[Path, int] | None = None,
    ) -> Exit:
        """Run until the end; no file may outgrow `file_max`, nor a folder its bytes in `output`.

        Raises BadOutput for those, and what `encoder.failure` and `runner.run` name.
        """
        bounds = Bounds(
            memory_bytes=limits.ENCODE_MEMORY_BYTES,
            file_bytes=file_max,
            deadline=self.deadline,
            stall_s=limits.STALL_S,
        )
        watch = _Watch(folder=output[0], most=output[1], stop=self.stop) if output else self.stop
        try:
            ended = run(
                argv,
                folder=self.folder,
                python=self.python,
                bounds=bounds,
                listener=progress,
                stop=watch,
            )
        except Outgrown:
            raise BadOutput("the renditions grew past what was planned for them") from None
        if ended.status:
            raise failure(ended)
        return ended


@dataclass(slots=True, kw_only=True)
class _Watch:
    """`stop`, which also looks at how large the folder has become."""

    folder: Path
    most: int
    stop: Callable[[], bool]
    next_s: float = field(default_factory=time.monotonic)

    def __call__(self) -> bool:
        now = time.monotonic()
        if now >= self.next_s:
            if folder_bytes(self.folder) > self.most:
                raise Outgrown
            took_s = time.monotonic() - now
            self.next_s = now + max(_LOOK_S, _LOOK_SHARE * took_s)
        return self.stop()


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files under `folder`, without what links lead to."""
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.lstat().st_size
        except FileNotFoundError:  # a temporary name of the program
            continue
    return size
