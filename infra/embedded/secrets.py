"""Secrets that a first start makes for itself, kept in files that only their owner can read."""

from __future__ import annotations

import base64
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
    """Return what the file holds, after having written `fresh` where there was none.

    The file appears with its content or not at all, so two processes agree on one secret.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(fresh)
    try:
        os.link(draft, path)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    else:
        return fresh
    finally:
        draft.unlink()
