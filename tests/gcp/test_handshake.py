"""The whole handshake over Google Cloud's adapters: real FFmpeg, real HTTP to the LMS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from core.messages import Topic
from functions.main import sweep
from infra import wiring
from infra.clock import SystemClock
from infra.gcp.bus import Names
from infra.settings import load
from infra.wiring import Wiring
from lectern.example_lms import ExampleLms
from lectern.server import create_app
from tests.gcp import emulators
from tests.gcp.clocked import provide
from tests.gcp.fixtures import PubSubClients
from tests.gcp.storage_http import serving
from tests.gcp.storage_server import Bucket
from tests.service.harness import KEY, until
from transcoder.main import handler_for
from transcoder.stopping import StopSignal
from transcoder.worker import Worker

VIDEO = "lecture-1"
SECRET = "whsec_bGVjdGVybi1leGFtcGxlLXNlY3JldC0wMDE="


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """A deployment on emulators, and the LMS that it delivers to."""

    parts: Wiring
    bucket: Bucket
    lms: ExampleLms

    def work(self, topic: Topic) -> None:
        """Handle messages of `topic` until there has been one."""
        worker = Worker(
            bus=self.parts.ledger.bus,
            topic=topic,
            handler=handler_for(self.parts, topic, StopSignal()),
            lease_s=self.parts.ledger.policy.lease_s,
            clock=self.parts.ledger.clock,
            log=self.parts.log,
            stop=lambda: False,
        )
        until(worker.step, f"a message for {topic}")

    def state(self) -> str:
        """Return the job's state."""
        return self.parts.ledger.read(VIDEO).state


@pytest.fixture
def cloud(
    tmp_path: Path,
    firestore_emulator: str,
    pubsub_emulator: str,
    pubsub: PubSubClients,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Cloud]:
    """Connect everything by the product's own wiring."""
    prefix = f"t{uuid4().hex}"
    provide(pubsub.publisher, pubsub.subscriber, Names(project="test", prefix=prefix))
    bucket = Bucket(SystemClock().now)
    with serving(bucket) as url, ExampleLms(secret=SECRET, folder=tmp_path / "lms") as lms:
        settings = {
            emulators.FIRESTORE.variable: firestore_emulator,
            emulators.PUBSUB.variable: pubsub_emulator,
            "STORAGE_EMULATOR_HOST": url,
            "LECTERN_BACKEND": "gcp",
            "GOOGLE_CLOUD_PROJECT": "test",
            "LECTERN_BUCKET": "recordings",
            "FIRESTORE_JOBS": prefix,
            "PUBSUB_PREFIX": prefix,
            "LECTERN_DATA_DIR": str(tmp_path / "data"),
            "INTERNAL_SERVICE_KEY": KEY,
            "WEBHOOK_SECRET": SECRET,
            "LMS_STORE_URL": lms.url,
            "LEASE_S": "2",
            "REPUBLISH_AFTER_S": "1",
            "ORPHAN_GRACE_S": "4",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield Cloud(parts=wiring.connect(load()), bucket=bucket, lms=lms)


def test_receive_store_confirm_over_the_emulators(cloud: Cloud, clip: Path) -> None:
    """The same rules, other adapters: 200, a small signed file, and nothing left in the bucket."""
    send(cloud, clip)
    assert cloud.state() == "queued"
    cloud.work(Topic.TRANSCODE)
    assert cloud.state() == "storing"
    cloud.work(Topic.DELIVER)
    assert cloud.state() == "stored"
    (delivery,) = cloud.lms.deliveries
    assert 0 < delivery.size < clip.stat().st_size
    assert len(list(cloud.parts.ledger.objects.list(""))) == 2
    confirm(cloud, delivery.sha256)
    assert cloud.state() == "completed"
    assert list(cloud.parts.ledger.objects.list("")) == []


def test_what_a_crash_takes_from_the_bus_the_sweep_brings_back(cloud: Cloud, clip: Path) -> None:
    """Each message is lost with its worker; the sweep publishes it again from the record."""
    send(cloud, clip)
    for topic, after in ((Topic.TRANSCODE, "storing"), (Topic.DELIVER, "stored")):
        lose_message_and_worker(cloud, topic)
        until(lambda: sweep(cloud.parts).jobs, "a job whose lease has run out")
        cloud.work(topic)
        assert cloud.state() == after
    assert {delivery.id for delivery in cloud.lms.deliveries} == {
        cloud.parts.ledger.read(VIDEO).delivery_id
    }


def send(cloud: Cloud, clip: Path) -> None:
    """POST the recording to the front door."""
    with clip.open("rb") as file:
        form = {"video_id": VIDEO, "organization_id": "uni-1", "file": (file, "clip.mp4")}
        answer = (
            create_app(cloud.parts)
            .test_client()
            .post("/video/receive", data=form, headers={"X-API-Key": KEY})
        )
    assert (answer.status_code, answer.get_json()["status"]) == (200, "queued"), answer.text


def confirm(cloud: Cloud, sha256: str) -> None:
    """POST the confirmation."""
    answer = (
        create_app(cloud.parts)
        .test_client()
        .post(
            "/video/confirm", data={"video_id": VIDEO, "sha256": sha256}, headers={"X-API-Key": KEY}
        )
    )
    assert answer.status_code == 200, answer.text


def lose_message_and_worker(cloud: Cloud, topic: Topic) -> None:
    """Take the message, claim the step, and do nothing more: a worker that was killed."""
    bus = cloud.parts.ledger.bus
    handout = until(lambda: bus.receive(topic, lease_s=10), "the message")
    cloud.parts.ledger.claim(handout.message)
    bus.ack(handout)
