"""A deployment on emulators with a proxy on each link, and a caller that insists."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar
from unittest.mock import patch

import requests
from google.cloud.firestore_v1 import base_client
from werkzeug.test import TestResponse

import transcoder.main
from core import limits
from core.errors import Unavailable
from core.job import Job, State
from core.messages import Topic
from functions.main import sweep
from infra.gcp import objects, sessions
from infra.wiring import Wiring
from lectern.example_lms import ExampleLms
from lectern.server import create_app
from tests.crash.scenery import LittlePress, result_of
from tests.gcp.deployment import SECRET, Deployment, deployed
from tests.gcp.fixtures import PubSubClients
from tests.http.forms import MP4_HEAD
from tests.network.faults import Fault
from tests.network.proxy import Proxy, before
from tests.service.harness import KEY
from transcoder import dispatch
from transcoder.main import handler_for
from transcoder.stopping import StopSignal
from transcoder.worker import Worker

T = TypeVar("T")
FIRESTORE: Final = "firestore"
PUBSUB: Final = "pubsub"
STORAGE: Final = "storage"
LMS: Final = "lms"
LINKS: Final = (FIRESTORE, PUBSUB, STORAGE, LMS)
RECORDING: Final = MP4_HEAD + b" lecture" * 40_000
"""A third of a megabyte: a cut or a slow link has something to work on."""
TYPED: Final = frozenset({200, 201, 409, 429, 503})
"""What a caller may be told while the network fails; never 500, and nothing without a code."""
SHORTER: Final[tuple[tuple[ModuleType, str, object], ...]] = (
    (limits, "RETRY_DELAYS_S", (0.5, 0.5, 0.5)),
    (limits, "DELIVERY_FIRST_DELAY_S", 0.5),
    (dispatch, "_UNAVAILABLE_PAUSE_S", 0.2),
    (objects, "_TIMEOUT_S", (10.0, 4.0)),
    (sessions, "_TIMEOUT_S", (10.0, 4.0)),
    (base_client, "_GRPC_MSG_SIZE_OPTIONS", base_client._DEFAULT_CHANNEL_OPTIONS),
)
"""Pauses of the product that a case need not wait for in full, and its patience with silence.

The last one gives the emulator's channel the keepalive that Firestore's own has."""
_PATIENCE_S: Final = 150.0
_POLL_S: Final = 0.02


@dataclass(slots=True, kw_only=True)
class Scene:
    """The parts as every service has them, each link through a proxy."""

    parts: Wiring
    deployment: Deployment
    proxies: dict[str, Proxy]
    lms: ExampleLms
    video_id: str = "lecture-1"
    slowest_s: float = 0.0
    refusals: list[str] = field(default_factory=list)
    _workers: dict[Topic, Worker] = field(default_factory=dict)

    def warm_up(self) -> None:
        """Use every link once, so that there are connections which can break."""
        ledger = self.parts.ledger
        ledger.jobs.get("no such job")
        for topic in Topic:
            ledger.bus.depth(topic)
        sweep(self.parts)

    def receive(self) -> None:
        """Send the recording until it is acknowledged."""
        form = {"video_id": self.video_id, "organization_id": "uni-1"}

        def send() -> TestResponse:
            return self._post("/video/receive", {**form, "file": (BytesIO(RECORDING), "a.mp4")})

        self._insist(send, "the 200")
        assert self.job() is not None

    def upload(self) -> None:
        """Announce the recording, put it where that leads, and have it finished."""
        said = {"video_id": self.video_id, "organization_id": "uni-1", "size": len(RECORDING),
                "content_type": "video/mp4"}  # fmt: skip
        announced = self._insist(lambda: self._post("/uploads", said), "the announcement's 201")
        self.until(lambda: self._put(announced.get_json()["upload_url"]), "the bytes")
        done = f"/uploads/{announced.get_json()['upload_id']}/complete"
        self._insist(lambda: self._post(done, None), "the upload's end")

    def transcode(self) -> None:
        """Have the transcode worker and the sweep go on until there is a result."""
        self._work_until(Topic.TRANSCODE, lambda job: job.output is not None, "a result")

    def deliver(self) -> None:
        """Have the deliver worker and the sweep go on until the LMS has taken it."""
        over = (State.STORED, State.COMPLETED)
        self._work_until(Topic.DELIVER, lambda job: job.state in over, "a delivery")

    def confirm(self) -> None:
        """Confirm until that is answered 200."""
        form = {"video_id": self.video_id}
        self._insist(lambda: self._post("/video/confirm", form), "the confirmation")

    def tidy(self) -> None:
        """Sweep until nothing is left, however often a sweep fails."""

        def clean() -> bool:
            self._sweep()
            return self._job_is(lambda job: job.cleaned) and not self._left()

        self.until(clean, "an empty bucket")

    def check(self) -> None:
        """Hold what came of it against the promises."""
        job = self.job()
        assert job is not None
        assert job.state is State.COMPLETED
        said = [change.event for change in job.history]
        assert said.count("Received") == 1, said
        assert said.count("Encoded") == 1, said
        wanted = result_of(RECORDING)
        assert job.output is not None
        assert job.output.sha256 == sha256(wanted).hexdigest()
        assert {one.id for one in self.lms.deliveries} == {job.delivery_id}
        assert self.lms.path_of(self.video_id).read_bytes() == wanted

    def job(self) -> Job | None:
        """Return the job as it is recorded."""
        return self.parts.ledger.jobs.get(self.video_id)

    def until(self, probe: Callable[[], T | None], what: str) -> T:
        """Return what counts as true."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            if found := self.timed(probe):
                return found
            assert time.monotonic() < deadline, f"{what}: not within {_PATIENCE_S:g} s"
            time.sleep(_POLL_S)

    def timed(self, act: Callable[[], T]) -> T:
        """Do something and remember how long the slowest took."""
        began = time.monotonic()
        try:
            return act()
        finally:
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    def _left(self) -> list[str]:
        """Return what is in the bucket, but for announcements whose answer was lost."""
        job = self.job()
        return [
            name
            for name in list(self.deployment.bucket.objects)
            if not name.startswith("declared/") or (job is not None and job.run in name)
        ]

    def _job_is(self, test: Callable[[Job], bool]) -> bool:
        with _typed(self.refusals):
            job = self.job()
            return job is not None and test(job)
        return False

    def _work_until(self, topic: Topic, test: Callable[[Job], bool], what: str) -> None:
        worker = self._workers.setdefault(topic, self._worker(topic))

        def step() -> bool:
            worker.step()  # whatever the network does, a worker's loop goes on
            self._sweep()
            return self._job_is(test)

        self.until(step, what)

    def _worker(self, topic: Topic) -> Worker:
        ledger = self.parts.ledger
        with patch.object(transcoder.main, "MediaPress", lambda **_options: LittlePress()):
            handler = handler_for(self.parts, topic, StopSignal())
        return Worker(
            bus=ledger.bus,
            topic=topic,
            handler=handler,
            lease_s=ledger.policy.lease_s,
            clock=ledger.clock,
            log=self.parts.log,
            stop=lambda: False,
        )

    def _sweep(self) -> None:
        with _typed(self.refusals):
            sweep(self.parts)

    def _insist(self, call: Callable[[], TestResponse], what: str) -> TestResponse:
        def answered() -> TestResponse | None:
            answer = call()
            assert answer.status_code in TYPED, answer.text
            if answer.status_code in {200, 201}:
                return answer
            self.refusals.append(answer.get_json()["code"])
            return None

        return self.until(answered, what)

    def _post(self, path: str, content: Any) -> TestResponse:
        client = create_app(self.parts).test_client()
        how: dict[str, Any] = {"json": content} if path == "/uploads" else {"data": content}
        return client.post(path, headers={"X-API-Key": KEY}, **how)

    def _put(self, url: str) -> bool:
        try:
            answer = requests.put(url, data=RECORDING, timeout=10, allow_redirects=False)
        except requests.RequestException:
            return False
        return answer.status_code in {200, 201}


@contextlib.contextmanager
def _typed(refusals: list[str]) -> Iterator[None]:
    """Let pass what a port may raise while the network fails; anything else is a defect."""
    try:
        yield
    except Unavailable as error:
        refusals.append(error.code)


@contextlib.contextmanager
def a_scene(
    folder: Path, *, firestore: str, pubsub_host: str, pubsub: PubSubClients
) -> Iterator[Scene]:
    """Give a deployment of the case's own; all links are well."""
    with contextlib.ExitStack() as stack:
        for module, name, value in SHORTER:
            stack.enter_context(patch.object(module, name, value))
        lms = stack.enter_context(ExampleLms(secret=SECRET, folder=folder / "lms"))
        deployment = stack.enter_context(
            deployed(
                folder, firestore=firestore, pubsub_host=pubsub_host, pubsub=pubsub, lms_url=lms.url
            )
        )
        storage = deployment.environment["STORAGE_EMULATOR_HOST"].removeprefix("http://")
        hosts = {FIRESTORE: firestore, PUBSUB: pubsub_host, STORAGE: storage,
                 LMS: f"127.0.0.1:{lms.port}"}  # fmt: skip
        proxies = {link: stack.enter_context(before(host)) for link, host in hosts.items()}
        parts = deployment.connect(
            FIRESTORE_EMULATOR_HOST=proxies[FIRESTORE].host,
            PUBSUB_EMULATOR_HOST=proxies[PUBSUB].host,
            STORAGE_EMULATOR_HOST=f"http://{proxies[STORAGE].host}",
            LMS_STORE_URL=f"http://{proxies[LMS].host}/store",
            STORE_TIMEOUT_S="5",
        )
        yield Scene(parts=parts, deployment=deployment, proxies=proxies, lms=lms)


@contextlib.contextmanager
def broken(proxy: Proxy, fault: Fault, spell_s: float) -> Iterator[None]:
    """Break a link until `spell_s` after something came by, or until the block ends."""
    ended = threading.Event()

    def watch() -> None:
        while fault.opens != "refused" and not proxy.touched.is_set() and not ended.is_set():
            ended.wait(_POLL_S)
        ended.wait(spell_s)
        proxy.heal()

    proxy.break_with(fault)
    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
