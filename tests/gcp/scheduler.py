"""`python -m tests.gcp.scheduler URL SECONDS`: stands for Cloud Scheduler, for development.

Calls the URL again and again, with a pause after each answer. `--mark` names a file whose time is
that of the last call that was answered 200.
"""

from __future__ import annotations

import argparse
import signal
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Final

import requests

_CALL_S: Final = 180.0
"""The deadline of the job in Cloud Scheduler."""


def call(url: str) -> bool:
    """Call once; return whether that was answered 200."""
    try:
        answer = requests.post(url, timeout=_CALL_S)
    except requests.RequestException as error:
        _say(f"no answer ({type(error).__name__})")
        return False
    if answer.status_code != HTTPStatus.OK:
        _say(f"answered {answer.status_code}")
        return False
    return True


def _say(what: str) -> None:
    print(f"scheduler: {what}", file=sys.stderr, flush=True)  # noqa: T201 - a process of its own


def main() -> None:
    """Call until SIGTERM or SIGINT."""
    words = argparse.ArgumentParser(prog="scheduler", description=__doc__)
    words.add_argument("url")
    words.add_argument("seconds", type=float)
    words.add_argument("--mark", type=Path)
    given = words.parse_args()
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    while True:
        if call(given.url) and given.mark:
            given.mark.touch()
        if signal.sigtimedwait(stops, given.seconds):
            return


if __name__ == "__main__":
    main()
