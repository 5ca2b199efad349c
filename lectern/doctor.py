"""`lectern doctor`: what is installed, what is missing, and how to get it."""

from __future__ import annotations

import contextlib
import platform
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from core import limits
from infra import ffmpeg, wiring
from infra.settings import Settings
from lectern.show import size
from transcoder import fences

_ENCODERS = ("libx264", "aac")
_LATER = ("libsvtav1", "libvmaf")
"""What FFmpeg should have for features beyond the handshake."""
_PACKAGES = ("av", "flask", "gunicorn", "imageio-ffmpeg", "pydantic-settings", "python-multipart",
             "requests", "standardwebhooks")  # fmt: skip
_RUN_S = 20.0
_FENCES = (
    "a decoder that a file takes over could do more here: Linux 5.13 or newer with Landlock fences "
    "off files, x86-64 and aarch64 calls, user namespaces the network"
)
_INSIDE = "put its libraries into /usr/lib, or beside it as in /opt/ffmpeg/bin and /opt/ffmpeg/lib"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. `cure` says what to do where it is not well."""

    name: str
    found: str
    cure: str | None = None
    fatal: bool = True


def run(settings: Settings) -> int:
    """Print all findings; return 1 if something that is needed is missing, else 0."""
    findings = [finding for check in _CHECKS for finding in check(settings)]
    table = Table("", "what", "found", "what to do")
    for finding in findings:
        table.add_row(_mark(finding), finding.name, finding.found, finding.cure or "")
    Console().print(table)
    return int(any(finding.cure and finding.fatal for finding in findings))


def _mark(finding: Finding) -> str:
    if finding.cure is None:
        return "[green]ok[/]"
    return "[red]missing[/]" if finding.fatal else "[yellow]note[/]"


def _python(_settings: Settings) -> list[Finding]:
    system = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return [
        Finding(name="Python", found=system),
        Finding(name="SQLite", found=sqlite3.sqlite_version, cure=_sqlite_cure()),
    ]


def _sqlite_cure() -> str | None:
    needed = (3, 37)
    if sqlite3.sqlite_version_info >= needed:
        return None
    return "SQLite 3.37 or newer is needed: use a newer Python build"


def _packages(_settings: Settings) -> list[Finding]:
    return [_package(name) for name in _PACKAGES]


def _package(name: str) -> Finding:
    try:
        return Finding(name=name, found=metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(
            name=name, found="nothing", cure="remove .venv and run `make up`: it installs the lock"
        )


def _ffmpeg(settings: Settings) -> list[Finding]:
    try:
        path = ffmpeg.find(settings.lectern_ffmpeg)
        version = _output(path, "-version").split(" Copyright", maxsplit=1)[0]
    except (ffmpeg.FfmpegMissing, OSError, subprocess.SubprocessError) as error:
        return [Finding(name="FFmpeg", found="nothing", cure=str(error))]
    features = _output(path, "-encoders") + _output(path, "-filters")
    return [
        Finding(name="FFmpeg", found=f"{version}\n{path}"),
        *(_feature(name, features, fatal=True) for name in _ENCODERS),
        *(_feature(name, features, fatal=False) for name in _LATER),
    ]


def _output(path: Path, option: str) -> str:
    argv = [str(path), "-hide_banner", option]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_RUN_S, check=True)
    return done.stdout


def _feature(name: str, features: str, *, fatal: bool) -> Finding:
    if f" {name} " in features:
        return Finding(name=f"  {name}", found="yes")
    cure = "unset LECTERN_FFMPEG to use the FFmpeg of the locked wheel"
    return Finding(name=f"  {name}", found="no", cure=cure, fatal=fatal)


def _sandbox(settings: Settings) -> list[Finding]:
    """Say which fences stand around decoders, and whether FFmpeg starts inside them."""
    found = fences.standing(sys.executable)
    cure = None if all((found.files, found.calls, found.network)) else _FENCES
    findings = [Finding(name="fences", found=str(found), cure=cure, fatal=False)]
    with contextlib.suppress(ffmpeg.FfmpegMissing):
        if not fences.starts(ffmpeg.find(settings.lectern_ffmpeg), sys.executable):
            findings.append(Finding(name="FFmpeg inside", found="does not start", cure=_INSIDE))
    return findings


def _service(settings: Settings) -> list[Finding]:
    parts = wiring.connect(settings)
    findings = []
    for name, check in parts.checks.items():
        try:
            check()
        except Exception as error:  # noqa: BLE001 - whatever is wrong is what we are here to say
            findings.append(Finding(name=f"ready: {name}", found="no", cure=str(error)))
        else:
            findings.append(Finding(name=f"ready: {name}", found="yes"))
    return findings


def _disk(settings: Settings) -> list[Finding]:
    folder = settings.lectern_data_dir
    free = shutil.disk_usage(folder).free
    wanted = settings.min_free_bytes + settings.max_video_bytes * 2
    cure = None
    if free < wanted:
        cure = f"free some disk: {size(wanted)} let the largest upload through"
    return [
        Finding(name="data folder", found=f"{folder}, {size(free)} free", cure=cure, fatal=False)
    ]


def _lms(settings: Settings) -> list[Finding]:
    address = urlsplit(settings.lms_store_url)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        with socket.create_connection((address.hostname or "", port), limits.CONNECT_TIMEOUT_S):
            return [Finding(name="store webhook", found=f"{address.hostname}:{port} answers")]
    except OSError as error:
        cure = "start your LMS, or `lectern lms`; deliveries are tried again for three days"
        found = f"{address.hostname}:{port}: {error.strerror or error}"
        return [Finding(name="store webhook", found=found, cure=cure, fatal=False)]


_CHECKS: tuple[Callable[[Settings], list[Finding]], ...] = (
    _python,
    _packages,
    _ffmpeg,
    _sandbox,
    _service,
    _disk,
    _lms,
)
