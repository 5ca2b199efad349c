"""The memory of some processes, watched while something happens."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from core import limits

_PERIOD_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes of some processes together.

    `pss` counts a page that several processes share with its share for each. `alone` is what they
    would need if nothing else ran that shares their program and libraries with them.
    """

    pss: int
    alone: int


class PeakMemory:
    """Watches the memory of `processes`, 50 times a second, and keeps the largest figures.

    Linux only: elsewhere `peak` stays None.
    """

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self.peak: Memory | None = None
        self.samples = 0
        self._files = [Path(f"/proc/{process.pid}/smaps_rollup") for process in processes]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        if all(file.exists() for file in self._files):
            self.sample()
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def sample(self) -> None:
        """Look once; raises OSError when one of the processes is gone."""
        self.peak = highest([self.peak, _together([_sizes(file) for file in self._files])])
        self.samples += 1

    def _watch(self) -> None:
        while not self._ended.wait(_PERIOD_S):
            self.sample()


def highest(figures: Iterable[Memory | None]) -> Memory | None:
    """Return the largest of each figure, or None where there are none."""
    known = [figure for figure in figures if figure is not None]
    if not known:
        return None
    return Memory(pss=max(m.pss for m in known), alone=max(m.alone for m in known))


def _together(sizes: Sequence[Mapping[str, int]]) -> Memory:
    """Add up: the processes are forks of one another, so their files are those of the largest."""
    files = max(size["Rss"] - size["Anonymous"] for size in sizes)
    return Memory(
        pss=sum(size["Pss"] for size in sizes),
        alone=sum(size["Pss_Anon"] for size in sizes) + files,
    )


def _sizes(rollup: Path) -> dict[str, int]:
    """Return the fields of a smaps_rollup in bytes (Linux, proc_pid_smaps(5))."""
    _, *lines = rollup.read_text().splitlines()
    fields = (line.split() for line in lines)
    return {name.rstrip(":"): int(kib) * limits.KIB for name, kib, _ in fields}
