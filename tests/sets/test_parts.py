"""Parts of a set that pieces give: kept by their content, and never in the way of a piece."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.assignment import Assignment
from core.board import Board
from core.errors import BadMessage, BadOutput, EncoderKilled, StepTimedOut, Unavailable
from core.events import Confirmed
from core.job import State, cut_key, part_key, set_key
from core.ladder import HLS, ladder_plan
from core.ladder_pieces import PieceSet, joined, ladder_cut, piece_set
from core.messages import Topic
from core.order import Order
from core.pieces import PicturePiece
from core.plan import plans
from core.presets import DEFAULT
from core.segments import File, Segment, Track
from core.sets import MANIFEST, read_stored
from core.timeline import Keyframe
from tests.fake_press import SET_FILES, SOURCE, FakePress, a_set, assignment_of
from tests.fakes import MemoryObjectStore, World
from tests.sets.world import a_world_with, job
from tests.unit.media_facts import recording
from transcoder.dispatch import dispatch
from transcoder.ladder.part import PartBeside, planned_ladder
from transcoder.parts import Parts
from transcoder.pieces.encode import MadePiece
from transcoder.pieces.workshop import Workshop
from transcoder.transcode import Transcode

BOARD = Board(cut=1, plan_key=cut_key("run-1", 1), pieces=2, since=0.0)


def data_of(name: str) -> bytes:
    return f"the content of {name}".encode()


def file_of(name: str, data: bytes) -> File:
    return File(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def a_part(number: int, *, header: bytes = b"header") -> PieceSet:
    """Return what a piece of 50 frames gives: one segment in one rendition."""
    segment = Segment(
        file=file_of("720p/00000.m4s", data_of(f"piece {number}")),
        start=number * 2000,
        end=(number + 1) * 2000,
        decode=number * 2000,
        duration=2000,
        samples=50,
        syncs=1,
        sync=True,
        whole=True,
    )
    track = Track(
        name="720p",
        kind="video",
        codecs="avc1.64001f",
        timescale=1000,
        width=1280,
        height=720,
        channels=0,
        sample_rate=0,
        shift=0,
        init=file_of("720p/init.mp4", header),
        segments=(segment,),
    )
    return piece_set(50, (track,))


def written(part: PieceSet, folder: Path, number: int) -> Path:
    """Write a part's files as the encoder would, and return their folder."""
    (folder / "720p").mkdir(parents=True, exist_ok=True)
    (folder / "720p/init.mp4").write_bytes(b"header")
    (folder / part.tracks[0].segments[0].file.name).write_bytes(data_of(f"piece {number}"))
    return folder


def cut_in_two() -> Assignment:
    """Return two picture pieces, each with a part."""
    info = replace(recording(), size=len(SOURCE))
    plain = assignment_of(2, 0)
    plan = next(plans(info, DEFAULT))
    pieces = tuple(
        PicturePiece(
            number=number,
            start=number * 2000,
            end=(number + 1) * 2000,
            read_end=(number + 1) * 2000,
            keyframe=Keyframe(time=0, decoded=0),
            frames=50,
            first=number * 50,
            last=number * 50 + 49,
        )
        for number in range(2)
    )
    planned = replace(plain.pieces, plan=plan, pieces=pieces)
    ladder = ladder_cut(ladder_plan(info, HLS), planned, range(0, 4000, 40))
    return replace(plain, source=info, pieces=planned, ladder=ladder)


@pytest.fixture
def objects() -> MemoryObjectStore:
    return a_world_with().objects


def test_a_part_is_committed_by_its_content_and_its_list_last(
    objects: MemoryObjectStore, tmp_path: Path
) -> None:
    parts = Parts(objects, "run-1", BOARD)
    for number in range(2):
        part = a_part(number)
        parts.commit(number, part, written(part, tmp_path / str(number), number))
    contents = [b"header", data_of("piece 0"), data_of("piece 1")]
    assert {item.key for item in objects.list("outputs/")} == {
        part_key("run-1", 1, hashlib.sha256(data).hexdigest()) for data in contents
    }
    assert parts.read(cut_in_two()) == [a_part(0), a_part(1)]


def test_of_two_workers_with_other_bytes_the_first_list_counts_and_is_whole(
    objects: MemoryObjectStore, tmp_path: Path
) -> None:
    """The second one's segments lie there too, under other names, and disturb nobody."""
    parts = Parts(objects, "run-1", BOARD)
    for number, who in ((0, "a"), (1, "b"), (1, "c")):
        part = a_part(number)
        parts.commit(number, part, written(part, tmp_path / who, number))
    other = a_part(7)
    parts.commit(0, other, written(other, tmp_path / "d", 7))
    for part in parts.read(cut_in_two()):
        for file in part.tracks[0].files:
            with objects.open(parts.key(file.sha256)) as body:
                assert hashlib.sha256(body.read()).hexdigest() == file.sha256


def test_a_part_without_its_list_is_missing(objects: MemoryObjectStore, tmp_path: Path) -> None:
    parts = Parts(objects, "run-1", BOARD)
    objects.broken = True
    with pytest.raises(Unavailable):
        parts.commit(0, a_part(0), written(a_part(0), tmp_path, 0))
    objects.broken = False
    with pytest.raises(BadOutput, match="piece 0 gave no part"):
        parts.read(cut_in_two())


def test_a_list_that_cannot_be_read_is_named() -> None:
    with pytest.raises(BadMessage):
        PieceSet.from_bytes(b"{}")


def test_pieces_with_other_headers_do_not_fit_together() -> None:
    with pytest.raises(BadOutput, match="different headers"):
        joined([a_part(0), a_part(1, header=b"another")])


def test_joined_segments_have_names_of_their_own_in_the_order_of_the_pieces() -> None:
    (track,) = joined([a_part(0), a_part(1)])
    assert [segment.file.name for segment in track.segments] == ["720p/00000.m4s", "720p/00001.m4s"]
    assert [segment.start for segment in track.segments] == [0, 2000]


@pytest.mark.parametrize(
    ("times", "regular"),
    [(range(0, 4000, 40), True), ([0, 33, 67, 100, 133], False), ([0, 40, 80, 160], False)],
)
def test_frames_are_reordered_only_where_all_are_as_long(
    times: Sequence[int], *, regular: bool
) -> None:
    """Reordered ones are decoded early, by what frames last: that must be the same everywhere."""
    assigned = cut_in_two()
    cut = ladder_cut(ladder_plan(assigned.source, HLS), assigned.pieces, times)
    assert (cut.gap_s is not None) == regular
    assert {variant.video.reordered for variant in cut.plan.variants} == {regular}


def test_an_assignment_without_a_ladder_is_written_as_before() -> None:
    """Workers of the release before read it, while a new one is rolled out."""
    assert b"ladder" not in replace(cut_in_two(), ladder=None).to_bytes()
    assert Assignment.from_bytes(cut_in_two().to_bytes()) == cut_in_two()


def test_a_ladder_that_cannot_be_planned_leaves_the_result_alone() -> None:
    seen = recording()
    silent = replace(seen, streams=tuple(each for each in seen.streams if each != seen.video))
    assert planned_ladder(silent, Order(ladder="hls")) is None
    assert planned_ladder(recording(), Order()) is None
    assert planned_ladder(recording(), Order(ladder="hls")) is not None


def beside(tmp_path: Path, stop: Callable[[], bool] = lambda: False) -> PartBeside:
    """Return what makes a part out of an excerpt that is no media."""
    assigned = cut_in_two()
    assert assigned.ladder is not None
    assert isinstance(assigned.pieces.pieces[0], PicturePiece)
    (tmp_path / "excerpt").write_bytes(b"no media")
    python = shutil.which("python3") or ""
    bench = Workshop(
        ffmpeg=Path("/bin/false"), python=python, folder=tmp_path, deadline=1e12, stop=stop
    )
    return PartBeside(
        cut=assigned.ladder,
        pieces=replace(assigned.pieces, form="mov"),
        piece=assigned.pieces.pieces[0],
        workshop=bench,
    )


def test_a_part_that_cannot_be_made_leaves_its_reason_on_its_piece(tmp_path: Path) -> None:
    making = beside(tmp_path)
    making("excerpt", 0)
    made = making.added_to(MadePiece(path=tmp_path, frames=50, fetched=1, warnings=("one",)))
    assert (made.part, made.part_folder) == (None, None)
    assert made.warnings == ("one",)
    assert made.part_error is not None


# --- the step that joins ----------------------------------------------------------------------
class Joining(FakePress):
    """Makes pieces with parts out of bytes, and joins both; `fail` is raised instead."""

    def __init__(self, fail: Exception | None = None, *, without: int | None = None) -> None:
        super().__init__(pieces=2)
        self.fail = fail
        self.without = without
        self.given: list[PieceSet] = []

    def begin(self, *_args: Any, **_options: Any) -> Assignment:
        """Cut in two."""
        return cut_in_two()

    def make(self, assignment: Assignment, number: int, *args: Any, **options: Any) -> MadePiece:
        """Make a piece with its part."""
        made = super().make(assignment, number, *args, **options)
        if number == self.without:
            return made
        folder = written(a_part(number), made.path.parent / "renditions", number)
        return replace(made, part=a_part(number), part_folder=folder)

    def join_renditions(  # type: ignore[override] # a double takes what it needs
        self, _assignment: Assignment, parts: Sequence[PieceSet], result: Path,
        _source: object, folder: Path, **_options: Any,
    ) -> Path:  # fmt: skip
        """Write a set whose only segment is that of the first piece."""
        assert result.read_bytes().startswith(b"0.0;")
        self.given = [*parts]
        if self.fail:
            raise self.fail
        (folder / "set").mkdir()
        a_set(folder / "set")
        (folder / "set" / "720p/00000.m4s").unlink()
        return folder / "set"


def run(world: World, folder: Path, press: FakePress) -> None:
    """Do every step of the job up to its delivery."""
    step = Transcode(ledger=world.ledger, press=press, scratch=folder, stop=lambda: False)
    while job(world).state in (State.QUEUED, State.PROCESSING):
        handout = world.bus.receive(Topic.TRANSCODE, lease_s=60)
        assert handout is not None
        dispatch(step, handout.message, clock=world.clock, log=world.log)
        world.bus.ack(handout)


def test_the_manifest_says_where_the_pieces_have_put_their_segments(tmp_path: Path) -> None:
    world, press = a_world_with(), Joining()
    run(world, tmp_path, press)
    assert press.given == [a_part(0), a_part(1)]
    output = job(world).output
    assert output is not None
    assert output.ladder is not None
    with world.objects.open(output.ladder.manifest_key) as body:
        stored = read_stored(body.read(), run="run-1", fence=output.ladder.fence)
    digest = hashlib.sha256(SET_FILES["720p/00000.m4s"][2]).hexdigest()
    assert stored.files["720p/00000.m4s"].key == part_key("run-1", 1, digest)
    fence = output.ladder.fence
    assert stored.files["master.m3u8"].key == set_key("run-1", fence, "master.m3u8")
    assert fence > 1
    world.ledger.apply("video-1", Confirmed())
    assert world.objects.keys() == set()


@pytest.mark.parametrize(
    ("press", "words"),
    [
        (Joining(BadOutput("the set is not what was planned")), "not what was planned"),
        (Joining(StepTimedOut("the step did not end in time")), "did not end in time"),
        (Joining(ValueError("a defect")), "ValueError"),
        (Joining(without=1), "piece 1 gave no part"),
    ],
)
def test_parts_that_cannot_be_joined_cost_a_warning(
    tmp_path: Path, press: Joining, words: str
) -> None:
    world = a_world_with()
    run(world, tmp_path, press)
    after = job(world)
    assert after.state is State.STORING
    assert after.output is not None
    assert after.output.ladder is None
    assert any(words in warning for warning in after.warnings), after.warnings
    assert not [item for item in world.objects.list("") if item.key.endswith(MANIFEST)]


class Killed(Joining):
    """The encoder of the parts is killed, the first `times` times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def make(self, assignment: Assignment, number: int, *args: Any, **options: Any) -> MadePiece:
        """Make a piece with its part, or without one."""
        made = super().make(assignment, number, *args, **options)
        self.times -= 1
        if self.times < 0:
            return made
        return replace(made, part=None, part_folder=None, part_error=EncoderKilled("killed"))


@pytest.mark.parametrize(("times", "has_set"), [(3, True), (20, False)])
def test_a_part_is_tried_again_and_then_given_up_rather_than_the_piece(
    tmp_path: Path, times: int, *, has_set: bool
) -> None:
    world = a_world_with()
    press: FakePress = Killed(times)
    step = Transcode(ledger=world.ledger, press=press, scratch=tmp_path, stop=lambda: False)
    while job(world).state in (State.QUEUED, State.PROCESSING):
        handout = world.bus.receive(Topic.TRANSCODE, lease_s=60)
        if handout is None:
            world.clock.advance(60)
            continue
        dispatch(step, handout.message, clock=world.clock, log=world.log)
        world.bus.ack(handout)
    after = job(world)
    assert after.state is State.STORING
    assert after.output is not None
    assert (after.output.ladder is not None) is has_set
    assert has_set or "no set of renditions was made: killed" in after.warnings


def test_a_manifest_that_names_another_run_s_object_is_not_followed() -> None:
    said = b"""{"version": 1, "files": [{"name": "a", "role": "segment", "type": "video/mp4",
        "bytes": 1, "sha256": "x", "key": "outputs/run-2/1.mp4"}]}"""
    with pytest.raises(BadMessage, match="outside of its run"):
        read_stored(said, run="run-1", fence=1)
