"""SIGKILL at the calls of Google Cloud's adapters: Firestore, Pub/Sub and Cloud Storage."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.gcp import clients
from infra.gcp.jobs import FirestoreJobStore
from lectern.example_lms import ExampleLms
from tests.crash.rounds import Round
from tests.crash.stage import LONG, SEED, Stage, chosen, kill_at_each, playing
from tests.crash.tree import BRISK, Nursery, Tree, nursery
from tests.gcp import emulators
from tests.gcp.deployment import PROJECT, SECRET, deployed
from tests.gcp.fixtures import PubSubClients
from tests.gcp.storage_server import Bucket

KILLS = int(os.environ.get("LECTERN_CRASH_CLOUD", "60"))
TREES = 3
pytestmark = [
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not LONG, reason="some minutes; LECTERN_TORTURE=1 runs it"),
]


@dataclass(slots=True)
class CloudTree(Tree):
    """A Tree whose objects lie in a bucket."""

    bucket: Bucket | None = None

    def files(self) -> list[str]:
        """Return what is in the bucket, and every private folder's files."""
        assert self.bucket is not None
        return [*self.bucket.objects, *Tree.files(self)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clouds:
    """Makes deployments on the emulators, each with a tree on it."""

    folder: Path
    nursery: Nursery
    firestore: str
    pubsub_host: str
    pubsub: PubSubClients

    @contextmanager
    def stage(self, number: int) -> Iterator[Stage]:
        """Give a deployment and its tree."""
        folder = self.folder / f"cloud-{number}"
        folder.mkdir()
        with (
            ExampleLms(secret=SECRET, folder=folder / "lms") as lms,
            deployed(
                folder,
                firestore=self.firestore,
                pubsub_host=self.pubsub_host,
                pubsub=self.pubsub,
                lms_url=lms.url,
            ) as place,
        ):
            (folder / "data").mkdir()
            tree = CloudTree(
                folder=folder / "data",
                lms_url=lms.url,
                environment={**place.environment, **quick(place.environment)},
                nursery=self.nursery,
                kind="cloud",
                bucket=place.bucket,
            )
            store = records(self.firestore, place.environment["FIRESTORE_JOBS"])

            def order(stage: Stage, name: str) -> Round:
                return Round(
                    tree=stage.tree, lms=stage.lms, jobs=lambda: store, name=name, patience_s=60
                )

            with playing(tree, lms, order) as stage:
                yield stage


def quick(_told: Mapping[str, str]) -> dict[str, str]:
    """Return the times of the forked trees; a deployment's own are for slower ones."""
    return {name: BRISK[name] for name in ("LEASE_S", "REPUBLISH_AFTER_S", "ORPHAN_GRACE_S")}


def records(host: str, collection: str) -> FirestoreJobStore:
    """Return the deployment's records as this process sees them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(emulators.FIRESTORE.variable, host)
        return FirestoreJobStore(clients.firestore_client(PROJECT), collection)


@pytest.fixture
def clouds(
    tmp_path: Path, firestore_emulator: str, pubsub_emulator: str, pubsub: PubSubClients
) -> Iterator[Clouds]:
    """Give what makes deployments."""
    with nursery("--cloud") as made:
        yield Clouds(
            folder=tmp_path,
            nursery=made,
            firestore=firestore_emulator,
            pubsub_host=pubsub_emulator,
            pubsub=pubsub,
        )


def test_no_kill_in_any_call_to_the_cloud_loses_or_doubles_anything(
    clouds: Clouds, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every second kill takes the whole tree, the others one process."""

    def stage(number: int) -> AbstractContextManager[Stage]:
        return clouds.stage(number)

    with stage(TREES) as reference:
        reference.warm_up()
        first, second = reference.trace(), set(reference.trace())
        reference.check_nothing_is_left()
    sure = [point for point in first if point in second and not point.startswith("clock ")]
    dice = random.Random(SEED)  # noqa: S311 - replayable, no secret
    plan = [(point, number % 2 == 1) for number, point in enumerate(chosen(sure, KILLS, dice))]
    kill_at_each(plan, trees=TREES, stage=stage)
    with capsys.disabled():
        print(f"\n{len(plan)} kills at {len(sure)} points, LECTERN_SEED={SEED}")  # noqa: T201 - figures
