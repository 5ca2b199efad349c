"""The deployment of compose.yaml with a bucket and an LMS that do as the test says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from core.messages import Topic
from infra.gcp import clients
from infra.gcp.bus import Names
from lectern.example_lms import ExampleLms
from tests.compose.reader import Service, services
from tests.compose.stack import BIN, Stack, need_what_it_runs
from tests.crash.points import KILL_AT, TRACE
from tests.e2e.backend import Backend
from tests.e2e.weather import Weather
from tests.gcp.deployment import QUICK
from tests.gcp.emulators import PUBSUB
from tests.gcp.provision import ENDPOINTS, provide
from tests.gcp.storage_http import serving
from tests.service.harness import ROOT, until

SITE: Final = ROOT / "tests" / "crash" / "site"
SWEEP_EVERY_S: Final = "0.5"
PIECE_S: Final = "1.5"
"""Lectures of six seconds and more are cut into pieces."""
POINTS: Final[Mapping[str, Sequence[str]]] = {
    "receiver": ("objects.create.commit after #1", "bus.publish before #1"),
    "courier": ("courier.send after #1",),
    "sweep": ("bus.publish before #1",),
    "confirmer": ("jobs.update after #1",),
}
"""Where each service is killed in its first life, its second and so on; see `tests.crash.points`.

The receiver has the source and no record; then the record and no message. The courier has the LMS's
200 and no record of it. The sweep has decided and not published. The confirmer has recorded the
confirmation and deleted nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`stack` is the deployment; the test plays Cloud Storage and the LMS."""

    stack: Stack
    bucket: Weather
    lms: ExampleLms

    def backend(self, video_id: str, recording: Path, *, patient: bool = False) -> Backend:
        """Return a backend that has not begun."""
        return Backend(
            stack=self.stack, lms=self.lms, video_id=video_id, recording=recording, patient=patient
        )

    def wait_encoding(self, backend: Backend) -> int:
        """Return the progress of the job once its encode has got somewhere, in percent."""

        def percent() -> int:
            found = backend.status()
            return int(found["progress"]) if found.get("state") == "processing" else 0

        return until(lambda: percent() >= 3 and percent(), "an encode in its middle")

    def lose_messages(self, topic: Topic) -> None:
        """Drop all that waits for the topic's receivers: a subscription's end takes it along."""
        told = self.stack.services["provision"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(PUBSUB.variable, self.stack.place("pubsub"))
            publisher, subscriber = clients.publisher_client(), clients.subscriber_client()
            names = Names(project=told.environment["GOOGLE_CLOUD_PROJECT"])
            subscriber.delete_subscription(subscription=names.subscription(topic), timeout=20)
            provide(publisher, subscriber, names, self._endpoints(told))
        publisher.transport.close()
        subscriber.transport.close()

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a service's processes as a machine does that swaps, and let them go on after."""
        pids = self.stack.pids(name)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return what every service has logged under an event's name."""
        found = []
        for service in self.stack.running:
            for line in self.stack.log(service).splitlines():
                with contextlib.suppress(ValueError):  # another program's words
                    event = json.loads(line)
                    if isinstance(event, dict) and event.get("event") == name:
                        found.append(event)
        return found

    def _endpoints(self, told: Service) -> dict[str, str]:
        words = {topic: told.environment[name] for topic, name in ENDPOINTS.items()}
        return {topic: self.stack.here("provision", word) for topic, word in words.items()}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Give the deployment, all services with their death before them."""
    need_what_it_runs()
    folder = tmp_path_factory.mktemp("deployment")
    said = _hurried()
    bucket = Weather()
    with (
        serving(bucket) as storage,
        ExampleLms(
            secret=said["lms"].environment["WEBHOOK_SECRET"], folder=folder / "lms-stand-in"
        ) as lms,
        Stack(
            folder=folder,
            services=said,
            stand_ins={"storage": storage.removeprefix("http://"), "lms": f"127.0.0.1:{lms.port}"},
            settings={**QUICK, "PIECE_S": PIECE_S},
            lives={name: _lives(folder, said[name], points) for name, points in POINTS.items()},
        ) as stack,
    ):
        yield Scene(stack=stack, bucket=bucket, lms=lms)


def _hurried() -> dict[str, Service]:
    """Return the file's services, with a Scheduler that calls more often."""
    found = dict(services())
    scheduler = found["scheduler"]
    command = tuple(SWEEP_EVERY_S if word == "2" else word for word in scheduler.command)
    assert command != scheduler.command
    return {**found, "scheduler": replace(scheduler, command=command)}


def _lives(folder: Path, service: Service, points: Sequence[str]) -> list[Mapping[str, str]]:
    """Return the environment of each life that ends at one of `points`."""
    common = {TRACE: str(folder / f"{service.name}.trace"), "PYTHONPATH": f"{SITE}:{ROOT}"}
    return [{**common, KILL_AT: f"{_role(service)} {point}"} for point in points]


def _role(service: Service) -> str:
    """Return how a service's process calls itself, which is where its program lies."""
    program, *words = service.command
    return str(ROOT / words[1] / "__main__.py") if program == "python" else str(BIN / program)
