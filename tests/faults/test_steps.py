"""The whole step over fake ports, with programs that fail: what the job hears, and what is left."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core import limits
from core.job import Job, Policy, State, output_key, source_key
from core.messages import Message, Topic
from tests.fakes import World, a_world, an_upload, put
from tests.faults.scene import PRESET, Scene, nothing_left
from tests.faults.shares import share
from tests.faults.stand_in import ffmpeg_that, python_that
from transcoder.compress import Toolbox
from transcoder.dispatch import Again, Done, dispatch
from transcoder.pressing import MediaPress
from transcoder.transcode import Transcode

_RETRY_S = 60


@dataclass(slots=True, kw_only=True)
class Work:
    """A job that waits, and a worker whose programs can be changed between its tries."""

    scene: Scene
    place: Path
    budget_s: float = 20.0
    world: World = field(default_factory=lambda: a_world(policy=Policy(max_retries=3)))

    def __post_init__(self) -> None:
        put(self.world.objects, source_key("run-1"), self.scene.clip.read_bytes())
        self.world.ledger.receive(an_upload("video-1", run="run-1"))

    @property
    def job(self) -> Job:
        """Return the job as it is recorded."""
        return self.world.ledger.read("video-1")

    def state(self) -> State:
        """Return the job's state as it is now."""
        return self.job.state

    def noted(self, code: str) -> bool:
        """Return whether the job's history has a failure of this code."""
        return any((change.note or "").startswith(f"{code}: ") for change in self.job.history)

    def step(self, toolbox: Toolbox) -> Done | Again:
        """Hand the message to a worker with these programs."""
        press = MediaPress(preset=PRESET, toolbox=toolbox, budget_s=self.budget_s, piece_s=0)
        step = Transcode(
            ledger=self.world.ledger,
            press=press,
            scratch=self.place / "scratch",
            stop=lambda: False,
        )
        message = Message(topic=Topic.TRANSCODE, job_id="video-1", run="run-1")
        with nothing_left(self.place):
            return dispatch(step, message, clock=self.world.clock, log=self.world.log)

    def good(self) -> Toolbox:
        """Return the programs as they should be."""
        return Toolbox(ffmpeg=self.scene.real, python=sys.executable)

    def encoder(self, does: str) -> Toolbox:
        """Return programs of which the encoder does something else."""
        path = self.place / "ffmpeg"
        program = ffmpeg_that(does, path, real=self.scene.real, given=self.scene.given)
        return Toolbox(ffmpeg=program, python=sys.executable)

    def probe(self, does: str) -> Toolbox:
        """Return programs of which the probe does something else."""
        program = python_that(does, self.place / "python", where="probe_child")
        return Toolbox(ffmpeg=self.scene.real, python=str(program))


HALFWAY = "write(data('good')[:999]); tell(9, 0.5, 'continue');"
PASSING = {
    "killed": (f"{HALFWAY} die(9)", "encoder_killed"),
    "asked to end by somebody else": ("give('half'); sys.exit(255)", "encoder_killed"),
    "stopped": (f"{HALFWAY} die(signal.SIGSTOP)", "encoder_stalled"),
    "deaf to signals": ("signal.signal(15, signal.SIG_IGN); hang()", "encoder_stalled"),
    "short of disk": ("argv[-1] = 'file:/dev/full'; real()", "scratch_full"),
    "gone with its folder": (
        "import shutil; shutil.rmtree(os.getcwd()); tell(25)",
        "encoder_killed",
    ),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", share(PASSING, 3))
def test_the_next_try_succeeds_after_an_encoder_was(how: str, scene: Scene, tmp_path: Path) -> None:
    """A passing reason costs a minute, and nothing of the recording."""
    does, code = PASSING[how]
    work = Work(scene=scene, place=tmp_path)
    assert work.step(work.encoder(does)) == Done()
    assert work.state() == State.QUEUED
    assert work.job.due_at == work.world.clock.now() + _RETRY_S
    assert work.noted(code)
    assert work.world.objects.keys() == {source_key("run-1")}
    work.world.clock.advance(_RETRY_S)
    assert work.step(work.good()) == Done()
    assert work.state() == State.STORING
    assert work.world.objects.keys() == {source_key("run-1"), output_key("run-1", 2)}


FINAL = {
    "half of an output": ("give('half')", "bad_output"),
    "no output": ("tell(25)", "bad_output"),
    "an output of another codec": ("give('mpeg4')", "bad_output"),
    "a link to the source": ("os.symlink('source', out); tell(25)", "bad_output"),
    "a crash": ("die(11)", "encode_failed"),
    "status 1": ("give(); sys.exit(1)", "encode_failed"),
    "an hour of computing": ("die(signal.SIGXCPU)", "media_too_complex"),
    "a process that outlives it": ("os.fork() or time.sleep(3600); give()", "encode_failed"),
}


@pytest.mark.parametrize("how", share(FINAL, 3))
def test_a_job_ends_and_keeps_its_source_where_its_encoder_brings(
    how: str, scene: Scene, tmp_path: Path
) -> None:
    """What lies in the file is told at once, with a sentence."""
    does, code = FINAL[how]
    work = Work(scene=scene, place=tmp_path)
    assert work.step(work.encoder(does)) == Done()
    assert work.state() == State.FAILED
    assert work.job.failure is not None
    assert work.job.failure.code == code
    assert " " in work.job.failure.reason
    assert str(tmp_path) not in work.job.failure.reason
    assert work.world.objects.keys() == {source_key("run-1")}


@pytest.mark.parametrize("does", share(["os.kill(os.getpid(), 9)", "import nowhere"], 1))
def test_a_probe_that_cannot_work_is_tried_again(does: str, scene: Scene, tmp_path: Path) -> None:
    """It says nothing about the file."""
    work = Work(scene=scene, place=tmp_path)
    assert work.step(work.probe(does)) == Done()
    assert work.state() == State.QUEUED
    work.world.clock.advance(_RETRY_S)
    assert work.step(work.good()) == Done()
    assert work.state() == State.STORING


def test_a_worker_whose_programs_are_gone_costs_no_lecture(scene: Scene, tmp_path: Path) -> None:
    """A bad release is waited out. The reason names what is missing, and the source is kept."""
    work = Work(scene=scene, place=tmp_path)
    missing = Toolbox(ffmpeg=scene.real, python="/nowhere/python")
    for _ in range(6):
        assert work.step(missing) == Done()
        assert work.state() == State.QUEUED
        work.world.clock.advance(limits.OUTAGE_RETRY_MAX_S)
    assert work.job.failure is not None
    assert work.job.failure.code == "encoder_missing"
    assert "could not be started" in work.job.failure.reason
    assert work.world.objects.keys() == {source_key("run-1")}
    assert work.step(work.good()) == Done()
    assert work.state() == State.STORING


@pytest.mark.parametrize("number", [28, 122])
def test_a_disk_without_room_for_the_source_is_tried_again(
    number: int, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No space, or none within the quota."""
    work = Work(scene=scene, place=tmp_path)

    def full(*_: object) -> None:
        raise OSError(number, "no room")

    with monkeypatch.context() as patch:
        patch.setattr(work.world.objects, "fetch", full)
        assert work.step(work.good()) == Done()
    assert work.state() == State.QUEUED
    assert work.noted("scratch_full")


def test_a_disk_without_room_for_a_folder_is_tried_again(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim is not lost with it."""
    work = Work(scene=scene, place=tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "no room")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        assert work.step(work.good()) == Done()
    assert work.state() == State.QUEUED
