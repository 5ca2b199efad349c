"""Firestore's ways to fail, and how a job is laid down in it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from google.api_core.exceptions import (
    Aborted,
    DeadlineExceeded,
    PermissionDenied,
    ServiceUnavailable,
)
from google.cloud import firestore
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import LeaseHeld, Unavailable
from core.job import Change, State, check_id
from infra import records
from infra.gcp.jobs import TTL_FIELD, TTL_GRACE_S, UPDATE_S, FirestoreJobStore, document_id
from tests.contracts.job_store import a_full_job, a_job, in_threads, one_more, refuse, write
from tests.fakes import START
from tests.gcp.emulators import free_port

THREADS = 6
TURNS = 5
FIRESTORE_BYTES_MAX = 1_048_576


@pytest.fixture
def store(firestore_client: firestore.Client) -> FirestoreJobStore:
    """Give an empty store."""
    return FirestoreJobStore(firestore_client, f"jobs-{uuid4().hex}")


class Flaky:
    """Stands before one call of the client and breaks it: before it is made, or after."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self.before: list[Exception] = []
        self.after: list[Exception] = []
        self.meanwhile: Callable[[], None] | None = None
        self._real = real

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the real one between two possible errors."""
        if self.before:
            raise self.before.pop(0)
        answer = self._real(*arguments, **options)
        if self.after:
            error = self.after.pop(0)
            if self.meanwhile is not None:
                self.meanwhile()
            raise error
        return answer


@pytest.fixture
def commits(firestore_client: firestore.Client, monkeypatch: pytest.MonkeyPatch) -> Flaky:
    """Give the client's commits to break."""
    flaky = Flaky(firestore_client._firestore_api.commit)
    monkeypatch.setattr(firestore_client._firestore_api, "commit", flaky)
    return flaky


def test_threads_that_want_one_job_lose_no_update(store: FirestoreJobStore) -> None:
    write(store, a_job("one"))
    calls = []
    barrier = threading.Barrier(THREADS)

    def count(_worker: int) -> None:
        def change(job: Any) -> Any:
            calls.append(1)
            return one_more(job)

        barrier.wait(timeout=30)
        for _ in range(TURNS):
            store.update("one", change)

    in_threads(THREADS, count)
    job = store.get("one")
    assert job is not None
    assert job.retries == THREADS * TURNS
    assert len(calls) > THREADS * TURNS, "nobody was overtaken: the test shows nothing"


@pytest.mark.parametrize("error", [ServiceUnavailable, DeadlineExceeded, Aborted])
def test_an_update_whose_answer_was_lost_is_done_once(
    store: FirestoreJobStore, commits: Flaky, error: type[Exception]
) -> None:
    commits.after = [error("the answer was lost")]
    write(store, a_job("new"))
    commits.after = [error("the answer was lost")]
    assert store.update("new", one_more).retries == 1
    assert store.get("new") == replace(a_job("new"), retries=1)


def test_a_claim_whose_answer_was_lost_does_not_shut_itself_out(
    store: FirestoreJobStore, commits: Flaky
) -> None:
    def claim(job: Any) -> Any:
        if job.lease_until is not None:
            raise LeaseHeld
        return replace(job, lease_until=START + 30, fence=job.fence + 1)

    write(store, a_job("one"))
    commits.after = [ServiceUnavailable("the answer was lost")]
    assert store.update("one", claim).fence == 1


def test_an_update_is_run_again_if_another_wrote_before_its_lost_answer_was_missed(
    store: FirestoreJobStore, commits: Flaky
) -> None:
    """Then nobody can tell any more; `change` decides on the newest record."""
    write(store, a_job("one"))
    commits.after = [ServiceUnavailable("the answer was lost")]
    commits.meanwhile = lambda: write(store, a_job("one", progress=50))
    job = store.update("one", one_more)
    assert (job.progress, job.retries) == (50, 1)


def test_passing_errors_before_the_write_are_tried_again(
    store: FirestoreJobStore, commits: Flaky
) -> None:
    write(store, a_job("one"))
    commits.before = [ServiceUnavailable("away"), DeadlineExceeded("slow"), Aborted("busy")]
    assert store.update("one", one_more).retries == 1


def test_a_refusal_is_unavailable_at_once(store: FirestoreJobStore, commits: Flaky) -> None:
    commits.before = [PermissionDenied("no")] * 9
    with pytest.raises(Unavailable, match="403"):
        write(store, a_job("one"))
    assert len(commits.before) == 8


def test_writers_that_never_get_their_turn_hear_of_it(
    firestore_client: firestore.Client, commits: Flaky
) -> None:
    pauses: list[float] = []
    store = FirestoreJobStore(firestore_client, f"jobs-{uuid4().hex}", pause=pauses.append)
    commits.before = [DeadlineExceeded("slow")] * 1000
    with pytest.raises(Unavailable, match="too many"):
        write(store, a_job("one"))
    assert len(pauses) == 100
    assert max(pauses) <= 1.0


@pytest.mark.parametrize("call", ["update", "forget"])
def test_a_write_that_gets_no_answer_in_time_ends_at_a_deadline(
    firestore_client: firestore.Client, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Each call may take seconds to give up; a thread is not held for a hundred of them."""
    now = 0.0

    def commit(*_arguments: Any, **_options: Any) -> None:
        nonlocal now
        now += 20.0
        raise DeadlineExceeded("slow") if call == "update" else Aborted("busy")

    store = FirestoreJobStore(
        firestore_client, f"jobs-{uuid4().hex}", pause=lambda _: None, monotonic=lambda: now
    )
    write(store, a_job("one", run="run-1"))
    monkeypatch.setattr(firestore_client._firestore_api, "commit", commit)
    calls: dict[str, Callable[[], object]] = {
        "update": lambda: store.update("one", one_more),
        "forget": lambda: store.forget("one", "run-1"),
    }
    with pytest.raises(Unavailable, match="too long"):
        calls[call]()
    assert now <= UPDATE_S


def test_a_change_that_raises_leaves_no_trace(store: FirestoreJobStore, commits: Flaky) -> None:
    commits.before = [AssertionError("something was written")]
    with pytest.raises(ZeroDivisionError):
        store.update("one", refuse)


def test_forgetting_meets_a_writer_and_looks_again(
    store: FirestoreJobStore, commits: Flaky
) -> None:
    write(store, a_job("one", run="first"))
    commits.before = [Aborted("busy")]
    store.forget("one", "first")
    assert store.get("one") is None


def test_nobody_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    client = firestore.Client(project="test")
    store = FirestoreJobStore(client, timeout_s=0.3)
    for call in (
        lambda: store.get("one"),
        lambda: store.update("one", one_more),
        lambda: store.due(0.0, limit=1),
        lambda: store.recent(limit=1),
        store.counts,
        lambda: store.owner("run"),
        lambda: store.forget("one", "run"),
    ):
        with pytest.raises(Unavailable):
            call()
    client.close()


def test_a_job_lies_in_the_fields_that_are_searched(
    store: FirestoreJobStore, firestore_client: firestore.Client
) -> None:
    job = replace(a_full_job("course/1"), job_id="course-v1:A+B~1@2026=C", cleaned=False)
    write(store, job)
    fields = document(firestore_client, store, job.job_id)
    assert (fields["run"], fields["state"], fields["wake_at"]) == (job.run, job.state, job.wake_at)
    assert records.decode(fields["record"]) == job
    assert fields[TTL_FIELD] is None


def test_only_a_cleaned_job_has_a_ttl_a_day_after_the_sweep_forgets_it(
    store: FirestoreJobStore, firestore_client: firestore.Client
) -> None:
    write(store, replace(a_job("one"), cleaned=True, wake_at=START))
    ttl_at = document(firestore_client, store, "one")[TTL_FIELD]
    assert ttl_at.timestamp() == START + TTL_GRACE_S
    write(store, replace(a_job("one"), cleaned=True, wake_at=1e15))
    assert document(firestore_client, store, "one")[TTL_FIELD].year == 9999
    write(store, a_job("one"))
    assert document(firestore_client, store, "one")[TTL_FIELD] is None


def test_the_largest_record_fits_into_a_document(store: FirestoreJobStore) -> None:
    note = "\x01" * limits.REASON_CHARS_MAX  # six bytes each in JSON
    line = Change(at=START + 1 / 3, event="DeliveryDeferred", state=State.STORING, note=note)
    big = replace(
        a_full_job("x" * limits.ID_CHARS_MAX),
        history=(line,) * limits.HISTORY_MAX,
        warnings=(note,) * limits.WARNINGS_MAX,
    )
    write(store, big)
    assert store.get(big.job_id) == big
    assert len(records.encode(big)) < FIRESTORE_BYTES_MAX * 0.75


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,127}", fullmatch=True))
def test_an_id_is_the_name_of_its_document(job_id: str) -> None:
    assert document_id(check_id("video_id", job_id)) == job_id


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_two_ids_share_a_document_and_none_leaves_the_collection(one: str, two: str) -> None:
    assert "/" not in document_id(one)
    assert (document_id(one) == document_id(two)) == (one == two)


def document(client: firestore.Client, store: FirestoreJobStore, job_id: str) -> dict[str, Any]:
    """Return a job's document as it lies in Firestore."""
    fields = client.document(store._jobs.id, document_id(job_id)).get().to_dict()
    assert fields is not None
    return fields
