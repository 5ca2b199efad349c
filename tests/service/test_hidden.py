"""What processes with keys let others of their user see, such as a decoder that was taken over."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from receiver.front import Ended, find_haproxy
from tests.service.harness import QUICK, ROOT, kill_session, session_members, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc and prctl are Linux's")
NOBODY: Final = 10001
"""Root may read everything, so a test that runs as root has an ordinary user play."""
DEBIAN: Final = "/usr/bin/python3"
SECRETS: Final = {
    "INTERNAL_SERVICE_KEY": f"key-{secrets.token_hex(16)}",
    "WEBHOOK_SECRET": f"whsec_{secrets.token_hex(16)}",
}
FUNCTIONS: Final = "functions_framework"
PROCESSES: Final = {
    "lectern": ("lectern up", "run http", "run transcode", "run deliver", "run clock"),
    "receiver": ("receiver", "receiver", "haproxy"),  # gunicorn's own among those of the service
    "transcoder": ("transcoder", "transcoder"),
    "confirmer": ("confirmer", "confirmer"),
    FUNCTIONS: (FUNCTIONS, FUNCTIONS),
}
"""Each program, and words of the command lines of its processes, which show that they run."""
LOOK: Final = """
import json, sys
found = {}
for pid in sys.argv[1:]:
    try:
        found[pid] = open(f"/proc/{pid}/environ", "rb").read().decode("latin-1")
    except OSError as error:
        found[pid] = None
print(json.dumps(found))
"""


def ordinary_python() -> str:
    """Return a Python that an ordinary user can start; skips the test if there is none."""
    if os.geteuid() != 0:
        return sys.executable
    if not Path(DEBIAN).exists():
        pytest.skip(f"run by root, this needs {DEBIAN}")
    say = "import sys; print(sys.version_info[:2])"
    said = subprocess.run([DEBIAN, "-c", say], capture_output=True, check=True).stdout
    if said.decode().strip() != str(sys.version_info[:2]):
        pytest.skip(f"{DEBIAN} is another version than the packages are for")
    return DEBIAN


def as_ordinary() -> Mapping[str, Any]:
    """Return what has subprocess start a program as an ordinary user."""
    return {} if os.geteuid() else {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def environments(pids: list[int], python: str) -> dict[int, str | None]:
    """Return what another process of the user reads of each one's environment; None: nothing."""
    argv = [python, "-I", "-S", "-c", LOOK, *map(str, pids)]
    done = subprocess.run(
        argv, env={}, cwd="/", capture_output=True, check=True, timeout=30, **as_ordinary()
    )
    return {int(pid): text for pid, text in json.loads(done.stdout).items()}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the ordinary user can reach; pytest's own are closed to others."""
    made = Path(tempfile.mkdtemp(prefix="lectern-hidden-"))
    if os.geteuid() == 0:
        os.chown(made, NOBODY, NOBODY)
    yield made
    shutil.rmtree(made)


@contextlib.contextmanager
def tree(folder: Path, python: str, program: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program as an ordinary user, with its keys in the environment."""
    environment = {
        **QUICK,
        **SECRETS,
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LECTERN_DATA_DIR": str(folder / "data"),
        "PUSH_AUDIENCE": "https://push.example.org",
        "PUSH_SERVICE_ACCOUNT": "push@example.org",
        "FUNCTION_TARGET": "sweep",
        "FUNCTION_SOURCE": str(ROOT / "functions" / "entry.py"),
    }
    argv = [python, "-m", program, *(["up"] if program == "lectern" else [])]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            argv, env=environment, cwd="/", stdout=log, stderr=log, start_new_session=True,
            **as_ordinary(),
        )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        kill_session(process.pid)
        process.wait(5)


@pytest.mark.parametrize("program", PROCESSES)
def test_no_process_shows_its_keys_to_another_of_its_user(folder: Path, program: str) -> None:
    """Each is open while Python starts; once it works, its environment is closed."""
    python = ordinary_python()
    if "haproxy" in PROCESSES[program]:
        try:
            find_haproxy()
        except Ended:
            pytest.skip("haproxy is not installed")
    with tree(folder, python, program) as first:

        def has_started() -> bool:
            assert first.poll() is None, (folder / "log").read_text()
            lines = list(session_members(first.pid).values())
            words = PROCESSES[program]
            return all(sum(word in line for line in lines) >= words.count(word) for word in words)

        def shown() -> list[str]:
            members = session_members(first.pid)
            found = environments(list(members), python)
            return [
                members[pid]
                for pid, text in found.items()
                if text and any(secret in text for secret in SECRETS.values())
            ]

        until(has_started, "all processes of the tree")
        with contextlib.suppress(TimeoutError):
            until(lambda: not shown(), "the processes to be hidden", timeout_s=15)
        assert shown() == []


@pytest.mark.parametrize("mode", [0o711, 0o755])
def test_a_program_whose_file_may_not_be_read_shows_nothing(folder: Path, mode: int) -> None:
    """By this the images close their init, which has no word for it; other programs are open."""
    if os.geteuid() != 0:
        pytest.skip("a user may read again what is its own")
    program = folder / "cat"
    shutil.copy(shutil.which("cat") or "/bin/cat", program)
    program.chmod(mode)
    with subprocess.Popen(
        [program], env=SECRETS, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        **as_ordinary(),
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"here\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"here\n"
        found = environments([process.pid], ordinary_python())[process.pid]
        if mode == 0o711:
            assert found is None
        else:
            assert SECRETS["INTERNAL_SERVICE_KEY"] in str(found)
        process.stdin.close()
