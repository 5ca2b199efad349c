"""A search for orphans that takes more than one sweep reaches every part of the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from core.job import PREFIXES, output_key, source_key
from core.ports import ObjectStore
from functions.search import OrphanSearch, Searches
from functions.sweep import Swept, remove_orphans
from tests.fakes import MemoryObjectStore, World, a_world, an_upload, put

GRACE_S = 3600.0
LIVE = 50
STEPS_MAX = 100


class Unordered(MemoryObjectStore):
    """A store that lists in no order."""

    list_from = None  # type: ignore[assignment] # what it cannot do


def after(count: int) -> Callable[[], bool]:
    """Return a bound that says yes once it was asked `count` times."""
    asked = iter(range(count))
    return lambda: next(asked, None) is None


def crowded(world: World) -> World:
    """Return the world with live runs that have several objects, and an orphan of each kind."""
    for number in range(LIVE):
        run = f"{number:08}-run"
        put(world.objects, source_key(run), b"a recording")
        put(world.objects, output_key(run, 1), b"a result")
        world.ledger.receive(an_upload(f"video-{number}", run=run))
    for prefix in PREFIXES:
        put(world.objects, f"{prefix}/lost-{prefix}/1", b"of nobody")
    put(world.objects, "declared/lost-declared/outcome", b"{}")
    world.clock.advance(GRACE_S + 1)
    return world


@pytest.fixture
def world() -> World:
    """A crowded world."""
    return crowded(a_world())


def orphans(objects: MemoryObjectStore) -> set[str]:
    """Return what is there of nobody."""
    return {key for key in objects.keys() if "/lost-" in key}  # noqa: SIM118 - no dict


@pytest.fixture
def asked(world: World, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count for which run the owner was asked."""
    counted: Counter[str] = Counter()
    owner = world.jobs.owner

    def counting(run: str) -> str | None:
        counted[run] += 1
        return owner(run)

    monkeypatch.setattr(world.jobs, "owner", counting)
    return counted


@pytest.mark.parametrize("origin", ["", "outputs/00000020", "uploads/~", "declared/"])
def test_it_goes_on_where_it_ended_and_asks_for_each_run_once(
    world: World, asked: Counter[str], origin: str
) -> None:
    """As with a bucket whose records cannot all be read in the time of one sweep."""
    search, swept, steps = OrphanSearch(origin), Swept(more=True), 0
    while swept.more:
        swept = remove_orphans(world.ledger, grace_s=GRACE_S, enough=after(10), search=search)
        steps += 1
        assert steps < STEPS_MAX
    assert orphans(world.objects) == set()
    assert len(world.objects.keys()) == 2 * LIVE
    live = {run: count for run, count in asked.items() if not run.startswith("lost-")}
    assert live == dict.fromkeys((f"{number:08}-run" for number in range(LIVE)), 1)
    assert search.is_over


def test_it_goes_once_around_all_keys_wherever_it_begins(world: World) -> None:
    keys = sorted(world.objects.keys())
    for origin in ("", *keys, "outputs/00000020-", "uploads/~", "elsewhere/x"):
        seen = [item.key for item in OrphanSearch(origin).objects(world.objects)]
        assert sorted(seen) == keys
    assert [item.key for item in OrphanSearch(keys[9]).objects(world.objects)] == [
        *keys[9:],
        *keys[:9],
    ]


def test_a_store_without_an_order_is_searched_as_a_whole() -> None:
    """The prefix is begun anew; the runs that were asked for are passed over."""
    world = a_world()
    store: ObjectStore = Unordered(world.clock)
    objects = partial(OrphanSearch("outputs/00000020").objects, store)
    keys = [source_key("00000001-run"), output_key("00000030-run", 1), output_key("0-run", 1)]
    for key in keys:
        put(store, key, b"x")
    assert sorted(item.key for item in objects()) == sorted(keys)


def test_a_run_that_was_found_to_be_of_nobody_is_asked_for_again(world: World) -> None:
    """Between two sweeps it may have become a job."""
    search = OrphanSearch("uploads/lost-uploads/1")
    remove_orphans(world.ledger, grace_s=GRACE_S, enough=after(1), search=search)
    assert "uploads/lost-uploads/1" not in world.objects.keys()  # noqa: SIM118 - no dict
    assert search.live == set()


# Searches of a process
class Scene:
    """A process whose time passes as it is told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.origins: list[str] = []
        self.searches = Searches(origin=self._origin, pause_s=600, now=lambda: self.now)

    def _origin(self) -> str:
        self.origins.append(f"uploads/{len(self.origins)}")
        return self.origins[-1]

    def sweep(self, *, ends: bool) -> bool:
        """Return whether a sweep had a search to do; have it come to its end."""
        with self.searches.turn() as search:
            if search is not None and ends:
                assert list(search.objects(a_world().objects)) == []
            return search is not None


def test_a_search_is_gone_on_with_each_minute_and_then_pauses() -> None:
    scene = Scene()
    for _ in range(5):
        assert scene.sweep(ends=False)
        scene.now += 60
    assert scene.sweep(ends=True)
    assert len(scene.origins) == 1
    for _ in range(9):
        scene.now += 60
        assert not scene.sweep(ends=True)
    scene.now += 60
    assert scene.sweep(ends=True)
    assert len(scene.origins) == 2


def test_the_pause_is_as_long_as_the_search_was() -> None:
    """A bucket of millions is not listed all day."""
    scene = Scene()
    assert scene.sweep(ends=False)
    scene.now += 5000
    assert scene.sweep(ends=True)
    scene.now += 4999
    assert not scene.sweep(ends=True)
    scene.now += 1
    assert scene.sweep(ends=True)


def test_two_sweeps_at_once_do_not_search_both() -> None:
    scene = Scene()
    with scene.searches.turn() as search:
        assert search is not None
        assert not scene.sweep(ends=True)
    assert scene.sweep(ends=True)


def test_a_search_that_failed_in_the_middle_is_gone_on_with() -> None:
    scene = Scene()
    with pytest.raises(ZeroDivisionError), scene.searches.turn():
        raise ZeroDivisionError
    scene.now += 60
    assert scene.sweep(ends=True)
    assert len(scene.origins) == 1
