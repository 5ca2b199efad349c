"""The real service under measurement: `lectern up` as a process tree on a folder of its own."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import requests

from bench.machine import ROOT
from bench.report import OUT, BenchFailed
from core import limits
from infra import wiring
from infra.links import ADDRESS_FILE
from infra.settings import load
from lectern.client import JobEnded, LecternClient, LecternUnreachable
from lectern.example_lms import ExampleLms

ORGANIZATION: Final = "bench"
_START_S: Final = 30.0
_STOP_S: Final = limits.STOP_S + 5
_TICK_S: Final = 0.02
_LOG_LINES: Final = 20
_NOWHERE: Final = "http://127.0.0.1:9/store"
"""The discard port: for services whose jobs never come to a delivery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service: its URL, the key to it, and the root of its process tree."""

    url: str
    key: str
    process: psutil.Popen

    def client(self) -> LecternClient:
        """Return a client, to be closed by the caller."""
        return LecternClient(self.url, self.key)

    def tree(self) -> list[psutil.Process]:
        """Return every process of the service."""
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def front_door(self) -> list[psutil.Process]:
        """Return gunicorn's master and worker."""
        return [process for process in self.tree() if " run http" in " ".join(process.cmdline())]

    def cpu_s(self) -> float:
        """Return the CPU seconds of the tree so far, those of ended children included."""
        return sum(sum(process.cpu_times()[:4]) for process in self.tree())

    def wait(self, video_id: str, until: Collection[str], *, timeout_s: float) -> dict[str, Any]:
        """Return the job's status once it is in one of these states; raises as the client does."""
        with self.client() as client:
            return client.wait(video_id, until=until, timeout_s=timeout_s)


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Give a folder on the project's disk, and remove it with all that it holds.

    The system's folder for temporary files may be memory, which no recording is kept on.
    """
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=OUT) as name:
        yield Path(name)


@contextlib.contextmanager
def lms_for(folder: Path, confirm: Callable[[str, str], object]) -> Iterator[ExampleLms]:
    """Run an LMS that knows the secret of the service on `folder`; see ExampleLms."""
    secret = wiring.webhook_secrets(load({"lectern_data_dir": folder}))[0]
    with ExampleLms(secret=secret, folder=folder.with_name("lms"), confirm=confirm) as lms:
        yield lms


@contextlib.contextmanager
def running(folder: Path, *, store_url: str = _NOWHERE, **settings: str) -> Iterator[Service]:
    """Run the service on `folder` until the block ends; then every process of it is gone.

    Settings are the caller's environment, then the product's defaults; `settings` beat both.
    """
    environment = {
        **os.environ,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "LECTERN_DATA_DIR": str(folder),
        "LMS_STORE_URL": store_url,
        "LOG_FORMAT": "json",
        **settings,
    }
    log_path = folder.with_name(f"{folder.name}.log")
    argv = [sys.executable, "-m", "lectern", "up"]
    with log_path.open("ab") as log:
        process = psutil.Popen(
            argv, env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = _address(process, folder / ADDRESS_FILE)
        requests.get(f"{url}/ready", timeout=_START_S).raise_for_status()
        key = wiring.service_keys(load({"lectern_data_dir": folder}))[0]
        yield Service(url=url, key=key, process=process)
    except (BenchFailed, JobEnded, LecternUnreachable, TimeoutError) as error:
        raise BenchFailed(f"{error}\nThe service's last words:\n{_tail(log_path)}") from error
    finally:
        _end(process)


def _address(process: psutil.Popen, file: Path) -> str:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            return file.read_text()
        time.sleep(_TICK_S)
    raise BenchFailed("the service did not start")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


def _end(process: psutil.Popen) -> None:
    """Stop the tree as Ctrl-C would; what does not heed that is killed."""
    with contextlib.suppress(psutil.NoSuchProcess):
        tree = process.children(recursive=True)
        process.terminate()
        _, left = psutil.wait_procs([process, *tree], timeout=_STOP_S)
        for straggler in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                straggler.kill()
        psutil.wait_procs(left, timeout=_STOP_S)
