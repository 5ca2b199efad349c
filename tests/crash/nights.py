"""What nobody but the sweep brings to its end: half-done things, and results nobody confirms."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import requests

from core.job import Policy, Source, scratch_name, source_key
from core.ledger import Ledger
from core.submission import Upload
from core.uploads import Announcement, begin_upload
from infra.clock import SystemClock
from infra.embedded.jobs import SqliteJobStore
from infra.embedded.objects import FolderObjectStore
from infra.embedded.sessions import FolderSessions
from lectern.example_lms import ExampleLms
from tests.crash.rounds import Stuck
from tests.crash.scenery import REFUSE_ME, result_of
from tests.crash.tree import Tree
from tests.fakes import FakeClock, MemoryBus, RecordingLog
from tests.http.forms import MP4_HEAD
from tests.service.harness import KEY

_PATIENCE_S: Final = 40.0
_HOUR_S: Final = 3600.0


@dataclass(slots=True, kw_only=True)
class Night:
    """One of each; when it is over nothing of them is left but what the LMS was given."""

    tree: Tree
    lms: ExampleLms
    name: str
    _wanted: dict[str, bytes] = field(default_factory=dict)

    def run(self) -> None:
        """Lay everything out, then wait until all is gone; raises Stuck."""
        ledger, sessions = self._hands()
        self._receive("unconfirmed", b"nobody will confirm this")
        self._receive("refused", REFUSE_ME, delivered=False)
        self._record_without_message(ledger)
        self._upload_without_end(ledger, sessions)
        self._announce(ledger, sessions, self._id("never-sent"), 1000)
        self._leave_orphans(ledger)
        deadline = time.monotonic() + _PATIENCE_S
        while left := self._left(ledger):
            self.tree.revive()
            if time.monotonic() > deadline:
                raise Stuck(f"still there after {_PATIENCE_S:g} s: {left}")
            time.sleep(0.02)

    def check(self) -> None:
        """Every recording that can be made was delivered, right and under one id."""
        for video_id, data in self._wanted.items():
            came = [one for one in self.lms.deliveries if one.video_id == video_id]
            assert came, f"{video_id} was never delivered"
            assert len({one.id for one in came}) == 1
            assert self.lms.path_of(video_id).read_bytes() == result_of(data)

    def _left(self, ledger: Ledger) -> list[str]:
        late = [video_id for video_id in self._wanted if not self.lms.path_of(video_id).exists()]
        return late or self.tree.files() or [job.job_id for job in ledger.jobs.recent(limit=9)]

    def _hands(self) -> tuple[Ledger, FolderSessions]:
        """Return the service's own adapters on its folder, with a bus that loses everything."""
        clock = SystemClock()
        objects = FolderObjectStore(self.tree.folder, clock=clock)
        ledger = Ledger(
            jobs=SqliteJobStore(self.tree.folder / "jobs.db"),
            bus=MemoryBus(FakeClock()),  # nobody reads it
            objects=objects,
            clock=clock,
            log=RecordingLog(),
            policy=Policy(republish_after_s=0.3),
        )
        return ledger, FolderSessions(self.tree.folder, objects=objects)

    def _receive(self, what: str, words: bytes, *, delivered: bool = True) -> None:
        video_id, data = self._recording(what, words)
        deadline = time.monotonic() + _PATIENCE_S
        while not self._was_received(video_id, data):
            self.tree.revive()
            if time.monotonic() > deadline:
                raise Stuck(f"{video_id} is not taken")
            time.sleep(0.02)
        if delivered:
            self._wanted[video_id] = data

    def _was_received(self, video_id: str, data: bytes) -> bool:
        url = self.tree.url()
        try:
            return (
                url is not None
                and requests.post(
                    f"{url}/video/receive",
                    headers={"X-Internal-Service-Key": KEY},
                    data={"video_id": video_id, "organization_id": "uni-1"},
                    files={"file": ("a.mp4", data)},
                    timeout=10,
                ).ok
            )
        except requests.RequestException:
            return False

    def _record_without_message(self, ledger: Ledger) -> None:
        """Do what a receiver does that dies before it publishes."""
        video_id, data = self._recording("unpublished", b"as a whole")
        run = str(uuid.uuid4())
        with ledger.objects.create(source_key(run)) as writer:
            writer.write(data)
            writer.commit()
        source = Source(
            key=source_key(run), size=len(data), sha256=sha256(data).hexdigest(), container="mov"
        )
        ledger.receive(Upload(job_id=video_id, organization_id="uni-1", run=run, source=source))
        self._wanted[video_id] = data

    def _upload_without_end(self, ledger: Ledger, sessions: FolderSessions) -> None:
        """Do what a receiver does that dies after the last byte of a direct upload."""
        video_id, data = self._recording("unfinished", b"as a whole")
        run = self._announce(ledger, sessions, video_id, len(data))
        left = memoryview(data)

        def read(count: int) -> bytes:
            nonlocal left
            piece, left = left[:count], left[count:]
            return bytes(piece)

        sessions.append(source_key(run), start=0, read=read)
        self._wanted[video_id] = data

    def _announce(self, ledger: Ledger, sessions: FolderSessions, video_id: str, size: int) -> str:
        said = Announcement(
            video_id=video_id, organization_id="uni-1", size=size, content_type="video/mp4"
        )
        run = str(uuid.uuid4())
        declared, _ = begin_upload(said, run=run, ledger=ledger, sessions=sessions, ttl_s=1.5)
        return declared.run

    def _leave_orphans(self, ledger: Ledger) -> None:
        """Leave what processes leave that die: a source, a part of one, a private folder."""
        with ledger.objects.create(source_key(str(uuid.uuid4()))) as writer:
            writer.write(b"an orphan")
            writer.commit()
        part = self.tree.folder / "partial" / uuid.uuid4().hex
        part.write_bytes(b"a part")
        os.utime(part, (time.time() - _HOUR_S,) * 2)
        scratch = self.tree.folder / "scratch" / scratch_name(str(uuid.uuid4()), 3)
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / "source").write_bytes(b"a copy")

    def _recording(self, what: str, words: bytes) -> tuple[str, bytes]:
        video_id = self._id(what)
        return video_id, MP4_HEAD + f" {video_id} ".encode() + words + b" lecture" * 400

    def _id(self, what: str) -> str:
        return f"{self.name}-{what}"
