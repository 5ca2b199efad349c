"""The stand-in for Cloud Storage enforces what our promises rest on."""

from __future__ import annotations

import pytest
from google.api_core.exceptions import NotFound, PreconditionFailed

from tests.contracts.object_store import ObjectStoreContract
from tests.gcp.fixtures import StorageRig
from tests.gcp.storage_server import Bucket, Refusal, Session


def test_an_object_is_made_only_where_there_is_none(storage: StorageRig) -> None:
    blob = storage.client.bucket("b").blob("name")
    blob.create_resumable_upload_session(if_generation_match=0)
    put(storage.bucket, "name", b"first")
    with pytest.raises(PreconditionFailed):
        blob.create_resumable_upload_session(if_generation_match=0)


def test_the_precondition_is_checked_again_when_the_session_ends() -> None:
    bucket = Bucket(lambda: 0.0)
    late = bucket.begin(session("name"))
    put(bucket, "name", b"first")
    with pytest.raises(Refusal) as refusal:
        bucket.take(late, "bytes 0-0/1", b"x", goog_hash=None, whole=True)
    assert refusal.value.status == 412
    assert bucket.objects["name"].data == b"first"


def test_a_generation_is_replaced_only_by_who_knows_it(storage: StorageRig) -> None:
    put(storage.bucket, "name", b"first")
    known = storage.bucket.objects["name"].generation
    blob = storage.client.bucket("b").blob("name")
    with pytest.raises(PreconditionFailed):
        blob.create_resumable_upload_session(if_generation_match=known + 1)
    blob.create_resumable_upload_session(if_generation_match=known)


def test_a_generation_is_deleted_only_by_who_knows_it(storage: StorageRig) -> None:
    put(storage.bucket, "name", b"first")
    known = storage.bucket.objects["name"].generation
    blob = storage.client.bucket("b").blob("name")
    with pytest.raises(PreconditionFailed):
        blob.delete(if_generation_match=known + 1)
    blob.delete(if_generation_match=known)
    with pytest.raises(NotFound):
        blob.delete()


def test_without_preconditions_the_contract_would_be_red(storage: StorageRig) -> None:
    """A server that ignores them, as the emulator on PyPI does, must not pass for a store."""
    storage.bucket.enforces = False
    suite = ObjectStoreContract()
    for promise in (
        suite.test_a_second_commit_is_refused_and_the_first_stays,
        suite.test_the_first_commit_wins_and_not_the_first_begin,
    ):
        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            promise(storage.store())


def test_a_chunk_in_the_middle_must_be_a_multiple_of_256_kib() -> None:
    bucket = Bucket(lambda: 0.0)
    number = bucket.begin(session("name"))
    with pytest.raises(Refusal) as refusal:
        bucket.take(number, "bytes 0-99/*", b"x" * 100, goog_hash=None, whole=True)
    assert refusal.value.status == 400


def session(name: str) -> Session:
    """Return a session that makes `name` if it is free."""
    return Session(name=name, content_type="video/mp4", metadata={}, generation_match=0)


def put(bucket: Bucket, name: str, data: bytes) -> None:
    """Make an object."""
    number = bucket.begin(session(name))
    place = f"bytes 0-{len(data) - 1}/{len(data)}"
    bucket.take(number, place, data, goog_hash=None, whole=True)
