"""A direct upload straight into the bucket, with the client that LMS backends use."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests
from werkzeug.serving import WSGIRequestHandler, make_server

from core.job import State, source_key
from core.keys import KeyRing
from core.ledger import Ledger
from core.uploads import finish_object
from functions.uploads import tend_uploads
from infra.gcp.sessions import CloudSessions
from infra.http import new_app
from lectern.client import LecternClient, LecternRefused, LecternUnreachable
from receiver import content, uploads
from receiver.admission import Admission
from receiver.uploads import UploadSettings
from tests.fakes import World, a_world
from tests.gcp.fixtures import StorageRig
from tests.gcp.storage_server import Answer, Bucket, Cut, LoseAnswer, Session
from tests.http.door import KEY, ROOMY
from tests.http.forms import recording

SIZE = 96_000_000
TTL_S = 3600.0
SECRET_HEADERS = ("X-Internal-Service-Key", "Authorization")
CUTS = 5
RUN = "run-1"


class Quiet(WSGIRequestHandler):
    """Writes no log."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """A receiver whose objects lie in Cloud Storage, and a client of it."""

    world: World
    ledger: Ledger
    sessions: CloudSessions
    storage: StorageRig
    client: LecternClient

    def objects(self) -> set[str]:
        """Return what lies in the bucket."""
        return set(self.storage.bucket.objects)


@pytest.fixture
def cloud(storage: StorageRig) -> Iterator[Cloud]:
    """Serve the receiver on a free port."""
    world = a_world(clock=storage.clock)
    store = storage.store()
    ledger = Ledger(
        jobs=world.jobs,
        bus=world.bus,
        objects=store,
        clock=world.clock,
        log=world.log,
        policy=world.ledger.policy,
    )
    sessions = CloudSessions(store)
    bounds = replace(ROOMY, files=replace(ROOMY.files, max_video_bytes=SIZE))
    admission = Admission(jobs=world.jobs, clock=world.clock, bounds=bounds)
    app = new_app("receiver", keys=KeyRing([KEY]), log=world.log, open_rules={content.RULE})
    app.register_blueprint(
        uploads.blueprint(
            ledger=ledger,
            sessions=sessions,
            new_id=lambda: RUN,
            admission=admission,
            settings=UploadSettings(ttl_s=TTL_S),
        )
    )
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    with LecternClient(f"http://127.0.0.1:{server.port}", KEY) as client:
        client._sleep = lambda _s: None
        yield Cloud(world=world, ledger=ledger, sessions=sessions, storage=storage, client=client)
    server.shutdown()
    thread.join()
    server.server_close()


def a_file(folder: Path, data: bytes) -> Path:
    """Write `data`."""
    path = folder / "lecture.mp4"
    path.write_bytes(data)
    return path


def send(cloud: Cloud, path: Path) -> dict[str, object]:
    """Send the file; return what completing it answers."""
    return cloud.client.upload_direct(path, video_id="lecture-1", organization_id="uni-1")


def test_an_upload_cut_five_times_at_random_points_arrives_intact(
    cloud: Cloud, tmp_path: Path
) -> None:
    seed = int(os.environ.get("LECTERN_SEED", time.time_ns() % 1_000_000))
    print(f"LECTERN_SEED={seed}")  # noqa: T201 - shown when the test fails
    numbers = random.Random(seed)  # noqa: S311 - reproducible, no secret
    data = recording(SIZE - 1_000_000) + numbers.randbytes(1_000_000)
    bucket = cloud.storage.bucket
    cuts = [Cut(after=numbers.randrange(300_000, SIZE // CUTS)) for _ in range(CUTS)]
    bucket.break_next("direct", *cuts)
    path = a_file(tmp_path, data)
    assert send(cloud, path) == {"status": "queued", "video_id": "lecture-1"}
    assert bucket.kinds().count("direct") == CUTS + 1
    stored = bucket.objects[source_key(RUN)]
    assert (stored.data == data, stored.content_type) == (True, "video/mp4")
    job = cloud.ledger.read("lecture-1")
    assert job.source.sha256 == hashlib.sha256(data).hexdigest()


def test_no_key_and_no_token_travels_to_cloud_storage(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the service key nor the ID token with which a caller gets through to the receiver."""
    sent: list[tuple[str, set[str]]] = []
    plain = requests.Session.send

    def watch(session: requests.Session, prepared: Any, **options: Any) -> Any:
        sent.append((prepared.method, {*prepared.headers} & {*SECRET_HEADERS}))
        return plain(session, prepared, **options)

    cloud.client._session.headers["Authorization"] = "Bearer an-id-token"
    monkeypatch.setattr(requests.Session, "send", watch)
    send(cloud, a_file(tmp_path, recording(5000)))
    known = {*SECRET_HEADERS}
    own = [call for call in sent if call[1]]
    assert own == [("POST", known), ("POST", known)]
    assert ("PUT", set()) in sent


def test_faults_in_passing_are_met_with_patience(cloud: Cloud, tmp_path: Path) -> None:
    """503, 429, a lost answer, and a status query that fails as well."""
    bucket = cloud.storage.bucket
    bucket.break_next("direct", Answer(status=503), Answer(status=429), LoseAnswer())
    bucket.break_next("query", Answer(status=503))
    data = recording(700_000)
    assert send(cloud, a_file(tmp_path, data))["status"] == "queued"
    assert bucket.objects[source_key(RUN)].data == data


def test_a_session_that_ended_is_told(cloud: Cloud, tmp_path: Path) -> None:
    cloud.storage.bucket.break_next("direct", Answer(status=410))
    with pytest.raises(LecternRefused) as refused:
        send(cloud, a_file(tmp_path, recording(5000)))
    assert refused.value.status == 410


def test_the_store_s_event_alone_starts_the_job(cloud: Cloud, tmp_path: Path) -> None:
    """The sender vanishes after its last byte; complete is never called."""
    put_only(cloud, a_file(tmp_path, recording(5000)))
    assert cloud.world.jobs.all() == []
    key = source_key(RUN)
    for _ in range(2):
        video_id = finish_object(key, ledger=cloud.ledger, sessions=cloud.sessions)
        assert video_id == "lecture-1"
    assert cloud.ledger.read("lecture-1").state is State.QUEUED
    assert len(cloud.world.bus.published) == 1


def test_where_call_and_event_are_lost_the_sweep_starts_the_job(
    cloud: Cloud, tmp_path: Path
) -> None:
    put_only(cloud, a_file(tmp_path, recording(5000)))
    cloud.world.clock.advance(cloud.ledger.policy.republish_after_s)
    assert tend_uploads(cloud.ledger, cloud.sessions, ttl_s=TTL_S).uploads == 1
    assert cloud.ledger.read("lecture-1").state is State.QUEUED


def test_a_session_whose_time_is_over_takes_nothing_more(cloud: Cloud, tmp_path: Path) -> None:
    """Cloud Storage would keep it for a week; what came then would belong to nobody."""
    bucket = cloud.storage.bucket
    bucket.break_next("direct", Cut(after=300_000), *[Answer(status=503)] * 5)
    with pytest.raises(LecternUnreachable, match="stands still"):
        send(cloud, a_file(tmp_path, recording(700_000)))
    assert [session.name for session in announced(bucket)] == [source_key(RUN)]
    cloud.world.clock.advance(3600)
    assert tend_uploads(cloud.ledger, cloud.sessions, ttl_s=TTL_S).uploads == 1
    assert announced(bucket) == []


def announced(bucket: Bucket) -> list[Session]:
    """Return the sessions of direct uploads."""
    return [session for session in bucket.sessions.values() if session.announced is not None]


def put_only(cloud: Cloud, path: Path) -> None:
    """Send every byte and fall silent."""
    answer = cloud.client._send(
        "POST",
        "/uploads",
        json={
            "video_id": "lecture-1",
            "organization_id": "uni-1",
            "size": path.stat().st_size,
            "content_type": "video/mp4",
        },
    ).json()
    assert requests.put(answer["upload_url"], data=path.read_bytes(), timeout=10).status_code == 200
