"""A deployment with one recording waiting, and the transcoder that shall work on it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import requests

from core.job import Job, source_key
from core.messages import Message, Topic
from infra.wiring import Wiring
from lectern.example_lms import ExampleLms
from tests.conftest import make_clip
from tests.fakes import an_upload, put
from tests.gcp.deployment import SECRET, Deployment, Process, deployed, process
from tests.gcp.fixtures import PubSubClients
from tests.service.harness import until

VIDEO: Final = "lecture-1"
CALL_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`parts` are the deployment's, connected in this process."""

    deployment: Deployment
    parts: Wiring
    lms: ExampleLms
    transcoder: Process

    def send(self, recording: Path, video_id: str = VIDEO) -> None:
        """Store a recording and record it, as the front door does; its message waits then."""
        data, run = recording.read_bytes(), str(uuid4())
        put(self.parts.ledger.objects, source_key(run), data)
        self.parts.ledger.receive(an_upload(video_id, run=run, data=data))

    def job(self, video_id: str = VIDEO) -> Job:
        """Return the job's record."""
        return self.parts.ledger.read(video_id)

    def message(self, topic: Topic, video_id: str = VIDEO) -> Message:
        """Return the message that asks for the job's step."""
        return Message(topic=topic, job_id=video_id, run=self.job(video_id).run)

    def push(self, topic: Topic, video_id: str = VIDEO) -> requests.Response:
        """Push the message by hand, as Pub/Sub does."""
        url = f"{self.transcoder.url()}/push/{topic}"
        message = self.message(topic, video_id)
        return requests.post(url, json=envelope(message), timeout=CALL_S)

    def wait_state(self, *states: str, video_id: str = VIDEO) -> Job:
        """Return the job once it is in one of `states`."""

        def look() -> Job | None:
            job = self.job(video_id)
            return job if job.state in states else None

        return until(look, f"{video_id} in {states}")

    def wait_encoding(self, video_id: str = VIDEO) -> Job:
        """Return the job once its encode has got somewhere."""

        def look() -> Job | None:
            job = self.job(video_id)
            return job if job.state == "processing" and job.progress >= 3 else None

        return until(look, f"{video_id} in mid-encode")

    def scratch(self) -> list[Path]:
        """Return what lies in the transcoder's scratch folder."""
        return sorted((self.deployment.folder / "data" / "scratch").rglob("*"))


@pytest.fixture
def scene(
    tmp_path: Path, firestore_emulator: str, pubsub_emulator: str, pubsub: PubSubClients
) -> Iterator[Scene]:
    """Give a deployment whose transcoder is not started yet."""
    with (
        ExampleLms(secret=SECRET, folder=tmp_path / "lms") as lms,
        deployed(
            tmp_path,
            firestore=firestore_emulator,
            pubsub_host=pubsub_emulator,
            pubsub=pubsub,
            lms_url=lms.url,
        ) as deployment,
        process(deployment, "-m", "transcoder", name="transcoder") as transcoder,
    ):
        yield Scene(
            deployment=deployment, parts=deployment.connect(), lms=lms, transcoder=transcoder
        )


@pytest.fixture(scope="session")
def lecture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording whose encode takes long enough to be interrupted."""
    path = tmp_path_factory.mktemp("lecture") / "lecture.mp4"
    return make_clip(path, seconds=15, size="1280x720")


def envelope(message: Message, *, attempt: int = 1) -> dict[str, Any]:
    """Return the body of a push."""
    return {
        "message": {
            "data": base64.b64encode(message.to_bytes()).decode(),
            "attributes": {"topic": message.topic, "job_id": message.job_id, "run": message.run},
            "messageId": "1",
        },
        "subscription": "projects/test/subscriptions/lectern-transcode",
        "deliveryAttempt": attempt,
    }
