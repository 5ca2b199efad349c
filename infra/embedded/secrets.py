"""Secrets that a first start makes for itself, kept in files that only their owner can read."""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
from pathlib import Path


def service_key(folder: Path) -> str:
    """Return the embedded service's key; the first call makes it."""
    return _kept(folder / "service-key", secrets.token_urlsafe(24))


def webhook_secret(folder: Path) -> str:
    """Return the signing secret in the form of Standard Webhooks; the first call makes it."""
    return _kept(
        folder / "webhook-secret",
        "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode(),
    )


def _kept(path: Path, fresh: str) -> str:
    """Return what the file holds, after having written `fresh` where there was nothing.

    It is on the disk before anybody is told of it, and processes that start together agree on it.
    An empty file is what a power cut left of one that nobody was told of: it is made anew.
    """
    kept = _read(path)
    if kept:
        return kept
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        return _read(path) or _write(path, fresh, folder)
    finally:
        os.close(folder)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def _write(path: Path, fresh: str, folder: int) -> str:
    draft = path.with_name(f".{path.name}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(fresh)
        file.flush()
        os.fsync(handle)
    draft.replace(path)
    os.fsync(folder)
    return fresh
