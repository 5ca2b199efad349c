"""SIGKILL within deliveries by SFTP: the real adapter, real servers, files of some megabytes.

The kills come from within the worker (`deliver sftp ...`), or from the LMS's side (`lms ...`),
which alone knows that a request was carried out and its answer heard by nobody.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.crash.placing import Serve, asyncssh_server, openssh_server, placing
from tests.crash.stage import LONG, SEED, Stage, chosen, kill_at_each
from tests.crash.tree import Nursery, nursery
from tests.sftp.keys import KeyFile, make_key
from tests.sftp.servers import find_sshd

KILLS = int(os.environ.get("LECTERN_CRASH_SFTP", "60"))
RESUMED_KILLS = int(os.environ.get("LECTERN_CRASH_RESUMED", "40"))
IMAGE_KILLS = int(os.environ.get("LECTERN_CRASH_IMAGES", "24"))
OPENSSH_KILLS = int(os.environ.get("LECTERN_CRASH_OPENSSH", "20"))
"""How many points are tried in the long form, with each server."""
CUT_AFTER = 14
"""Of 20 writes of an upload: what is gone on with then holds blocks that are read back."""
TREES = 3 if LONG else 2
EVERYDAY = (
    ("lms storage write before #7", False),
    ("lms storage posix_rename after #1", True),
    ("deliver announcer.announce before #1", False),
    ("lms notice after #1", True),
)
"""In mid-file; renamed and not answered; placed and not told; told and not answered."""
MID_FILE = "lms storage write after #15"
GOING_ON = (
    "deliver sftp connecting after #1",
    "deliver sftp looking at a partial file after #1",
    "deliver sftp opening the file under way #2",
    "lms storage read before #1",
    "deliver sftp one of many after reading a partial file #2",
    "deliver sftp closing the file under way #1",
    "lms storage write before #1",
    "lms storage write after #3",
    "lms storage fsync after #2",
    "lms storage posix_rename before #1",
    "lms storage posix_rename after #1",
    "deliver sftp renaming after #1",
    "deliver jobs.update before #2",
    "lms notice before #1",
    "lms notice after #1",
)
"""Where an upload is killed that goes on with what a dead worker has left, and was proven."""
pytestmark = pytest.mark.timeout(3600 if LONG else 240)
long = pytest.mark.skipif(not LONG, reason="some minutes; LECTERN_TORTURE=1 runs it")


@pytest.fixture(scope="module")
def trees() -> Iterator[Nursery]:
    """Give what trees are forked from."""
    with nursery("--sftp") as made:
        yield made


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    """Return the key of the servers, and of who logs in."""
    return make_key(tmp_path_factory.mktemp("key"), "key")


def test_a_kill_at_the_worst_moments_of_a_delivery_loses_nothing(
    trees: Nursery, key: KeyFile, tmp_path: Path
) -> None:
    """One file under its name, nothing beside it, the LMS told the same however often."""

    def stage(number: int) -> AbstractContextManager[Stage]:
        return placing(tmp_path / f"tree-{number}", trees, partial(asyncssh_server, key=key))

    kill_at_each(EVERYDAY, trees=TREES, stage=stage)


@long
def test_no_kill_in_a_delivery_by_sftp_loses_anything(
    trees: Nursery, key: KeyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Points of the worker and of the server, spread over all that there are."""
    everywhere(partial(asyncssh_server, key=key), KILLS, trees, tmp_path, capsys)


@long
def test_no_kill_in_an_upload_that_goes_on_loses_anything(
    trees: Nursery, key: KeyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every upload is cut once, so there are kills while what is there is read back, and after."""
    serve = partial(asyncssh_server, key=key, cut_after=CUT_AFTER)
    everywhere(serve, RESUMED_KILLS, trees, tmp_path, capsys)


@long
def test_a_second_kill_in_what_goes_on_loses_nothing(
    trees: Nursery, key: KeyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first in mid-file; the second while the next worker goes on, or after it has."""
    with placing(tmp_path / "tree", trees, partial(asyncssh_server, key=key)) as stage:
        stage.warm_up()
        for number, point in enumerate(GOING_ON):
            stage.kill_twice(MID_FILE, point, alone=number % 2 == 0)
        stage.check_nothing_is_left()
    with capsys.disabled():
        print(f"\n{2 * len(GOING_ON)} kills, two in each delivery")  # noqa: T201 - figures


@long
def test_no_kill_between_the_files_of_an_image_loses_anything(
    trees: Nursery, key: KeyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two files are put in place, then the LMS is told of both."""
    serve = partial(asyncssh_server, key=key)
    everywhere(serve, IMAGE_KILLS, trees, tmp_path, capsys, kind="image")


@long
@pytest.mark.parametrize("options", ["", "-P posix-rename,fsync"])
def test_no_kill_in_a_delivery_to_openssh_loses_anything(
    options: str, trees: Nursery, key: KeyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here a process of its own goes on with what the dead worker had sent.

    As it is, and as a server that cannot sync, and renames only as SFTP 3 has it.
    """
    find_sshd()
    serve = partial(openssh_server, key=key, options=options)
    everywhere(serve, OPENSSH_KILLS, trees, tmp_path, capsys)


def everywhere(
    serve: Serve,
    share: int,
    trees: Nursery,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    kind: str = "large",
) -> None:
    """Kill at a share of all points on the way of a delivery, and print the figures."""

    def stage(number: int) -> AbstractContextManager[Stage]:
        return placing(folder / f"tree-{number}", trees, serve, kind=kind)

    with stage(TREES) as reference:
        reference.warm_up()
        first, second = reference.trace(), set(reference.trace())
        reference.check_nothing_is_left()
    sure = [point for point in first if point in second and is_of_a_delivery(point)]
    plan = spread(sure, share)
    kill_at_each(plan, trees=TREES, stage=stage)
    figures = f"{len(plan)} kills at {len(sure)} points, {trees.cpu_s():.1f} CPU s so far"
    with capsys.disabled():
        print(f"\n{figures}, LECTERN_SEED={SEED}")  # noqa: T201 - figures, also of a test that passes


def is_of_a_delivery(point: str) -> bool:
    """Tell whether a point lies in the worker that delivers, or on the LMS's side.

    What goes on inside the other adapters is killed in `test_kill_in_every_call`.
    """
    own = " inside " not in point or point.startswith(("deliver depot", "deliver announcer"))
    return own and point.startswith(("deliver ", "lms "))


def spread(points: Sequence[str], share: int) -> list[tuple[str, bool]]:
    """Return distinct points, and for every second one that a process dies alone there."""
    dice = random.Random(SEED)  # noqa: S311 - replayable, no secret
    plan = [(point, number % 2 == 1) for number, point in enumerate(chosen(points, share, dice))]
    assert len({point for point, _ in plan}) == min(share, len(points))
    return plan


def test_a_delivery_without_a_kill_does_not_pass_for_one(
    trees: Nursery, key: KeyFile, tmp_path: Path
) -> None:
    """The harness's own test: it must notice that nobody died, on either side."""
    with placing(tmp_path / "tree", trees, partial(asyncssh_server, key=key)) as stage:
        for point in ("lms storage posix_rename after #1", "deliver sftp renaming after #1"):
            death = stage.tree.arm(point=point, harmless=True)
            one = stage.round()
            one.run()
            one.check()
            with pytest.raises(AssertionError, match="nobody died"):
                stage.tree.check_died(death, ends_before=0)
