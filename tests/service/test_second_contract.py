"""The second contract from end to end: rows B2, B5, B9, B11 to B16 with a real server of SFTP."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
import requests
from flask import Response
from PIL import ExifTags, Image, ImageOps
from standardwebhooks import Webhook

from infra import wiring
from infra.settings import load
from lectern.example_lms import ExampleLms
from lectern.lms_behaviours import Visit
from tests import planted
from tests.conftest import make_clip
from tests.images.drawing import exif, jpeg
from tests.service.harness import Service, lms_for, service_on, until
from tests.sftp.keys import make_key
from tests.sftp.servers import Server, openssh


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Server]:
    """The LMS's file storage: OpenSSH as the system has it."""
    place = tmp_path / "server"
    place.mkdir()
    host, user = make_key(place, "host"), make_key(place, "user")
    with openssh(place, host_keys=[host], user_key=user) as server:
        yield server


@pytest.fixture
def lms(tmp_path: Path) -> Iterator[ExampleLms]:
    """An LMS whose webhook and confirmation API answer as the test says."""
    with lms_for(tmp_path / "data") as example:
        yield example


@pytest.fixture
def service(tmp_path: Path, lms: ExampleLms, storage: Server) -> Iterator[Service]:
    """The service with SFTP set up."""
    settings = {
        "SFTP_HOST": "127.0.0.1",
        "SFTP_PORT": str(storage.port),
        "SFTP_USER": storage.user,
        "SFTP_PRIVATE_KEY": str(storage.user_key.path),
        "SFTP_KNOWN_HOSTS": storage.known_hosts(),
        "SFTP_VIDEOS": str(storage.folder / "public_html" / "videos"),
        "SFTP_IMAGES": str(storage.folder / "public_html" / "images"),
        "CLIENT_CONFIRM_API": lms.url,
    }
    with service_on(tmp_path / "data", lms, **settings) as prepared:
        yield prepared


class Api:
    """The LMS's confirmation API: keeps what it is told, and answers with `status`."""

    def __init__(self, status: int = 204) -> None:
        self.status = status
        self.told: list[dict[str, Any]] = []
        self.signed: list[tuple[bytes, dict[str, str]]] = []

    def __call__(self, visit: Visit) -> Response:
        """Take one notice."""
        data = visit.request.get_data()
        self.signed.append((data, {k.lower(): v for k, v in visit.request.headers.items()}))
        self.told.append(json.loads(data))
        return Response(status=self.status)


def compress(service: Service, file: Path, media_id: str, **fields: str) -> requests.Response:
    """POST a file by the second contract."""
    with file.open("rb") as data:
        files = {"file": (planted.FILE_NAME, data)}
        form = {"media_id": media_id, **fields}
        return service.call("POST", "/compress/", data=form, files=files)


def word(service: Service, media_id: str) -> str:
    """Return a job's status in the contract's words."""
    said = service.call("GET", f"/status/{media_id}").json()
    assert set(said) - {"code", "detail"} == {"mediaId", "status"}
    return str(said["status"])


def wait_word(service: Service, media_id: str, wanted: str) -> None:
    """Return once the status is `wanted`."""
    until(lambda: word(service, media_id) == wanted, f"{media_id} to be {wanted}")


def stored(storage: Server) -> list[Path]:
    """Return every file in the LMS's storage."""
    return sorted(path for path in storage.folder.rglob("*") if path.is_file())


def test_recordings_and_images_are_put_in_place_and_told(
    service: Service, lms: ExampleLms, storage: Server, clip: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg(exif=exif(orientation=6)))
    api = Api()
    lms.behave(*[api] * 2)
    service.start()
    answer = compress(service, clip, "film")
    assert answer.json() == {  # B2
        "status": "accepted",
        "mediaId": "film",
        "message": "Compression started",
    }
    compress(service, photo, "photo", variants="thumbnail")
    for media_id in ("film", "photo"):
        wait_word(service, media_id, "completed")  # B5, B13
    told = {each["mediaId"]: each for each in api.told}
    film, image = Path(told["film"]["filePath"]), Path(told["photo"]["filePath"])
    assert film.parent == storage.folder / "public_html" / "videos"  # B12
    assert image.parent == storage.folder / "public_html" / "images"
    thumbnail = Path(told["photo"]["variants"]["thumbnail"])
    assert stored(storage) == sorted([film, image, thumbnail])
    for path in (film, image):  # B11
        assert str(uuid.UUID(path.stem)) == path.stem
    with av.open(str(film)) as made:  # B9
        codecs = [stream.codec_context.name for stream in made.streams]
        assert (codecs[0], made.streams.video[0].height <= 720) == ("h264", True)
        assert codecs[1:] == ["aac"]
    with Image.open(image) as made_image, Image.open(thumbnail) as small:
        assert ImageOps.exif_transpose(made_image).size == (320, 480), "shown upright"
        assert set(made_image.getexif()) <= {ExifTags.Base.Orientation}
        assert max(small.size) <= max(made_image.size)
    assert service.files() == []  # B16
    secret = wiring.webhook_secrets(load({"lectern_data_dir": service.folder}))[0]
    for data, headers in api.signed:
        Webhook(secret).verify(data, headers)


def test_the_handshake_goes_on_beside_it(service: Service, lms: ExampleLms, clip: Path) -> None:
    service.start()
    service.send(clip, "lecture-1")
    lms.wait_for(deliveries=1)
    service.wait_state("lecture-1", "stored")
    service.call("POST", "/video/confirm", data={"video_id": "lecture-1"})
    assert service.files() == []


def test_b14_an_lms_that_says_no_for_good_finds_its_file_and_may_be_told_again(
    service: Service, lms: ExampleLms, storage: Server, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg())
    lms.behave(Api(status=410))
    service.start()
    compress(service, photo, "photo")
    wait_word(service, "photo", "db_update_failed")
    (left,) = stored(storage)
    api = Api()
    lms.behave(api)
    again = compress(service, photo, "photo")
    assert again.status_code == 200, "the same bytes again ask for the result again"
    wait_word(service, "photo", "completed")
    assert api.told[0]["filePath"] == str(left)
    assert stored(storage) == [left]


def test_a_worker_that_is_killed_over_the_delivery_loses_nothing(
    service: Service, lms: ExampleLms, storage: Server, tmp_path: Path
) -> None:
    """Killed while the LMS is being told: the file stands once, and is told again."""
    film = make_clip(tmp_path / "film.mp4", seconds=1, size="320x240")
    killed: list[int] = []
    api = Api()

    def kill_first(visit: Visit) -> Response:
        if not killed:
            killed.append(service.role("deliver"))
            os.killpg(killed[0], signal.SIGKILL)
        return api(visit)

    lms.behave(kill_first, api, api)
    service.start()
    compress(service, film, "film")
    wait_word(service, "film", "completed")
    assert killed
    (path,) = stored(storage)
    assert {each["filePath"] for each in api.told} == {str(path)}
    assert service.files() == []


def test_a_stranger_in_the_servers_place_gets_nothing(
    tmp_path: Path, lms: ExampleLms, storage: Server
) -> None:
    stranger = make_key(tmp_path, "stranger")
    settings = {
        "SFTP_HOST": "127.0.0.1",
        "SFTP_PORT": str(storage.port),
        "SFTP_USER": storage.user,
        "SFTP_PRIVATE_KEY": storage.user_key.text,
        "SFTP_FINGERPRINT": stranger.fingerprint,
        "CLIENT_CONFIRM_API": lms.url,
    }
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg())
    with service_on(tmp_path / "data", lms, **settings) as service:
        service.start()
        compress(service, photo, "photo")

        def tried() -> str | None:
            shown = service.call("GET", "/status/photo?detail").json()
            outcome: str | None = shown["delivery"] and shown["delivery"]["last_outcome"]
            return outcome

        assert "host key" in until(tried, "an attempt").lower()
        assert word(service, "photo") == "processing"
    assert stored(storage) == []


def test_half_a_setup_stops_the_start_with_one_line(tmp_path: Path, lms: ExampleLms) -> None:
    with service_on(tmp_path / "data", lms, SFTP_HOST="files.example.org") as service:
        service.start()
        assert service.wait_dead() != 0
        assert "SFTP_USER is required with SFTP_HOST" in service.log.read_text()
