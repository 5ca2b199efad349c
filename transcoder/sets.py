"""The set of renditions of a job: made beside the result, committed after it, never in its way."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from core import limits
from core.assignment import Assignment
from core.errors import Interrupted, LecternError, StoreFull, Unavailable
from core.job import Job, RenditionSet, set_key, subtitles_key
from core.ledger import Ledger
from core.ports import ObjectStore, Progress
from core.retries import is_worth_another_try
from core.sets import MANIFEST, StoredSet, read_stored, summary
from transcoder.ladder.part import no_set
from transcoder.ladder.texts import Sidecar
from transcoder.parts import Parts
from transcoder.press import Press


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFolder:
    """A set in the folder `path`, complete, or None with a warning that says why there is none."""

    path: Path | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetWork:
    """Makes and commits the set that a job's order asks for.

    Whatever is wrong, the result itself is delivered, with a warning. Nothing is raised but
    Interrupted and, a few times, what may be better at the next try of all.
    """

    ledger: Ledger
    press: Press

    def make(
        self,
        job: Job,
        source: Callable[[], Path],
        folder: Path,
        *,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> MadeFolder:
        """Make the set in the private `folder`; `source()` brings the recording."""
        try:
            path = self.press.renditions(
                source(),
                folder,
                order=job.order,
                subtitles=self._subtitles(job),
                progress=progress,
                stop=stop,
            )
            return MadeFolder(path=path, warnings=_stored(path, job).said["warnings"])
        except Interrupted:
            raise
        except Exception as error:
            if self._is_tried_again(job, error):
                raise
            return MadeFolder(path=None, warnings=(self._told(job, error),))

    def join(
        self,
        job: Job,
        assignment: Assignment,
        result: Path,
        source: Callable[[], Path],
        folder: Path,
        *,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> MadeFolder:
        """Join what the pieces of a recording gave to the set; see `make`."""
        if job.board is None:
            raise ValueError(f"job {job.job_id} was not cut")
        parts = Parts(self.ledger.objects, job.run, job.board)
        try:
            path = self.press.join_renditions(
                assignment,
                parts.read(assignment),
                result,
                source,
                folder,
                subtitles=self._subtitles(job),
                progress=progress,
                stop=stop,
            )
            _name_keys(path, parts)
            return MadeFolder(path=path, warnings=_stored(path, job).said["warnings"])
        except Interrupted:
            raise
        except Exception as error:
            if self._is_tried_again(job, error):
                raise
            return MadeFolder(path=None, warnings=(self._told(job, error),))

    def _subtitles(self, job: Job) -> tuple[Sidecar, ...]:
        if not job.order.subtitles:
            return ()
        with self.ledger.objects.open(subtitles_key(job.run)) as body:
            data = b"".join(iter(lambda: body.read(limits.CHUNK_BYTES), b""))
        return (Sidecar(data=data, language=job.order.subtitles_language),)

    def commit(self, job: Job, made: MadeFolder) -> tuple[RenditionSet | None, tuple[str, ...]]:
        """Commit every file and then the manifest; return the set, and warnings."""
        if made.path is None:
            return None, made.warnings
        try:
            return self._commit(job, made.path), made.warnings
        except Interrupted:
            raise
        except Exception as error:
            if self._is_tried_again(job, error):
                raise
            if isinstance(error, StoreFull):  # others need the room; else it goes with the run
                withdraw(self.ledger.objects, job, job.fence)
            return None, (self._told(job, error),)
        finally:
            shutil.rmtree(made.path, ignore_errors=True)

    def _commit(self, job: Job, folder: Path) -> RenditionSet:
        stored = _stored(folder, job)
        for file in stored.files.values():
            if file.key == set_key(job.run, job.fence, file.path):
                self.ledger.objects.upload(file.key, folder / file.path)
        self.ledger.objects.upload(set_key(job.run, job.fence, MANIFEST), folder / MANIFEST)
        return summary(stored, run=job.run, fence=job.fence)

    def _is_tried_again(self, job: Job, error: Exception) -> bool:
        return is_worth_another_try(error, job, self.ledger.policy, self.ledger.clock.now())

    def _told(self, job: Job, error: Exception) -> str:
        known = isinstance(error, LecternError)
        self.ledger.log.emit(
            "set.failed",
            job_id=job.job_id,
            organization_id=job.organization_id,
            code=error.code if isinstance(error, LecternError) else LecternError.code,
            reason=str(error) if known else type(error).__name__,
        )
        return no_set(error)


def withdraw(objects: ObjectStore, job: Job, fence: int) -> None:
    """Delete what was committed of a set; what is left goes with the run's objects."""
    with contextlib.suppress(Unavailable):
        keys = (item.key for item in objects.list(set_key(job.run, fence, "")))
        while batch := tuple(islice(keys, limits.DELETE_BATCH)):
            objects.delete(*batch)


def _name_keys(folder: Path, parts: Parts) -> None:
    """Have the manifest name the keys of all files that the pieces have committed."""
    said = json.loads((folder / MANIFEST).read_bytes())
    for entry in said["files"]:
        if not (folder / entry["name"]).is_file():
            entry["key"] = parts.key(entry["sha256"])
    (folder / MANIFEST).write_text(json.dumps(said))


def _stored(folder: Path, job: Job) -> StoredSet:
    return read_stored((folder / MANIFEST).read_bytes(), run=job.run, fence=job.fence)
