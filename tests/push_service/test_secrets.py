"""What a file that takes over FFmpeg could get at: played by a program in the real sandbox."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.service.harness import ROOT
from transcoder.runner import Bounds, Collector, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc and prctl are Linux's")
SECRETS = {
    "GOOGLE_APPLICATION_CREDENTIALS": "/secret/key.json",
    "GOOGLE_CLOUD_PROJECT": "secret-project",
    "INTERNAL_SERVICE_KEY": "secret-key-0123456789",
    "WEBHOOK_SECRET": "secret",
}
ATTACK = """
import ctypes, errno, json, os, socket
from pathlib import Path

def attempt(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def connect(family, address):
    with socket.socket(family) as line:
        line.settimeout(5)
        line.connect(address)

def trace():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, os.getppid(), 0, 0):
        raise OSError(ctypes.get_errno(), "ptrace")

parent = Path(f"/proc/{os.getppid()}")
print(json.dumps({
    "environment": sorted(os.environ),
    "network": os.readlink("/proc/self/ns/net"),
    "metadata": attempt(lambda: connect(socket.AF_INET, ("169.254.169.254", 80))),
    "unix": attempt(lambda: connect(socket.AF_UNIX, "/run/any")),
    "pair": attempt(lambda: socket.socketpair()),
    "ptrace": attempt(trace),
    "parent": attempt(lambda: (parent / "environ").read_bytes()),
}))
"""
STEAL = """
import errno, os, sys
try:
    data = open(f"/proc/{os.getppid()}/environ", "rb").read()
    open(f"/proc/{os.getppid()}/mem", "rb").close()
except OSError as error:
    sys.exit(errno.errorcode[error.errno])
sys.exit("stolen" if b"INTERNAL_SERVICE_KEY" in data else "nothing")
"""
SERVICE = f"""
import subprocess, sys
from infra.hidden import hide
if sys.argv[1] == "hidden":
    assert hide()
child = subprocess.run([sys.executable, "-I", "-c", {STEAL!r}], env={{}}, stderr=subprocess.PIPE)
print(child.stderr.decode().strip())
"""


def attacked(folder: Path) -> dict[str, Any]:
    """Return what a program in the sandbox found out."""
    heard = Collector(most=64 * 1024)
    ended = run(
        [sys.executable, "-I", "-S", "-c", ATTACK],
        folder=folder,
        python=sys.executable,
        bounds=Bounds(memory_bytes=1024**3, file_bytes=0, deadline=time.monotonic() + 20),
        listener=heard,
        stop=lambda: False,
    )
    assert ended.status == 0, ended.tail
    found: dict[str, Any] = json.loads(heard.data)
    return found


def has_namespaces() -> bool:
    """Return whether the kernel gives namespaces to this user."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    done = subprocess.run([unshare, "-Un", "true"], check=False, capture_output=True)
    return done.returncode == 0


def test_the_program_sees_no_key_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    assert attacked(tmp_path)["environment"] == ["LC_ALL", "MALLOC_ARENA_MAX", "SVT_LOG"]


def test_the_program_opens_no_socket_and_reaches_into_no_process(tmp_path: Path) -> None:
    """By the filter alone: neither call has to do with namespaces or routes."""
    if os.uname().machine not in {"x86_64", "aarch64"}:
        pytest.skip(f"the filter does not know the calls of {os.uname().machine}")
    found = attacked(tmp_path)
    assert (found["unix"], found["metadata"], found["ptrace"]) == ("EACCES",) * 3
    assert found["pair"] == "done"  # the filter is no wall against everything


def test_the_program_has_no_network_and_cannot_look_at_its_parent(tmp_path: Path) -> None:
    """By the namespaces alone."""
    if not has_namespaces():
        pytest.skip("this kernel gives no namespaces to this user")
    found = attacked(tmp_path)
    assert found["network"] != str(Path("/proc/self/ns/net").readlink())
    assert found["parent"] == "EACCES"


@pytest.mark.parametrize(("how", "result"), [("hidden", "EACCES"), ("open", "stolen")])
def test_a_child_without_namespaces_cannot_read_a_service_that_is_hidden(
    how: str, result: str
) -> None:
    """As an ordinary user; and it could, were the service not hidden."""
    as_root = os.geteuid() == 0
    done = subprocess.run(
        ["/usr/bin/python3" if as_root else sys.executable, "-c", SERVICE, how],
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **SECRETS},
        user=10001 if as_root else None,
        group=10001 if as_root else None,
        extra_groups=[] if as_root else None,
        cwd="/",
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.stdout.decode().strip() == result, done.stderr.decode()
