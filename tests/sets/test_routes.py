"""GET /sets/…: what a URL opens, to whom, and until when."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from werkzeug.test import TestResponse

from core import limits
from core.errors import Unavailable
from core.events import Confirmed, Woken
from core.job import State, set_key
from core.sets import MANIFEST, SetGrant
from receiver import openapi, sets
from tests.fake_press import SET_FILES, FakePress
from tests.fakes import World, sha256_of
from tests.http.door import KEYS, LINKS, SETS_AT_ONCE, Door, a_door, assert_problem
from tests.service.harness import until
from tests.sets.world import a_world_with, deliver, job, transcode

SEGMENT = "720p/00000.m4s"
DATA = SET_FILES[SEGMENT][2]
BASE = "https://lectern.example"


class Signer:
    """A store that hands objects out by itself; `broken` while it cannot."""

    def __init__(self) -> None:
        self.broken = False
        self.asked: list[tuple[str, str, float]] = []

    def read_url(self, key: str, *, media_type: str, expires_s: float) -> str:
        """Return a URL elsewhere."""
        if self.broken:
            raise Unavailable("no URL can be signed")
        self.asked.append((key, media_type, expires_s))
        return f"https://storage.example/{key}?signature"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world whose one job waits for its confirmation."""
    world = a_world_with()
    transcode(world, tmp_path, FakePress())
    deliver(world)
    return world


@pytest.fixture
def door(world: World) -> Door:
    return a_door(world=world)


def manifest_path(door: Door) -> str:
    """Return the path of the manifest's URL, as the status tells it."""
    url: str = door.get("/status/video-1").get_json()["set"]["manifest_url"]
    return url.removeprefix(BASE)


def beside(path: str, name: str) -> str:
    """Return the path of a file of the set, as a player finds it."""
    return path.removesuffix(MANIFEST) + name


def get(door: Door, name: str = SEGMENT, method: str = "GET", **headers: str) -> TestResponse:
    """Ask for a file of the set, without a key."""
    path = beside(manifest_path(door), name)
    dashed = {key.replace("_", "-"): value for key, value in headers.items()}
    return door.client.open(path, method=method, headers=dashed)


def test_the_status_tells_the_renditions_and_the_url(door: Door) -> None:
    said = door.get("/status/video-1").get_json()["set"]
    assert said["files"] == 3
    assert said["renditions"] == [
        {
            "name": "720p",
            "width": 1280,
            "height": 720,
            "codecs": "avc1.64001f",
            "bytes": 102_400,
            "average_bits_per_s": 136_533,
            "peak_bits_per_s": 140_000,
        }
    ]
    assert said["manifest_url"].startswith(f"{BASE}/sets/run-1.1.")


def test_the_manifest_names_every_file_with_its_url_and_digest(door: Door) -> None:
    answer = door.client.get(manifest_path(door))
    said = answer.get_json()
    assert (said["format"], said["video_id"], said["duration_s"]) == (1, "video-1", 6.0)
    assert said["expires_at"] == "2027-01-16T08:00:00.000Z"
    assert said["entry_points"]["hls"].endswith("/master.m3u8")
    assert said["warnings"] == ["from the set"]
    assert {file["path"]: file["sha256"] for file in said["files"]} == {
        name: sha256_of(data) for name, (*_, data) in SET_FILES.items()
    }
    for file in said["files"]:
        role, media_type, data = SET_FILES[file["path"]]
        sent = door.client.get(file["url"].removeprefix(BASE))
        assert (sent.status_code, sent.data) == (200, data)
        assert sent.content_type == file["content_type"] == media_type
        assert (file["role"], file["bytes"]) == (role, len(data))
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_manifest_has_the_form_that_is_described(door: Door) -> None:
    said = door.client.get(manifest_path(door)).get_json()
    said["entry_points"] |= dict.fromkeys(("dash", "poster", "storyboard", "chapters"), BASE)
    components = openapi.document()["components"]
    root: Any = {"$ref": "#/components/schemas/SetManifest", "components": components}
    OAS31Validator(root).validate(said)


def test_relative_addresses_inside_a_playlist_lead_on(door: Door) -> None:
    """The master names `720p/playlist.m3u8`, that one its segment beside it."""
    first = get(door, "master.m3u8").text.splitlines()[1]
    assert get(door, first).text.splitlines()[1] == "00000.m4s"
    assert get(door, "720p/00000.m4s").data == DATA


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=102399-", 102_399, 102_400),
        ("bytes=-10", 102_390, 102_400),
        ("bytes=5-99999999", 5, 102_400),
    ],
)
def test_a_range_is_answered_with_just_its_bytes(
    door: Door, asked: str, start: int, end: int
) -> None:
    answer = get(door, Range=asked)
    assert (answer.status_code, answer.data) == (206, DATA[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/102400"
    assert answer.headers["Content-Length"] == str(end - start)
    assert answer.headers["ETag"] == f'"{sha256_of(DATA)}"'


@pytest.mark.parametrize("asked", ["bytes=102400-", "bytes=999999-1000000"])
def test_a_range_beyond_the_end_is_416(door: Door, asked: str) -> None:
    answer = get(door, Range=asked)
    assert (answer.status_code, answer.data) == (416, b"")
    assert answer.headers["Content-Range"] == "bytes */102400"


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "bytes=9-2", "lines=1-2", "nonsense", ""])
def test_any_other_range_is_passed_over(door: Door, asked: str) -> None:
    answer = get(door, Range=asked)
    assert (answer.status_code, answer.data) == (200, DATA)


def test_a_range_of_another_state_of_the_file_brings_the_whole(door: Door) -> None:
    own, other = f'"{sha256_of(DATA)}"', f'"{sha256_of(b"other")}"'
    assert get(door, Range="bytes=0-9", If_Range=own).status_code == 206
    assert get(door, Range="bytes=0-9", If_Range=other).status_code == 200
    dated = "Tue, 20 Jan 2026 00:00:00 GMT"
    assert get(door, Range="bytes=0-9", If_Range=dated).status_code == 200


def test_a_file_that_the_caller_has_is_not_sent_again(door: Door) -> None:
    answer = get(door, If_None_Match=f'"{sha256_of(DATA)}"')
    assert (answer.status_code, answer.data) == (304, b"")
    assert get(door, If_None_Match='"other"').status_code == 200


def test_head_tells_the_same_and_sends_nothing(door: Door) -> None:
    answer = get(door, method="HEAD")
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == "102400"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.content_type == "video/iso.segment"


def test_pages_of_any_origin_may_read_it_and_no_proxy_keeps_it(door: Door) -> None:
    answer = get(door, Origin="https://player.example")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["Cache-Control"] == "private, max-age=3600, immutable"
    asked = get(door, method="OPTIONS", Origin="https://player.example")
    assert asked.status_code == 204
    assert "Range" in asked.headers["Access-Control-Allow-Headers"]
    assert get(door, "nothing.m4s").headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "name",
    [
        "nothing.m4s",
        "720p",
        "720p/",
        "../../1.mp4",
        "..%2f..%2f1.mp4",
        "720p/../master.m3u8",
        "720p/00000.m4s/",
        "x" * 5000,
    ],
)
def test_a_path_that_the_manifest_does_not_name_is_404(door: Door, name: str) -> None:
    assert_problem(get(door, name), 404, "not_found")


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_nothing_can_be_written(door: Door, method: str) -> None:
    assert get(door, method=method, **KEYS).status_code == 405


def altered(capability: str) -> Iterator[str]:
    """Yield capabilities that differ from a good one in one place each."""
    run, fence, expiry, proof = capability.split(".")
    yield f"{run}.{fence}.{int(expiry) + 1}.{proof}"
    yield f"{run}.{int(fence) + 1}.{expiry}.{proof}"
    yield f"run-2.{fence}.{expiry}.{proof}"
    yield f"{run}.{fence}.{expiry}.{'A' * 43}"
    yield f"{run}.{fence}.{expiry}.{proof[:-1]}"
    yield f"{run}.{fence}.{expiry}."
    yield f"{run}.{fence}.0{expiry}.{proof}"
    yield f"{run}.{fence}.{expiry}.{proof}=".replace("=", "%3D")
    yield "x"
    yield "ключ"


def test_a_url_that_was_not_made_here_opens_nothing(door: Door) -> None:
    _, _, capability, _ = manifest_path(door).split("/")
    assert door.client.get(f"/sets/{capability}/{MANIFEST}").status_code == 200
    for other in altered(capability):
        for name in (MANIFEST, SEGMENT):
            assert_problem(door.client.get(f"/sets/{other}/{name}"), 404, "not_found")


def test_after_its_time_a_url_is_gone(door: Door, world: World) -> None:
    path = manifest_path(door)
    world.clock.advance(24 * 3600 - 1)
    assert door.client.get(path).status_code == 200
    world.clock.advance(1)
    for name in (MANIFEST, SEGMENT):
        assert_problem(door.client.get(beside(path, name)), 410, "expired")


@pytest.mark.parametrize("before", [(), (SEGMENT,)])
@pytest.mark.parametrize("signer", [None, Signer()])
def test_after_the_confirmation_a_url_is_gone(
    world: World, before: tuple[str, ...], signer: Signer | None
) -> None:
    """Also where the set's manifest is remembered, and where the store sends files by itself."""
    door = a_door(world=world, signer=signer)
    path = manifest_path(door)
    for name in before:
        assert door.client.get(beside(path, name)).status_code in (200, 302)
    world.ledger.apply("video-1", Confirmed())
    world.clock.advance(limits.GLANCE_S)
    for name in (MANIFEST, SEGMENT):
        assert_problem(door.client.get(beside(path, name)), 410, "expired")
    assert door.get("/status/video-1").get_json()["set"]["manifest_url"] is None


def test_right_after_the_confirmation_no_byte_is_sent_either(door: Door, world: World) -> None:
    """The glance at the job is a second old at most; the object is gone at once."""
    path = manifest_path(door)
    assert door.client.get(beside(path, SEGMENT)).status_code == 200
    world.ledger.apply("video-1", Confirmed())
    assert_problem(door.client.get(beside(path, SEGMENT)), 410, "expired")


def test_a_result_that_nobody_confirmed_ends_with_its_set(door: Door, world: World) -> None:
    path = manifest_path(door)
    world.clock.advance(24 * 3600 - 5)
    world.clock.advance(10)
    world.ledger.apply("video-1", Woken())
    assert job(world).state is State.EXPIRED
    assert_problem(door.client.get(path), 410, "expired")


def test_the_set_of_an_earlier_fence_is_not_opened(door: Door, world: World) -> None:
    """A URL that was signed for other bytes, such as those of a lost worker."""
    grant = SetGrant(run="run-1", fence=7, expires_at=int(world.clock.now()) + 60)
    path = LINKS.url(grant, MANIFEST).removeprefix(BASE)
    assert_problem(door.client.get(path), 410, "expired")


def test_nothing_of_a_url_is_logged(door: Door, world: World) -> None:
    path = manifest_path(door)
    _, _, capability, _ = path.split("/")
    for name in (MANIFEST, SEGMENT, "nothing"):
        door.client.get(beside(path, name))
    text = json.dumps(world.log.events)
    assert "/sets/<capability>/<path:path>" in text
    assert capability not in text
    assert capability.rpartition(".")[2] not in text


def test_only_so_many_files_are_on_their_way_at_once(door: Door) -> None:
    """The places are held until a file is sent or its caller has gone."""
    path = beside(manifest_path(door), SEGMENT)
    held = [door.client.get(path, buffered=False) for _ in range(2)]
    assert [answer.status_code for answer in held] == [200, 200]
    refused = door.client.get(path)
    assert_problem(refused, 429, "busy")
    assert refused.headers["Retry-After"] == "1"
    assert door.client.head(path).status_code == 200
    held[0].close()
    assert door.client.get(path).data == DATA
    held[1].close()


# --- a store that hands objects out by itself ---------------------------------------------------
def test_large_segments_are_sent_on_to_the_store(world: World) -> None:
    signer = Signer()
    door = a_door(world=world, signer=signer)
    answer = get(door, Range="bytes=0-9")
    key = set_key("run-1", 1, SEGMENT)
    assert (answer.status_code, answer.data) == (302, b"")
    assert answer.headers["Location"] == f"https://storage.example/{key}?signature"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert signer.asked == [(key, "video/iso.segment", limits.SET_SIGNED_S)]


def test_playlists_are_answered_here_and_so_is_head(world: World) -> None:
    door = a_door(world=world, signer=Signer())
    assert get(door, "720p/playlist.m3u8").status_code == 200
    assert get(door, method="HEAD").status_code == 200


def test_the_store_s_url_does_not_outlive_ours(world: World) -> None:
    signer = Signer()
    door = a_door(world=world, signer=signer)
    world.clock.advance(24 * 3600 - 100)
    get(door)
    assert signer.asked[-1][2] == 100.0


def signed_for(world: World, grant_s: float) -> str:
    """Return the path of the segment by a URL that is good for so long."""
    grant = SetGrant(run="run-1", fence=1, expires_at=int(world.clock.now() + grant_s))
    return LINKS.url(grant, SEGMENT).removeprefix(BASE)


def test_a_signed_url_is_told_again_while_a_minute_of_it_is_left(world: World) -> None:
    signer = Signer()
    door = a_door(world=world, signer=signer)
    path = signed_for(world, 4000)
    first = door.client.get(path).headers["Location"]
    world.clock.advance(limits.SET_SIGNED_S - 60)
    assert door.client.get(path).headers["Location"] == first
    assert len(signer.asked) == 1
    world.clock.advance(1)
    assert door.client.get(path).status_code == 302
    assert len(signer.asked) == 2


def test_a_url_signed_for_a_longer_grant_is_not_told_to_a_shorter_one(world: World) -> None:
    signer = Signer()
    door = a_door(world=world, signer=signer)
    assert door.client.get(signed_for(world, 4000)).status_code == 302
    assert door.client.get(signed_for(world, 500)).status_code == 302
    assert [expires_s for *_, expires_s in signer.asked] == [limits.SET_SIGNED_S, 500.0]


def test_only_so_many_signed_urls_are_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sets, "_URLS_REMEMBERED", 0)
    signer = Signer()
    door = a_door(world=world, signer=signer)
    for _ in range(2):
        assert door.client.get(signed_for(world, 4000)).status_code == 302
    assert len(signer.asked) == 2


class SlowSigner(Signer):
    """Signs when it is let, and counts who waits for that."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Semaphore(0)
        self.let = threading.Event()

    def read_url(self, key: str, *, media_type: str, expires_s: float) -> str:
        """Return a URL elsewhere, later."""
        self.begun.release()
        assert self.let.wait(10)
        return super().read_url(key, media_type=media_type, expires_s=expires_s)


def test_a_store_that_signs_slowly_takes_no_more_threads_than_there_are_places(
    world: World,
) -> None:
    """The rest of the service has the others."""
    signer = SlowSigner()
    door = a_door(world=world, signer=signer)
    path = signed_for(world, 4000)
    with ThreadPoolExecutor(SETS_AT_ONCE + 1) as pool:
        waiting = [pool.submit(door.client.get, path) for _ in range(SETS_AT_ONCE)]
        for _ in waiting:
            assert signer.begun.acquire(timeout=10)
        one_more = pool.submit(door.client.get, path)
        until(lambda: one_more.done() or signer.begun.acquire(blocking=False), "an answer")
        signer.let.set()
        assert_problem(one_more.result(), 429, "busy")
        assert [each.result().status_code for each in waiting] == [302, 302]
    assert door.client.get(path).status_code == 302


def test_each_piece_of_a_file_must_be_taken_in_seconds(door: Door) -> None:
    """Without a bound a caller that reads nothing holds its place for an hour."""
    path = beside(manifest_path(door), SEGMENT)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        over = {"gunicorn.socket": ours}
        assert door.client.head(path, environ_overrides=over).status_code == 200
        assert ours.gettimeout() is None
        assert door.client.get(path, environ_overrides=over).data == DATA
        assert ours.gettimeout() == 10.0


def test_where_the_store_cannot_sign_now_the_file_is_streamed(world: World) -> None:
    signer = Signer()
    signer.broken = True
    door = a_door(world=world, signer=signer)
    assert get(door).data == DATA
    assert "sets.not_signed" in world.log.names()
