"""What is installed is what was locked, and what is shipped is listed with its licence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[2]
LOCKS: Final = ("requirements.lock", "requirements-gcp.lock", "requirements-dev.lock")
_PINNED: Final = re.compile(r"^([A-Za-z0-9_.-]+)==([^ \\;]+)(.*)$", re.MULTILINE)
ELSEWHERE: Final = {"colorama", "importlib-metadata", "zipp", "tomli", "exceptiongroup"}
"""What is needed on Windows or by an older Python only."""


def requirements(lock: str) -> dict[str, list[tuple[str, int]]]:
    """Return each package of a lock with its versions, for each Python one, and their hashes."""
    text = (ROOT / lock).read_text()
    found = list(_PINNED.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    locked: dict[str, list[tuple[str, int]]] = {}
    for match, end in zip(found, ends, strict=True):
        hashes = text.count("--hash=sha256:", match.end(), end)
        locked.setdefault(canonicalize_name(match[1]), []).append((match[2], hashes))
    return locked


@pytest.mark.parametrize("lock", LOCKS)
def test_everything_that_is_installed_is_pinned_with_hashes(lock: str) -> None:
    """A package whose bytes have changed is refused by pip."""
    text = (ROOT / lock).read_text()
    locked = requirements(lock)
    assert len(locked) > 20
    assert all(hashes for pins in locked.values() for _, hashes in pins), lock
    lines = [line for line in text.splitlines() if line and line[0] not in " #"]
    assert all(_PINNED.match(line) for line in lines), "a line that pins nothing"


def test_every_shipped_package_is_listed_with_its_licence() -> None:
    """`make sbom` writes the list anew."""
    rows = re.findall(
        r"^\| ([A-Za-z0-9_.-]+) \| (\S+) \| (.+) \|$",
        (ROOT / "docs" / "licences.md").read_text(),
        re.MULTILINE,
    )
    listed = {(str(canonicalize_name(name)), str(version)) for name, version, _ in rows}
    shipped = requirements(LOCKS[1])
    known = {(name, version) for name, pins in shipped.items() for version, _ in pins}
    assert listed - known - {("package", "version")} == {_ffmpeg(listed)}
    assert set(shipped) - {name for name, _ in listed} <= ELSEWHERE
    assert "unknown" not in {licence for _, _, licence in rows}


def _ffmpeg(listed: set[tuple[str, str]]) -> tuple[str, str]:
    """Return the one line that no lock knows: the program in a wheel."""
    return next((name, version) for name, version in listed if name == "ffmpeg")


def test_nothing_is_installed_past_the_locks() -> None:
    """Makefile and images install by hash, and from wheels alone in the images."""
    makefile = (ROOT / "Makefile").read_text()
    installs = [line for line in makefile.splitlines() if "$(PIP) " in line]
    assert len(installs) > 3
    assert makefile.count("pip install") == 1
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    image = (ROOT / "Dockerfile").read_text()
    assert image.count(" install --no-deps") == image.count("--require-hashes") > 1
    assert image.count("--only-binary :all:") == image.count("--require-hashes")
