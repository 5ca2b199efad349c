"""Everybody who does something: senders, workers, the LMS's backend, an operator, the sweep.

Each act is a process of its own. In the calm it is done at once and nobody comes between.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from confirmer.confirm import Confirmation, confirm
from core import events as ev
from core import limits
from core.errors import (
    ConflictingUpload,
    Gone,
    Interrupted,
    LecternError,
    MissingObject,
    Unavailable,
)
from core.job import Source, source_key, subtitles_key
from core.messages import Topic
from core.order import Order
from core.sets import MANIFEST, SetGrant, grant_of
from core.submission import Upload
from core.uploads import Announcement, begin_upload, finish_object, finish_upload
from functions.dead_letter import DeadLetter, take
from functions.sweep import remove_abandoned, remove_orphans, wake_jobs
from functions.uploads import tend_uploads
from receiver import submit as receiving
from receiver.sets import _Known
from tests.simulation.disk import SimPath
from tests.simulation.pushing import Pushing, in_time
from tests.simulation.recordings import container_of, sha256
from tests.simulation.schedule import Process
from transcoder.deliver import ByFile, Deliver
from transcoder.dispatch import Handler
from transcoder.press import Press
from transcoder.transcode import Transcode
from transcoder.worker import Worker

if TYPE_CHECKING:
    from tests.simulation.world import World

GRACE_S = 120.0
UPLOAD_TTL_S = 300.0
MESSAGE_LEASE_S = 6.0
SWEEP = ("jobs", "uploads", "folders", "orphans")
"""The parts of a sweep."""


class Actors:
    """Starts acts."""

    def __init__(self, world: World) -> None:
        self.declared: dict[str, tuple[str, str]] = {}  # run: job_id, digest of what is sent
        self.processes: list[Process] = []
        self.pushing = Pushing(world)
        self._world = world
        self._count = 0
        self._runs = 0

    # --- senders ---------------------------------------------------------------------------
    def send(self, job_id: str, organization: str, data: bytes, order: Order) -> None:
        """Send a recording in one request: store it, then have the receiver record it."""
        world = self._world
        run = self._new_run()

        def act() -> None:
            there = []
            with world.objects.create(source_key(run)) as writer:
                writer.write(data[:20])
                writer.write(data[20:])
                if order.subtitles:
                    with world.objects.create(subtitles_key(run)) as beside:
                        beside.write(b"WEBVTT")
                        there.append(beside.commit())
                there.append(writer.commit())
            digest = sha256(data)
            upload = Upload(
                job_id=job_id,
                organization_id=organization,
                run=run,
                source=Source(
                    key=source_key(run),
                    size=len(data),
                    sha256=digest,
                    container=container_of(data),
                ),
                committed_at=min(part.committed_at for part in there),
                order=order,
            )
            try:
                job = receiving._record(world.ledger, upload)
            except ConflictingUpload:
                world.promises.refused(job_id, organization, digest, order)
                raise
            world.promises.answered(job, job_id, digest)

        self._start(f"send {job_id} {run}", "send", act)

    def announce(
        self, job_id: str, organization: str, data: bytes, order: Order, *, honest: bool
    ) -> None:
        """Announce a direct upload; then its bytes come, and several say that they have."""
        world = self._world
        run = self._new_run()
        said = Announcement(
            video_id=job_id,
            organization_id=organization,
            size=len(data),
            content_type="image/png" if container_of(data) == "png" else "video/mp4",
            sha256=sha256(data if honest else b"other"),
            order=replace(order, subtitles=False, subtitles_language=None),
        )

        def act() -> None:
            self.declared[run] = job_id, sha256(data)
            begin_upload(
                said, run=run, ledger=world.ledger, sessions=world.sessions, ttl_s=UPLOAD_TTL_S
            )
            for act, chance in (
                (lambda: self.put(run, data), 0.9),
                (lambda: self.put(run, data), 0.5),
                (lambda: self.complete(run), 0.7),
                (lambda: self.complete(run), 0.3),
                (lambda: self.finalized(run), 0.6),
                (lambda: self.finalized(run), 0.2),
            ):
                if world.roll() < chance:
                    world.later(world.roll() * 8, act)

        self._start(f"announce {job_id} {run}", "announce", act)

    def put(self, run: str, data: bytes) -> None:
        """Send the bytes of a direct upload; the handler of the last one finishes it."""
        world = self._world

        def act() -> None:
            key, half = source_key(run), len(data) // 2
            world.sessions.append(key, start=0, read=lambda _count: data[:half])
            world.sessions.append(key, start=half, read=lambda _count: data[half:])
            finish_upload(run, ledger=world.ledger, sessions=world.sessions)

        self._start(f"put {run}", "upload", act)

    def complete(self, run: str) -> None:
        """Say that all bytes of a direct upload are sent."""
        world = self._world

        def act() -> None:
            job_id = finish_upload(run, ledger=world.ledger, sessions=world.sessions)
            known = self.declared[run]
            if job_id != known[0] or known not in world.promises.known:
                world.promises.broken(f"upload {run} is answered by {job_id} without a record")

        self._start(f"complete {run}", "upload", act)

    def finalized(self, run: str) -> None:
        """Tell that an object was committed, as the store's events do."""
        world = self._world

        def act() -> None:
            finish_object(source_key(run), ledger=world.ledger, sessions=world.sessions)

        self._start(f"finalized {run}", "upload", act)

    # --- the LMS's backend, and an operator ------------------------------------------------
    def confirm(self, job_id: str, digest: str | None) -> None:
        """Confirm."""

        def act() -> None:
            confirm(Confirmation(video_id=job_id, sha256=digest), ledger=self._world.ledger)

        self._start(f"confirm {job_id}", "confirm", act, job_id=job_id, said=digest)

    def cancel(self, job_id: str) -> None:
        """Call a job off."""
        self._start(
            f"cancel {job_id}",
            "cancel",
            lambda: self._world.ledger.apply(job_id, ev.Cancelled()),
            job_id=job_id,
        )

    def redeliver(self, job_id: str) -> None:
        """Have a result sent again."""
        self._start(
            f"redeliver {job_id}",
            "redeliver",
            lambda: self._world.ledger.apply(job_id, ev.Redelivered()),
        )

    # --- a player --------------------------------------------------------------------------
    def play(self, url: str) -> None:
        """Read a set by a URL that was handed out, as the receiver does for a player."""
        grant = self._world.promises.beside.links.grant(url)
        if grant is not None:
            self._start("player", "player", lambda: self._play(grant))

    def ask_and_play(self, job_id: str) -> None:
        """Ask for a recording's status, and read its set by the URL that stands there."""
        world, beside = self._world, self._world.promises.beside

        def act() -> None:
            job = world.ledger.read(job_id)
            if grant := grant_of(job, world.hub.now, world.policy):
                world.coverage["set", f"asked for while {job.state.value}"] += 1
                beside.opened(beside.links.url(grant, MANIFEST))
                self._play(grant)

        self._start(f"status {job_id}", "player", act)

    def _play(self, grant: SetGrant) -> None:
        world, beside = self._world, self._world.promises.beside
        if world.hub.now >= grant.expires_at:
            return
        try:
            stored, _ = _Known(world.ledger)(grant)
            for file in stored.files.values():
                with world.objects.open(file.key) as body:
                    if sha256(body.read()) != file.sha256:
                        world.promises.broken(f"{file.key} is not what its manifest says")
        except (Gone, MissingObject) as error:
            if not beside.may_be_gone(grant):
                world.promises.broken(f"a URL of {grant.run} opens nothing: {error}")
            world.coverage["set", "gone"] += 1
        else:
            world.coverage["set", "played"] += 1

    # --- workers and the clock -------------------------------------------------------------
    def work(self, topic: Topic) -> None:
        """Handle a message."""
        world = self._world
        if world.bus.pushes:
            self.pushing.push(topic, self._handler)
            return
        process = self.process(f"{topic.value}", "worker")

        def act() -> None:
            Worker(
                bus=world.bus,
                topic=topic,
                handler=self._handler(topic, process),
                lease_s=MESSAGE_LEASE_S,
                clock=world.ledger.clock,
                log=world.log,
                stop=lambda: process.stopping,
            ).step()

        self._run(process, act)

    def sweep(self, parts: Sequence[str]) -> None:
        """Sweep once, or do the `parts` of it, which are some of SWEEP."""
        world = self._world

        def act() -> None:
            if "jobs" in parts:
                wake_jobs(world.ledger)
            if "uploads" in parts:
                tend_uploads(world.ledger, world.sessions, ttl_s=UPLOAD_TTL_S)
            if "folders" in parts:
                remove_abandoned(world.ledger, _path(world.disk.scratch))
            if "orphans" in parts:
                remove_orphans(world.ledger, grace_s=GRACE_S)

        self._start("sweep", "sweep", act)

    def take_dead_letter(self) -> None:
        """Handle a dead letter; it comes again if nobody could be asked."""
        world = self._world
        if not world.bus.dead:
            return
        message, reason = world.bus.dead.pop(0)
        letter = DeadLetter(
            message_id="1",
            data=message.to_bytes(),
            attributes={"reason": reason, "deliveries": str(limits.MESSAGE_DELIVERIES_MAX)},
        )

        def act() -> None:
            try:
                take(letter, world.ledger)
            except Unavailable:
                world.bus.dead.append((message, reason))

        self._start("dead letter", "dead letter", act)

    # --- how it is done --------------------------------------------------------------------
    def _handler(self, topic: Topic, process: Process) -> Handler:
        world = self._world
        if topic is Topic.TRANSCODE:
            step = Transcode(
                ledger=world.ledger,
                press=cast("Press", world.press),
                scratch=_path(world.disk.scratch),
                stop=lambda: process.stopping,
            )
            return in_time(step, world, process) if world.bus.pushes else step

        @contextlib.contextmanager
        def interrupting() -> Iterator[None]:
            if process.stopping:
                raise Interrupted("told to stop")
            yield

        by_file = ByFile(
            objects=world.objects, depot=world.lms, announcer=world.lms, videos="/v", images="/i"
        )
        return Deliver(
            ledger=world.ledger,
            courier=world.lms,
            by_file=by_file,
            interrupting=interrupting,
            jitter=world.roll,
            links=world.promises.beside.links,
        )

    def _new_run(self) -> str:
        self._runs += 1
        return f"run{self._runs}"

    def process(self, name: str, role: str) -> Process:
        """Return a new process."""
        self._count += 1
        return Process(f"{self._count} {name}", role)

    def _start(
        self,
        name: str,
        role: str,
        act: Callable[[], object],
        *,
        job_id: str | None = None,
        said: str | None = None,
    ) -> None:
        process = self.process(name, role)
        process.job_id, process.said = job_id, said
        self._run(process, act)

    def _run(self, process: Process, act: Callable[[], object]) -> None:
        world = self._world

        def run() -> None:
            try:
                act()
            except (LecternError, MissingObject) as error:
                world.coverage["answer", process.role, error.code] += 1
                if world.trouble.trace is not None:
                    world.trouble.say(f"    -> {error.code}: {error}")
            else:
                world.trouble.say("    -> done")

        if world.calm:
            before, world.calm_process = world.calm_process, process
            try:
                run()
            finally:
                world.calm_process = before
        else:
            self.processes.append(process)
            world.hub.spawn(process, run)


def _path(stand_in: SimPath) -> Path:
    return cast("Path", stand_in)
