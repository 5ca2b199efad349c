"""`python -m tests.gcp.storage_process`: the tests' Cloud Storage as a process, for development.

Objects live in its memory and end with it. With `--finalized-to` each new object is told to that
URL as Eventarc tells it: `google.cloud.storage.object.v1.finalized`, a CloudEvent whose attributes
are headers. Like Eventarc it tries a while, and then gives up; the sweep finds what it missed.
"""

from __future__ import annotations

import argparse
import json
import queue
import signal
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import requests

from tests.gcp.storage_http import serving
from tests.gcp.storage_server import Bucket, Stored

EVENT_TYPE: Final = "google.cloud.storage.object.v1.finalized"
TRIES: Final = 6
FIRST_PAUSE_S: Final = 0.5
"""Pause after the first failed try; each further one is twice as long, 16 s in all."""
_CALL_S: Final = 60.0


@dataclass(slots=True, kw_only=True)
class Notices:
    """Tells of new objects from a thread of its own, one after the other."""

    url: str
    bucket: str
    first_pause_s: float = FIRST_PAUSE_S
    _waiting: queue.SimpleQueue[Stored] = field(default_factory=queue.SimpleQueue)

    def start(self, bucket: Bucket) -> None:
        """Listen to `bucket` from now on; the thread ends with the process."""
        bucket.on_finalized = self._waiting.put
        threading.Thread(target=self._tell_all, name="notices", daemon=True).start()

    def _tell_all(self) -> None:
        while True:
            stored = self._waiting.get()
            if not self._tell(stored):
                print(f"nobody at {self.url} heard of {stored.name}", file=sys.stderr, flush=True)  # noqa: T201 - a process of its own

    def _tell(self, stored: Stored) -> bool:
        headers, body = finalized(stored, self.bucket)
        for number in range(TRIES):
            if number:
                time.sleep(self.first_pause_s * 2 ** (number - 1))
            try:
                answer = requests.post(self.url, data=body, headers=headers, timeout=_CALL_S)
            except requests.RequestException:
                continue
            if answer.ok:
                return True
        return False


def finalized(stored: Stored, bucket: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the event that tells of a new object."""
    headers = {
        "Content-Type": "application/json",
        "ce-specversion": "1.0",
        "ce-type": EVENT_TYPE,
        "ce-source": f"//storage.googleapis.com/projects/_/buckets/{bucket}",
        "ce-subject": f"objects/{stored.name}",
        "ce-id": uuid.uuid4().hex,
        "ce-time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    return headers, json.dumps({**stored.resource(), "bucket": bucket}).encode()


def main() -> None:
    """Serve one bucket until SIGTERM or SIGINT."""
    words = argparse.ArgumentParser(prog="storage", description=__doc__)
    words.add_argument("--host", default="127.0.0.1")
    words.add_argument("--port", type=int, required=True)
    words.add_argument("--bucket", required=True, help="its name; any other is answered 404")
    words.add_argument("--finalized-to", metavar="URL", help="who is told of new objects")
    given = words.parse_args()
    bucket = Bucket(time.time)
    if given.finalized_to:
        Notices(url=given.finalized_to, bucket=given.bucket).start(bucket)
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)  # for sigwait; the threads inherit it
    with serving(bucket, address=(given.host, given.port), name=given.bucket):
        signal.sigwait(stops)


if __name__ == "__main__":
    main()
