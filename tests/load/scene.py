"""The service under load, and what its processes hold."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core.job import UNFINISHED, Job
from infra.embedded.jobs import SqliteJobStore
from lectern.example_lms import ExampleLms
from tests import planted
from tests.crash.scenery import DEPOT
from tests.crash.tree import Nursery, Offspring
from tests.service.harness import KEY, Service, kill_session, lms_for, until

CALM: Final[Mapping[str, str]] = {
    "HOST": "127.0.0.1",
    "PORT": "0",
    "INTERNAL_SERVICE_KEY": KEY,
    "MIN_FREE_BYTES": "0",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "WARNING",
}
"""Everything else is the product's default."""
_STOP_S: Final = 15.0


@dataclass(slots=True)
class Loaded(Service):
    """A Service that is forked with a press that works on bytes, and is otherwise the product."""

    nursery: Nursery | None = None
    lms: ExampleLms | None = None

    def start(self, **extra: str) -> None:
        """Start it, and wait until it answers."""
        assert self.nursery is not None
        (self.folder / "address").unlink(missing_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder.parent),
            "LECTERN_DATA_DIR": str(self.folder),
            "LMS_STORE_URL": self.lms_url,
            DEPOT: str(self.folder.parent),
            **CALM,
            **self.environment,
            **extra,
        }
        self.process = self.nursery.start("up", environment, self.log)  # type: ignore[assignment] # as good as a Popen here
        until(lambda: self.url() and self.call("GET", "/ready").ok, "a service that is ready")

    @property
    def jobs(self) -> SqliteJobStore:
        """Return the service's records."""
        return SqliteJobStore(self.folder / "jobs.db")

    def unfinished(self) -> int:
        """Return how many jobs are not at the LMS yet."""
        counts = self.jobs.counts()
        return sum(counts.get(state, 0) for state in UNFINISHED)

    def lost(self, ids: Sequence[str]) -> list[str]:
        """Return those of `ids` that no record knows."""
        jobs = self.jobs
        return [video_id for video_id in ids if jobs.get(video_id) is None]

    def records(self, limit: int) -> list[Job]:
        """Return the records."""
        return self.jobs.recent(limit=limit)

    def kill(self) -> None:
        """SIGKILL what is left."""
        if self.process is not None and self.process.poll() is None:
            kill_session(self.process.pid)
            self.process.wait(_STOP_S)


@contextlib.contextmanager
def loaded(folder: Path, nursery: Nursery, **environment: str) -> Iterator[Loaded]:
    """Give a running service with an LMS; nothing of it runs afterwards."""
    folder.mkdir(exist_ok=True)
    with lms_for(folder / "data") as lms:
        service = Loaded(
            folder=folder / "data",
            lms_url=lms.url,
            environment=environment,
            nursery=nursery,
            lms=lms,
        )
        try:
            service.start()
            yield service
        finally:
            service.kill()
            planted.assert_hidden(service.log)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the processes of a service hold at one moment."""

    at: float
    pss_bytes: int
    handles: int
    threads: int
    processes: int


def held(service: Loaded) -> Held:
    """Measure; a process that ends meanwhile counts for nothing."""
    pss = handles = threads = 0
    pids = list(service.members())
    for pid in pids:
        with contextlib.suppress(OSError):
            proc = Path("/proc") / str(pid)
            pss += _pss(proc)
            handles += len(os.listdir(proc / "fd"))  # noqa: PTH208 - only their number
            threads += len(os.listdir(proc / "task"))  # noqa: PTH208 - the same
    assert pss, "the service hides its processes from its own user: measure as root"
    return Held(
        at=time.monotonic(), pss_bytes=pss, handles=handles, threads=threads, processes=len(pids)
    )


def _pss(proc: Path) -> int:
    lines = (proc / "smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@dataclass(slots=True)
class Watch:
    """Measurements over time."""

    seen: list[Held] = field(default_factory=list)

    def slope_bytes_per_h(self) -> float:
        """Return by how much the memory grows an hour: least squares over the second half."""
        half = self.seen[len(self.seen) // 2 :]
        mean_at = sum(one.at for one in half) / len(half)
        mean = sum(one.pss_bytes for one in half) / len(half)
        above = sum((one.at - mean_at) * (one.pss_bytes - mean) for one in half)
        below = sum((one.at - mean_at) ** 2 for one in half)
        return 3600 * above / below if below else 0.0


__all__ = ["Held", "Loaded", "Offspring", "Watch", "held", "loaded"]
