"""A real browser without a window, and a server that hears what its page found."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.service.harness import kill_session

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first two are packages of Debian."""
WAIT_S = 60.0
Answers = queue.Queue[dict[str, Any]]


class _Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and keeps what is posted."""

    def __init__(self, answers: Answers, *args: Any, **kwargs: Any) -> None:
        self.answers = answers
        super().__init__(*args, **kwargs)

    def do_POST(self) -> None:
        """Take the page's result."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.answers.put(json.loads(body))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, Answers]]:
    """Serve `folder` on a free port; yield its URL and the results that pages post."""
    answers: Answers = queue.Queue()
    handler = partial(_Handler, answers, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", answers
        finally:
            server.shutdown()
            thread.join()


def browser() -> str:
    """Return the browser; skips with the reason where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no browser: install Debian's chromium-headless-shell")
    return found


def opened(url: str, answers: Answers) -> dict[str, Any]:
    """Open `url` in the browser and return what its page posts."""
    with tempfile.TemporaryDirectory(prefix="lectern-browser-") as home:
        argv = [
            browser(), "--headless", "--no-sandbox", "--disable-gpu", "--mute-audio",
            "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={home}",
            "--disable-dev-shm-usage", "--no-first-run", url,
        ]  # fmt: skip
        process = subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            return answers.get(timeout=WAIT_S)
        finally:
            kill_session(process.pid)  # Debian's command is a script, the browser its child
            process.wait(10)
