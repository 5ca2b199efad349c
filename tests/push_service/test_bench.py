"""The bench: steps from many threads, done in one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

import pytest

from core import limits
from core.errors import Interrupted, NotFound, Unavailable
from transcoder.bench import Bench


@contextmanager
def working(bench: Bench) -> Iterator[threading.Thread]:
    """Work at the bench until the block ends."""
    worker = threading.Thread(target=bench.work)
    worker.start()
    try:
        yield worker
    finally:
        bench.close()
        worker.join(10)


def test_a_step_is_done_in_the_working_thread_with_its_requests_context() -> None:
    seen: list[object] = []
    request: ContextVar[str] = ContextVar("request")
    request.set("r-1")
    bench = Bench(lambda: False)
    with working(bench) as worker:
        bench.do(lambda: seen.extend((threading.current_thread(), request.get())))
    assert seen == [worker, "r-1"]


def test_what_a_step_raises_is_the_requests_and_ends_nothing() -> None:
    def fail() -> None:
        raise NotFound("gone")

    bench, done = Bench(lambda: False), list[int]()
    with working(bench):
        with pytest.raises(NotFound, match="gone"):
            bench.do(fail)
        bench.do(lambda: done.append(1))
    assert done == [1]


def test_steps_are_done_one_after_the_other() -> None:
    running, most = [0], [0]
    bench = Bench(lambda: False, waiting_max=20)

    def step() -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        threading.Event().wait(0.01)
        running[0] -= 1

    with working(bench), ThreadPoolExecutor(8) as callers:
        for call in [callers.submit(bench.do, step) for _ in range(16)]:
            call.result(10)
    assert most == [1]


def test_who_waits_too_long_is_refused_and_so_is_one_too_many() -> None:
    go, begun = threading.Event(), threading.Event()

    def step() -> None:
        begun.set()
        go.wait(10)

    bench = Bench(lambda: False, wait_s=0.05, waiting_max=1)
    patient = Bench(lambda: False, wait_s=10, waiting_max=0)
    with working(bench), working(patient), ThreadPoolExecutor(2) as callers:
        long = callers.submit(bench.do, step)
        assert begun.wait(10)
        with pytest.raises(Unavailable, match="another message"):
            bench.do(lambda: None)
        begun.clear()
        other = callers.submit(patient.do, step)
        assert begun.wait(10)
        with pytest.raises(Unavailable, match="another message"):
            patient.do(lambda: None)
        go.set()
        long.result(10)
        other.result(10)
        bench.do(lambda: None)


def test_nobody_waits_for_a_bench_where_nobody_works() -> None:
    """Neither who comes late nor who had handed a step over."""
    bench = Bench(lambda: False)
    with ThreadPoolExecutor(1) as callers:
        bench.close()
        early = callers.submit(bench.do, lambda: None)
        while bench._orders.qsize() < 2:
            assert not early.done()
        bench.work()
        with pytest.raises(Interrupted):
            early.result(10)
    with pytest.raises(Interrupted):
        bench.do(lambda: None)


def test_no_step_begins_after_the_request_to_stop() -> None:
    bench = Bench(lambda: True)
    with working(bench), pytest.raises(Interrupted):
        bench.do(lambda: None)


def test_a_step_that_hangs_past_any_bound_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then `/health` says that the instance is to be started anew."""
    bench, told = Bench(lambda: False), list[bool]()
    with working(bench):
        bench.do(lambda: told.append(bench.is_stuck()))
        monkeypatch.setattr(limits, "PUSH_ACK_S", -1.0)
        bench.do(lambda: told.append(bench.is_stuck()))
        assert not bench.is_stuck()
    assert told == [False, True]
