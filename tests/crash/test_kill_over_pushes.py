"""SIGKILL in the middle of pushes: the services as Pub/Sub, Scheduler and Eventarc call them.

The adapters are those of Google Cloud, on the emulators, and Pub/Sub's emulator does the pushing.
`test_kill_over_emulators` has workers that pull.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.messages import Topic
from lectern.example_lms import ExampleLms
from tests.crash.front import Front, standing
from tests.crash.push_tree import PLACES_FILE, PUSHED
from tests.crash.rounds import Round
from tests.crash.stage import LONG, SEED, Stage, chosen, kill_at_each, playing
from tests.crash.test_kill_over_emulators import CloudTree, quick, records
from tests.crash.tree import Nursery, nursery
from tests.crash.watchman import Watchman
from tests.gcp.deployment import BUCKET, SECRET, deployed
from tests.gcp.fixtures import PubSubClients
from tests.gcp.scheduler import call
from tests.gcp.storage_process import Notices

KILLS = int(os.environ.get("LECTERN_CRASH_PUSH", "40"))
TREES = 3
_SWEEP_EVERY_S = 0.2
_DEADLINE_S = 10
"""The shortest deadline that Pub/Sub takes: an answer that never comes counts as none."""
pytestmark = [
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not LONG, reason="some minutes; LECTERN_TORTURE=1 runs it"),
]


@dataclass(slots=True)
class PushTree(CloudTree):
    """A CloudTree whose services have folders of their own."""

    def files(self) -> list[str]:
        """Return what is in the bucket, and every service's private files."""
        assert self.bucket is not None
        found = [*self.bucket.objects]
        for role in PUSHED:
            scratch = self.folder / role / "scratch"
            found += [str(path) for path in scratch.rglob("*") if path.is_file()]
        return found


class Scheduler(threading.Thread):
    """Cloud Scheduler: calls the sweep again and again, whatever comes of it."""

    def __init__(self, url: str) -> None:
        super().__init__(name="scheduler")
        self._url = url
        self._over = threading.Event()

    def run(self) -> None:
        """Call until `end`."""
        while not self._over.wait(_SWEEP_EVERY_S):
            call(self._url)

    def end(self) -> None:
        """Call no more."""
        self._over.set()
        self.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushes:
    """Makes deployments on the emulators, each with its tree of services and a front before it."""

    folder: Path
    nursery: Nursery
    firestore: str
    pubsub_host: str
    pubsub: PubSubClients
    fronts: list[Front]

    @contextmanager
    def stage(self, number: int) -> Iterator[Stage]:
        """Give a deployment and its tree."""
        folder = self.folder / f"push-{number}"
        data = folder / "data"
        data.mkdir(parents=True)
        with ExitStack() as running:
            lms = running.enter_context(ExampleLms(secret=SECRET, folder=folder / "lms"))
            place = running.enter_context(
                deployed(
                    folder,
                    firestore=self.firestore,
                    pubsub_host=self.pubsub_host,
                    pubsub=self.pubsub,
                    lms_url=lms.url,
                )
            )
            tree = PushTree(
                folder=data,
                lms_url=lms.url,
                environment={**place.environment, **quick(place.environment)},
                nursery=self.nursery,
                kind="push",
                bucket=place.bucket,
            )
            front = Front(places=data / PLACES_FILE, watchman=Watchman(tree.arm_file, "front"))
            self.fronts.append(front)
            url = running.enter_context(standing(front))
            for topic in Topic:
                place.push_to(topic, url, ack_deadline_s=_DEADLINE_S)
            Notices(url=f"{url}/finalized", bucket=BUCKET).start(place.bucket)
            scheduler = Scheduler(f"{url}/sweep")
            scheduler.start()
            running.callback(scheduler.end)
            store = records(self.firestore, place.environment["FIRESTORE_JOBS"])

            def order(stage: Stage, name: str) -> Round:
                return Round(
                    tree=stage.tree, lms=stage.lms, jobs=lambda: store, name=name, patience_s=60
                )

            yield running.enter_context(playing(tree, lms, order))


@pytest.fixture
def pushes(
    tmp_path: Path, firestore_emulator: str, pubsub_emulator: str, pubsub: PubSubClients
) -> Iterator[Pushes]:
    """Give what makes deployments."""
    with nursery("--cloud", "--push") as made:
        yield Pushes(
            folder=tmp_path,
            nursery=made,
            firestore=firestore_emulator,
            pubsub_host=pubsub_emulator,
            pubsub=pubsub,
            fronts=[],
        )


def test_no_kill_in_the_middle_of_a_push_loses_or_doubles_anything(
    pushes: Pushes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every second kill takes the whole deployment, the others one service's worker."""
    with pushes.stage(TREES) as reference:
        reference.warm_up()
        first, second = reference.trace(), set(reference.trace())
        reference.check_nothing_is_left()
    sure = [point for point in first if point in second and is_of_a_push(point)]
    way = [point for point in sure if point.startswith("front ") and point.endswith(" #1")]
    dice = random.Random(SEED)  # noqa: S311 - replayable, no secret
    more = chosen([point for point in sure if point not in way], KILLS - len(way), dice)
    plan = [(point, number % 2 == 1) for number, point in enumerate(way + more)]
    assert len({point for point, _ in plan}) == min(KILLS, len(sure))
    kill_at_each(plan, trees=TREES, stage=pushes.stage)
    twice = sum(front.twice for front in pushes.fronts)
    refused = sum(
        count
        for front in pushes.fronts
        for (path, status), count in front.statuses.items()
        if path.startswith("/push/") and status >= 500
    )
    buried = sum(front.buried for front in pushes.fronts)
    assert twice, "no push came twice"
    assert buried, "no message was buried"
    kinds = f"{twice} pushes came twice, {refused} were refused, {buried} buried"
    where = dict(Counter(point.split()[0] for point, _ in plan))
    figures = f"{len(plan)} kills {where} at {len(sure)} points; {kinds}"
    with capsys.disabled():
        print(f"\n{figures}, LECTERN_SEED={SEED}")  # noqa: T201 - figures


def is_of_a_push(point: str) -> bool:
    """Tell whether a point lies in a service that is pushed to, or in a push on its way there.

    Of the sweep only what it does for messages that were buried: the rest is a matter of luck.
    """
    if point.startswith("sweep "):
        own = ("sweep jobs.update ", "sweep bus.publish ")
        return point.startswith(own) and " inside " not in point and point.endswith(" #1")
    return point.startswith(("transcoder ", "courier ", "finalized ", "dead-letter ", "front "))


def test_pushes_without_a_kill_do_not_pass_for_one(pushes: Pushes) -> None:
    """The harness's own test: it must notice that nobody died, on either side of a push."""
    with pushes.stage(0) as stage:
        for point in ("courier jobs.update after #1", "front /push/transcode half #1"):
            death = stage.tree.arm(point=point, alone=True, harmless=True)
            one = stage.round()
            one.run()
            one.check()
            with pytest.raises(AssertionError, match="nobody died"):
                stage.tree.check_died(death, ends_before=0)
