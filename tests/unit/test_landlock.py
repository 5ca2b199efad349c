"""What a taken-over decoder can do to the files of the machine: with the fence, and without."""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import tests.faults
from transcoder import child, fences, landlock, needs
from transcoder.runner import Bounds, Collector, Exit, run

FENCED = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
OPEN_SANDBOX = Path(tests.faults.__file__).with_name("open_sandbox.py")
BEGIN = """
import ctypes, errno, json, os, sys
told = {}
def attempt(name, act):
    try:
        act()
        told[name] = "done"
    except OSError as error:
        told[name] = errno.errorcode[error.errno]
def read(path):
    with open(path, "rb") as file:
        file.read(10)
def write(path, how="wb"):
    with open(path, how) as file:
        file.write(b"x")
def watch(path):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.inotify_add_watch(libc.inotify_init(), path.encode(), 0x100) < 0:
        raise OSError(ctypes.get_errno(), "watch")
"""
END = "\nprint(json.dumps(told))"
REACH_OUT = (
    BEGIN
    + """
data = os.path.dirname(os.getcwd())
neighbour = data + "/neighbour/source"
attempt("read a neighbour's file", lambda: read(neighbour))
attempt("read it by a link that lies there", lambda: read("planted/source"))
attempt("read the service's database", lambda: read(data + "/jobs.db"))
attempt("list the data folder", lambda: os.listdir(data))
attempt("list the neighbour's folder", lambda: os.listdir(data + "/neighbour"))
attempt("watch the data folder", lambda: watch(data))
attempt("read the machine's users", lambda: read("/etc/passwd"))
attempt("read the words its parent began with", lambda: read(f"/proc/{os.getppid()}/cmdline"))
attempt("make a file outside", lambda: write(data + "/made"))
attempt("make a folder outside", lambda: os.mkdir(data + "/folder"))
attempt("write into a file outside", lambda: write(data + "/jobs.db", "r+b"))
attempt("cut a file outside", lambda: os.truncate(data + "/jobs.db", 1))
attempt("lock a file outside", lambda: os.chmod(data + "/jobs.db", 0o600))
attempt("age a file outside", lambda: os.utime(data + "/jobs.db", (1, 1)))
attempt("make a link to outside", lambda: os.symlink(neighbour, "link"))
attempt("make a second name of it here", lambda: os.link(neighbour, "second"))
attempt("move its own out", lambda: os.rename("own", data + "/own"))
attempt("move a neighbour's in", lambda: os.rename(neighbour, "taken"))
attempt("remove a file outside", lambda: os.unlink(data + "/jobs.db"))
attempt("make a pipe", lambda: os.mkfifo("pipe"))
"""
    + END
)
WORK = (
    BEGIN
    + """
attempt("read", lambda: read("own"))
attempt("list", lambda: os.listdir("."))
attempt("write", lambda: write("new"))
attempt("cut", lambda: os.truncate("new", 0))
attempt("make a folder", lambda: os.mkdir("folder"))
attempt("rename", lambda: os.rename("new", "newer"))
attempt("move", lambda: os.rename("newer", "folder/new"))
attempt("remove", lambda: (os.unlink("folder/new"), os.rmdir("folder")))
attempt("throw away", lambda: write("/dev/null"))
"""
    + END
)
LIVE = (
    BEGIN
    + """
import av, hashlib, pyvips
root = os.path.dirname(sys.argv[1])
for name in ("core/limits.py", "transcoder/runner.py", "infra/settings.py", "SECURITY.md"):
    attempt(name, lambda: read(os.path.join(root, name)))
attempt("root", lambda: os.listdir(root))
hashlib.sha256(b"").digest()
told["processors"] = os.cpu_count()
told["frame"] = av.VideoFrame(16, 16).width
told["pixel"] = pyvips.Image.black(2, 2).resize(2).width
"""
    + END
)


def play(
    argv: list[str], folder: Path, *, file_bytes: int = 1000, python: str = sys.executable
) -> tuple[Exit, str]:
    """Run `argv` in the sandbox; return how it ended and what it said."""
    heard = Collector(most=64 * 1024)
    bounds = Bounds(
        memory_bytes=4 << 30, file_bytes=file_bytes, deadline=time.monotonic() + 30, stall_s=None
    )
    ended = run(
        argv, folder=folder, python=python, bounds=bounds, listener=heard, stop=lambda: False
    )
    return ended, heard.data.decode()


def told(script: str, folder: Path, *words: str, file_bytes: int = 1000) -> dict[str, Any]:
    """Return what a script of Python found out."""
    plain = () if words else ("-S",)
    argv = [sys.executable, "-I", "-B", *plain, "-c", script, *words]
    ended, heard = play(argv, folder, file_bytes=file_bytes)
    assert ended.status == 0, ended.tail
    found: dict[str, Any] = json.loads(heard)
    return found


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job's folder in a data folder, with a neighbour and the service's own."""
    for name in ("job", "neighbour"):
        (tmp_path / name).mkdir()
    (tmp_path / "neighbour" / "source").write_bytes(b"private")
    (tmp_path / "jobs.db").write_bytes(b"records")
    (tmp_path / "job" / "own").write_bytes(b"own")
    (tmp_path / "job" / "planted").symlink_to(tmp_path / "neighbour")
    return tmp_path / "job"


@FENCED
def test_a_program_reaches_nothing_outside_its_folder(job: Path) -> None:
    """A neighbour's file, the data folder, links either way, and the marks of files."""
    before = {path: path.lstat() for path in job.parent.rglob("*")}
    found = told(REACH_OUT, job)
    assert [what for what, how in found.items() if how not in {"EACCES", "EXDEV"}] == []
    after = {path: path.lstat() for path in job.parent.rglob("*")}
    assert {path: (s.st_size, s.st_mode, s.st_mtime) for path, s in before.items()} == {
        path: (s.st_size, s.st_mode, s.st_mtime) for path, s in after.items()
    }


@pytest.mark.skipif(sys.platform != "linux", reason="it names Linux's places")
def test_without_the_fence_it_would_reach_everything(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what the test above sees is the fence's work, and no other wall's."""
    monkeypatch.setattr("transcoder.runner._SANDBOX", OPEN_SANDBOX)
    found = told(REACH_OUT, job)
    assert [what for what, how in found.items() if how != "done"] == []


def test_a_program_works_in_its_folder_as_before(job: Path) -> None:
    """Nothing that FFmpeg or our own programs do there is refused."""
    found = told(WORK, job)
    assert [what for what, how in found.items() if how != "done"] == []


def test_a_file_is_given_to_a_program_by_a_link_in_its_folder(job: Path) -> None:
    """As the command line gives a recording without copying it; only to read, and only that."""
    (job / "given").symlink_to(job.parent / "neighbour" / "source")
    script = (
        f"{BEGIN}attempt('read', lambda: read('given'))\nattempt('write', lambda: write('given'))"
    )
    found = told(script + END, job)
    assert found == {"read": "done", "write": "EACCES" if landlock.version() else "done"}


@FENCED
def test_a_program_that_may_write_nothing_cannot_even_make_an_empty_file(job: Path) -> None:
    """A probe reads; what it should leave, no limit on a file's size would stop."""
    script = (
        f"{BEGIN}attempt('write', lambda: open('new', 'wb'))\nattempt('read', lambda: read('own'))"
    )
    found = told(script + "\nattempt('remove', lambda: os.unlink('own'))" + END, job, file_bytes=0)
    assert found == {"write": "EACCES", "read": "done", "remove": "EACCES"}


@FENCED
def test_our_own_programs_have_their_packages_and_of_the_code_their_part(job: Path) -> None:
    """PyAV, libvips and OpenSSL load and work; the settings' code is none of their business."""
    found = told(LIVE, job, str(child.ROOMS["core"]))
    assert found.pop("processors") == os.cpu_count()
    outside = "EACCES" if "site-packages" not in child.__file__ else "done"
    assert found == {
        "core/limits.py": "done",
        "transcoder/runner.py": "done",
        "infra/settings.py": outside,
        "SECURITY.md": outside,
        "root": outside,
        "frame": 16,
        "pixel": 4,
    }


def test_a_child_finds_our_code_though_it_cannot_list_what_lies_beside(job: Path) -> None:
    """Without any packages installed that could tell it."""
    for module in ("core.limits", "transcoder.landlock"):
        argv = child.command(sys.executable, module, {})
        ended, _ = play([argv[0], "-S", *argv[1:]], job)
        assert f"module '{module}' has no attribute 'main'" in ended.tail


@FENCED
@pytest.mark.parametrize("ends", ["", "exit 3"])
def test_a_script_in_a_programs_place_reads_what_it_likes_and_writes_nothing(
    job: Path, ends: str
) -> None:
    """An operator's wrapper may start a program from anywhere."""
    wrapper = job.parent / "wrapper"
    wrapper.write_text(f"#!/bin/sh\nread line < {job.parent}/jobs.db\necho $line\n{ends}\n")
    wrapper.chmod(0o755)
    ended, heard = play([str(wrapper)], job)
    assert (ended.status, heard) == (3 if ends else 0, "records\n")
    wrapper.write_text(f"#!/bin/sh\necho x > {job.parent}/jobs.db\n")
    ended, _ = play([str(wrapper)], job)
    assert "Permission denied" in ended.tail
    assert (job.parent / "jobs.db").read_bytes() == b"records"


def test_a_program_brings_the_libraries_that_lie_beside_it(tmp_path: Path) -> None:
    """As `/opt/ffmpeg/bin/ffmpeg` does, by whatever name; Python's parts are its own."""
    for name in ("bin", "lib"):
        (tmp_path / "tools" / name).mkdir(parents=True)
    program = tmp_path / "tools" / "bin" / "ffmpeg"
    program.write_bytes(b"\x7fELF")
    link = tmp_path / "ffmpeg"
    link.symlink_to(program)
    found = needs.readable(str(link), python=sys.executable)
    assert {str(link), str(tmp_path / "tools" / "lib")} <= set(found)
    assert str(child.ROOMS["core"]) not in found
    assert str(tmp_path) not in found
    assert str(child.ROOMS["core"]) in needs.readable(sys.executable, python=sys.executable)


class Kernel:
    """Stands in for the kernel, of any version; keeps what it was asked."""

    def __init__(self, offered: int, *, fails: int | None = None) -> None:
        self.offered = offered
        self.fails = fails
        self.attributes = b""
        self.rules: list[tuple[int, int]] = []

    def __call__(self, _libc: object, number: int, *words: Any) -> int:
        """Answer a call; -1 for a failure."""
        if number == self.fails:
            return -1
        if number == 444:
            if words[0] is None:
                return self.offered
            self.attributes = words[0]
            assert len(words[0]) == words[1]
            return os.open(os.devnull, os.O_RDONLY)
        if number == 445:
            self.rules.append(struct.unpack("=Qi", words[2]))
        return 0


@pytest.mark.parametrize(
    ("offered", "attributes"),
    [
        (1, (0x1FFF,)),
        (2, (0x3FFF,)),
        (3, (0x7FFF,)),
        (4, (0x7FFF, 3)),
        (5, (0xFFFF, 3)),
        (6, (0xFFFF, 3, 3)),
        (7, (0xFFFF, 3, 3)),
        (99, (0xFFFF, 3, 3)),
    ],
)
def test_each_kernel_is_asked_for_what_it_knows(
    offered: int, attributes: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel refuses all of a request in which it does not know one bit."""
    kernel = Kernel(offered)
    monkeypatch.setattr(landlock, "_call", kernel)
    (tmp_path / "file").touch()
    paths = [str(tmp_path), str(tmp_path / "file"), "/nowhere/at/all"]
    assert landlock.restrict(reading=paths, working=[str(tmp_path)])
    assert struct.unpack(f"={len(kernel.attributes) // 8}Q", kernel.attributes) == attributes
    of_folder, of_file, of_work = (rights for rights, _ in kernel.rules)
    assert (of_folder, of_file) == (0b1101, 0b101)  # a path that is not there is left out
    assert of_work == (0b110_0001_1011_1110 & attributes[0])


@pytest.mark.parametrize(("offered", "fails"), [(0, None), (-1, None), (7, 444), (7, 446)])
def test_where_the_kernel_refuses_the_program_starts_all_the_same(
    offered: int, fails: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on older kernels, or where it is switched off; the other fences stand."""
    monkeypatch.setattr(landlock, "_call", Kernel(offered, fails=fails))
    assert not landlock.restrict(reading=["/"], working=[])


@FENCED
def test_which_fences_stand_is_seen_from_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not taken from what the kernel promises."""
    found = fences.standing(sys.executable)
    assert found.files == landlock.version()
    assert str(found).startswith(f"files (Landlock {found.files})")
    monkeypatch.setattr("transcoder.runner._SANDBOX", OPEN_SANDBOX)
    assert fences.standing(sys.executable).files == 0
    assert str(fences.standing("/nowhere/python")) == "none"


def test_a_program_that_cannot_start_inside_is_told(tmp_path: Path) -> None:
    """As one whose libraries lie where it cannot read."""
    assert fences.starts(Path(sys.executable), "/nowhere/python") is False
    assert fences.starts(tmp_path / "ffmpeg", sys.executable) is False
    script = tmp_path / "ffmpeg"
    script.write_text("#!/bin/sh\necho ffmpeg version 1\n")
    script.chmod(0o755)
    assert fences.starts(script, sys.executable) is True
