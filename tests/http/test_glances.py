"""Slow stores: what is looked up for many requests holds up one of them, not all threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from core import limits
from core.errors import Unavailable
from receiver.admission import Remembered
from tests.fakes import a_world
from tests.http.door import Door, a_door

PATIENCE_S = 10.0
OTHERS = 8


@dataclass(slots=True)
class Store:
    """Answers at once, or lets its callers wait until they may go on."""

    calls: int = 0
    asked: threading.Event = field(default_factory=threading.Event)
    open: threading.Event = field(default_factory=threading.Event)

    def look(self) -> int:
        """Return how often it was asked, once it may be said."""
        self.calls += 1
        said = self.calls
        self.asked.set()
        assert self.open.wait(PATIENCE_S)
        return said

    def check(self) -> None:
        """Return, or not, as a readiness check does."""
        self.look()


@contextmanager
def waiting(store: Store, ask: Callable[[], Any]) -> Iterator[None]:
    """Have one thread ask and be held up by the store while the block runs."""
    store.asked.clear()
    store.open.clear()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(ask)
        try:
            assert store.asked.wait(PATIENCE_S)
            yield
        finally:
            store.open.set()
        held.result(PATIENCE_S)


def at_once(ask: Callable[[], Any]) -> list[Any]:
    """Return what many threads are told that ask while the store answers nobody."""
    with ThreadPoolExecutor(OTHERS) as pool:
        asked = [pool.submit(ask) for _ in range(OTHERS)]
        return [one.result(PATIENCE_S / 2) for one in asked]


def ready(door: Door) -> Callable[[], tuple[int, Any]]:
    """Return what asks `GET /ready` as a client of its own."""

    def ask() -> tuple[int, Any]:
        response = door.app.test_client().get("/ready")
        return response.status_code, response.get_json()

    return ask


def test_others_are_not_ready_while_the_first_check_has_no_answer() -> None:
    store = Store()
    ask = ready(a_door(checks={"store": store.check}))
    with waiting(store, ask):
        assert at_once(ask) == [(503, {"status": "not_ready", "checks": {}})] * OTHERS
    assert ask() == (200, {"status": "ready", "checks": {"store": {"ok": True}}})
    assert store.calls == 1


def test_others_are_told_the_last_result_while_a_check_has_no_answer() -> None:
    store = Store()
    door = a_door(checks={"store": store.check})
    ask = ready(door)
    store.open.set()
    known = ask()
    door.world.clock.advance(limits.GLANCE_S)
    with waiting(store, ask):
        assert at_once(ask) == [known] * OTHERS
    assert (known[0], store.calls) == (200, 2)


def test_a_check_that_took_long_counts_from_its_end() -> None:
    """Else all who waited for it would run it again."""
    world = a_world()
    calls: list[None] = []

    def slow() -> None:
        calls.append(None)
        world.clock.advance(2 * limits.GLANCE_S)

    ask = ready(a_door(world=world, checks={"store": slow}))
    assert [ask()[0] for _ in range(3)] == [200, 200, 200]
    assert len(calls) == 1


def test_others_go_by_the_last_count_while_a_count_has_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a moment, in which most counts are there."""
    monkeypatch.setattr(limits, "TURN_S", 0.05)
    store, world = Store(), a_world()
    count = Remembered(store.look, world.clock)
    store.open.set()
    assert count() == 1
    world.clock.advance(limits.GLANCE_S)
    with waiting(store, count):
        assert at_once(count) == [1] * OTHERS
    assert count() == 2


def test_others_wait_a_moment_for_the_first_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """And are asked to come again then."""
    monkeypatch.setattr(limits, "TURN_S", 0.05)
    store = Store()
    count = Remembered(store.look, a_world().clock)

    def ask() -> str:
        with pytest.raises(Unavailable) as refused:
            count()
        return refused.value.detail

    with waiting(store, count):
        assert at_once(ask) == ["the job store takes long to answer; try again"] * OTHERS
    assert (count(), store.calls) == (1, 1)


def test_a_count_that_took_long_counts_from_its_end() -> None:
    """Else all who waited for it would take it again."""
    world = a_world()
    calls: list[None] = []

    def slow() -> int:
        calls.append(None)
        world.clock.advance(2 * limits.GLANCE_S)
        return len(calls)

    count = Remembered(slow, world.clock)
    assert [count() for _ in range(3)] == [1, 1, 1]
