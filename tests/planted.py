"""Planted words: keys, secrets and file names that no log, error or history may show.

Every suite uses them, and looks for them where its run leaves words behind.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

CANARY: Final = "qzcanary"
SERVICE_KEY: Final = f"{CANARY}-service-key-0123456789"
WEBHOOK_SECRET: Final = f"{CANARY}-webhook-secret-0123456789"
FILE_NAME: Final = f"{CANARY} Vorlesung 3.mp4"
_GIVEAWAYS: Final = re.compile(
    rb"qzcanary|[?&](?:token|signature|X-Goog-Signature|upload_id)=[A-Za-z0-9]"
    rb"|whsec_[A-Za-z0-9+/]{8}|BEGIN [A-Z ]*PRIVATE KEY"
    rb"|\.\d{1,9}\.\d{1,11}\.[A-Za-z0-9_-]{43}",
    re.IGNORECASE,
)
"""What must show nowhere: planted words, URLs that carry their authority, secrets by their form.

The last is what a set's URL has for authority, behind its run (`infra.links`).
"""
_AROUND: Final = 120


def found_in(text: str | bytes) -> str | None:
    """Return the surroundings of the first thing in `text` that must not be there."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    match = _GIVEAWAYS.search(data)
    if match is None:
        return None
    around = data[max(match.start() - _AROUND, 0) : match.end() + _AROUND]
    return around.decode("utf-8", "replace")


def assert_hidden(*files: Path, allowed: bytes = b"") -> None:
    """Fail if a file that a run has left behind shows what must not be seen.

    `allowed` is what somebody else has written there, such as a key in a test's own words.
    """
    for file in files:
        if not file.is_file():
            continue
        data = file.read_bytes()
        shown = found_in(data.replace(allowed, b"") if allowed else data)
        assert shown is None, f"{file.name} shows what must stay hidden: …{shown}…"
