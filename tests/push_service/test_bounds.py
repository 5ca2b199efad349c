"""No pushed step outlasts its push: what breaks it off, and what becomes of the job."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from core import limits
from core.errors import Interrupted, StepTimedOut
from core.messages import Topic
from core.order import DEFAULT
from infra.webhook import WebhookCourier
from tests.fake_press import FakePress
from tests.fakes import FakeClock, MemoryObjectStore, RecordingProgress
from tests.push_service.scene import Scene
from transcoder.bounded import BoundedPress, BoundedTransfers, Budget
from transcoder.deliver import Deliver
from transcoder.main import pushed_handler_for
from transcoder.stopping import StopSignal


class Endless(MemoryObjectStore):
    """A store whose transfers never end by themselves."""

    def fetch(self, key: str, to: Path) -> None:
        """Wait for bytes that do not come."""
        del key, to
        threading.Event().wait()


def transfers(budget: Budget, stop: StopSignal) -> BoundedTransfers:
    """Return bounded transfers with a store that hangs."""
    return BoundedTransfers(store=Endless(FakeClock()), budget=budget, within=stop.within)


def test_the_bounds_leave_pubsub_its_time() -> None:
    """A push waits, then works; both must end before Pub/Sub gives up."""
    assert limits.PUSH_WAIT_S + limits.PUSH_STEP_S < limits.PUSH_ACK_S
    assert limits.PUSH_COMMIT_S < limits.PUSH_STEP_S / 2


def test_a_fetch_that_hangs_is_broken_off_by_the_clock(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(StepTimedOut, match=r"within the 0\.3 s that a pushed message may take"):
        transfers(Budget.starting_now(0.3), StopSignal()).fetch("a/b", tmp_path / "x")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_fetch_for_which_no_time_is_left_is_not_begun(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(StepTimedOut):
        transfers(Budget.starting_now(seconds), StopSignal()).fetch("a/b", tmp_path / "x")


def test_a_fetch_that_hangs_is_broken_off_by_a_stop(tmp_path: Path) -> None:
    stop = StopSignal()
    before = signal.signal(signal.SIGTERM, stop.hear)
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(Interrupted):
            transfers(Budget.starting_now(60), stop).fetch("a/b", tmp_path / "x")
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_alarm_that_comes_late_hits_nobody_else() -> None:
    """The next block has a clock of its own."""
    stop = StopSignal()
    with stop.within(60, "the first"):
        pass
    with stop.within(60, "the second"):
        signal.raise_signal(signal.SIGUSR2)
    signal.raise_signal(signal.SIGUSR2)


def test_the_time_that_fetching_took_is_taken_off_the_encode(tmp_path: Path) -> None:
    given: list[float] = []

    class Late(FakePress):
        def begin(self, *_: Any, **__: Any) -> Any:
            raise StepTimedOut("JOB_TIMEOUT bounds an encode")

    def press(budget_s: float) -> FakePress:
        given.append(budget_s)
        return Late()

    def stop() -> bool:
        return False

    budget = Budget(step_s=540, encode_by=time.monotonic() + 100, end=time.monotonic() + 190)
    for timeout_s, words in ((3600.0, "540 s that a pushed message"), (30.0, "JOB_TIMEOUT")):
        bounded = BoundedPress(press=press, budget=budget, job_timeout_s=timeout_s)
        with pytest.raises(StepTimedOut, match=words):
            bounded.begin(
                tmp_path, tmp_path, order=DEFAULT, progress=RecordingProgress(), stop=stop
            )
    assert given == [pytest.approx(100, abs=5), 30.0]


def test_an_encode_past_the_bound_is_killed_and_the_job_says_why(
    scene: Scene, lecture: Path
) -> None:
    """It is tried again later as any passing failure, and in the end the job fails for it."""
    scene.send(lecture)
    parts = scene.deployment.connect(MAX_RETRIES="0")
    began = time.monotonic()
    handler = pushed_handler_for(parts, Topic.TRANSCODE, StopSignal(), step_s=1.5)
    handler(scene.message(Topic.TRANSCODE))
    assert time.monotonic() - began < 10
    job = scene.job()
    assert job.state == "failed"
    assert job.failure is not None
    assert job.failure.code == "step_timed_out"
    assert job.failure.reason.startswith("the step did not end within the 1.5 s")
    assert scene.scratch() == []


def test_a_short_job_timeout_bounds_the_service_and_leads_to_another_try(
    scene: Scene, lecture: Path
) -> None:
    scene.transcoder.start(JOB_TIMEOUT="1")
    scene.send(lecture)
    assert scene.push(Topic.TRANSCODE).status_code == 204
    job = scene.job()
    assert (job.state, job.retries) == ("queued", 1)
    assert "JOB_TIMEOUT" in (job.history[-1].note or "")


@pytest.mark.parametrize(("setting", "total_s"), [("3600", 540.0), ("20", 20.0)])
def test_a_callback_has_no_longer_than_a_push(scene: Scene, setting: str, total_s: float) -> None:
    parts = scene.deployment.connect(STORE_TIMEOUT_S=setting)
    step = pushed_handler_for(parts, Topic.DELIVER, StopSignal())
    assert isinstance(step, Deliver)
    assert isinstance(step.courier, WebhookCourier)
    assert step.courier._times.total_s == total_s
