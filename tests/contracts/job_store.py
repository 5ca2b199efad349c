"""The suite of JobStore: every sentence of its docstrings in `core.ports`."""
# ruff: noqa: D102 - a test's name is its sentence

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest

from core import limits
from core.board import Board, OpenPiece
from core.errors import UnreadableRecord
from core.job import (
    Change,
    DeliveryLog,
    Failure,
    Job,
    MediaSummary,
    Rendition,
    Source,
    State,
    Variant,
)
from core.making import Levels, Making, Quality
from core.order import Contract, Delivery, Order, QualityLevel
from core.ports import JobStore, Unreadable
from tests.fakes import START

THREADS = 8
TURNS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStoreRig:
    """A fresh store; `reopen` gives the same store as another process sees it.

    `spoil` makes a job's record one that this release cannot read: `in_another_form` has how.
    """

    store: JobStore
    reopen: Callable[[], JobStore]
    spoil: Callable[[str], None]


class JobStoreContract:
    """What every JobStore keeps; a subclass says how to make one in `make`."""

    def make(self, folder: Path) -> JobStoreRig:
        """Return an empty store that may keep its files in `folder`."""
        raise NotImplementedError

    @pytest.fixture
    def rig(self, tmp_path: Path) -> JobStoreRig:
        return self.make(tmp_path)

    @pytest.fixture
    def store(self, rig: JobStoreRig) -> JobStore:
        return rig.store

    # One job
    def test_an_unknown_job_is_none(self, store: JobStore) -> None:
        assert store.get("nobody") is None

    def test_the_first_update_gets_none_and_creates(self, store: JobStore) -> None:
        seen: list[Job | None] = []

        def change(job: Job | None) -> Job:
            seen.append(job)
            return a_job("one")

        assert store.update("one", change) == a_job("one")
        assert set(seen) == {None}
        assert store.get("one") == a_job("one")

    def test_an_update_gets_what_was_written_last(self, store: JobStore) -> None:
        write(store, a_job("one", progress=1))
        seen: list[Job | None] = []

        def change(job: Job | None) -> Job:
            seen.append(job)
            return a_job("one", progress=2)

        assert store.update("one", change).progress == 2
        assert set(seen) == {a_job("one", progress=1)}
        assert store.get("one") == a_job("one", progress=2)

    def test_every_field_comes_back_exactly(self, store: JobStore) -> None:
        full = a_full_job()
        assert_no_field_has_its_default(full)
        write(store, full)
        assert store.get(full.job_id) == full

    def test_fields_that_are_none_come_back_as_none(self, store: JobStore) -> None:
        bare = a_job("one")
        write(store, a_full_job("one"))
        write(store, bare)
        assert store.get("one") == bare

    @pytest.mark.parametrize("state", State)
    def test_every_state_comes_back_as_itself(self, store: JobStore, state: State) -> None:
        write(store, a_job("one", state=state))
        job = store.get("one")
        assert job is not None
        assert job.state is state

    @pytest.mark.parametrize("at", [0.1 + 0.2, 1e-9, 1_800_000_000.123_457, 1e15, 5e-324, 0.0])
    def test_times_come_back_to_the_last_bit(self, store: JobStore, at: float) -> None:
        write(store, replace(a_job("one"), due_at=at, wake_at=at, lease_until=at))
        job = store.get("one")
        assert job is not None
        assert (job.due_at, job.wake_at, job.lease_until) == (at, at, at)

    def test_times_stay_floats_where_they_are_whole(self, store: JobStore) -> None:
        write(store, a_job("one", wake_at=1_800_000_000.0))
        job = store.get("one")
        assert job is not None
        assert isinstance(job.wake_at, float)

    def test_a_job_of_the_greatest_length_comes_back(self, store: JobStore) -> None:
        line = Change(at=START, event="Retried", state=State.QUEUED, note="ü" * 500)
        history = (line,) * limits.HISTORY_MAX
        big = replace(a_job("x" * limits.ID_CHARS_MAX), history=history)
        write(store, big)
        assert store.get(big.job_id) == big

    # One after the other
    def test_concurrent_updates_lose_nothing(self, rig: JobStoreRig) -> None:
        write(rig.store, a_job("one"))
        stores = [rig.store, rig.reopen()]
        barrier = threading.Barrier(THREADS)

        def count(worker: int) -> None:
            barrier.wait(timeout=30)
            for _ in range(TURNS):
                stores[worker % 2].update("one", one_more)

        in_threads(THREADS, count)
        job = rig.store.get("one")
        assert job is not None
        assert job.retries == THREADS * TURNS

    def test_of_threads_that_create_at_once_one_creates(self, rig: JobStoreRig) -> None:
        stores = [rig.store, rig.reopen()]
        barrier = threading.Barrier(THREADS)

        def create(worker: int) -> None:
            barrier.wait(timeout=30)
            stores[worker % 2].update("one", one_more_or_first)

        in_threads(THREADS, create)
        job = rig.store.get("one")
        assert job is not None
        assert job.retries == THREADS - 1

    def test_what_a_change_raises_is_raised_and_nothing_is_written(self, store: JobStore) -> None:
        write(store, a_job("one"))
        for job_id in ("one", "two"):
            with pytest.raises(ZeroDivisionError):
                store.update(job_id, refuse)
        assert store.get("one") == a_job("one")
        assert store.get("two") is None
        assert [job.job_id for job in store.recent(limit=9)] == ["one"]

    def test_the_store_works_on_after_a_change_that_raised(self, rig: JobStoreRig) -> None:
        with pytest.raises(ZeroDivisionError):
            rig.store.update("one", refuse)
        write(rig.store, a_job("one"))
        assert rig.reopen().get("one") == a_job("one")

    def test_returning_the_argument_writes_nothing(self, store: JobStore) -> None:
        write(store, a_job("one", updated_at=START + 1))
        write(store, a_job("two", updated_at=START + 2))
        assert store.update("one", itself) == a_job("one", updated_at=START + 1)
        assert [job.job_id for job in store.recent(limit=9)] == ["two", "one"]

    def test_another_process_sees_what_was_written(self, rig: JobStoreRig) -> None:
        write(rig.store, a_job("one"))
        other = rig.reopen()
        assert other.get("one") == a_job("one")
        other.update("one", one_more)
        job = rig.store.get("one")
        assert job is not None
        assert job.retries == 1

    # What is due
    def test_due_are_those_whose_time_has_come_oldest_first(self, store: JobStore) -> None:
        for job_id, wake_at in (("c", 30.0), ("a", 10.0), ("d", 30.5), ("b", 20.0)):
            write(store, a_job(job_id, wake_at=START + wake_at))
        assert ids(store.due(START + 30, limit=9)) == ["a", "b", "c"]
        assert ids(store.due(START + 9.9, limit=9)) == []

    def test_due_is_bounded(self, store: JobStore) -> None:
        for number in range(5):
            write(store, a_job(f"job-{number}", wake_at=START + number))
        assert ids(store.due(START + 9, limit=2)) == ["job-0", "job-1"]

    def test_due_follows_each_write(self, store: JobStore) -> None:
        write(store, a_job("one", wake_at=START))
        write(store, a_job("one", wake_at=START + 60))
        assert store.due(START + 59, limit=9) == []
        assert store.due(START + 60, limit=9) == [a_job("one", wake_at=START + 60)]

    def test_jobs_of_any_state_are_due(self, store: JobStore) -> None:
        for state in State:
            write(store, a_job(state.value, state=state))
        due = store.due(START + 1e6, limit=99)
        assert {job.state for job in due if isinstance(job, Job)} == set(State)

    # What is recent
    def test_recent_are_those_written_to_last(self, store: JobStore) -> None:
        for second, job_id in enumerate(("a", "b", "c", "a"), start=1):
            write(store, a_job(job_id, updated_at=START + second))
        assert ids(store.recent(limit=9)) == ["a", "c", "b"]
        assert ids(store.recent(limit=2)) == ["a", "c"]

    def test_recent_can_be_of_one_state(self, store: JobStore) -> None:
        states = (State.QUEUED, State.FAILED, State.STORED, State.FAILED)
        for second, state in enumerate(states):
            write(store, a_job(f"job-{second}", state=state, updated_at=START + second))
        assert ids(store.recent(limit=9, state=State.FAILED)) == ["job-3", "job-1"]
        assert ids(store.recent(limit=1, state=State.FAILED)) == ["job-3"]
        assert store.recent(limit=9, state=State.EXPIRED) == []

    # What another release wrote
    def test_a_record_that_cannot_be_read_is_named_and_keeps_nobody_from_the_others(
        self, rig: JobStoreRig
    ) -> None:
        store = rig.store
        for number, job_id in enumerate(("a", "course-v1:A+B~1@2026=C", "c")):
            write(store, a_job(job_id, run=f"run-{job_id}", wake_at=START + number))
        rig.spoil("course-v1:A+B~1@2026=C")
        due = store.due(START + 9, limit=9)
        assert ids(due) == ["a", "course-v1:A+B~1@2026=C", "c"]
        (unread,) = [job for job in due if isinstance(job, Unreadable)]
        assert unread.job_id == "course-v1:A+B~1@2026=C"
        assert unread.reason
        assert ids(store.recent(limit=9)) == ["c", "a"]
        assert store.owner("run-course-v1:A+B~1@2026=C") == "course-v1:A+B~1@2026=C"
        assert store.counts()[State.QUEUED] >= 2

    def test_a_record_that_cannot_be_read_stays_as_it_is(self, rig: JobStoreRig) -> None:
        write(rig.store, a_job("one"))
        rig.spoil("one")
        with pytest.raises(UnreadableRecord, match="one"):
            rig.store.get("one")
        with pytest.raises(UnreadableRecord, match="one"):
            rig.store.update("one", one_more_or_first)
        assert ids(rig.store.due(START + 1e6, limit=9)) == ["one"]

    # Whose run
    def test_the_owner_of_a_run_is_the_job_that_has_it_now(self, store: JobStore) -> None:
        write(store, a_job("one", run="first"))
        write(store, a_job("two", run="other"))
        assert (store.owner("first"), store.owner("other")) == ("one", "two")
        write(store, a_job("one", run="second"))
        assert store.owner("second") == "one"
        assert store.owner("first") is None
        assert store.owner("never") is None

    # How many
    def test_jobs_are_counted_by_state(self, store: JobStore) -> None:
        for job_id, state in (("a", State.QUEUED), ("b", State.QUEUED), ("c", State.STORED)):
            write(store, a_job(job_id, state=state))
        write(store, a_job("a", state=State.PROCESSING))
        counts = {state: count for state, count in store.counts().items() if count}
        assert counts == {State.QUEUED: 1, State.PROCESSING: 1, State.STORED: 1}
        assert all(isinstance(state, State) for state in counts)

    # What is forgotten
    def test_a_forgotten_job_is_gone(self, store: JobStore) -> None:
        write(store, a_job("one", run="first"))
        write(store, a_job("two", run="other"))
        store.forget("one", "first")
        assert store.get("one") is None
        assert store.owner("first") is None
        assert ids(store.due(START + 1e6, limit=9)) == ["two"]
        assert ids(store.recent(limit=9)) == ["two"]
        assert sum(store.counts().values()) == 1

    def test_a_job_that_began_another_run_is_not_forgotten(self, store: JobStore) -> None:
        write(store, a_job("one", run="first"))
        write(store, a_job("one", run="second"))
        store.forget("one", "first")
        assert store.get("one") == a_job("one", run="second")

    def test_forgetting_the_unknown_is_no_error(self, store: JobStore) -> None:
        store.forget("nobody", "no-run")
        assert store.recent(limit=9) == []

    def test_a_forgotten_id_can_begin_anew(self, store: JobStore) -> None:
        write(store, a_job("one", run="first", progress=5))
        store.forget("one", "first")
        write(store, a_job("one", run="second"))
        assert store.get("one") == a_job("one", run="second")


def a_job(
    job_id: str,
    *,
    run: str | None = None,
    state: State = State.QUEUED,
    updated_at: float = START,
    wake_at: float = START + 60,
    progress: int = 0,
) -> Job:
    """Return a job with little known of it."""
    return Job(
        job_id=job_id,
        organization_id="org-1",
        run=run or f"run-of-{job_id}",
        state=state,
        source=Source(key="uploads/run/source", size=1, sha256="0" * 64, container="mp4"),
        created_at=START,
        updated_at=updated_at,
        due_at=START,
        wake_at=wake_at,
        progress=progress,
    )


def a_full_job(job_id: str = "course-v1:Uni+Physik~1@2026=A") -> Job:
    """Return a job with every field set, to values that are easily bent on their way."""
    media = MediaSummary(
        width=1920, height=1080, duration_s=0.1 + 0.2, video_codec="h264", audio_codec="aac"
    )
    silent = replace(media, height=720, audio_codec=None)
    rendition = Rendition(
        key="outputs/run/7.mp4",
        size=5 * 10**11,
        sha256="f" * 64,
        media=silent,
        action="remuxed",
        work_s=1 / 3,
        made_at=1_800_000_001.5,
        making=Making(
            preset="lecture",
            ffmpeg="9.0.2",
            arguments=("-c:v", "libx264", "file:Ünïcode"),
            cpu_s=0.1 + 0.2,
            price_per_cpu_s=2.9e-5,
            pieces=60,
            quality=Quality(mean=93.5, low=88.25, sampled_s=12.0),
            levels=Levels(source_lufs=-23.1, gain_db=7.1),
        ),
        media_type="image/webp",
        variants=(
            Variant(
                name="thumbnail",
                key="outputs/run/7-thumbnail.webp",
                size=1,
                sha256="0" * 64,
                width=320,
                height=180,
                suffix="webp",
            ),
        ),
    )
    note = 'quotes " and \\, a line\nbreak, a null \x00, ümläüte, 講義, 🎓, </script>'
    return Job(
        job_id=job_id,
        organization_id="org.2",
        run="0b6f3f0c-31a5-4c8e-9d4b-3f1a54b1f1a2",
        state=State.STORE_FAILED,
        source=Source(
            key="uploads/run/source", size=2**53 + 1, sha256="a" * 64, container="mkv", media=media
        ),
        created_at=START + 1 / 3,
        updated_at=START + 2 / 3,
        due_at=START + 0.1,
        wake_at=START + 1e-6,
        fence=2**40,
        lease_until=START + 30.000_001,
        claims=3,
        retries=2,
        progress=57,
        output=rendition,
        delivery=DeliveryLog(
            since=START + 0.7, attempts=9, last_outcome=note, path="/public_html/videos/ü.mp4"
        ),
        failure=Failure(code="store_gone", reason=note),
        warnings=("one", "", note),
        board=Board(
            cut=3,
            plan_key="pieces/run/3/plan",
            pieces=60,
            since=1_800_000_000.25,
            done=(0, 2, 59),
            work_s=2 / 7,
            cpu_s=1 / 7,
            whole_because="ünïcode",
            begun=(OpenPiece(number=7, claims=2, retries=1, due_at=0.5, lease_until=1e9 + 0.1),),
        ),
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        cleaned=True,
        order=Order(
            contract=Contract.COMPRESS,
            delivery=Delivery.SFTP,
            quality=QualityLevel.ULTRA,
            ladder="full",
            variants=("thumbnail", "original"),
            image_format="webp",
        ),
        outage_since=START + 0.2,
        former=("5c0e5b52-6a53-4c1c-8d0e-6f2b1a3c4d5e",),
        history=(
            Change(at=START + 1 / 3, event="Received", state=State.QUEUED),
            Change(at=START + 1 / 3, event="Retried", state=State.QUEUED, note=note),
            Change(at=START + 2 / 3, event="Cleaned", state=State.STORE_FAILED, note=""),
        ),
    )


def assert_no_field_has_its_default(job: Job) -> None:
    """Fail if Job has learned a field that `a_full_job` does not set."""
    for item in fields(job):
        assert getattr(job, item.name) != item.default, f"a_full_job must set {item.name}"


def in_another_form(record: str) -> str:
    """Return a record with a state that this release does not know."""
    return record.replace('"state":"queued"', '"state":"archived"')


def write(store: JobStore, job: Job) -> None:
    """Write `job`, whatever was there."""
    store.update(job.job_id, lambda _: job)


def one_more(job: Job | None) -> Job:
    """Count one in `retries`."""
    assert job is not None
    return replace(job, retries=job.retries + 1)


def one_more_or_first(job: Job | None) -> Job:
    """Count one in `retries`, or begin."""
    return a_job("one") if job is None else one_more(job)


def itself(job: Job | None) -> Job:
    """Change nothing."""
    assert job is not None
    return job


def refuse(job: Job | None) -> Job:
    """Raise what no store knows."""
    raise ZeroDivisionError(str(job))


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run `work` with 0 to `count` - 1 at once; raises what it raises."""
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))


def ids(jobs: Sequence[Job | Unreadable]) -> list[str]:
    """Return the ids in order."""
    return [job.job_id for job in jobs]
