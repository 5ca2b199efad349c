"""A process tree that is forked, told where to die, seen to die by signal 9, and begun again."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests import planted
from tests.crash.points import ARM, INSIDE, Plan
from tests.crash.scenery import DEPOT
from tests.service.harness import QUICK, ROOT, Service, kill_session, until

BRISK: Final = {
    **QUICK,
    "LEASE_S": "1",
    "SWEEP_INTERVAL_S": "0.1",
    "REPUBLISH_AFTER_S": "0.3",
    "ORPHAN_GRACE_S": "3",
    "UPLOAD_TTL_S": "4",
    "SFTP_HOST": "depot.invalid",
    "SFTP_USER": "lectern",
    "SFTP_PASSWORD": "never-used",
    "SFTP_FINGERPRINT": "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
    "CLIENT_CONFIRM_API": "http://127.0.0.1:9/confirm",
}
"""Everything soon: after a kill a lease has to run out. A stand-in takes what goes by SFTP."""
_GONE_S: Final = 60.0


class Nursery:
    """The process that forks trees; see `tests.crash.nursery`."""

    def __init__(self, *words: str) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery", *words],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"),
                 "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def start(self, kind: str, environment: dict[str, str], log: Path) -> Offspring:
        """Fork a tree."""
        said = {"do": "start", "kind": kind, "environment": environment, "log": str(log)}
        return Offspring(nursery=self, pid=self.ask(said)["pid"])

    def cpu_s(self) -> float:
        """Return the CPU seconds of all trees that have ended, and of the nursery."""
        used: float = self.ask({"do": "tell"})["cpu_s"]
        return used

    def ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one request."""
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
            return answer

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=_GONE_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offspring:
    """The first process of a forked tree, with the part of Popen that the harness uses."""

    nursery: Nursery
    pid: int

    def poll(self) -> int | None:
        """Return the exit status as its parent was told it; None while it lives."""
        code: int | None = self.nursery.ask({"do": "poll", "pid": self.pid})["code"]
        return code

    def wait(self, timeout: float) -> int:
        """Return the exit status once there is one."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} lives on after {timeout:g} s")
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, if there is anybody."""
        if self.poll() is None:
            os.kill(self.pid, number)


@dataclass(slots=True, kw_only=True)
class Death:
    """A planned kill, and what is known of it."""

    plan: Plan
    log_from: int

    @property
    def mark(self) -> Path:
        """Return the file that the one who died left."""
        return Path(self.plan.mark or "")


@dataclass(slots=True)
class Tree(Service):
    """A Service whose processes are forked, and which is started again whenever it has died."""

    nursery: Nursery | None = None
    kind: str = "up"
    ends: list[int] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def arm_file(self) -> Path:
        """Return where the tree looks for its plan."""
        return self.folder.with_name(self.folder.name + ".arm")

    @property
    def depot(self) -> Path:
        """Return the folder that stands for the LMS's own storage."""
        return self.folder.with_name(self.folder.name + ".depot")

    def start(self, **extra: str) -> None:
        """Start a life."""
        assert self.nursery is not None
        (self.folder / "address").unlink(missing_ok=True)  # a killed life left it behind
        self.depot.mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder.parent),
            "LECTERN_DATA_DIR": str(self.folder),
            "LMS_STORE_URL": self.lms_url,
            ARM: str(self.arm_file),
            INSIDE: "yes",
            DEPOT: str(self.depot),
            **BRISK,
            **self.environment,
            **extra,
        }
        self.process = self.nursery.start(self.kind, environment, self.log)  # type: ignore[assignment] # as good as a Popen here

    def revive(self) -> bool:
        """Start again if the tree is dead; return whether it was."""
        assert self.process is not None
        code = self.process.poll()
        if code is None:
            return False
        self.ends.append(code)
        until(lambda: not self.members(), "the end of every process", timeout_s=_GONE_S)
        self.start()
        return True

    def arm(self, **plan: Any) -> Death:
        """Tell the tree where to die; everything counts from now on."""
        mark = self.arm_file.with_suffix(f".died-{next(self._numbers)}")
        made = Plan(mark=str(mark), **plan)
        draft = self.arm_file.with_suffix(".draft")
        draft.write_text(made.to_text())
        draft.replace(self.arm_file)
        size = self.log.stat().st_size if self.log.exists() else 0
        return Death(plan=made, log_from=size)

    def disarm(self) -> None:
        """Have nobody die any more."""
        self.arm_file.unlink(missing_ok=True)

    def check_died(self, death: Death, *, ends_before: int, ends_after: int | None = None) -> None:
        """Fail unless the kill took place, and was one by signal 9.

        `ends_before` trees had ended before it; `ends_after` had when it was over, if not all.
        """
        assert death.mark.exists(), f"nobody died at {death.plan.point}"
        pid = int(death.mark.read_text())
        until(lambda: pid not in self.members(), f"the end of process {pid}", timeout_s=5)
        if not death.plan.alone:
            assert self.ends[ends_before:ends_after] == [-signal.SIGKILL], death.plan.point
            return
        until(lambda: self._tells_of(death, pid), f"word of the death of {pid}", timeout_s=_GONE_S)

    def _tells_of(self, death: Death, pid: int) -> bool:
        """Find who reaped it: the supervisor, or gunicorn's master for its worker."""
        with self.log.open("rb") as log:
            log.seek(death.log_from)
            text = log.read().decode(errors="replace")
        reaped = f'"exit_code": {-signal.SIGKILL}'
        return reaped in text or (f"pid:{pid})" in text and "SIGKILL" in text)

    def kill(self) -> None:
        """SIGKILL every process of the tree that is left."""
        if self.process is not None and self.process.poll() is None:
            kill_session(self.process.pid)
            self.process.wait(_GONE_S)
        planted.assert_hidden(self.log)


@contextlib.contextmanager
def nursery(*words: str) -> Iterator[Nursery]:
    """Give a nursery that ends with the block, and all its trees with it."""
    made = Nursery(*words)
    try:
        yield made
    finally:
        made.close()
