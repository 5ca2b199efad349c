"""A set through the real service: ordered, delivered by its URL, downloaded, played, deleted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import requests

from lectern.client import LecternClient
from lectern.example_lms import ExampleLms
from lectern.sets import SetRefused, fetch_set
from tests.conftest import make_clip
from tests.ladder import strict
from tests.service.harness import KEY, Service, lms_for, service_on, until

SECONDS = 7
RATE = 25


@pytest.fixture(scope="module")
def lecture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of two segments, small in its pixels."""
    path = tmp_path_factory.mktemp("lecture") / "lecture.mp4"
    return make_clip(path, seconds=SECONDS, size="320x240", rate=RATE)


@pytest.fixture
def lms(tmp_path: Path) -> Iterator[ExampleLms]:
    with lms_for(tmp_path / "data") as lms:
        yield lms


@pytest.fixture
def service(tmp_path: Path, lms: ExampleLms) -> Iterator[Service]:
    with service_on(tmp_path / "data", lms, RECEIVER_THREADS="12") as service:
        service.start()
        yield service


def order(service: Service, clip: Path, subtitles: Path | None = None) -> None:
    """Send a recording and ask for a set."""
    url = until(service.url, "the service's address")
    with LecternClient(url, KEY) as client:
        client.receive(
            clip,
            video_id="lecture-1",
            organization_id="uni-1",
            renditions="hls",
            subtitles=subtitles,
            subtitles_language="de" if subtitles else None,
        )


def check_set(folder: Path, cut: Sequence[float] = (0.0, 6.0)) -> None:
    """Read the set as a strict player does: playlists, then every segment by itself."""
    master = strict.read_master(folder / "master.m3u8")
    cuts = []
    for variant in master.variants:
        playlist = strict.read_playlist(variant.playlist)
        pieces = strict.pieces(playlist)
        assert all(piece.key and piece.keys == 1 for piece in pieces)
        assert sum(len(piece.times) for piece in pieces) == SECONDS * RATE
        cuts.append([piece.times[0] for piece in pieces])
        assert len(strict.decoded(playlist)) == SECONDS * RATE
    assert cuts == [list(cut)] * len(cuts)
    (sound,) = master.renditions("AUDIO")
    assert strict.pieces(strict.read_playlist(folder / sound["URI"]))
    assert (folder / "poster.jpg").read_bytes().startswith(b"\xff\xd8")
    assert (folder / "manifest.mpd").is_file()


def test_a_set_goes_the_whole_way_and_is_deleted_at_the_confirmation(
    service: Service, lms: ExampleLms, lecture: Path, tmp_path: Path
) -> None:
    talk = tmp_path / "talk.srt"
    talk.write_bytes("1\n00:00:01,000 --> 00:00:03,000\nGrüße\n".encode("cp1252"))
    order(service, lecture, talk)
    lms.wait_for(deliveries=1, timeout_s=60)
    (delivery,) = lms.deliveries
    assert delivery.manifest_url is not None
    assert delivery.manifest_url.startswith(f"{service.url()}/sets/")
    fetched = fetch_set(delivery.manifest_url, tmp_path / "set")
    assert fetched.manifest["warnings"] == []
    check_set(tmp_path / "set")
    (text,) = strict.read_master(tmp_path / "set" / "master.m3u8").renditions("SUBTITLES")
    assert text["LANGUAGE"] == "de"
    assert "Grüße" in (tmp_path / "set" / "subtitles" / "1-de.vtt").read_text("utf-8")
    assert fetched.manifest["entry_points"]["subtitles"][0]["language"] == "de"
    status = service.wait_state("lecture-1", "stored")
    assert (status["set"]["files"], status["warnings"]) == (fetched.files, [])
    player = delivery.manifest_url.replace("manifest.json", "master.m3u8")
    assert requests.get(player, timeout=10).text.startswith("#EXTM3U")
    proof = delivery.manifest_url.split("/")[4].rpartition(".")[2]
    assert proof not in service.log.read_text()
    assert service.call("POST", "/video/confirm", data={"video_id": "lecture-1"}).ok
    until(lambda: not service.files(), "nothing left")
    assert requests.get(player, timeout=10).status_code == 410
    with pytest.raises(SetRefused):
        fetch_set(delivery.manifest_url, tmp_path / "late")


def test_the_example_lms_stores_the_set_before_it_confirms(
    service: Service, lms: ExampleLms, lecture: Path
) -> None:
    url = until(service.url, "the service's address")
    with LecternClient(url, KEY) as client:
        lms._confirm = lambda video_id, sha256: client.confirm(video_id, sha256=sha256)
        order(service, lecture)
        service.wait_state("lecture-1", "completed")
    assert lms.confirm_errors == []
    check_set(lms.set_of("lecture-1"))
    assert lms.path_of("lecture-1").is_file()
    assert (lms.set_of("lecture-1") / "manifest.json").is_file()


def test_a_worker_killed_while_it_commits_the_set_leaves_no_orphan(
    service: Service, lms: ExampleLms, lecture: Path, tmp_path: Path
) -> None:
    """Half of the first worker's set is there; the next makes a whole one under its own fence."""
    order(service, lecture)

    def begun() -> bool:
        return any("/set/" in name for name in service.files() if name.startswith("objects/"))

    until(begun, "the first file of the set")
    os.kill(service.role("transcode"), signal.SIGKILL)
    lms.wait_for(deliveries=1, timeout_s=60)
    manifest_url = lms.deliveries[0].manifest_url
    assert manifest_url is not None
    fetch_set(manifest_url, tmp_path / "set")
    check_set(tmp_path / "set")
    assert service.call("POST", "/video/confirm", data={"video_id": "lecture-1"}).ok
    until(lambda: not service.files(), "nothing left")


def test_a_long_recording_s_set_is_made_in_pieces(tmp_path: Path, lms: ExampleLms) -> None:
    """Each piece gives its segments; the last step encodes nothing, and a player sees no seam."""
    clip = make_clip(tmp_path / "long.mp4", seconds=SECONDS, size="320x240", rate=RATE, gop=RATE)
    settings = {"PIECE_S": "1", "MAX_CONCURRENT_JOBS": "2", "RECEIVER_THREADS": "12"}
    with service_on(tmp_path / "data", lms, **settings) as service:
        service.start()
        order(service, clip)
        lms.wait_for(deliveries=1, timeout_s=100)
        status = service.wait_state("lecture-1", "stored")
        assert status["warnings"] == []
        assert status["pieces"]["of"] == SECONDS + 1
        parts = [name for name in service.files() if "/set/parts/" in name]
        assert len(parts) == SECONDS + 1
        manifest_url = lms.deliveries[0].manifest_url
        assert manifest_url is not None
        fetch_set(manifest_url, tmp_path / "set")
        check_set(tmp_path / "set", cut=[float(second) for second in range(SECONDS)])
        assert service.call("POST", "/video/confirm", data={"video_id": "lecture-1"}).ok
        until(lambda: not service.files(), "nothing left")
