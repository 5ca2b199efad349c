"""A deployment on emulators, for tests that run the services as processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from core.messages import Topic
from infra import wiring
from infra.clock import SystemClock
from infra.gcp.bus import DEAD_LETTERS, Names
from infra.settings import load
from infra.wiring import Wiring
from tests import planted
from tests.gcp import emulators
from tests.gcp.clocked import CALL_S, provide
from tests.gcp.fixtures import PubSubClients
from tests.gcp.storage_http import serving
from tests.gcp.storage_server import Bucket
from tests.service.harness import KEY, ROOT, kill_session, until

PROJECT: Final = "test"
SECRET: Final = "whsec_bGVjdGVybi1leGFtcGxlLXNlY3JldC0wMDE="
BUCKET: Final = "recordings"
QUICK: Final[Mapping[str, str]] = {
    "LEASE_S": "2",
    "REPUBLISH_AFTER_S": "1",
    "ORPHAN_GRACE_S": "4",
    "LOG_FORMAT": "json",
}
"""Times short enough for a test; every other setting is the product's default."""


def environment(
    *, firestore: str, pubsub: str, storage: str, prefix: str, folder: Path, lms_url: str
) -> dict[str, str]:
    """Return what every service of a deployment is told: its place, its keys, the emulators.

    `prefix` makes topics, subscriptions and the collection of jobs the deployment's own.
    """
    return {
        emulators.FIRESTORE.variable: firestore,
        emulators.PUBSUB.variable: pubsub,
        "STORAGE_EMULATOR_HOST": storage,
        "LECTERN_BACKEND": "gcp",
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "LECTERN_BUCKET": BUCKET,
        "FIRESTORE_JOBS": prefix,
        "PUBSUB_PREFIX": prefix,
        "LECTERN_DATA_DIR": str(folder),
        "INTERNAL_SERVICE_KEY": KEY,
        "WEBHOOK_SECRET": SECRET,
        "LMS_STORE_URL": lms_url,
        **QUICK,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Names, a bucket and the environment that leads every service to them."""

    names: Names
    bucket: Bucket
    environment: Mapping[str, str]
    pubsub: PubSubClients
    folder: Path

    def connect(self, **more: str) -> Wiring:
        """Return the deployment's parts for use in this process."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self.environment, **more}.items():
                patch.setenv(name, value)
            return wiring.connect(load())

    def push_to(self, topic: Topic, url: str, *, ack_deadline_s: int = 600) -> None:
        """Have Pub/Sub push the topic's messages to a service, as Terraform does.

        The topic's pull subscription ends: in a real project there is only the one.
        """
        self.pubsub.subscriber.delete_subscription(
            subscription=self.names.subscription(topic), timeout=CALL_S
        )
        wanted: dict[str, Any] = {
            "name": self.names.subscription(topic),
            "topic": self.names.topic(topic),
            "ack_deadline_seconds": ack_deadline_s,
            "push_config": {"push_endpoint": f"{url}/push/{topic}"},
            "retry_policy": {"minimum_backoff": {"seconds": 1}, "maximum_backoff": {"seconds": 2}},
            "dead_letter_policy": {
                "dead_letter_topic": self.names.topic(DEAD_LETTERS),
                "max_delivery_attempts": 100,
            },
        }
        self.pubsub.subscriber.create_subscription(request=wanted, timeout=CALL_S)


@contextlib.contextmanager
def deployed(
    folder: Path, *, firestore: str, pubsub_host: str, pubsub: PubSubClients, lms_url: str
) -> Iterator[Deployment]:
    """Make a deployment with topics and pull subscriptions of its own, and an empty bucket.

    The bucket is served by this process. `folder` is for the services' files.
    """
    prefix = f"t{uuid4().hex}"
    names = Names(project=PROJECT, prefix=prefix)
    provide(pubsub.publisher, pubsub.subscriber, names)
    bucket = Bucket(SystemClock().now)
    with serving(bucket) as url:
        told = environment(
            firestore=firestore,
            pubsub=pubsub_host,
            storage=url,
            prefix=prefix,
            folder=folder / "data",
            lms_url=lms_url,
        )
        try:
            yield Deployment(
                names=names, bucket=bucket, environment=told, pubsub=pubsub, folder=folder
            )
        finally:
            planted.assert_hidden(*folder.glob("*.log"))
            for topic in Topic:  # or the emulator goes on pushing to a service that is gone
                subscription = names.subscription(topic)
                pubsub.subscriber.delete_subscription(subscription=subscription, timeout=CALL_S)


@dataclass(slots=True, kw_only=True)
class Process:
    """One service, started as its container starts it, in a session of its own.

    It listens on a free port, which it tells in the event `announces`.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    announces: str = "service.listening"
    process: subprocess.Popen[bytes] | None = None
    _seen: int = field(default=0)

    def start(self, **extra: str) -> None:
        """Start a life of the service; `extra` is environment of this life alone."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.log.parent),
            "PYTHONPATH": str(ROOT),
            "HOST": "127.0.0.1",
            "PORT": "0",
            **self.environment,
            **extra,
        }
        self._seen = len(self.events())
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.argv],
                env=environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Return the pid of the service's first process."""
        assert self.process is not None
        return self.process.pid

    def url(self) -> str:
        """Return where the service listens in this life, once it does."""

        def told() -> str | None:
            self._must_live()
            for event in self.events()[self._seen :]:
                if event.get("event") == self.announces:
                    return f"http://{event['host']}:{event['port']}"
            return None

        return until(told, "the service's address")

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return the events of all lives so far, or those of one name."""
        found = []
        lines = self.log.read_bytes().splitlines() if self.log.exists() else []
        for line in lines:
            with contextlib.suppress(ValueError):  # a traceback, or a line that is being written
                event = json.loads(line)
                if isinstance(event, dict) and name in {None, event.get("event")}:
                    found.append(event)
        return found

    def wait_event(self, name: str) -> dict[str, Any]:
        """Return the first event of that name of this life."""

        def seen() -> dict[str, Any] | None:
            self._must_live()
            new = self.events()[self._seen :]
            return next((event for event in new if event.get("event") == name), None)

        return until(seen, f"the event {name}")

    def stop(self, *, timeout_s: float = 15.0) -> int:
        """Send SIGTERM to the first process and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def wait_dead(self, *, timeout_s: float = 30.0) -> int:
        """Return the exit status of a service that ends by itself."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL whatever is left of the service."""
        if self.process is not None:
            kill_session(self.process.pid)
            self.process.wait(5)

    def _must_live(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-4000:]


@contextlib.contextmanager
def process(deployment: Deployment, *argv: str, name: str, **environment: str) -> Iterator[Process]:
    """Give a service that is not started yet and is killed at the end, whatever happens.

    `argv` is for Python: `-m`, `transcoder`.
    """
    made = Process(
        argv=argv,
        environment={**deployment.environment, **environment},
        log=deployment.folder / f"{name}.log",
    )
    try:
        yield made
    finally:
        made.kill()
