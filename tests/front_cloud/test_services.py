"""Receive and confirm with `LECTERN_BACKEND=gcp`."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from core.events import Claimed
from core.job import State, output_key, source_key
from tests.fakes import an_encoded, an_upload, put
from tests.front import http2
from tests.front.process import KEYS
from tests.front.tools import need_haproxy
from tests.gcp.deployment import Deployment, Process, deployed, process
from tests.gcp.fixtures import PubSubClients
from tests.http import forms
from tests.http.forms import Lecture
from tests.service.harness import until

_NO_LMS = "http://127.0.0.1:9/store"
_LECTURE = Lecture(data=forms.recording(3_000_000))


@pytest.fixture
def deployment(
    tmp_path: Path, firestore_emulator: str, pubsub_emulator: str, pubsub: PubSubClients
) -> Iterator[Deployment]:
    """Give a deployment without services."""
    hosts = {"firestore": firestore_emulator, "pubsub_host": pubsub_emulator}
    with deployed(tmp_path, pubsub=pubsub, lms_url=_NO_LMS, **hosts) as made:
        yield made


def test_the_receiver_puts_an_upload_into_the_bucket(deployment: Deployment) -> None:
    need_haproxy()
    with process(deployment, "-m", "receiver", name="receiver") as receiver:
        receiver.start()
        ready = requests.get(f"{receiver.url()}/ready", timeout=30).json()
        assert ready["checks"] == {name: {"ok": True} for name in ("store", "jobs", "bus")}
        with http2.client(_connect(receiver)) as caller:
            head = {**KEYS, "Content-Type": forms.CONTENT_TYPE}
            caller.request(1, "/video/receive", head, "POST")
            caller.send(1, _LECTURE.body(), last=True)
            assert caller.status(1) == 200
        assert receiver.stop() == 0
    ledger = deployment.connect().ledger
    job = ledger.read(_LECTURE.video_id)
    with ledger.objects.open(source_key(job.run)) as stored:
        assert stored.read() == _LECTURE.data


def test_an_aborted_upload_leaves_nothing_in_the_bucket(deployment: Deployment) -> None:
    need_haproxy()
    with process(deployment, "-m", "receiver", name="receiver") as receiver:
        receiver.start()
        with http2.client(_connect(receiver)) as caller:
            head = {**KEYS, "Content-Type": forms.CONTENT_TYPE}
            caller.request(1, "/video/receive", head, "POST")
            caller.send(1, _LECTURE.body()[:2_000_000])
            caller.reset(1)
            until(lambda: receiver.events("http.request"), "the end of the upload")
        objects = deployment.connect().ledger.objects
        assert list(objects.list("uploads/")) == []
        assert receiver.stop() == 0


def test_the_confirmer_ends_a_job(deployment: Deployment) -> None:
    ledger = deployment.connect().ledger
    run = "run-1"
    put(ledger.objects, source_key(run), _LECTURE.data)
    ledger.receive(an_upload(_LECTURE.video_id, run=run, data=_LECTURE.data))
    fence = ledger.apply(_LECTURE.video_id, Claimed()).fence
    put(ledger.objects, output_key(run, fence), b"a result")
    ledger.apply(_LECTURE.video_id, an_encoded(run, fence))
    with process(deployment, "-m", "confirmer", name="confirmer") as confirmer:
        confirmer.start()
        url = confirmer.url()
        assert requests.get(f"{url}/ready", timeout=30).json()["checks"] == {"jobs": {"ok": True}}
        fields = {"video_id": _LECTURE.video_id}
        answer = requests.post(f"{url}/video/confirm", data=fields, headers=KEYS, timeout=30)
        assert answer.json() == {"status": "completed", **fields}
        assert confirmer.stop() == 0
    assert ledger.read(_LECTURE.video_id).state is State.COMPLETED


def _connect(service: Process) -> socket.socket:
    """Return a connection to a service that has started."""
    address = urlsplit(service.url())
    return socket.create_connection((address.hostname, address.port), timeout=30)
