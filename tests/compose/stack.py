"""Starts the services of compose.yaml as plain processes of this machine, in the same wiring.

What differs from an engine: names and ports become 127.0.0.1 and free ports, each container's /tmp
a folder of its own, /app this source tree; there is no init, no other user, no read-only root.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import pytest

from receiver.front import Ended, find_haproxy
from tests import planted
from tests.compose.reader import Service, services
from tests.gcp import emulators
from tests.service.harness import ROOT, kill_session, session_members, until

BIN: Final = Path(sys.executable).parent
START_S: Final = 90.0
CHECK_S: Final = 20.0
_PORTS: Final = range(20_000, 32_000)
"""Below those that the kernel gives to outgoing connections."""


def need_what_it_runs() -> None:
    """Skip the test, or fail it if LECTERN_REQUIRE_EMULATORS is set, where a program is missing."""
    missing = _missing()
    if missing and os.environ.get("LECTERN_REQUIRE_EMULATORS"):
        pytest.fail(f"not installed: {missing}", pytrace=False)
    if missing:
        pytest.skip(f"compose.yaml's processes need what is not installed: {missing}")


def _missing() -> str:
    names = [name for name in ("gcloud", "java", "curl") if shutil.which(name) is None]
    if not names:
        root = Path(str(shutil.which("gcloud"))).resolve().parents[1]
        both = (emulators.PUBSUB, emulators.FIRESTORE)
        names = [f"{it.name} emulator" for it in both if not (root / it.program[0]).exists()]
    try:
        find_haproxy()
    except Ended:
        names.append("haproxy")
    return ", ".join(names)


@dataclass(slots=True, kw_only=True)
class Running:
    """A service's process, how often it was started, and how its lives ended."""

    process: subprocess.Popen[bytes]
    starts: int = 1
    ends: list[int] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Stack:
    """The services, started in the order of their conditions and again when they end.

    `stand_ins` maps services that the test itself plays to their `host:port`. `settings` is
    environment for all services of our own images. `lives` maps services to environment for their
    first life, their second, and so on; later ones have none.
    """

    folder: Path
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    lives: Mapping[str, list[Mapping[str, str]]] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=services)
    running: dict[str, Running] = field(default_factory=dict)
    _places: dict[tuple[str, str], str] = field(default_factory=dict)
    _well: set[str] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _closed: threading.Event = field(default_factory=threading.Event)
    _watch: threading.Thread | None = None

    def __enter__(self) -> Self:
        for name, service in self.services.items():
            for port in service.ports:
                self._places[name, port] = self.stand_ins.get(name) or f"127.0.0.1:{_free_port()}"
        try:
            self._start_all()
        except BaseException:
            self.close()
            raise
        self._watch = threading.Thread(target=self._revive, name="stack")
        self._watch.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill everything."""
        self._closed.set()
        if self._watch is not None:
            self._watch.join()
        for one in self.running.values():
            kill_session(one.process.pid)
            one.process.wait(10)
        keys = {
            service.environment.get(name, "")
            for service in self.services.values()
            for name in ("INTERNAL_SERVICE_KEY", "WEBHOOK_SECRET")
        }
        for log in self.folder.glob("*.log"):
            planted.assert_hidden(log)
            text = log.read_text(encoding="utf-8", errors="replace")
            assert not any(key and key in text for key in keys), f"{log.name} shows a key"

    def place(self, name: str) -> str:
        """Return `host:port` of a service."""
        return self._places[name, self.services[name].ports[0]]

    def url(self, name: str) -> str:
        """Return where a service answers."""
        return f"http://{self.place(name)}"

    def log(self, name: str) -> str:
        """Return what a service has written in all its lives."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def kill(self, name: str) -> None:
        """SIGKILL every process of a service; it is started again, as `restart:` says."""
        with self._lock:
            kill_session(self.running[name].process.pid)

    def pids(self, name: str) -> list[int]:
        """Return the processes of a service."""
        with self._lock:
            return list(session_members(self.running[name].process.pid))

    def healthy(self, name: str) -> bool:
        """Run the service's own health check."""
        argv = [self.here(name, word) for word in self.services[name].check]
        done = subprocess.run(
            argv, env=self._environment(name), check=False, capture_output=True, timeout=CHECK_S
        )
        return done.returncode == 0

    def wait_healthy(self, name: str) -> None:
        """Return once the service's health check passes."""
        until(lambda: self.healthy(name), f"{name} to be healthy", timeout_s=START_S)

    def _start_all(self) -> None:
        waiting = [
            service for service in self.services.values() if service.name not in self.stand_ins
        ]
        end = time.monotonic() + START_S
        while waiting or self._unwell():
            for service in [it for it in waiting if self._may_start(it)]:
                self._start(service.name)
                waiting.remove(service)
            if time.monotonic() > end:
                raise TimeoutError(f"not healthy: {self._unwell()}; not started: {waiting}")
            time.sleep(0.05)

    def _unwell(self) -> list[str]:
        """Return what was started and is not healthy yet."""
        return [name for name in self.running if not self._met(name)]

    def _may_start(self, service: Service) -> bool:
        return all(self._met(other) for other in service.waits_for)

    def _met(self, name: str) -> bool:
        """Return whether a service is healthy, or done if it has an end; looked at until it is."""
        if name in self.stand_ins or name in self._well:
            return True
        one = self.running.get(name)
        if one is None:
            return False
        status = one.process.poll()
        if self.services[name].one_shot:
            well = status == 0
        else:
            well = status is None and self.healthy(name)
        assert well or status in {None, 0}, f"{name} ended with {status}: {self.log(name)[-3000:]}"
        if well:
            self._well.add(name)
        return well

    def _start(self, name: str) -> None:
        with self._lock:
            before = self.running.get(name)
            number = before.starts if before else 0
            extra = self.lives.get(name, [])[number : number + 1]
            (self.folder / name).mkdir(exist_ok=True)
            with (self.folder / f"{name}.log").open("ab") as log:
                process = subprocess.Popen(
                    [self.here(name, word) for word in self.services[name].command],
                    env={**self._environment(name), **(extra[0] if extra else {})},
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            ends = before.ends if before else []
            self.running[name] = Running(process=process, starts=number + 1, ends=ends)

    def _revive(self) -> None:
        """Start again what has ended, as a container: with an empty /tmp and none of its kin."""
        while not self._closed.wait(0.05):
            for name, one in list(self.running.items()):
                if self.services[name].one_shot or one.process.poll() is None:
                    continue
                kill_session(one.process.pid)
                one.ends.append(one.process.returncode)
                shutil.rmtree(self.folder / name, ignore_errors=True)
                self._start(name)

    def _environment(self, name: str) -> dict[str, str]:
        service = self.services[name]
        said = {word: self.here(name, text) for word, text in service.environment.items()}
        return {
            **said,
            **(self.settings if service.target else {}),
            "PATH": f"{BIN}:{os.environ['PATH']}:/usr/sbin",
            "PYTHONPATH": str(ROOT),
        }

    def here(self, name: str, text: str) -> str:
        """Return a word of the file as it must read on this machine."""
        ports = self.services[name].ports
        names = "|".join(sorted(map(re.escape, self.services), key=len, reverse=True))
        own = "|".join(map(re.escape, ports)) or r"(?!)"
        pattern = (
            rf"(?<![\w.-])(?P<other>{names}):(?P<port>\d+)\b"
            rf"|\b(?P<own>{own})\b|(?P<any>\b0\.0\.0\.0\b)"
            r"|(?<![\w/])(?P<tmp>/tmp)\b|(?<![\w/])(?P<app>/app)\b"
        )

        def here(match: re.Match[str]) -> str:
            if match["other"]:
                return self._places[match["other"], match["port"]]
            if match["own"]:
                return self._places[name, match["own"]].rpartition(":")[2]
            if match["any"]:
                return "127.0.0.1"
            return str(self.folder / name) if match["tmp"] else str(ROOT)

        return re.sub(pattern, here, text)


def _free_port() -> int:
    for _ in range(100):
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return pytest.fail("no free port")
