"""The processes that stand for Google Cloud in development: storage, scheduler, provisioning."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from core.messages import Topic
from infra.gcp.bus import DEAD_LETTERS, Names
from tests.gcp.emulators import PUBSUB, free_port
from tests.gcp.fixtures import PubSubClients, StorageRig
from tests.gcp.provision import NotAnEmulator, provide
from tests.gcp.storage_http import serving
from tests.gcp.storage_process import TRIES, Notices, finalized
from tests.gcp.storage_server import Bucket, Stored
from tests.service.harness import ROOT, until

URLS: Mapping[str, str] = dict.fromkeys((*Topic, DEAD_LETTERS), "http://127.0.0.1:9/push")


@dataclass(slots=True)
class Listener:
    """Takes POSTs and answers with one status after the other, then 200."""

    statuses: list[int] = field(default_factory=list)
    heard: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@contextmanager
def listening(*statuses: int) -> Iterator[Listener]:
    """Give a listener that answers so."""
    listener = Listener(statuses=list(statuses))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            listener.heard.append((dict(self.headers), body))
            self.send_response(listener.statuses.pop(0) if listener.statuses else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        listener.url = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def process(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """Give a module that runs until the block ends; it must end by SIGTERM with status 0."""
    started = subprocess.Popen([sys.executable, "-m", *argv], cwd=ROOT)
    try:
        yield started
        started.send_signal(signal.SIGTERM)
        assert started.wait(10) == 0
    finally:
        started.kill()
        started.wait(10)


def test_each_new_object_is_told_until_somebody_hears(storage: StorageRig) -> None:
    """As Eventarc does: the object's own resource, and again after a 503."""
    with listening(503, 503) as function:
        Notices(url=function.url, bucket="recordings", first_pause_s=0.01).start(storage.bucket)
        with storage.store().create("uploads/run-1/source") as writer:
            writer.write(b"a recording")
            writer.commit()
        until(lambda: len(function.heard) == 3, "three calls")
    assert len({headers["ce-id"] for headers, _ in function.heard}) == 1
    headers, body = function.heard[-1]
    assert headers["ce-type"] == "google.cloud.storage.object.v1.finalized"
    assert b'"name": "uploads/run-1/source"' in body
    assert b'"bucket": "recordings"' in body


def test_an_object_that_nobody_wants_to_hear_of_stops_no_other(
    storage: StorageRig, capfd: pytest.CaptureFixture[str]
) -> None:
    with listening(*[503] * TRIES) as function:
        Notices(url=function.url, bucket="recordings", first_pause_s=0.001).start(storage.bucket)
        for name in ("first", "second"):
            with storage.store().create(name) as writer:
                writer.commit()
        until(lambda: len(function.heard) > TRIES, "the second object")
        assert b'"name": "second"' in function.heard[-1][1]
    assert "heard of first" in capfd.readouterr().err


def test_an_event_names_the_object_and_when_it_was_made() -> None:
    stored = Stored(
        name="a", data=b"b", generation=7, created=0.0, content_type="video/mp4", metadata={}
    )
    headers, _ = finalized(stored, "recordings")
    assert headers["ce-source"].endswith("/buckets/recordings")
    assert headers["ce-subject"] == "objects/a"


def test_a_named_bucket_is_the_only_one() -> None:
    bucket = Bucket(lambda: 0.0)
    with serving(bucket, name="recordings") as url:
        answers = [
            requests.get(f"{url}/storage/v1/b/{name}/o", timeout=5).status_code
            for name in ("recordings", "others")
        ]
    assert answers == [200, 404]


def test_a_session_leads_back_to_the_name_that_the_caller_used() -> None:
    """In containers that is another one than the server's own address."""
    with serving(Bucket(lambda: 0.0)) as url:
        begun = requests.post(
            f"{url}/upload/storage/v1/b/recordings/o?uploadType=resumable&name=a",
            headers={"Host": "storage:9023"},
            timeout=5,
        )
    assert begun.headers["Location"].startswith("http://storage:9023/upload/")


def test_the_storage_process_serves_one_bucket_and_tells_of_it() -> None:
    port = free_port()
    words = ("tests.gcp.storage_process", f"--port={port}", "--bucket=recordings")
    with listening() as function, process(*words, f"--finalized-to={function.url}"):
        objects = f"http://127.0.0.1:{port}/upload/storage/v1/b/recordings/o"
        until(lambda: _listens(port), "the storage process")
        begun = requests.post(f"{objects}?uploadType=resumable&name=a", timeout=5)
        assert requests.put(begun.headers["Location"], data=b"bytes", timeout=5).ok
        until(lambda: function.heard, "the event")


def test_the_scheduler_calls_again_and_again_and_marks_what_went_well(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with listening(503) as function:
        with process("tests.gcp.scheduler", function.url, "0.01", f"--mark={mark}"):
            until(mark.exists, "a call that was answered 200")
        assert len(function.heard) > 1


def test_provisioning_may_run_again_and_moves_the_pushes(
    pubsub: PubSubClients, pubsub_emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PUBSUB.variable, pubsub_emulator)
    names = Names(project="test", prefix=f"t{uuid4().hex}")
    provide(pubsub.publisher, pubsub.subscriber, names, URLS)
    provide(
        pubsub.publisher,
        pubsub.subscriber,
        names,
        {**URLS, Topic.DELIVER: "http://127.0.0.1:9/new"},
    )
    try:
        found = pubsub.subscriber.get_subscription(
            subscription=names.subscription(Topic.DELIVER), timeout=20
        )
        assert found.push_config.push_endpoint == "http://127.0.0.1:9/new"
        assert found.dead_letter_policy.dead_letter_topic == names.topic(DEAD_LETTERS)
        kept = pubsub.subscriber.get_subscription(
            subscription=names.subscription(DEAD_LETTERS), timeout=20
        )
        assert kept.push_config.push_endpoint == ""
    finally:
        for name in (*Topic, DEAD_LETTERS, f"{DEAD_LETTERS}-push"):
            pubsub.subscriber.delete_subscription(subscription=names.subscription(name), timeout=20)


def test_provisioning_refuses_a_real_project(
    pubsub: PubSubClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PUBSUB.variable, raising=False)
    with pytest.raises(NotAnEmulator, match="Terraform"):
        provide(pubsub.publisher, pubsub.subscriber, Names(project="real"), URLS)
    without = {name: text for name, text in os.environ.items() if name != PUBSUB.variable}
    done = subprocess.run(
        [sys.executable, "-m", "tests.gcp.provision"],
        cwd=ROOT, env=without, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "PUBSUB_EMULATOR_HOST is not set" in done.stderr


def _listens(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/storage/v1/b/recordings/o", timeout=5).ok
    except requests.RequestException:
        return False
