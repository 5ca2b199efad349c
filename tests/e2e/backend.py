"""An LMS backend as it should be: it repeats each step until that was answered 200."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests

from lectern.example_lms import Delivery, ExampleLms
from tests.compose.stack import Stack

_CALL_S: Final = 30.0
_PAUSE_S: Final = 0.1


@dataclass(slots=True, kw_only=True)
class Backend:
    """Sends one recording, waits for its delivery, and confirms.

    A `patient` one confirms when the service says that the result is stored, any other as soon
    as it has the result. Times are in seconds since the epoch.
    """

    stack: Stack
    lms: ExampleLms
    video_id: str
    recording: Path
    patient: bool
    acknowledged_at: float | None = None
    confirming_at: float | None = None
    confirmed_at: float | None = None
    tries: int = 0
    _gave_up: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name=self.video_id)
        self._thread.start()

    def give_up(self) -> None:
        """End the thread, whatever it waits for."""
        self._gave_up.set()
        if self._thread is not None:
            self._thread.join()

    def deliveries(self) -> list[Delivery]:
        """Return what the LMS has taken of this recording."""
        return [one for one in self.lms.deliveries if one.video_id == self.video_id]

    def stored_after_s(self) -> float:
        """Return the seconds from the 200 to the first whole delivery."""
        assert self.acknowledged_at is not None
        return self.deliveries()[0].at - self.acknowledged_at

    def send(self, recording: Path) -> requests.Response:
        """POST a recording under this backend's id."""
        with recording.open("rb") as file:
            form = {"video_id": self.video_id, "organization_id": "uni-1"}
            return self._call("POST", "receiver", "/video/receive", data=form, files={"file": file})

    def announce(self) -> str:
        """Announce a direct upload of the recording; return the URL that takes its bytes."""
        said = {
            "video_id": self.video_id,
            "organization_id": "uni-1",
            "size": self.recording.stat().st_size,
            "content_type": "video/mp4",
        }
        announced: list[str] = []

        def announce() -> requests.Response:
            answer = self._call("POST", "receiver", "/uploads", json=said)
            if answer.ok:
                announced.append(answer.json()["upload_url"])
            return answer

        self._insist(announce, answered=requests.codes.created)
        return announced[0]

    def status(self) -> dict[str, Any]:
        """Return what the service says; empty while it says nothing."""
        try:
            answer = self._call("GET", "receiver", f"/status/{self.video_id}")
        except requests.RequestException:
            return {}
        found: dict[str, Any] = answer.json() if answer.ok else {}
        return found

    def _run(self) -> None:
        if self._insist(lambda: self.send(self.recording)):
            self.acknowledged_at = time.time()
        while not self._gave_up.is_set() and not self._may_confirm():
            time.sleep(_PAUSE_S)
        self.confirming_at = time.time()
        if self._insist(self._confirm):
            self.confirmed_at = time.time()

    def _may_confirm(self) -> bool:
        there = bool(self.deliveries())
        return there and (not self.patient or self.status().get("state") == "stored")

    def _confirm(self) -> requests.Response:
        said = {"video_id": self.video_id, "sha256": self.deliveries()[0].sha256}
        return self._call("POST", "confirmer", "/video/confirm", data=said)

    def _insist(self, call: Any, answered: int = requests.codes.ok) -> bool:
        while not self._gave_up.is_set():
            self.tries += 1
            try:
                if call().status_code == answered:
                    return True
            except requests.RequestException:
                pass
            time.sleep(_PAUSE_S)
        return False

    def _call(self, method: str, name: str, path: str, **content: Any) -> requests.Response:
        key = self.stack.services[name].environment["INTERNAL_SERVICE_KEY"]
        return requests.request(
            method,
            self.stack.url(name) + path,
            headers={"X-Internal-Service-Key": key},
            timeout=_CALL_S,
            **content,
        )
