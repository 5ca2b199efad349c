"""What the work on a piece needs besides the piece: programs, a folder, an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core import limits
from transcoder.child import command
from transcoder.encoder import EncoderProgress
from transcoder.runner import Bounds, Desk, Exit, Listener, run

_CHILD_MEMORY_BYTES: Final = limits.PROBE_MEMORY_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """A private folder and what works in it; `deadline` is on the monotonic clock.

    `report` hears the share of the work that is done, 0 to 1.
    """

    ffmpeg: Path
    python: str
    folder: Path
    deadline: float
    stop: Callable[[], bool]
    report: Callable[[float], None] = lambda _: None

    def child(
        self,
        module: str,
        wish: dict[str, object],
        *,
        listener: Listener,
        desk: Desk | None = None,
        file_bytes: int = 0,
        seconds: float = limits.PROBE_WALL_S,
    ) -> Exit:
        """Run one of our own modules in the sandbox; raises what `runner.run` raises."""
        return run(
            command(self.python, module, wish),
            folder=self.folder,
            python=self.python,
            bounds=Bounds(
                memory_bytes=_CHILD_MEMORY_BYTES,
                file_bytes=file_bytes,
                deadline=min(self.deadline, time.monotonic() + seconds),
            ),
            listener=listener,
            stop=self.stop,
            desk=desk,
        )

    def encode(self, argv: list[str], *, file_bytes: int, progress: EncoderProgress) -> Exit:
        """Run FFmpeg in the sandbox; raises what `runner.run` raises."""
        return run(
            argv,
            folder=self.folder,
            python=self.python,
            bounds=Bounds(
                memory_bytes=limits.ENCODE_MEMORY_BYTES,
                file_bytes=file_bytes,
                deadline=self.deadline,
                stall_s=limits.STALL_S,
            ),
            listener=progress,
            stop=self.stop,
        )
