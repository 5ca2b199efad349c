"""Starts, kills and watches the real service; plays the LMS backend that calls it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import requests

from infra import wiring
from infra.settings import load
from lectern.example_lms import ExampleLms
from tests import planted

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
KEY = planted.SERVICE_KEY
QUICK = {
    "HOST": "127.0.0.1",
    "PORT": "0",
    "INTERNAL_SERVICE_KEY": KEY,
    "LEASE_S": "2",
    "SWEEP_INTERVAL_S": "0.2",
    "REPUBLISH_AFTER_S": "1",
    "ORPHAN_GRACE_S": "4",
    "MIN_FREE_BYTES": "0",
    "MAX_CONCURRENT_JOBS": "1",
    "DELIVERY_WORKERS": "1",
    "RECEIVER_THREADS": "6",
    "MAX_UPLOADS_AT_ONCE": "4",
    "LOG_FORMAT": "json",
}
"""Times short enough for a test; every other setting is the product's default."""
PATIENCE_S = 60.0


def until(probe: Callable[[], T | None], what: str, *, timeout_s: float = PATIENCE_S) -> T:
    """Return the first result of `probe` that counts as true."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.02)


@dataclass(slots=True)
class Service:
    """`lectern up` on a folder of its own, in a session of its own."""

    folder: Path
    lms_url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Return the file with all output of all lives."""
        return self.folder.with_name(self.folder.name + ".log")

    def start(self, **extra: str) -> None:
        """Start a life of the service; `extra` is environment of this life alone."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder.parent),
            "PYTHONPATH": str(ROOT),
            "LECTERN_DATA_DIR": str(self.folder),
            "LMS_STORE_URL": self.lms_url,
            **QUICK,
            **self.environment,
            **extra,
        }
        (self.folder / "address").unlink(missing_ok=True)  # a killed life left it behind
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lectern", "up"],
                env=environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self, *, timeout_s: float = 15.0) -> int:
        """Ask the service to stop and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def wait_dead(self, *, timeout_s: float = PATIENCE_S) -> int:
        """Return the exit status of a service that ends by itself."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL every process of the tree that is left."""
        if self.process is None:
            return
        kill_session(self.process.pid)
        self.process.wait(5)

    def members(self) -> dict[int, str]:
        """Return the processes of the tree: pid to command line."""
        assert self.process is not None
        return session_members(self.process.pid)

    def role(self, name: str) -> int:
        """Return the pid of a process that runs `name`, such as `transcode`, and leads its group.

        What it has forked has the same command line, and after a turn of the pids a smaller pid.
        """

        def find() -> int | None:
            hits = [pid for pid, line in self.members().items() if f" run {name}" in line]
            return next((pid for pid in sorted(hits) if _leads(pid)), None)

        return until(find, f"a process that runs {name}")

    def url(self) -> str | None:
        """Return the service's URL once it is known."""
        try:
            return (self.folder / "address").read_text() or None
        except FileNotFoundError:
            return None

    def call(self, method: str, path: str, **content: Any) -> requests.Response:
        """Send one request with the service key."""
        url = until(self.url, "the service's address")
        headers = {"X-Internal-Service-Key": KEY}
        return requests.request(method, url + path, headers=headers, timeout=30, **content)

    def send(self, clip: Path, video_id: str) -> requests.Response:
        """POST a recording."""
        with clip.open("rb") as file:
            form = {"video_id": video_id, "organization_id": "uni-1"}
            files = {"file": (planted.FILE_NAME, file)}
            return self.call("POST", "/video/receive", data=form, files=files)

    def status(self, video_id: str) -> dict[str, Any]:
        """Return a job's status; empty while there is none."""
        answer = self.call("GET", f"/status/{video_id}")
        body: dict[str, Any] = answer.json()
        return body if answer.status_code == requests.codes.ok else {}

    def wait_state(self, video_id: str, *states: str) -> dict[str, Any]:
        """Return the job's status once it is in one of `states`."""

        def look() -> dict[str, Any] | None:
            status = self.status(video_id)
            return status if status.get("state") in states else None

        return until(look, f"{video_id} in {states}")

    def files(self) -> list[str]:
        """Return every object, unfinished object and scratch file that there is."""
        return sorted(
            Path(folder, file).relative_to(self.folder).as_posix()
            for name in ("objects", "partial", "scratch")
            for folder, _, files in os.walk(self.folder / name)  # what vanishes is passed over
            for file in files
        )


@contextlib.contextmanager
def lms_for(folder: Path) -> Iterator[ExampleLms]:
    """Run an example LMS that knows the secret of the service on `folder` and never confirms."""
    secret = wiring.webhook_secrets(load({"lectern_data_dir": folder}))[0]
    with ExampleLms(secret=secret, folder=folder.with_name("lms")) as lms:
        yield lms


@contextlib.contextmanager
def service_on(folder: Path, lms: ExampleLms, **environment: str) -> Iterator[Service]:
    """Give a service that is killed at the end, whatever happens."""
    service = Service(folder=folder, lms_url=lms.url, environment=environment)
    try:
        yield service
    finally:
        service.kill()
        planted.assert_hidden(service.log, *folder.glob("*.db*"))


def _leads(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def session_members(session: int) -> dict[int, str]:
    """Return the live processes of a session."""
    members = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            state, _, _, sid = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(sid) == session and state != "Z":
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                members[int(entry.name)] = line
    return members


def kill_session(session: int) -> None:
    """SIGKILL all processes of a session, the caller last if it is one of them."""
    own = os.getpid()
    pids = [*(pid for pid in session_members(session) if pid != own)]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if own in session_members(session):
        os.kill(own, signal.SIGKILL)
