"""An LMS backend that calls the system of compose.yaml from outside."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Final

import requests

from tests.compose.stack import Stack
from tests.service.harness import until

_CALL_S: Final = 60


def key(stack: Stack) -> dict[str, str]:
    """Return the header with the file's service key."""
    return {
        "X-Internal-Service-Key": stack.services["receiver"].environment["INTERNAL_SERVICE_KEY"]
    }


def curl(stack: Stack, version: str, path: str, *words: str) -> str:
    """Send a request to the receiver with curl; `version` is its option."""
    header = [f"{name}: {value}" for name, value in key(stack).items()]
    argv = ["curl", "-sS", version, "-H", *header, *words, stack.url("receiver") + path]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=_CALL_S)
    return done.stdout


def status(stack: Stack, video_id: str) -> dict[str, Any]:
    """Return what the receiver says of a job; empty while there is none."""
    answer = requests.get(
        f"{stack.url('receiver')}/status/{video_id}", headers=key(stack), timeout=_CALL_S
    )
    found: dict[str, Any] = answer.json()
    return found if answer.status_code == requests.codes.ok else {}


def wait_state(stack: Stack, video_id: str, *states: str) -> dict[str, Any]:
    """Return the job's status once it is in one of `states`."""

    def look() -> dict[str, Any] | None:
        found = status(stack, video_id)
        return found if found.get("state") in states else None

    return until(look, f"{video_id} in {states}")


def bucket(stack: Stack) -> list[str]:
    """Return the names of all objects."""
    answer = requests.get(f"{stack.url('storage')}/storage/v1/b/recordings/o", timeout=_CALL_S)
    return [item["name"] for item in answer.json()["items"]]


def stored(stack: Stack, video_id: str) -> Path:
    """Return where the LMS keeps a lecture."""
    return stack.folder / "lms" / "lms" / f"{video_id}.mp4"
