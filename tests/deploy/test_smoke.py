"""The smoke test after a deployment: it passes on a service that works and on no other."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from lectern import smoke
from tests.service.harness import KEY, ROOT, lms_for, service_on, until


@pytest.fixture
def door() -> Iterator[ThreadingHTTPServer]:
    """A platform in front of the service that lets nobody in."""

    class Closed(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403)

        def log_message(self, *_words: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Closed) as server:
        threading.Thread(target=partial(server.serve_forever, 0.02), daemon=True).start()
        yield server
        server.shutdown()


def smoke_test(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lectern.smoke", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        text=True,
        capture_output=True,
        check=False,
        timeout=100,
    )


def test_a_lecture_goes_all_the_way(tmp_path: Path, clip: Path) -> None:
    """A lecture, sent both ways, is stored and completed; of several keys one is used."""
    with lms_for(tmp_path / "data") as lms, service_on(tmp_path / "data", lms) as service:
        service.start()
        url = until(service.url, "the address")
        done = smoke_test(
            url, url, "--lecture", str(clip), INTERNAL_SERVICE_KEY=f"{KEY}, an-older-key-0123456789"
        )
        assert done.returncode == 0, done.stderr
        steps = [line.split()[2].rstrip(":") for line in done.stdout.splitlines()]
        assert steps == [
            *("ready", "received", "uploaded", "stored", "completed", "stored", "completed")
        ]


def test_a_service_that_cannot_deliver_fails_the_smoke_test(tmp_path: Path) -> None:
    """A result that never reaches the LMS is no success, and the line says how far it came."""
    with lms_for(tmp_path / "data") as lms, service_on(tmp_path / "data", lms) as service:
        service.start(LMS_STORE_URL="http://127.0.0.1:9/store")
        url = until(service.url, "the address")
        done = smoke_test(url, url, "--timeout-s", "1", INTERNAL_SERVICE_KEY=KEY)
        assert done.returncode == 1
        assert done.stderr.startswith("smoke: still ")


def test_a_closed_door_is_told_after_some_patience(
    door: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bindings take minutes, so a refusal is asked again, but not for ever."""
    monkeypatch.setattr(smoke, "_READY_S", 0.2)
    monkeypatch.setattr(smoke, "_PAUSE_S", 0.05)
    url = f"http://127.0.0.1:{door.server_port}"
    with pytest.raises(smoke.SmokeFailed, match="not ready after 0 s: 403"):
        smoke.handshake(url, url, KEY, sessions=lambda _url: requests.Session(), timeout_s=1)


def test_without_a_key_nothing_is_sent() -> None:
    """The variable that is missing is named."""
    done = smoke_test("http://127.0.0.1:9", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr == "smoke: INTERNAL_SERVICE_KEY is not set\n"
