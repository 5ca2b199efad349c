"""Each fault on each link at each step: nothing acknowledged is lost, nothing happens twice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.gcp.fixtures import PubSubClients
from tests.network.faults import (
    CUT_ANSWER,
    CUT_REQUEST,
    DOUBLED,
    GONE_FOR_GOOD,
    GONE_QUIET,
    HALF_OPEN,
    LINGERING,
    LOST_ANSWER,
    REFUSED,
    RESET,
    SLOW,
    THROTTLED,
    Fault,
)
from tests.network.scene import FIRESTORE, LMS, PUBSUB, STORAGE, Scene, a_scene, broken

LONG = "LECTERN_TORTURE" in os.environ
pytestmark = pytest.mark.timeout(400)
SPELL_S = 1.5
"""How long a link is broken, where that is not bounded by a count."""
CALL_S_MAX = 65.0
"""One call's bound: the adapters' own patience, 60 s with Cloud Storage, and a little."""
STEPS = ("receive", "transcode", "deliver", "confirm", "tidy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A fault on a link while one step is done; `daily` cases are in the everyday run."""

    link: str
    fault: Fault
    step: str
    daily: bool = False

    def __str__(self) -> str:
        return f"{self.link}: {self.fault.name} during {self.step}"


def _cases() -> Iterator[Case]:
    daily = {
        (FIRESTORE, "refused", "receive"), (FIRESTORE, "lost answer", "receive"),
        (FIRESTORE, "reset", "transcode"), (FIRESTORE, "cut answer", "confirm"),
        (PUBSUB, "refused", "transcode"), (PUBSUB, "lost answer", "receive"),
        (PUBSUB, "cut request", "deliver"),
        (STORAGE, "cut request", "receive"), (STORAGE, "lost answer", "receive"),
        (STORAGE, "half-open", "transcode"), (STORAGE, "reset", "upload"),
        (LMS, "lost answer", "deliver"),
    }  # fmt: skip
    grpc = (REFUSED, RESET, HALF_OPEN, GONE_QUIET, SLOW, THROTTLED, DOUBLED, LINGERING,
            CUT_REQUEST, CUT_ANSWER, LOST_ANSWER)  # fmt: skip
    at = {
        FIRESTORE: ("receive", "transcode", "deliver", "confirm", "tidy"),
        PUBSUB: ("receive", "transcode", "deliver"),
        STORAGE: ("receive", "upload", "transcode", "deliver", "confirm", "tidy"),
        LMS: ("deliver",),
    }
    for link, steps in at.items():
        for step in steps:
            for fault in grpc:
                if link == LMS and fault is GONE_QUIET:
                    continue  # no connection to it stands between two deliveries
                yield Case(
                    link=link, fault=fault, step=step, daily=(link, fault.name, step) in daily
                )
    for link, step in ((FIRESTORE, "transcode"), (FIRESTORE, "confirm"), (PUBSUB, "receive"),
                       (STORAGE, "transcode")):  # fmt: skip
        yield Case(link=link, fault=GONE_FOR_GOOD, step=step)


CASES = [case for case in _cases() if LONG or case.daily]


@pytest.fixture
def scene(
    tmp_path: Path, firestore_emulator: str, pubsub_emulator: str, pubsub: PubSubClients
) -> Iterator[Scene]:
    """Give a deployment of the case's own."""
    with a_scene(
        tmp_path, firestore=firestore_emulator, pubsub_host=pubsub_emulator, pubsub=pubsub
    ) as made:
        made.warm_up()
        yield made


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_link_that_fails_costs_time_and_nothing_else(
    case: Case, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole handshake, with one link broken during one of its steps."""
    began = time.monotonic()
    proxy = scene.proxies[case.link]
    for step in steps_of(case):
        act: Callable[[], None] = getattr(scene, step)
        if step == case.step:
            with broken(proxy, case.fault, SPELL_S):
                act()
            assert proxy.touched.is_set() or case.fault is REFUSED, "nothing came by"
        else:
            act()
    scene.check()
    assert scene.slowest_s < CALL_S_MAX
    with capsys.disabled():
        print(  # noqa: T201 - a figure, also of a case that passes
            f"\n{case}: {proxy.hits} hits, refused {sorted(set(scene.refusals))}, "
            f"slowest call {scene.slowest_s:.1f} s, all {time.monotonic() - began:.1f} s"
        )


def steps_of(case: Case) -> tuple[str, ...]:
    """Return the way of a recording, by direct upload if that is what is broken."""
    return ("upload", *STEPS[1:]) if case.step == "upload" else STEPS
