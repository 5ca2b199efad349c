"""The transcode step: source in, verified rendition out, all under one lease."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.errors import (
    Interrupted,
    LeaseLost,
    MediaError,
    MissingObject,
    PassingFailure,
    Unavailable,
)
from core.events import Encoded, Released
from core.job import Job, Rendition, output_key, scratch_name
from core.ledger import Ledger
from core.messages import Message
from core.ports import Progress
from core.retries import after_failure
from transcoder.compress import Compressed
from transcoder.heartbeat import Heartbeat


class Compress(Protocol):
    """Makes a source small inside its folder; errors are those of `compress.compress`."""

    def __call__(
        self, source: Path, folder: Path, *, progress: Progress, stop: Callable[[], bool]
    ) -> Compressed:
        """Return the verified result."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcode:
    """Handles `Topic.TRANSCODE`. `scratch` is a folder for the private folders of its jobs."""

    ledger: Ledger
    compress: Compress
    scratch: Path
    stop: Callable[[], bool]

    def __call__(self, message: Message) -> None:
        """Do the step that `message` asks for; raises what `dispatch` knows to dispose of."""
        job = self.ledger.claim(message)
        with _private_folder(self.scratch, job) as folder, Heartbeat(self.ledger, job) as beat:
            try:
                result = self._make(job, folder, beat)
            except Interrupted:
                if beat.lost:
                    raise LeaseLost(f"fence {job.fence} was overtaken") from None
                self.ledger.apply(job.job_id, Released(fence=job.fence))
                raise
            except (MediaError, PassingFailure, Unavailable, MissingObject) as error:
                self.ledger.apply(job.job_id, after_failure(job, error, self.ledger.policy))
                return
            self._commit(job, result)

    def _make(self, job: Job, folder: Path, beat: Heartbeat) -> Encoded:
        source = folder / "source"
        self.ledger.objects.fetch(job.source.key, source)
        made = self.compress(source, folder, progress=beat, stop=lambda: self.stop() or beat.lost)
        if beat.lost:
            raise Interrupted("the lease was lost")
        key = output_key(job.run, job.fence)
        self.ledger.objects.upload(key, made.path)
        return Encoded(
            fence=job.fence,
            source_media=made.source_media,
            output=_rendition(key, made),
            warnings=made.warnings,
        )

    def _commit(self, job: Job, result: Encoded) -> None:
        try:
            self.ledger.apply(job.job_id, result)
        except LeaseLost:
            self._withdraw(job, result.output.key)
            raise

    def _withdraw(self, job: Job, key: str) -> None:
        """Delete an output that was not recorded; a lost answer may hide that it was."""
        now = self.ledger.jobs.get(job.job_id)
        if now is None or now.output is None or now.output.key != key:
            self.ledger.objects.delete(key)


def _rendition(key: str, made: Compressed) -> Rendition:
    return Rendition(
        key=key,
        size=made.size,
        sha256=made.sha256,
        media=made.media,
        action=made.action,
        work_s=made.work_s,
    )


@contextlib.contextmanager
def _private_folder(scratch: Path, job: Job) -> Iterator[Path]:
    """Give the job a folder of its own that nobody else can read, and remove it at the end."""
    folder = scratch / scratch_name(job.run, job.fence)
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
