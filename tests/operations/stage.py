"""The services in one process, on the embedded adapters, writing the lines of Google Cloud.

What is faked: the clock, which can be moved, and stdout, which notes the service that wrote.
"""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TextIO
from unittest import mock

import functions_framework
from flask import Flask
from werkzeug.test import TestResponse

import confirmer.main
import receiver.main
from core import trace
from core.errors import Unavailable
from core.job import Job
from core.messages import Topic
from core.ports import JobStore
from core.transitions import message_of
from infra import logging, wiring
from infra.clock import SystemClock
from infra.gcp.tokens import SIGNATURE_REMOVED
from infra.settings import Settings
from infra.wiring import Wiring
from tests.http import forms
from tests.operations.entries import PROJECT
from transcoder import service
from transcoder.bench import Bench
from transcoder.stopping import StopSignal

KEY: Final = "a-key-of-the-lms-backend"
AUDIENCE: Final = "https://lectern-transcoder.example"
PUSHER: Final = "lectern-push@test.iam.gserviceaccount.com"
BUCKET: Final = "recordings"
_ENTRY: Final = Path(__file__).resolve().parents[2] / "functions" / "entry.py"


class MovableClock:
    """The real time, and what was added to it."""

    def __init__(self) -> None:
        self._real = SystemClock()
        self._added_s = 0.0

    def now(self) -> float:
        """Return the present, in seconds since the epoch."""
        return self._real.now() + self._added_s

    def advance(self, s: float) -> None:
        """Let `s` seconds pass at once."""
        self._added_s += s


class Stdout(io.TextIOBase):
    """Takes whole lines and writes each with the name of the service that is on stage."""

    def __init__(self, sink: TextIO) -> None:
        self.service = "lectern-receiver"
        self._sink = sink
        self._lock = threading.Lock()
        self._rest = ""

    def write(self, text: str, /) -> int:
        """Take some text."""
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                json.dump({"service": self.service, "line": line}, self._sink)
                self._sink.write("\n")
        return len(text)


class Failing:
    """A job store that raises `error` for reads, for writes, or for both."""

    def __init__(self, jobs: JobStore, error: Exception, *, reads: bool, writes: bool) -> None:
        self._jobs = jobs
        self._error = error
        self._broken = {*(("get",) if reads else ()), *(("update",) if writes else ())}

    def __getattr__(self, name: str) -> Any:
        if name in self._broken:
            return self._raise
        return getattr(self._jobs, name)

    def _raise(self, *_: object, **__: object) -> Any:
        raise self._error


class SilentBus:
    """A bus that does not answer."""

    def publish(self, *_: object, **__: object) -> None:
        """Raise."""
        raise Unavailable("the bus does not answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that a scene needs. Requests are made by the thread that plays the scenes."""

    parts: Wiring
    clock: MovableClock
    stdout: Stdout
    bench: Bench
    clip: bytes
    traces: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Have what is written inside the block count as lines of that service."""
        before, self.stdout.service = self.stdout.service, f"lectern-{name}"
        try:
            yield
        finally:
            self.stdout.service = before

    def job(self, video_id: str) -> Job:
        """Return the record."""
        return self.parts.ledger.read(video_id)

    def receive(
        self,
        video_id: str,
        organization_id: str = "org-a",
        *,
        data: bytes | None = None,
        parts: Wiring | None = None,
        key: str = KEY,
    ) -> TestResponse:
        """Send a recording as an LMS backend does, in a trace of its own."""
        self.traces.setdefault(video_id, f"{len(self.traces) + 1:032x}")
        body = forms.form(
            forms.text("video_id", video_id),
            forms.text("organization_id", organization_id),
            forms.file(self.clip if data is None else data),
        )
        headers = {
            "X-Internal-Service-Key": key,
            "Content-Type": forms.CONTENT_TYPE,
            trace.HEADER: f"00-{self.traces[video_id]}-00000000000000aa-01",
        }
        answer: TestResponse = self.door(parts).post("/video/receive", data=body, headers=headers)
        return answer

    def door(self, parts: Wiring | None = None) -> Any:
        """Return a client of the receiver."""
        return _Client(self, receiver.main.create_app(parts or self.parts), "receiver")

    def confirm(self, video_id: str) -> TestResponse:
        """Confirm as an LMS backend does."""
        client = _Client(self, confirmer.main.create_app(self.parts), "confirmer")
        answer: TestResponse = client.post(
            "/video/confirm",
            data={"video_id": video_id},
            headers={"X-Internal-Service-Key": KEY},
        )
        return answer

    def push(
        self,
        video_id: str,
        *,
        parts: Wiring | None = None,
        attempt: int = 1,
        audience: str = AUDIENCE,
        data: str | None = None,
    ) -> TestResponse:
        """Push the message of the job's next step, as Pub/Sub does; `data` in its place."""
        job, message = self.job(video_id), message_of(self.job(video_id))
        parts = parts or self.parts
        app = service.create_app(
            parts, StopSignal(), bench=self.bench, verify=service.verification(parts)
        )
        body = {
            "message": {
                "data": data or base64.b64encode(message.to_bytes()).decode(),
                "attributes": {"job_id": video_id, trace.HEADER: job.traceparent},
                "messageId": f"m-{video_id}",
            },
            "deliveryAttempt": attempt,
        }
        name = "transcoder" if message.topic is Topic.TRANSCODE else "courier"
        headers = {"Authorization": f"Bearer {_token(audience, self.clock.now())}"}
        client = _Client(self, app, name)
        answer: TestResponse = client.post(f"/push/{message.topic}", json=body, headers=headers)
        return answer

    def function(self, target: str, parts: Wiring | None = None) -> Any:
        """Return a client of one of the functions."""
        app: Flask = functions_framework.create_app(target, str(_ENTRY))  # type: ignore[no-untyped-call] # it has no types
        write_as_on_google_cloud()
        app.extensions["lectern"].connect = lambda _settings: parts or self.parts
        return _Client(self, app, target.replace("_", "-"))

    def sweep(self, parts: Wiring | None = None) -> None:
        """Sweep once, as Scheduler asks for it."""
        self.function("sweep", parts).post("/")

    def with_jobs(self, error: Exception, *, reads: bool = False, writes: bool = False) -> Wiring:
        """Return the wiring with a job store that fails."""
        jobs: Any = Failing(self.parts.ledger.jobs, error, reads=reads, writes=writes)
        return replace(self.parts, ledger=replace(self.parts.ledger, jobs=jobs))

    def without_bus(self) -> Wiring:
        """Return the wiring with a bus that does not answer."""
        bus: Any = SilentBus()
        return replace(self.parts, ledger=replace(self.parts.ledger, bus=bus))

    def with_settings(self, **changes: object) -> Wiring:
        """Return the wiring with other settings."""
        return replace(self.parts, settings=self.parts.settings.model_copy(update=changes))


@dataclass(frozen=True, slots=True)
class _Client:
    stage: Stage
    app: Flask
    name: str

    def __getattr__(self, method: str) -> Callable[..., TestResponse]:
        def call(path: str, **options: Any) -> TestResponse:
            with self.stage.on(self.name):
                response: TestResponse = getattr(self.app.test_client(), method)(path, **options)
                response.get_data()
                return response

        return call


def write_as_on_google_cloud() -> None:
    """Send events to stdout as the deployed services do."""
    logging.configure(style="json", level="INFO", cloud_project=PROJECT)


def connect(settings: Settings, clock: MovableClock) -> Wiring:
    """Return the embedded adapters with that clock."""
    with mock.patch("infra.wiring.SystemClock", return_value=clock):
        return wiring.connect(settings)


def _token(audience: str, now: float) -> str:
    """Return a token whose signature Cloud Run has verified and taken out."""
    header = {"alg": "RS256", "kid": "1", "typ": "JWT"}
    claims = {
        "iss": "https://accounts.google.com",
        "aud": audience,
        "email": PUSHER,
        "email_verified": True,
        "iat": int(now),
        "exp": int(now) + 3600,
    }
    return f"{_segment(header)}.{_segment(claims)}.{SIGNATURE_REMOVED}"


def _segment(value: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
