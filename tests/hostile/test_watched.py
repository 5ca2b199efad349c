"""What the kernel sees: no file outside the job's folder, and no socket, whatever the file says."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from core import sniffing
from infra import ffmpeg
from tests.faults.shares import share
from tests.hostile.bases import Bases
from tests.hostile.everything import everything

_STRACE = shutil.which("strace")
_REACHING = (
    "hls", "concat", "dash", "sdp", "media_in", "media_on", "references", "segments_before",
    "chapters", "attached", "subtitles", "covers", "font",
)  # fmt: skip
_OPENED = re.compile(r'\b(?:open|openat|creat)\((?:AT_FDCWD, )?"([^"]*)"')
_CALL = re.compile(r"^\d+ +(\w+)\(")
_NETWORK = {"socket", "connect", "bind", "sendto", "sendmsg", "listen", "accept"}
_SYSTEM = ("/usr/", "/lib", "/etc/", "/proc/", "/sys/", "/dev/")
"""The machine's own libraries, and what they ask about it."""
_SECRETS = ("/etc/shadow", "/proc/1/", "/etc/ssh")


def _reaching() -> list[str]:
    """Return the names of those that reach for something, and get past the first look."""
    return [one.name for one in everything() if any(word in one.name for word in _REACHING)]


@pytest.mark.skipif(_STRACE is None, reason="strace is not installed: nobody can watch")
def test_no_file_is_opened_outside_and_no_socket_at_all(bases: Bases, tmp_path: Path) -> None:
    """A neighbour's recording lies beside, and an address listens: neither is ever touched."""
    place, log = tmp_path / "scratch", tmp_path / "strace"
    neighbour = tmp_path / "neighbour"
    neighbour.mkdir()
    shutil.copyfile(bases.path("mp4"), neighbour / "private.mp4")
    assert not _allowed(str(neighbour / "private.mp4"), place)
    names = share(_reaching(), 6)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        watched = [str(_STRACE), "-f", "-qq", "-o", str(log), "-e", "trace=%file,%network"]
        driver = [sys.executable, "-m", "tests.hostile.watched"]
        done = subprocess.run(
            [*watched, *driver, *map(str, (place, bases.folder, neighbour, port)), *names],
            check=True,
            timeout=100 + 20 * len(names),
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            text=True,
        )
        with pytest.raises(BlockingIOError):
            server.accept()
    assert len(done.stdout.splitlines()) == len(names), done.stdout
    children = _of_children(log.read_text(errors="replace"))
    assert children, "nothing was seen of the sandboxed programs"
    assert [line for line in children if _is_network(line)] == []
    assert [path for path in _opened(children) if not _allowed(path, place)] == []


def _of_children(log: str) -> list[str]:
    """Return the lines of all programs that ran in the sandbox: those whose first is its start."""
    lines = log.splitlines()
    inside = {line.split()[0] for line in lines if "execve(" in line and "sandbox.py" in line}
    threads = {line.split()[0] for line in lines} - {lines[0].split()[0]}
    assert inside <= threads
    return [line for line in lines if line.split()[0] in threads]


def _is_network(line: str) -> bool:
    """Tell calls for the network, and any socket that was not refused.

    The C library asks the machine's cache of names when a program looks up its user.
    """
    call = _CALL.match(line)
    if call is None or call[1] not in _NETWORK:
        return False
    return "AF_UNIX" not in line or "EACCES" not in line


def _opened(lines: list[str]) -> list[str]:
    return [match[1] for line in lines if (match := _OPENED.search(line)) and "ENOENT" not in line]


def _allowed(path: str, place: Path) -> bool:
    """Return whether the programs may open it: the job's folder, or what they are made of."""
    if path.startswith(_SECRETS):
        return False
    own = {sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), str(ffmpeg.find().parent)}
    root = Path(sniffing.__file__).resolve().parents[1]
    own |= {str(root / name) for name in ("core", "transcoder")} | {str(place)}
    inside = path.startswith((*_SYSTEM, *own)) or path == str(root)
    return inside or (not path.startswith("/") and ".." not in path)
