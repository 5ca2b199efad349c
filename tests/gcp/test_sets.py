"""A set of renditions in Cloud Storage: committed, read in ranges, handed out by signed URLs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import RefreshError
from google.cloud.storage import _signing

from core.errors import Unavailable
from core.job import set_key
from core.ports import ReadSigner
from core.sets import MANIFEST
from infra.gcp.objects import CloudObjectStore
from infra.gcp.signing import CloudReadSigner, read_signer
from tests.fake_press import SET_FILES, FakePress
from tests.fakes import World
from tests.gcp.fixtures import StorageRig
from tests.http.door import Door, a_door
from tests.sets.world import a_world_with, deliver, transcode

SEGMENT = "720p/00000.m4s"
DATA = SET_FILES[SEGMENT][2]
ACCOUNT = "lectern-receiver@project.iam.gserviceaccount.com"


class Metadata:
    """Credentials as the metadata server gives them: no private key, a name once refreshed."""

    def __init__(self, *, broken: bool = False) -> None:
        self.valid = False
        self.service_account_email = "default"
        self.token = ""
        self.refreshed = 0
        self._broken = broken

    def refresh(self, _request: object) -> None:
        """Ask for a token."""
        if self._broken:
            raise RefreshError("no metadata server")
        self.refreshed += 1
        self.valid, self.token, self.service_account_email = True, "a-token", ACCOUNT


@pytest.fixture
def store(storage: StorageRig) -> CloudObjectStore:
    return storage.store(chunk_bytes=256 * 1024)


@pytest.fixture
def world(store: CloudObjectStore, tmp_path: Path) -> World:
    """A world whose objects lie in the bucket, with a set that was delivered."""
    plain = a_world_with()
    with (
        plain.objects.open("uploads/run-1/source") as body,
        store.create("uploads/run-1/source") as writer,
    ):
        writer.write(body.read())
        writer.commit()
    world = replace(plain, ledger=replace(plain.ledger, objects=store))
    transcode(world, tmp_path, FakePress())
    deliver(world)
    return world


def get(world: World, name: str, signer: ReadSigner | None = None, **headers: str) -> Any:
    """Ask the front door for a file of the set."""
    door: Door = a_door(world=world, signer=signer)
    url = door.get("/status/video-1").get_json()["set"]["manifest_url"]
    path = urlsplit(url).path.removesuffix(MANIFEST) + name
    return door.client.get(path, headers=headers)


def test_a_set_is_kept_under_its_run_and_read_in_ranges(world: World, store: Any) -> None:
    keys = {item.key for item in store.list("outputs/run-1/")}
    assert {set_key("run-1", 1, name) for name in (*SET_FILES, MANIFEST)} < keys
    assert get(world, SEGMENT).data == DATA
    part = get(world, SEGMENT, Range="bytes=1000-1099")
    assert (part.status_code, part.data) == (206, DATA[1000:1100])
    assert get(world, MANIFEST).get_json()["video_id"] == "video-1"


def test_a_segment_is_sent_on_by_a_url_that_iam_signs(
    world: World, store: CloudObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the receiver's own name, as its type, for a quarter of an hour."""
    asked: list[tuple[str, str]] = []

    def sign_blob(_text: str, token: str, account: str, *_more: Any) -> str:
        asked.append((token, account))
        return "c2lnbmVk"

    monkeypatch.setattr(_signing, "_sign_message", sign_blob)
    credentials = Metadata()
    signer = CloudReadSigner(store, credentials)
    for _ in range(2):
        answer = get(world, SEGMENT, signer)
        assert answer.status_code == 302
    url = urlsplit(answer.headers["Location"])
    query = parse_qs(url.query)
    assert url.path == f"/recordings/{set_key('run-1', 1, SEGMENT)}"
    assert query["response-content-type"] == ["video/iso.segment"]
    assert query["X-Goog-Expires"] == ["900"]
    assert query["X-Goog-Credential"][0].startswith(f"{ACCOUNT}/")
    assert asked == [("a-token", ACCOUNT)] * 2
    assert credentials.refreshed == 1
    assert get(world, "master.m3u8", signer).status_code == 200


class User:
    """A person's credentials: a token, and no account that could sign."""

    valid = True
    token = "a-token"


@pytest.mark.parametrize("credentials", [Metadata(broken=True), User()])
def test_without_an_account_that_can_sign_the_service_streams(
    world: World, store: CloudObjectStore, credentials: Any
) -> None:
    signer = CloudReadSigner(store, credentials)
    with pytest.raises(Unavailable):
        signer.read_url("a/b", media_type="video/mp4", expires_s=1)
    assert get(world, SEGMENT, signer).data == DATA


def test_an_emulator_s_client_signs_nothing(storage: StorageRig, store: CloudObjectStore) -> None:
    assert isinstance(storage.client._credentials, AnonymousCredentials)
    assert read_signer(storage.client, store) is None
