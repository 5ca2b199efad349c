"""Cloud Storage's ways to fail, and what the adapter makes of them."""

from __future__ import annotations

import gc
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client, _signing

from core.errors import AlreadyExists, MissingObject, StoreFull, Unavailable
from core.job import output_key
from core.ports import OrderedListing
from infra import wiring
from infra.gcp.objects import OBJECT_BYTES_MAX, CloudObjectStore
from tests.contracts.object_store import KEY, read
from tests.fakes import a_world, put
from tests.gcp.emulators import free_port
from tests.gcp.fixtures import CHUNK_BYTES, QUICK, StorageRig
from tests.gcp.storage_server import Answer, Cut, LoseAnswer, Stored

CHUNKS = 4
LECTURE = hashlib.shake_256(b"lecture").digest(CHUNKS * CHUNK_BYTES + 1000)
BODY_KINDS = ("put", "finish")
STEPS = ("begin", "put", "finish")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("kind", STEPS)
def test_a_passing_error_is_tried_again(storage: StorageRig, kind: str, status: int) -> None:
    storage.bucket.break_next(kind, Answer(status=status), Answer(status=status))
    put(storage.store(), KEY, LECTURE)
    assert read(storage.store()) == LECTURE


@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["stat", "read", "list", "delete"])
def test_reading_and_deleting_are_tried_again_too(storage: StorageRig, kind: str) -> None:
    put(storage.store(), KEY, LECTURE)
    storage.bucket.break_next(kind, Answer(status=503), LoseAnswer(), Answer(status=429))
    assert read(storage.store()) == LECTURE
    assert [info.key for info in storage.store().list("")] == [KEY]
    storage.store().delete(KEY)
    assert storage.bucket.objects == {}
    gc.collect()  # Google's client does not close a download that was refused


@pytest.mark.parametrize("cut", BODY_KINDS)
@pytest.mark.parametrize("after", [0, 1, 262_143, 262_144, 300_000])
def test_a_cut_upload_goes_on_where_it_was_cut(storage: StorageRig, cut: str, after: int) -> None:
    storage.bucket.break_next(cut, Cut(after=after))
    put(storage.store(), KEY, LECTURE)
    assert storage.bucket.objects[KEY].data == LECTURE
    sent = sum(size for kind, size in storage.bucket.seen if kind in BODY_KINDS)
    kept = after - after % 262_144 if cut == "put" else 0
    again = CHUNK_BYTES if cut == "put" else 1000
    assert sent == len(LECTURE) + again - kept


def test_an_upload_that_is_cut_again_and_again_arrives(storage: StorageRig) -> None:
    cuts = [Cut(after=size) for size in (0, 262_144, 5, 262_144)]
    storage.bucket.break_next("put", *cuts)
    storage.bucket.break_next("query", Answer(status=503), LoseAnswer())
    put(storage.store(), KEY, LECTURE)
    assert storage.bucket.objects[KEY].data == LECTURE


@pytest.mark.parametrize("kind", STEPS)
def test_a_lost_answer_does_no_harm(storage: StorageRig, kind: str) -> None:
    storage.bucket.break_next(kind, LoseAnswer())
    info = put(storage.store(), KEY, LECTURE)
    assert (info.key, info.size) == (KEY, len(LECTURE))
    assert storage.bucket.objects[KEY].data == LECTURE


def test_a_commit_whose_answer_was_lost_is_known_as_our_own_without_its_session(
    storage: StorageRig,
) -> None:
    storage.bucket.break_next("finish", LoseAnswer())
    storage.bucket.break_next("query", Answer(status=410))
    assert put(storage.store(), KEY, LECTURE).size == len(LECTURE)
    storage.bucket.break_next("finish", LoseAnswer())
    storage.bucket.break_next("query", Answer(status=412))
    assert put(storage.store(), output_key("run", 1), b"short").size == 5


def test_readiness_asks_the_bucket(storage: StorageRig) -> None:
    """A wrong bucket or a missing grant must show before the first recording does."""
    ledger = replace(a_world().ledger, objects=storage.store())
    wiring._check_store(ledger)
    assert "list" in storage.bucket.kinds()
    storage.bucket.break_next("list", Answer(status=403))
    with pytest.raises(Unavailable):
        wiring._check_store(ledger)


def test_a_session_that_ends_in_the_middle_asks_for_another_try(storage: StorageRig) -> None:
    """The server knows it no more before the last chunk: that is nobody's defect."""
    storage.bucket.break_next("put", Answer(status=410))
    with pytest.raises(Unavailable, match="send it again"):
        put(storage.store(), KEY, LECTURE)
    assert storage.bucket.objects == {}


def test_a_commit_that_found_anothers_object_is_refused_after_a_lost_answer_too(
    storage: StorageRig,
) -> None:
    with storage.store().create(KEY) as late:
        late.write(LECTURE)
        put(storage.store(), KEY, b"first")
        storage.bucket.break_next("finish", LoseAnswer())
        with pytest.raises(AlreadyExists):
            late.commit()
    assert read(storage.store()) == b"first"


def test_a_writer_that_comes_too_late_hears_of_it_in_its_commit(storage: StorageRig) -> None:
    put(storage.store(), KEY, b"first")
    with storage.store().create(KEY) as late:
        late.write(LECTURE)
        with pytest.raises(AlreadyExists):
            late.commit()
    assert read(storage.store()) == b"first"


@pytest.mark.parametrize("kind", STEPS)
def test_an_outage_is_unavailable_and_leaves_nothing(storage: StorageRig, kind: str) -> None:
    storage.bucket.break_next(kind, *[Answer(status=503)] * 1000)
    impatient = CloudObjectStore(
        storage.client, "b", chunk_bytes=CHUNK_BYTES, retry=QUICK.with_timeout(0.2)
    )
    with pytest.raises(Unavailable):
        put(impatient, KEY, LECTURE)
    assert storage.bucket.objects == {}
    assert storage.bucket.sessions == {}


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_for_good_is_not_tried_again(storage: StorageRig, status: int) -> None:
    storage.bucket.break_next("put", Answer(status=status))
    with pytest.raises(Unavailable, match=str(status)):
        put(storage.store(), KEY, LECTURE)
    assert storage.bucket.kinds().count("put") == 1


def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    options = {"api_endpoint": f"http://127.0.0.1:{free_port()}"}
    client = Client("test", credentials=AnonymousCredentials(), client_options=options)
    store = CloudObjectStore(client, "b", retry=QUICK.with_timeout(0.1))
    for call in (
        lambda: put(store, KEY, b"x"),
        lambda: read(store),
        lambda: store.fetch(KEY, tmp_path / "copy"),
        lambda: list(store.list("")),
        lambda: store.delete(KEY),
    ):
        with pytest.raises(Unavailable):
            call()
    client.close()


def test_bytes_that_changed_on_their_way_are_refused_by_the_server(storage: StorageRig) -> None:
    storage.bucket.spoils = True
    with pytest.raises(Unavailable, match="400"):
        put(storage.store(), KEY, LECTURE)
    assert storage.bucket.objects == {}


def test_bytes_that_the_server_took_changed_are_removed_again(storage: StorageRig) -> None:
    storage.bucket.spoils = True
    storage.bucket.checks_hashes = False
    with pytest.raises(Unavailable, match="changed"):
        put(storage.store(), KEY, LECTURE)
    assert storage.bucket.objects == {}


def test_a_reader_never_mixes_two_generations(storage: StorageRig) -> None:
    put(storage.store(), KEY, LECTURE)
    with storage.store().open(KEY) as body:
        body.read(10)
        storage.store().delete(KEY)
        put(storage.store(), KEY, bytes(len(LECTURE)))
        with pytest.raises(MissingObject):
            body.read(-1)


def test_bytes_that_changed_on_their_way_out_are_noticed(
    storage: StorageRig, tmp_path: Path
) -> None:
    put(storage.store(), KEY, LECTURE)
    with storage.store().open(KEY) as body:
        stored = storage.bucket.objects[KEY]
        storage.bucket.objects[KEY] = replace(stored, data=bytes(len(LECTURE)))
        with pytest.raises(Unavailable, match="checksum"):
            body.read(-1)
    storage.bucket.objects[KEY] = Mislabelled(
        **{name: getattr(stored, name) for name in stored.__slots__}
    )
    with pytest.raises(Unavailable):
        storage.store().fetch(KEY, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


class Mislabelled(Stored):
    """An object whose bytes are not those of its checksum."""

    @property
    def crc32c(self) -> str:
        """Return another's checksum."""
        return "AAAAAA=="


def test_no_request_is_larger_than_a_chunk(storage: StorageRig, tmp_path: Path) -> None:
    path = tmp_path / "lecture"
    path.write_bytes(LECTURE)
    storage.store().upload(KEY, path)
    sizes = [size for kind, size in storage.bucket.seen if kind in BODY_KINDS]
    assert sizes == [CHUNK_BYTES] * CHUNKS + [1000]
    with storage.store().open(KEY) as body:
        assert body.read(7) == LECTURE[:7]
        assert len(body.read(len(LECTURE))) == CHUNK_BYTES - 7


@pytest.mark.parametrize("size", [CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, CHUNK_BYTES * 2])
def test_sizes_around_a_chunk_arrive(storage: StorageRig, size: int) -> None:
    put(storage.store(), KEY, LECTURE[:size])
    assert read(storage.store()) == LECTURE[:size]


def test_a_chunk_must_be_a_multiple_of_256_kib(storage: StorageRig) -> None:
    with pytest.raises(ValueError, match="multiple"):
        storage.store(chunk_bytes=1_000_000)


def test_more_than_an_object_can_hold_is_refused(storage: StorageRig) -> None:
    with (
        pytest.raises(StoreFull),
        storage.store().create(KEY, expected_bytes=OBJECT_BYTES_MAX + 1),
    ):
        pytest.fail("the object was begun")


def test_listings_go_on_over_all_pages(storage: StorageRig) -> None:
    storage.bucket.page_size = 3
    keys = {output_key("run", number) for number in range(10)}
    for key in keys:
        put(storage.store(), key, b"x")
    assert {info.key for info in storage.store().list("outputs/")} == keys
    assert storage.bucket.kinds().count("list") == 4


def test_a_listing_can_begin_at_any_key_and_comes_in_order(storage: StorageRig) -> None:
    storage.bucket.page_size = 3
    store = storage.store(prefix="one/")
    assert isinstance(store, OrderedListing)
    keys = sorted(output_key("run", number) for number in range(10))
    for key in reversed(keys):
        put(store, key, b"x")
    put(store, "uploads/run/source", b"x")
    assert [info.key for info in store.list_from("outputs/", keys[4])] == keys[4:]
    assert [info.key for info in store.list_from("outputs/", f"{keys[4]}0")] == keys[5:]
    assert [info.key for info in store.list_from("outputs/", "")] == keys
    assert list(store.list_from("outputs/", "uploads/")) == []


def test_a_prefix_keeps_two_stores_in_one_bucket_apart(storage: StorageRig) -> None:
    one, two = storage.store(prefix="one/"), storage.store(prefix="two/")
    put(one, KEY, b"first")
    put(two, KEY, b"second")
    assert (read(one), read(two)) == (b"first", b"second")
    assert [info.key for info in one.list("")] == [KEY]
    assert set(storage.bucket.objects) == {f"one/{KEY}", f"two/{KEY}"}


def test_a_rendition_has_the_content_type_of_its_name(storage: StorageRig) -> None:
    put(storage.store(), output_key("run", 1), b"x")
    put(storage.store(), KEY, b"x")
    types = {name: stored.content_type for name, stored in storage.bucket.objects.items()}
    assert types == {output_key("run", 1): "video/mp4", KEY: "application/octet-stream"}


def test_a_signed_url_is_signed_by_iam_for_its_account(
    storage: StorageRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def sign_blob(_text: str, token: str, account: str, *_more: Any) -> str:
        asked.append((token, account))
        return "c2lnbmVk"

    monkeypatch.setattr(_signing, "_sign_message", sign_blob)
    account = "lectern@project.iam.gserviceaccount.com"
    url = urlsplit(
        storage.store(prefix="a b/").signed_url(
            KEY, expires_s=900, service_account_email=account, access_token="token"
        )
    )
    query = parse_qs(url.query)
    assert asked == [("token", account)]
    assert url.path == f"/recordings/a%20b/{KEY}"
    assert query["X-Goog-Algorithm"] == ["GOOG4-RSA-SHA256"]
    assert query["X-Goog-Expires"] == ["900"]
    assert query["X-Goog-Credential"][0].startswith(f"{account}/")
    assert query["X-Goog-SignedHeaders"] == ["host"]
    assert query["X-Goog-Signature"] == ["736967 6e6564".replace(" ", "")]
