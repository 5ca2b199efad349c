"""Bugs in what is made beside a result, and in pushes: the second half of `mutants`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Final

import core.delivery
import core.handing_over
import functions.sweep
import transcoder.deliver
import transcoder.image_step
import transcoder.sets
from core import events as ev
from core.job import Job, run_prefixes, set_key, variant_key
from core.ledger import Ledger
from core.remote import remote_files
from core.sets import MANIFEST, summary
from tests.simulation.stage import replaced
from transcoder import push
from transcoder.bench import Bench
from transcoder.dispatch import Done
from transcoder.sets import SetWork


def the_manifest_comes_before_its_files() -> AbstractContextManager[None]:
    """A set may be read that is not whole yet."""

    def commit(self: SetWork, job: Job, folder: Any) -> Any:
        stored = transcoder.sets._stored(folder, job)
        self.ledger.objects.upload(set_key(job.run, job.fence, MANIFEST), folder / MANIFEST)
        for file in stored.files.values():
            if file.key == set_key(job.run, job.fence, file.path):
                self.ledger.objects.upload(file.key, folder / file.path)
        return summary(stored, run=job.run, fence=job.fence)

    return replaced(SetWork, "_commit", commit)


def parts_of_sets_outlive_their_run() -> AbstractContextManager[None]:
    """What pieces gave to a set is not deleted with it."""

    def delete_all(self: Ledger, run: str) -> None:
        for prefix in run_prefixes(run):
            for item in self.objects.list(prefix):
                if "/parts/" not in item.key:
                    self.objects.delete(item.key)

    owned = functions.sweep._is_owned

    def is_owned(ledger: Ledger, item: Any, known: Any) -> bool:
        return "/parts/" in item.key or owned(ledger, item, known)

    return both(
        replaced(Ledger, "_delete_all", delete_all),
        replaced(functions.sweep, "_is_owned", is_owned),
    )


def a_set_goes_when_the_lms_was_told() -> AbstractContextManager[None]:
    """By SFTP a job is over once the LMS was told; its set is deleted with all else."""
    before = core.handing_over.accepted

    def accepted(job: Job, now: float, policy: Any) -> ev.Step:
        output = job.output and replace(job.output, ladder=None)
        return before(replace(job, output=output), now, policy)

    return replaced(core.handing_over, "accepted", accepted)


def a_failed_set_fails_the_job() -> AbstractContextManager[None]:
    """What is wrong with a set is taken for what is wrong with its recording."""

    def told(_self: SetWork, _job: Job, error: Exception) -> str:
        raise error

    return replaced(SetWork, "_told", told)


def sizes_of_an_image_have_no_fence() -> AbstractContextManager[None]:
    """Two workers write the same objects."""

    def key(run: str, fence: int, name: str, suffix: str) -> str:
        return variant_key(run, 0 * fence, name, suffix)

    return replaced(transcoder.image_step, "variant_key", key)


def the_result_is_placed_before_its_sizes() -> AbstractContextManager[None]:
    """By SFTP the file that says that all is there comes first."""

    def files(job: Job, folder: str) -> Any:
        return remote_files(job, folder)[::-1]

    return replaced(transcoder.deliver, "remote_files", files)


def a_second_attempt_leaves_the_sizes_out() -> AbstractContextManager[None]:
    """What the LMS gets under one delivery id depends on how often it was tried."""
    before = core.delivery.parcel_of

    def parcel_of(job: Job, now: float, **named: Any) -> Any:
        parcel = before(job, now, **named)
        again = job.delivery is not None and job.delivery.attempts > 1
        return replace(parcel, enclosures=()) if again else parcel

    return replaced(transcoder.deliver, "parcel_of", parcel_of)


def a_push_is_answered_before_its_step() -> AbstractContextManager[None]:
    """The endpoint hands the step over and does not wait for its end."""

    def do(self: Bench, step: Any) -> None:
        self._hand_over(step)

    return replaced(Bench, "do", do)


def a_refused_push_counts_as_taken() -> AbstractContextManager[None]:
    """Pub/Sub is told that all is well when a store did not answer."""
    before = push._answer

    def answer(_outcome: Any) -> Any:
        return before(Done())

    return replaced(push, "_answer", answer)


@contextmanager
def both(one: AbstractContextManager[None], two: AbstractContextManager[None]) -> Iterator[None]:
    """Plant two halves of a bug."""
    with one, two:
        yield


BESIDE: Final = (
    the_manifest_comes_before_its_files,
    parts_of_sets_outlive_their_run,
    a_set_goes_when_the_lms_was_told,
    a_failed_set_fails_the_job,
    sizes_of_an_image_have_no_fence,
    the_result_is_placed_before_its_sizes,
    a_second_attempt_leaves_the_sizes_out,
    a_push_is_answered_before_its_step,
    a_refused_push_counts_as_taken,
)
