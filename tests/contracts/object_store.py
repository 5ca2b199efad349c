"""The suite of ObjectStore: every sentence of its docstrings in `core.ports`."""
# ruff: noqa: D102 - a test's name is its sentence

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from core import limits
from core.errors import AlreadyExists, LecternError, MissingObject, StoreFull
from core.job import output_key, source_key
from core.ports import Clock, ObjectStore
from tests.fakes import put

KEY = "uploads/run-1/source"
EXBIBYTE = 1 << 60
# Runs are UUIDs: a key's parts hold letters, digits and ._~- and begin with no dot.
ODD_KEYS = (
    source_key("0b6f3f0c-31a5-4c8e-9d4b-3f1a54b1f1a2"),
    output_key("A", 1_000_000),
    source_key("A._~-z"),
    source_key("~"),
    source_key("-"),
    source_key("a..b."),
    source_key("a.part"),
    source_key("a.tmp"),
    source_key("case"),
    source_key("CASE"),
    source_key("x" * limits.ID_CHARS_MAX),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStoreRig:
    """A fresh store, the clock that it reads, and the ways to handle both.

    `advance` lets seconds pass; `reopen` gives the same store as another process sees it.
    """

    store: ObjectStore
    clock: Clock
    advance: Callable[[float], None]
    reopen: Callable[[], ObjectStore]


class ObjectStoreContract:
    """What every ObjectStore keeps; a subclass says how to make one in `make`."""

    def make(self, folder: Path) -> ObjectStoreRig:
        """Return an empty store that may keep its files in `folder`."""
        raise NotImplementedError

    @pytest.fixture
    def rig(self, tmp_path: Path) -> ObjectStoreRig:
        folder = tmp_path / "store"
        folder.mkdir()
        return self.make(folder)

    @pytest.fixture
    def store(self, rig: ObjectStoreRig) -> ObjectStore:
        return rig.store

    # What is written
    def test_a_committed_object_is_read_as_it_was_written(self, store: ObjectStore) -> None:
        with store.create(KEY) as writer:
            writer.write(b"one ")
            writer.write(memoryview(b"and two"))
            info = writer.commit()
        assert (info.key, info.size) == (KEY, 11)
        assert read(store) == b"one and two"

    def test_an_object_may_be_empty(self, store: ObjectStore) -> None:
        assert put(store, KEY, b"").size == 0
        assert read(store) == b""

    def test_the_time_of_commit_is_told(self, rig: ObjectStoreRig) -> None:
        with rig.store.create(KEY) as writer:
            writer.write(b"x")
            rig.advance(500)
            info = writer.commit()
        rig.advance(500)
        [listed] = rig.store.list(KEY)
        assert info.committed_at == pytest.approx(rig.clock.now() - 500, abs=2)
        assert listed.committed_at == pytest.approx(info.committed_at, abs=0.001)

    def test_nothing_is_visible_before_the_commit(self, store: ObjectStore, tmp_path: Path) -> None:
        with store.create(KEY) as writer:
            writer.write(b"x" * 100_000)
            assert list(store.list("")) == []
            assert not exists(store)
            with pytest.raises(MissingObject):
                store.fetch(KEY, tmp_path / "copy")
            writer.commit()
            assert read(store) == b"x" * 100_000

    def test_leaving_without_a_commit_leaves_nothing(self, store: ObjectStore) -> None:
        with store.create(KEY) as writer:
            writer.write(b"x")
        assert list(store.list("")) == []
        assert not exists(store)

    def test_an_exception_on_the_way_leaves_nothing_and_passes_through(
        self, store: ObjectStore
    ) -> None:
        def cut_off() -> None:
            with store.create(KEY) as writer:
                writer.write(b"x")
                raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            cut_off()
        assert list(store.list("")) == []
        assert not exists(store)

    def test_an_exception_after_the_commit_leaves_the_object(self, store: ObjectStore) -> None:
        def late() -> None:
            with store.create(KEY) as writer:
                writer.write(b"x")
                writer.commit()
                raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            late()
        assert read(store) == b"x"

    def test_a_key_is_free_again_after_an_attempt_without_commit(self, store: ObjectStore) -> None:
        with store.create(KEY) as writer:
            writer.write(b"first and long")
        put(store, KEY, b"second")
        assert read(store) == b"second"

    def test_a_second_commit_is_refused_and_the_first_stays(self, store: ObjectStore) -> None:
        put(store, KEY, b"first")
        with pytest.raises(AlreadyExists):
            put(store, KEY, b"second and longer")
        assert read(store) == b"first"
        assert [info.size for info in store.list("")] == [5]

    def test_the_first_commit_wins_and_not_the_first_begin(self, store: ObjectStore) -> None:
        with store.create(KEY) as slow:
            slow.write(b"slow")
            put(store, KEY, b"quick")
            with pytest.raises(AlreadyExists):
                slow.commit()
        assert read(store) == b"quick"

    def test_of_writers_that_race_exactly_one_wins(self, rig: ObjectStoreRig) -> None:
        stores = [rig.store, rig.reopen(), rig.store, rig.reopen()]
        for turn in range(5):
            key = source_key(f"race-{turn}")
            winners = race(stores, key)
            assert len(winners) == 1
            assert read(rig.store, key) == winners[0]

    def test_a_big_object_in_odd_chunks_keeps_its_digest(self, store: ObjectStore) -> None:
        data = hashlib.shake_256(b"lecture").digest(8 * limits.MIB + 13)
        with store.create(KEY, expected_bytes=len(data)) as writer:
            for start, end in odd_chunks(len(data)):
                writer.write(memoryview(data)[start:end])
            assert writer.commit().size == len(data)
        digest = hashlib.sha256()
        with store.open(KEY) as body:
            while chunk := body.read(77_777):
                assert len(chunk) <= 77_777
                digest.update(chunk)
        assert digest.digest() == hashlib.sha256(data).digest()

    def test_many_threads_write_different_objects_at_once(self, store: ObjectStore) -> None:
        keys = [source_key(f"run-{n}") for n in range(16)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: put(store, key, key.encode() * 1000), keys))
        assert {info.key for info in store.list("uploads/")} == set(keys)
        assert all(read(store, key) == key.encode() * 1000 for key in keys)

    def test_more_than_will_ever_fit_is_refused_at_once(self, store: ObjectStore) -> None:
        with pytest.raises(StoreFull), store.create(KEY, expected_bytes=EXBIBYTE):
            pytest.fail("the object was begun")
        put(store, KEY, b"small")

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_odd_keys_are_keys_like_others(
        self, store: ObjectStore, key: str, tmp_path: Path
    ) -> None:
        put(store, key, key.encode())
        assert [info.key for info in store.list("")] == [key]
        assert [info.key for info in store.list(key)] == [key]
        store.fetch(key, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == read(store, key) == key.encode()
        store.delete(key)
        assert list(store.list("")) == []

    def test_odd_keys_do_not_get_in_each_others_way(self, store: ObjectStore) -> None:
        for key in ODD_KEYS:
            put(store, key, key.encode())
        assert {info.key for info in store.list("")} == set(ODD_KEYS)
        assert all(read(store, key) == key.encode() for key in ODD_KEYS)

    # What is read
    @pytest.mark.parametrize(
        ("start", "left"), [(0, b"0123456789"), (4, b"456789"), (9, b"9"), (10, b""), (99, b"")]
    )
    def test_reading_begins_at_the_offset(
        self, store: ObjectStore, start: int, left: bytes
    ) -> None:
        put(store, KEY, b"0123456789")
        with store.open(KEY, start=start) as body:
            assert body.size == 10
            assert body.read() == left
            assert body.read() == b""
            assert body.read(5) == b""

    def test_a_read_returns_at_most_what_was_asked_for(self, store: ObjectStore) -> None:
        put(store, KEY, b"0123456789")
        with store.open(KEY, start=2) as body:
            assert len(body.read(3)) <= 3
        with store.open(KEY, start=2) as body:
            assert b"".join(iter(lambda: body.read(3), b"")) == b"23456789"

    def test_two_readers_do_not_disturb_each_other(self, store: ObjectStore) -> None:
        put(store, KEY, b"0123456789")
        with store.open(KEY) as one, store.open(KEY, start=5) as two:
            assert one.read(2) + two.read(2) + one.read() + two.read() == b"015623456789789"

    def test_opening_what_is_not_there_says_so(self, store: ObjectStore) -> None:
        with pytest.raises(MissingObject), store.open(KEY):
            pytest.fail("something was opened")

    def test_a_fetched_file_outlives_its_object(self, store: ObjectStore, tmp_path: Path) -> None:
        put(store, KEY, b"a recording")
        store.fetch(KEY, tmp_path / "copy")
        store.delete(KEY)
        assert (tmp_path / "copy").read_bytes() == b"a recording"

    def test_removing_a_fetched_file_leaves_the_object(
        self, store: ObjectStore, tmp_path: Path
    ) -> None:
        put(store, KEY, b"a recording")
        store.fetch(KEY, tmp_path / "copy")
        (tmp_path / "copy").unlink()
        assert read(store) == b"a recording"

    def test_fetching_what_is_not_there_says_so_and_leaves_no_file(
        self, store: ObjectStore, tmp_path: Path
    ) -> None:
        with pytest.raises(MissingObject):
            store.fetch(KEY, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()

    # Whole files
    def test_a_finished_file_is_committed(self, rig: ObjectStoreRig, tmp_path: Path) -> None:
        info = rig.store.upload(KEY, a_file(tmp_path / "result", b"a result"))
        assert (info.key, info.size) == (KEY, 8)
        assert info.committed_at == pytest.approx(rig.clock.now(), abs=2)
        assert read(rig.store) == b"a result"
        assert [listed.key for listed in rig.store.list("")] == [KEY]

    def test_an_uploaded_object_outlives_its_file(self, store: ObjectStore, tmp_path: Path) -> None:
        path = a_file(tmp_path / "result", b"a result")
        store.upload(KEY, path)
        path.unlink(missing_ok=True)
        assert read(store) == b"a result"

    def test_a_second_file_is_refused_and_the_first_stays(
        self, store: ObjectStore, tmp_path: Path
    ) -> None:
        store.upload(KEY, a_file(tmp_path / "one", b"first"))
        with pytest.raises(AlreadyExists):
            store.upload(KEY, a_file(tmp_path / "two", b"second"))
        assert read(store) == b"first"

    # What is deleted
    def test_a_deleted_object_is_gone(self, store: ObjectStore) -> None:
        put(store, KEY, b"x")
        store.delete(KEY)
        assert not exists(store)
        assert list(store.list("")) == []

    def test_deleting_twice_is_no_error(self, store: ObjectStore) -> None:
        put(store, KEY, b"x")
        store.delete(KEY)
        store.delete(KEY)
        store.delete("uploads/never/was")

    def test_a_deleted_key_can_be_written_anew(self, store: ObjectStore) -> None:
        put(store, KEY, b"first")
        store.delete(KEY)
        put(store, KEY, b"second")
        assert read(store) == b"second"

    def test_deleting_does_not_touch_the_neighbours(self, store: ObjectStore) -> None:
        for run in ("run-1", "run-10", "run"):
            put(store, source_key(run), b"x")
        store.delete(source_key("run-1"))
        assert {info.key for info in store.list("")} == {source_key("run-10"), source_key("run")}

    def test_objects_can_be_deleted_while_they_are_listed(self, store: ObjectStore) -> None:
        """So does the ledger when it discards a run."""
        for fence in range(20):
            put(store, output_key("run-1", fence), b"x")
        seen = 0
        for info in store.list("outputs/run-1/"):
            store.delete(info.key)
            seen += 1
        assert seen == 20
        assert list(store.list("")) == []

    def test_writers_and_deleters_of_one_run_do_not_trip_over_each_other(
        self, store: ObjectStore
    ) -> None:
        """A folder that one removes is the folder that another is about to use."""

        def write_and_delete(fence: int) -> None:
            for turn in range(10):
                key = output_key("run-1", fence * 100 + turn)
                put(store, key, b"x")
                list(store.list("outputs/run-1/"))
                store.delete(key)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write_and_delete, range(4)))
        assert list(store.list("")) == []

    # What is listed
    @pytest.mark.parametrize(
        ("prefix", "runs"),
        [
            ("", {"a", "ab", "b"}),
            ("uploads/", {"a", "ab", "b"}),
            ("uploads/a", {"a", "ab"}),
            ("uploads/a/", {"a"}),
            ("uploads/a/source", {"a"}),
            ("uploads/a/source/", set()),
            ("uploads/A", set()),
            ("outputs/", set()),
            ("loads/", set()),
        ],
    )
    def test_a_listing_has_the_keys_that_begin_with_the_prefix(
        self, store: ObjectStore, prefix: str, runs: set[str]
    ) -> None:
        for run in ("a", "ab", "b"):
            put(store, source_key(run), run.encode())
        listed = {info.key: info.size for info in store.list(prefix)}
        assert listed == {source_key(run): len(run) for run in runs}

    def test_another_process_sees_the_same_objects(self, rig: ObjectStoreRig) -> None:
        put(rig.store, KEY, b"x")
        other = rig.reopen()
        assert read(other) == b"x"
        with pytest.raises(AlreadyExists):
            put(other, KEY, b"y")
        other.delete(KEY)
        assert not exists(rig.store)

    # What was left behind
    def test_stale_unfinished_objects_are_dropped_and_counted(self, rig: ObjectStoreRig) -> None:
        with ExitStack() as stack:
            for name in ("one", "two"):
                stack.enter_context(rig.store.create(source_key(name))).write(b"x")
            rig.advance(100)
            assert rig.reopen().discard_partials(before=rig.clock.now() - 50) == 2
            assert rig.store.discard_partials(before=rig.clock.now() - 50) == 0
        assert list(rig.store.list("")) == []

    def test_a_dropped_object_cannot_be_committed(self, rig: ObjectStoreRig) -> None:
        with rig.store.create(KEY) as writer:
            writer.write(b"x")
            rig.advance(100)
            rig.store.discard_partials(before=rig.clock.now() - 50)
            with pytest.raises(LecternError):
                writer.commit()
        assert list(rig.store.list("")) == []

    def test_unfinished_objects_that_still_grow_are_kept(self, rig: ObjectStoreRig) -> None:
        with rig.store.create(KEY) as writer:
            writer.write(b"one ")
            rig.advance(100)
            writer.write(b"and two")
            assert rig.store.discard_partials(before=rig.clock.now() - 50) == 0
            writer.commit()
        assert read(rig.store) == b"one and two"

    def test_committed_objects_are_no_partials(self, rig: ObjectStoreRig, tmp_path: Path) -> None:
        put(rig.store, KEY, b"x")
        rig.store.upload(output_key("run-1", 1), a_file(tmp_path / "result", b"y"))
        rig.advance(1_000_000)
        assert rig.store.discard_partials(before=rig.clock.now()) == 0
        assert len(list(rig.store.list(""))) == 2

    def test_what_was_left_without_commit_is_no_partial(self, rig: ObjectStoreRig) -> None:
        with rig.store.create(KEY) as writer:
            writer.write(b"x")
        rig.advance(100)
        assert rig.store.discard_partials(before=rig.clock.now()) == 0


def read(store: ObjectStore, key: str = KEY) -> bytes:
    """Return a whole object."""
    with store.open(key) as body:
        return b"".join(iter(lambda: body.read(65_536), b""))


def exists(store: ObjectStore, key: str = KEY) -> bool:
    """Tell whether the object can be opened."""
    try:
        with store.open(key):
            return True
    except MissingObject:
        return False


def a_file(path: Path, data: bytes) -> Path:
    """Write `data` to `path`."""
    path.write_bytes(data)
    return path


def odd_chunks(total: int) -> list[tuple[int, int]]:
    """Cut `total` bytes into pieces of ever other sizes, from 1 byte to about 1 MB."""
    sizes = (1, 4_095, 65_537, 1_000_003, 7, 262_144, 333_333)
    bounds, end = [0], 0
    while end < total:
        end = min(end + sizes[len(bounds) % len(sizes)], total)
        bounds.append(end)
    return list(pairwise(bounds))


def race(stores: list[ObjectStore], key: str) -> list[bytes]:
    """Commit other data under one key from each store at once; return the data that won."""
    barrier = threading.Barrier(len(stores))

    def commit(number: int) -> bytes | None:
        data = bytes([65 + number]) * (1000 + number)
        with stores[number].create(key) as writer:
            writer.write(data)
            barrier.wait(timeout=30)
            try:
                writer.commit()
            except AlreadyExists:
                return None
        return data

    with ThreadPoolExecutor(len(stores)) as pool:
        return [data for data in pool.map(commit, range(len(stores))) if data is not None]
