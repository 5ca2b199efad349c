"""What goes through a tree while it is killed: jobs of several kinds, by a backend that insists."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests

from core.job import Job, State
from core.ports import JobStore
from lectern.example_lms import ExampleLms
from tests.crash.scenery import CUT_ME, LONG_ME, notices, result_of
from tests.crash.tree import Tree
from tests.http.forms import MP4_HEAD
from tests.service.harness import KEY

T = TypeVar("T")
KINDS: Final = ("plain", "direct", "pieces", "sftp")
_WORDS: Final = {"pieces": CUT_ME, "large": LONG_ME}
_BY_FILE: Final = frozenset({"sftp", "large", "image"})
_PNG_HEAD: Final = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\2\0\0\0"
SMALL: Final = "thumbnail"
"""What is made beside an image."""
_PATIENCE_S: Final = 30.0
_POLL_S: Final = 0.01
_CALL_S: Final = 10.0
_RESUME_INCOMPLETE: Final = 308


class Stuck(AssertionError):
    """Something that was promised did not happen."""


def recording_of(video_id: str, kind: str) -> bytes:
    """Return a recording like no other."""
    word = _WORDS.get(kind, b"as a whole")
    head = _PNG_HEAD if kind == "image" else MP4_HEAD
    return head + f" {video_id} ".encode() + word + b" lecture" * 400


@dataclass(slots=True, kw_only=True)
class Round:
    """One job of each kind, one after the other: so a call's number means the same each time."""

    tree: Tree
    lms: ExampleLms
    jobs: Callable[[], JobStore]
    name: str
    kinds: tuple[str, ...] = KINDS
    patience_s: float = _PATIENCE_S
    acknowledged: set[str] = field(default_factory=set)

    @property
    def ids(self) -> dict[str, str]:
        """Return the jobs: id to kind."""
        return {f"{self.name}-{kind}": kind for kind in self.kinds}

    def run(self) -> None:
        """Bring every job to its end, whoever dies meanwhile; raises Stuck."""
        acts = {"plain": self._plain, "direct": self._direct, "pieces": self._plain,
                "sftp": self._by_sftp, "large": self._by_sftp, "image": self._by_sftp}  # fmt: skip
        for video_id, kind in self.ids.items():
            acts[kind](video_id, recording_of(video_id, kind))
            self._wait(lambda: self._is_over(video_id), f"the end of {video_id}")  # noqa: B023 - asked at once

    def _plain(self, video_id: str, data: bytes) -> None:
        form = {"video_id": video_id, "organization_id": "uni-1"}
        self._insist(
            lambda: self._post("/video/receive", data=form, files={"file": ("a.mp4", data)}),
            f"the 200 to {video_id}",
        )
        self._take_over(video_id)

    def _direct(self, video_id: str, data: bytes) -> None:
        while not self._sent_directly(video_id, data):
            pass  # the session ended before all was there: announce it again
        self._take_over(video_id)

    def _by_sftp(self, video_id: str, data: bytes) -> None:
        form = {"media_id": video_id}
        if self.ids[video_id] == "image":
            form["variants"] = SMALL
        self._insist(
            lambda: self._post("/compress/", data=form, files={"file": ("a", data)}),
            f"the 200 to {video_id}",
        )
        self.acknowledged.add(video_id)

    def _take_over(self, video_id: str) -> None:
        """Wait for the delivery, then confirm until that is answered 200."""
        self.acknowledged.add(video_id)
        delivered = self.lms.path_of(video_id).exists
        self._wait(delivered, f"the delivery of {video_id}")
        self._insist(
            lambda: self._post("/video/confirm", data={"video_id": video_id}),
            f"the confirmation of {video_id}",
        )

    def _sent_directly(self, video_id: str, data: bytes) -> bool:
        said = {"video_id": video_id, "organization_id": "uni-1", "size": len(data),
                "content_type": "video/mp4"}  # fmt: skip
        announced = self._insist(lambda: self._post("/uploads", json=said), "an upload's 201")
        url = urlsplit(announced.json()["upload_url"])
        here = url if "/uploads/" not in url.path else url._replace(scheme="", netloc="")
        self._insist(lambda: self._put_some(here.geturl(), data), f"the bytes of {video_id}")
        complete = f"/uploads/{announced.json()['upload_id']}/complete"
        done = self._insist(lambda: self._post(complete), "the end of an upload", also=(410, 404))
        return done.ok

    def _put_some(self, url: str, data: bytes) -> requests.Response:
        """Ask what is there and put the next half of the rest; the answer is 308 or the end."""
        asked = self._put(url, b"", f"bytes */{len(data)}")
        while asked.status_code == _RESUME_INCOMPLETE:
            held = int(asked.headers.get("Range", "bytes=0--1").removeprefix("bytes=0-")) + 1
            most = (len(data) + 1) // 2 if url.startswith("/") else len(data)
            piece = data[held : held + most]  # Cloud Storage takes no small parts
            span = f"bytes {held}-{held + len(piece) - 1}/{len(data)}"
            asked = self._put(url, piece, span)
        if asked.status_code in {404, 410, 499}:
            asked.status_code = 200  # it has ended, with an object or without: `complete` tells
        return asked

    def _put(self, url: str, data: bytes, span: str) -> requests.Response:
        base = self._url() if url.startswith("/") else ""
        return requests.put(
            base + url,
            data=data,
            headers={"Content-Range": span, "Content-Length": str(len(data))},
            timeout=_CALL_S,
            allow_redirects=False,
        )

    def _post(self, path: str, **content: Any) -> requests.Response:
        headers = {"X-Internal-Service-Key": KEY}
        return requests.post(self._url() + path, headers=headers, timeout=_CALL_S, **content)

    def _url(self) -> str:
        url = self.tree.url()
        if url is None:
            raise requests.ConnectionError("it is not there yet")
        return url

    def _is_over(self, video_id: str) -> bool:
        job = self.jobs().get(video_id)
        return job is not None and job.state is State.COMPLETED and job.cleaned

    def _insist(
        self,
        call: Callable[[], requests.Response],
        what: str,
        *,
        also: tuple[int, ...] = (),
    ) -> requests.Response:
        """Repeat the call as a backend does, until it is answered 2xx or one of `also`."""
        last = ["no answer"]

        def answered() -> requests.Response | None:
            try:
                answer = call()
            except requests.RequestException as error:
                last[0] = type(error).__name__
                return None
            last[0] = f"{answer.status_code} {answer.text[:200]}"
            assert answer.status_code != 500, last[0]
            return answer if answer.ok or answer.status_code in also else None

        try:
            return self._wait(answered, what)
        except Stuck as error:
            raise Stuck(f"{error}; last: {last[0]}") from error

    def _wait(self, probe: Callable[[], T | None], what: str) -> T:
        """Return what counts as true, starting the tree again where it has died."""
        deadline = time.monotonic() + self.patience_s
        while True:
            if self.tree.revive():
                self._check_acknowledged()
            if found := probe():
                return found
            if time.monotonic() > deadline:
                raise Stuck(f"{what}: not within {self.patience_s:g} s")
            time.sleep(_POLL_S)

    def _check_acknowledged(self) -> None:
        """An answer of 200 is a promise that outlives the process."""
        for video_id in self.acknowledged:
            assert self.jobs().get(video_id) is not None, f"{video_id} was acknowledged and is lost"

    def check(self) -> None:
        """Hold every job against the promises."""
        for video_id, kind in self.ids.items():
            job = self.jobs().get(video_id)
            assert job is not None, video_id
            self._check_history(job)
            wanted = result_of(recording_of(video_id, kind))
            assert job.output is not None
            assert job.output.sha256 == sha256(wanted).hexdigest()
            if kind in _BY_FILE:
                self._check_depot(job, wanted)
            else:
                self._check_deliveries(job, wanted)

    def _check_history(self, job: Job) -> None:
        said = [change.event for change in job.history]
        assert said.count("Received") == 1, said
        times = [change.at for change in job.history]
        assert times == sorted(times)

    def _check_deliveries(self, job: Job, wanted: bytes) -> None:
        came = [one for one in self.lms.deliveries if one.video_id == job.job_id]
        assert {one.id for one in came} == {job.delivery_id}
        assert self.lms.path_of(job.job_id).read_bytes() == wanted

    def _check_depot(self, job: Job, wanted: bytes) -> None:
        told = [one for one in notices(self.tree.depot) if one["media"] == job.job_id]
        assert {one["id"] for one in told} == {job.delivery_id}
        (path,) = {one["path"] for one in told}
        assert (self.tree.depot / path.lstrip("/")).read_bytes() == wanted
        parts = list((self.tree.depot / path.lstrip("/")).parent.glob(".*.part"))
        assert not parts, "a file is in place whole, and nothing stands beside it"
