"""The LMS: what it has got, what it answers, and whether what it gets is right.

`send` is the store webhook; `place` and `announce` are its own storage and its confirmation API.
Another way of delivery joins with methods of its own that note what was kept whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from core.delivery import Answered, Outcome, Parcel, Unanswered
from core.errors import Interrupted
from core.job import Job
from core.placement import Notice, Placed, PlaceOutcome
from core.ports import ObjectReader
from tests.simulation.recordings import sha256

if TYPE_CHECKING:
    from tests.simulation.world import World

_RUDE: Final = (
    (False, Answered(status=500)),
    (False, Answered(status=429, retry_after_s=90.0)),
    (False, Answered(status=410)),
    (False, Answered(status=413)),
    (False, Answered(status=302)),
    (False, Answered(status=201)),
    (False, Unanswered(reason="no connection")),
    (True, Unanswered(reason="no answer in time")),
    (True, Answered(status=502)),
)
"""Whether the LMS keeps the file, and what it says."""
_LENGTHS_S: Final = (0.0, 0.0, 0.3, 2.0, 5.0)
_FINAL: Final = frozenset({410, 413})


class SimLms:
    """A Courier's other end."""

    def __init__(self, world: World) -> None:
        self.taken: dict[str, set[str]] = {}  # run: digests of what was kept whole
        self.said_yes: set[str] = set()
        self.refused: set[str] = set()
        self.files: dict[str, bytes] = {}  # what stands in the storage
        self.stems: set[str] = set()  # the same, without their suffixes
        self.told: set[str] = set()  # runs whose file it was told of, and said yes
        self._world = world

    def send(
        self, parcel: Parcel, body: ObjectReader, enclosed: Sequence[ObjectReader] = ()
    ) -> Outcome:
        """Take a parcel, as the weather is."""
        world = self._world
        self._pass(self._length())
        rude = self._is_rude()
        keeps, outcome = _RUDE[int(world.roll() * len(_RUDE))] if rude else (True, None)
        words = f"LMS: {parcel.delivery_id}"
        if not keeps and outcome is not None:
            body.read(3)
            self._note(parcel.delivery_id, outcome)
            world.trouble.say(f"    {words} half read, {outcome}")
            return outcome
        data = body.read()
        run = self.check(parcel, data)
        self._check_sizes(run, parcel, enclosed)
        self.taken.setdefault(run, set()).add(parcel.file_sha256)
        world.trouble.say(f"    {words} kept, {outcome or 'answered 200'}")
        world.coverage["lms", "kept"] += 1
        if outcome is None and world.hub.current is not None and world.roll() < 0.1:
            world.coverage["confirm", "while the callback is open"] += 1
            world.actors.confirm(parcel.video_id, parcel.file_sha256)
        self._pass(self._length())
        if outcome is not None:
            self._note(parcel.delivery_id, outcome)
            return outcome
        self.said_yes.add(run)
        return Answered(status=200)

    def check(self, parcel: Parcel, data: bytes) -> str:
        """Return the run of a parcel that arrived; it must be whole, verified, and its own."""
        promises = self._world.promises
        run = parcel.delivery_id.removeprefix("msg_")
        if run not in promises.outputs:
            promises.broken(f"delivery id {parcel.delivery_id} names no run with a result")
        if promises.outputs[run] != (parcel.file_sha256, parcel.file_size):
            promises.broken(f"{parcel.delivery_id}: another file than at the attempt before")
        if sha256(data) != parcel.file_sha256 or len(data) != parcel.file_size:
            promises.broken(f"{parcel.delivery_id}: the file has arrived broken")
        job = promises.runs[run]
        if (job.job_id, job.organization_id) != (parcel.video_id, parcel.organization_id):
            promises.broken(f"{parcel.delivery_id}: the result of another recording")
        same = replace(parcel, sent_at=0, manifest_url=None)
        promises.beside.handed(run, "webhook", same, parcel.manifest_url)
        return run

    def _check_sizes(self, run: str, parcel: Parcel, enclosed: Sequence[ObjectReader]) -> None:
        """Check that all sizes of an image came, whole, each under its name."""
        promises = self._world.promises
        sizes = promises.beside.sizes[run]
        got = {
            said.name: (sha256(body.read()), said.size)
            for said, body in zip(parcel.enclosures, enclosed, strict=True)
        }
        if got != sizes or list(got) != list(sizes):
            promises.broken(f"{parcel.delivery_id}: {got} came beside the result")
        if got:
            self._world.coverage["sizes", "sent"] += 1

    # --- delivery by file ------------------------------------------------------------------
    def place(
        self,
        path: str,
        source: Callable[[int], AbstractContextManager[ObjectReader]],
        *,
        size: int,
    ) -> PlaceOutcome:
        """Take a file into the storage, as the weather is; nobody sees it before it is whole."""
        world = self._world
        self._pass(self._length())
        if self._is_rude():
            with source(0) as body:
                body.read(3)
            world.coverage["place", "failed"] += 1
            return Unanswered(reason="no connection")
        with source(0) as body:
            data = body.read()
        folder, _, file = path.rpartition("/")
        run, _, name = file.partition(".")[0].partition("-")
        sizes = world.promises.beside.sizes.get(run, {})
        wanted = sizes.get(name) if name else world.promises.outputs.get(run)
        if wanted != (sha256(data), size):
            world.promises.broken(f"{path} is not the result of {run}")
        if not name and any(f"{folder}/{run}-{each}" not in self.stems for each in sizes):
            world.promises.broken(f"{path} stands before all that belongs to it")
        self.files[path] = data
        self.stems.add(path.partition(".")[0])
        if name:
            world.coverage["sizes", "placed"] += 1
        world.trouble.say(f"    LMS: {path} stands")
        self._pass(self._length())
        if self._is_rude():
            world.coverage["place", "unheard"] += 1
            return Unanswered(reason="cut off")
        world.coverage["place", "done"] += 1
        return Placed(sent=size)

    def announce(self, notice: Notice) -> Outcome:
        """Hear where a file stands; by then it must be there."""
        world = self._world
        run = notice.delivery_id.removeprefix("msg_")
        job = world.promises.runs.get(run)
        if job is None or job.job_id != notice.media_id or notice.file_path not in self.files:
            world.promises.broken(f"{notice.delivery_id}: told of {notice.file_path}, not there")
        sizes = world.promises.beside.sizes[run]
        if [name for name, _ in notice.others] != list(sizes):
            world.promises.broken(f"{notice.delivery_id}: told of {notice.others}")
        if any(path not in self.files for _, path in notice.others):
            world.promises.broken(f"{notice.delivery_id}: a size is not there")
        same = replace(notice, sent_at=0, manifest_url=None)
        world.promises.beside.handed(run, "notice", same, notice.manifest_url)
        self._pass(self._length())
        if self._is_rude():
            outcome = _RUDE[int(world.roll() * len(_RUDE))][1]
            if not isinstance(outcome, Answered) or outcome.status // 100 != 2:
                self._note(notice.delivery_id, outcome)
                return outcome
        self.told.add(run)
        world.coverage["lms", "told"] += 1
        self._pass(self._length())
        return Answered(status=204)

    def expect_told(self, job: Job) -> None:
        """Check that a job which its own worker has completed was handed over before."""
        if job.run not in self.told:
            self._world.promises.broken(f"{job.job_id}: completed, and the LMS was never told")

    # --- how it is done --------------------------------------------------------------------
    def _length(self) -> float:
        return _LENGTHS_S[int(self._world.roll() * len(_LENGTHS_S))]

    def _is_rude(self) -> bool:
        rude = self._world.trouble.weather.rude
        return bool(rude) and self._world.roll() < rude

    def _note(self, delivery_id: str, outcome: Outcome) -> None:
        status = outcome.status if isinstance(outcome, Answered) else "none"
        self._world.coverage["lms", status] += 1
        if status in _FINAL:
            self.refused.add(delivery_id.removeprefix("msg_"))

    def _pass(self, s: float) -> None:
        """Let time pass inside the callback; a worker that must stop is interrupted there."""
        hub = self._world.hub
        if hub.current is None or not s:
            return
        process = hub.current.process
        hub.sleep(s)
        if process.stopping:
            self._world.coverage["stopped", "in the callback"] += 1
            raise Interrupted("told to stop")
