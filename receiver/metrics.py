"""What Prometheus gets to see, computed at each scrape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.job import UNFINISHED, State
from core.ledger import Ledger
from core.messages import Topic

if TYPE_CHECKING:
    from prometheus_client import Metric


def exposition(ledger: Ledger) -> tuple[bytes, str]:
    """Return the metrics in Prometheus' text format, and its content type."""
    from prometheus_client import (  # noqa: PLC0415 - 3 MB that a service without scrapes saves
        CONTENT_TYPE_LATEST,
        CollectorRegistry,
        generate_latest,
    )

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(ledger))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - as above

        counts = self._ledger.jobs.counts()
        jobs = GaugeMetricFamily("lectern_jobs", "Jobs by state.", labels=["state"])
        for state in State:
            jobs.add_metric([state.value], counts.get(state, 0))
        yield jobs
        waiting = sum(counts.get(state, 0) for state in UNFINISHED)
        yield GaugeMetricFamily("lectern_jobs_unfinished", "Jobs with work left.", value=waiting)
        depth = GaugeMetricFamily("lectern_queue_depth", "Messages on the bus.", labels=["topic"])
        for topic in Topic:
            depth.add_metric([topic.value], self._ledger.bus.depth(topic))
        yield depth
