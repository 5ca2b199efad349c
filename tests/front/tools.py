"""The programs that these tests need beside Python."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from receiver import front


def need_haproxy() -> None:
    """Skip the test where HAProxy is missing; fail it if LECTERN_REQUIRE_EMULATORS is set."""
    try:
        front.find_haproxy()
    except front.Ended as missing:
        _missing(str(missing))


def need_curl() -> None:
    """Do the same for a curl that speaks HTTP/2."""
    curl = shutil.which("curl")
    if curl is None or "HTTP2" not in _version(curl):
        _missing("there is no curl that speaks HTTP/2")


def _version(curl: str) -> str:
    return subprocess.run([curl, "--version"], check=True, capture_output=True, text=True).stdout


def _missing(reason: str) -> None:
    if os.environ.get("LECTERN_REQUIRE_EMULATORS"):
        pytest.fail(reason)
    pytest.skip(reason)
