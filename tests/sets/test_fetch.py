"""`fetch_set`: every file verified, several at once, what a cut left is gone on with."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import requests
from flask import Flask, Response, request
from werkzeug.serving import make_server

from lectern.client import LecternClient
from lectern.sets import MANIFEST, SetDamaged, SetRefused, SetUnreachable, fetch_set

FILES = {f"720p/{number:05}.m4s": bytes([number]) * 40_000 for number in range(12)}
FILES["master.m3u8"] = b"#EXTM3U\n"
Trick = Callable[[str], Response | None]


class Server:
    """Hands a set out, with tricks: each of `tricks` is tried on the next request of a file."""

    def __init__(self) -> None:
        self.tricks: deque[Trick] = deque()
        self.asked: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = 0
        self.changes: dict[str, Any] = {}
        self._now = 0
        self._guard = threading.Lock()
        app = Flask("set")
        app.add_url_rule("/sets/cap/<path:path>", view_func=self._serve)
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.base = f"http://127.0.0.1:{self._server.port}/sets/cap"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.02])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Return the manifest's URL."""
        return f"{self.base}/{MANIFEST}"

    def manifest(self) -> dict[str, Any]:
        """Return what is handed out."""
        files = [
            {
                "path": name,
                "url": f"{self.base}/{name}",
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
            for name, data in FILES.items()
        ]
        return {"format": 1, "video_id": "v", "expires_at": "x", "files": files, **self.changes}

    def _serve(self, path: str) -> Response:
        with self._guard:
            self.asked[path] += 1
            self.headers.append(dict(request.headers))
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            trick = self.tricks.popleft() if self.tricks and path != MANIFEST else None
        try:
            if trick and (answer := trick(path)):
                return answer
            if path == MANIFEST:
                return Response(json.dumps(self.manifest()), content_type="application/json")
            return self._file(FILES[path])
        finally:
            with self._guard:
                self._now -= 1

    def _file(self, data: bytes) -> Response:
        asked = request.headers.get("Range")
        if asked is None:
            return Response(data)
        self.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        return Response(data[start:], status=206)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def fetch(server: Server, folder: Path) -> None:
    fetch_set(server.url, folder, sleep=lambda _s: None)


def check(folder: Path) -> None:
    """Every file is there as it should be, and nothing else."""
    found = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    assert set(found) == {*FILES, MANIFEST}
    assert all(found[name].read_bytes() == data for name, data in FILES.items())


def status(code: int) -> Trick:
    return lambda _path: Response(status=code)


def cut_after(count: int) -> Trick:
    """Send the first bytes of a file, and break off."""

    def trick(path: str) -> Response:
        answer = Response(iter([FILES[path][:count]]))
        answer.headers["Content-Length"] = str(len(FILES[path]))
        return answer

    return trick


def test_a_set_arrives_whole_and_its_manifest_last(server: Server, tmp_path: Path) -> None:
    made = fetch_set(server.url, tmp_path / "set")
    check(tmp_path / "set")
    assert (made.files, made.size) == (13, sum(map(len, FILES.values())))
    kept = json.loads((tmp_path / "set" / MANIFEST).read_text())
    assert "127.0.0.1" not in json.dumps(kept)
    assert "expires_at" not in kept
    assert len(kept["files"]) == 13


def test_not_more_than_a_few_files_come_at_once(server: Server, tmp_path: Path) -> None:
    gate = threading.Barrier(3, timeout=10)

    def wait(_path: str) -> None:
        gate.wait()

    server.tricks.extend([wait, wait, wait])
    fetch_set(server.url, tmp_path / "set", at_once=3)
    assert server.most_at_once == 3


def test_what_is_there_already_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    server.asked.clear()
    (tmp_path / "720p/00003.m4s").write_bytes(b"\x03" * 39_999 + b"x")
    (tmp_path / "720p/00004.m4s").unlink()
    fetch(server, tmp_path)
    assert set(server.asked) == {MANIFEST, "720p/00003.m4s", "720p/00004.m4s"}
    check(tmp_path)


def test_a_file_that_was_cut_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    server.tricks.append(cut_after(35_000))
    fetch(server, tmp_path)
    check(tmp_path)
    assert len(server.ranges) == 1
    assert 0 < int(server.ranges[0][6:-1]) <= 35_000


def test_a_part_of_an_earlier_call_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    (tmp_path / "720p").mkdir()
    (tmp_path / "720p/00002.m4s.part").write_bytes(b"\x02" * 30_000)
    (tmp_path / "720p/00005.m4s.part").write_bytes(b"\x05" * 50_000)
    fetch(server, tmp_path)
    check(tmp_path)
    assert server.ranges == ["bytes=30000-"]


@pytest.mark.parametrize("code", [429, 500, 503, 408])
def test_a_busy_service_is_asked_again(server: Server, tmp_path: Path, code: int) -> None:
    server.tricks.extend([status(code)] * 6)
    fetch(server, tmp_path)
    check(tmp_path)


def test_a_service_that_never_answers_well_is_given_up(server: Server, tmp_path: Path) -> None:
    server.tricks.extend([status(503)] * 1000)
    with pytest.raises(SetUnreachable):
        fetch(server, tmp_path)
    assert not (tmp_path / MANIFEST).exists()


def test_after_the_confirmation_it_says_410(server: Server, tmp_path: Path) -> None:
    server.tricks.append(status(410))
    with pytest.raises(SetRefused) as refusal:
        fetch(server, tmp_path)
    assert refusal.value.status == 410
    assert not (tmp_path / MANIFEST).exists()


@pytest.mark.parametrize("data", [b"\x63" * 40_000, b"\x00" * 40_001])
def test_other_bytes_than_promised_are_noticed_and_not_kept(
    server: Server, tmp_path: Path, data: bytes
) -> None:
    server.tricks.extend([lambda _path: Response(data)] * 20)
    with pytest.raises(SetDamaged):
        fetch(server, tmp_path)
    assert not (tmp_path / MANIFEST).exists()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".part"]
    assert files == []
    server.tricks.clear()
    fetch(server, tmp_path)
    check(tmp_path)


@pytest.mark.parametrize(
    "path", ["../escape", "/etc/passwd", "a/../../b", "", "a//b", "a/b/c/d/e", ".hidden", "a\0b"]
)
def test_a_manifest_that_leads_out_of_the_folder_is_not_followed(
    server: Server, tmp_path: Path, path: str
) -> None:
    entry = {"path": path, "url": f"{server.base}/master.m3u8", "bytes": 8, "sha256": "0" * 64}
    server.changes = {"files": [entry]}
    with pytest.raises(SetDamaged, match="leads elsewhere"):
        fetch(server, tmp_path / "set")
    assert set(server.asked) == {MANIFEST}


@pytest.mark.parametrize("changes", [{"format": 2}, {"files": [{"path": "a"}]}, {"files": 7}])
def test_a_manifest_of_another_form_is_not_followed(
    server: Server, tmp_path: Path, changes: dict[str, Any]
) -> None:
    server.changes = changes
    with pytest.raises(SetDamaged):
        fetch(server, tmp_path)


def test_the_service_key_stays_at_home(server: Server, tmp_path: Path) -> None:
    """The URL may lead to another's server."""
    with LecternClient("http://127.0.0.1:9", "a-key-of-the-lms-backend") as client:
        client.fetch_set(server.url, tmp_path)
    check(tmp_path)
    assert not any("X-Internal-Service-Key" in headers for headers in server.headers)


@pytest.mark.parametrize("own", [True, False])
def test_a_platform_s_token_goes_to_the_service_itself_only(
    server: Server, tmp_path: Path, *, own: bool
) -> None:
    """Cloud Run lets nobody in without one, whatever a URL is worth to the service."""
    base = server.base.rpartition("/sets/")[0] if own else "http://127.0.0.1:9"
    session = requests.Session()
    session.headers["Authorization"] = "Bearer a-token"
    with LecternClient(base, "a-key-of-the-lms-backend", session=session) as client:
        client.fetch_set(server.url, tmp_path)
    assert {headers.get("Authorization") for headers in server.headers} == {
        "Bearer a-token" if own else None
    }
    assert not any("X-Internal-Service-Key" in headers for headers in server.headers)


def test_where_it_is_sent_on_nothing_of_its_own_goes_along(server: Server, tmp_path: Path) -> None:
    """The object store's URL carries an authority of its own, and a token would be leaked."""
    with Server() as store:

        def send_on(path: str) -> Response:
            return Response(status=302, headers={"Location": f"{store.base}/{path}"})

        server.tricks.extend([send_on] * 5)
        session = requests.Session()
        session.headers["Authorization"] = "Bearer a-token"
        fetch_set(server.url, tmp_path, session=session)
        check(tmp_path)
        assert sum(store.asked.values()) == 5
        assert not any("Authorization" in headers for headers in store.headers)
