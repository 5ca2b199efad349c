"""Bursts, backlogs and long days: what is accepted is done, what is too much is said to be."""

from __future__ import annotations

import os
import statistics
import time
import uuid
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from core import limits
from core.job import Policy, Source, State, source_key
from core.ledger import Ledger
from core.submission import Upload
from functions.sweep import remove_orphans, wake_jobs
from infra.clock import SystemClock
from infra.embedded.bus import SqliteBus
from infra.embedded.jobs import SqliteJobStore
from infra.embedded.objects import FolderObjectStore
from tests.crash.tree import Nursery, nursery
from tests.fakes import RecordingLog
from tests.http.forms import MP4_HEAD
from tests.load.scene import Loaded, Watch, held, loaded
from tests.load.traffic import Answers, Line, each, flood, paced
from tests.service.harness import until

LONG = "LECTERN_TORTURE" in os.environ
RATE = 200.0
MINUTE_S = float(os.environ.get("LECTERN_LOAD_S", "60" if LONG else "2"))
BURST_S = float(os.environ.get("LECTERN_BURST_S", "20" if LONG else "2"))
BACKLOG = int(os.environ.get("LECTERN_BACKLOG", "10000" if LONG else "100"))
SOAK_S = float(os.environ.get("LECTERN_SOAK_S", "3600"))
SOAK_RATE = 5.0
CALLERS = 16
"""As many as the product's defaults take at once (MAX_UPLOADS_AT_ONCE)."""
RECOVERY_S = 30.0
SLOPE_MAX = 8 * limits.MIB
"""Bytes an hour: less than a hundredth of what the service holds each hour."""
GROWTH_MAX = 1.1
"""From the middle of a soak to its end."""
WARM_S = 1800.0
"""A soak shorter than this tells nothing about a slope."""
DRAIN_S = 1800.0 if LONG else 60.0
pytestmark = pytest.mark.timeout(SOAK_S + 2400 if LONG else 180)


@pytest.fixture(scope="module")
def trees() -> Iterator[Nursery]:
    """Give what services are forked from."""
    with nursery() as made:
        yield made


def test_what_is_accepted_under_load_is_delivered(
    trees: Nursery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """200 receives a second, or as many as two cores take; then the queue runs empty."""
    with loaded(tmp_path / "load", trees) as service:
        began = time.monotonic()
        answers = paced(
            service.url() or "", rate=RATE, seconds=MINUTE_S, callers=CALLERS, prefix="load"
        )
        took_s = time.monotonic() - began
        check_nothing_is_lost(service, answers)
        tell(
            capsys,
            f"{len(answers.accepted) / took_s:.0f} receives a second of {RATE:.0f} asked for, "
            f"{took_s:.0f} s, {dict(answers.statuses)}, p50 {answers.latency_ms(0.5):.1f} ms, "
            f"p99 {answers.latency_ms(0.99):.1f} ms",
        )
        began, waiting = time.monotonic(), service.unfinished()
        drain(service)
        tell(capsys, f"{waiting} jobs left were drained in {time.monotonic() - began:.1f} s")


def test_ten_times_too_much_is_refused_in_words_and_passes(
    trees: Nursery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """429 with Retry-After, nothing accepted and lost, and soon all is as before."""
    with loaded(tmp_path / "burst", trees) as service:
        url = service.url() or ""
        answers = flood(url, seconds=BURST_S, callers=10 * CALLERS, prefix="burst")
        over = time.monotonic()
        assert set(answers.statuses) <= {200, 429}, answers.statuses
        assert answers.statuses[429] > 0, "a burst that fits is none"
        refused = [one for one in answers.all if one.status == 429]
        assert {one.retry_after_s for one in refused} == {limits.BUSY_RETRY_S}
        with Line(url) as line:
            until(
                lambda: line.receive(str(uuid.uuid4())).status == 200,
                "a receive after the burst",
                timeout_s=RECOVERY_S,
            )
        recovered_s = time.monotonic() - over
        calm = paced(url, rate=10, seconds=1, callers=1, prefix="calm")
        assert set(calm.statuses) == {200}
        check_nothing_is_lost(service, answers, calm)
        drain(service)
        tell(
            capsys,
            f"{10 * CALLERS} callers for {BURST_S:.0f} s: {dict(answers.statuses)}, "
            f"200 p99 {answers.latency_ms(0.99):.0f} ms, 429 p99 "
            f"{answers.latency_ms(0.99, 429):.0f} ms, well again after {recovered_s:.2f} s",
        )


def test_a_full_queue_is_said_to_be_full_until_it_is_not(trees: Nursery, tmp_path: Path) -> None:
    """MAX_QUEUED_JOBS bounds what waits; the bound is soft by what is on its way at once."""
    with loaded(tmp_path / "full", trees, MAX_QUEUED_JOBS="20", DELIVERY_WORKERS="1") as service:
        url = service.url() or ""
        answers = flood(url, seconds=BURST_S, callers=CALLERS, prefix="full")
        assert set(answers.statuses) == {200, 429}, answers.statuses
        check_nothing_is_lost(service, answers)
        drain(service)
        time.sleep(limits.GLANCE_S)  # a count is trusted for so long
        with Line(url) as line:
            assert line.receive("afterwards").status == 200


def test_a_backlog_is_drained_without_loss(
    trees: Nursery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Thousands of jobs are there when the service starts, and all end delivered and confirmed."""
    folder = tmp_path / "backlog"
    folder.mkdir()
    began = time.monotonic()
    ids = fill(folder / "data", BACKLOG)
    tell(capsys, f"{len(ids)} jobs were laid out in {time.monotonic() - began:.1f} s")
    with loaded(folder, trees) as service:
        began = time.monotonic()
        ledger = a_ledger(service.folder)
        times = wait_asking(service, ids[0])
        drained_s = time.monotonic() - began
        swept = time.monotonic()
        wake_jobs(ledger)
        remove_orphans(ledger, grace_s=3600)
        swept_s = time.monotonic() - swept
        confirmed = each(service.url() or "", ids, Line.confirm, callers=4)
        assert confirmed.statuses == {200: len(ids)}
        assert service.jobs.counts() == {State.COMPLETED: len(ids)}
        assert service.lms is not None
        assert {one.video_id for one in service.lms.deliveries} == set(ids)
        until(lambda: not service.files(), "no file is left")
        tell(
            capsys,
            f"{len(ids)} jobs drained in {drained_s:.1f} s, {len(ids) / drained_s:.1f} a second; "
            f"status meanwhile p50 {1000 * statistics.median(times):.1f} ms, slowest "
            f"{1000 * max(times):.0f} ms; a sweep with orphans {swept_s:.2f} s",
        )


@pytest.mark.skipif(not LONG, reason="an hour; LECTERN_TORTURE=1 and LECTERN_SOAK_S run it")
def test_a_long_day_leaves_memory_handles_and_threads_as_they_were(
    trees: Nursery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Steady work; records are forgotten after a minute, so the files do not grow either."""
    quick = {"KEEP_RECORD_S": "60", "ORPHAN_GRACE_S": "60", "SWEEP_INTERVAL_S": "1"}
    with loaded(tmp_path / "soak", trees, **quick) as service:
        url, watch, sent = service.url() or "", Watch(), 0
        end, period_s = time.monotonic() + SOAK_S, max(SOAK_S / 60, 5.0)
        while time.monotonic() < end:
            answers = paced(url, rate=SOAK_RATE, seconds=period_s, callers=2, prefix=f"soak-{sent}")
            assert set(answers.statuses) == {200}, answers.statuses
            sent += len(answers.accepted)
            drain(service)
            confirmed = each(url, answers.accepted, Line.confirm, callers=2)
            assert set(confirmed.statuses) == {200}, confirmed.statuses
            assert service.lms is not None
            service.lms.deliveries.clear()
            watch.seen.append(held(service))
        first, last = watch.seen[len(watch.seen) // 2], watch.seen[-1]
        slope = watch.slope_bytes_per_h()
        tell(
            capsys,
            f"{sent} jobs in {SOAK_S:.0f} s: PSS {first.pss_bytes / limits.MIB:.1f} MiB half-way, "
            f"{last.pss_bytes / limits.MIB:.1f} at the end, {slope / limits.MIB:+.2f} MiB an hour; "
            f"handles {first.handles} and {last.handles}, threads {first.threads} and "
            f"{last.threads}, processes {first.processes} and {last.processes}",
        )
        assert last.pss_bytes < GROWTH_MAX * first.pss_bytes
        assert slope < SLOPE_MAX or SOAK_S < WARM_S, "pages that forked processes share come apart"
        assert last.handles <= first.handles + 10
        assert last.threads <= first.threads + 10
        assert last.processes == first.processes


def check_nothing_is_lost(service: Loaded, *answers: Answers) -> None:
    """Every 200 has a record."""
    accepted = [video_id for one in answers for video_id in one.accepted]
    assert accepted
    assert not service.lost(accepted)


def drain(service: Loaded) -> None:
    """Wait until every job is at the LMS, and none has failed."""
    until(lambda: service.unfinished() == 0, "an empty queue", timeout_s=DRAIN_S)
    assert set(service.jobs.counts()) <= {State.STORED, State.COMPLETED}


def wait_asking(service: Loaded, video_id: str) -> list[float]:
    """Wait until every job is at the LMS; return the seconds that a status took meanwhile."""
    times: list[float] = []
    with Line(service.url() or "") as line:

        def is_done() -> bool:
            times.extend(line.status(video_id).took_s for _ in range(3))
            time.sleep(0.2)
            return service.unfinished() == 0

        until(is_done, "an empty queue", timeout_s=DRAIN_S)
    return times


def fill(folder: Path, count: int) -> list[str]:
    """Do what a receiver does, for many recordings, without its HTTP."""
    ledger = a_ledger(folder)
    ids = [f"backlog-{number}" for number in range(count)]
    for video_id in ids:
        data = MP4_HEAD + video_id.encode() + b" lecture" * 100
        run = str(uuid.uuid4())
        with ledger.objects.create(source_key(run)) as writer:
            writer.write(data)
            writer.commit()
        source = Source(
            key=source_key(run), size=len(data), sha256=sha256(data).hexdigest(), container="mov"
        )
        ledger.receive(Upload(job_id=video_id, organization_id="uni-1", run=run, source=source))
    return ids


def a_ledger(folder: Path) -> Ledger:
    """Return the service's adapters for use in this process."""
    clock = SystemClock()
    return Ledger(
        jobs=SqliteJobStore(folder / "jobs.db"),
        bus=SqliteBus(folder / "messages.db", clock=clock),
        objects=FolderObjectStore(folder, clock=clock),
        clock=clock,
        log=RecordingLog(),
        policy=Policy(),
    )


def tell(capsys: pytest.CaptureFixture[str], figures: str) -> None:
    """Print figures, also of a test that passes."""
    with capsys.disabled():
        print(f"\n{figures}")  # noqa: T201 - figures
