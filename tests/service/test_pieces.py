"""A long recording in pieces, by the real service: workers share it, die over it, and go on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from lectern.example_lms import ExampleLms
from tests.conftest import make_clip
from tests.service.harness import Service, lms_for, service_on, until

SECONDS = 5
RATE = 25
PIECES = SECONDS + 1
"""Five of the picture, a second each, and one of the sound."""


@pytest.fixture(scope="module")
def lecture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with a keyframe each second."""
    path = tmp_path_factory.mktemp("lecture") / "lecture.mp4"
    return make_clip(path, seconds=SECONDS, size="640x360", rate=RATE, gop=RATE)


@pytest.fixture
def lms(tmp_path: Path) -> Iterator[ExampleLms]:
    """Run an LMS."""
    with lms_for(tmp_path / "data") as lms:
        yield lms


@pytest.fixture
def service(tmp_path: Path, lms: ExampleLms) -> Iterator[Service]:
    """A service that cuts recordings into seconds, with two workers."""
    settings = {"PIECE_S": "1", "MAX_CONCURRENT_JOBS": "2", "LEASE_S": "0.5"}
    with service_on(tmp_path / "data", lms, **settings) as service:
        yield service


def made(service: Service) -> int:
    """Return how many pieces are made."""
    return int(service.status("long").get("pieces", {}).get("made", 0))


def pieces_told(service: Service) -> list[int]:
    """Return the numbers of the pieces that workers say they have made, over all lives."""
    lines = [line for line in service.log.read_text().splitlines() if line.startswith("{")]
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return sorted(event["piece"] for event in events if event["event"] == "piece.made")


def frames_of(path: Path) -> list[float]:
    """Return when each frame is shown, in seconds."""
    with av.open(str(path)) as container:
        return [round(float(frame.time or 0), 4) for frame in container.decode(video=0)]


def check_result(service: Service, lms: ExampleLms, lecture: Path) -> dict[str, Any]:
    """The LMS has every frame in its time, confirms, and nothing is left; return the receipt."""
    (delivery,) = lms.deliveries
    assert frames_of(lms.path_of("long")) == frames_of(lecture)
    assert delivery.receipt is not None
    confirmed = service.call("POST", "/video/confirm", data={"video_id": "long"})
    assert confirmed.status_code == 200
    until(lambda: not service.files(), "nothing left")
    return dict(delivery.receipt)


def test_two_workers_make_a_recording_in_pieces(
    service: Service, lms: ExampleLms, lecture: Path
) -> None:
    service.start()
    assert service.send(lecture, "long").status_code == 200
    lms.wait_for(deliveries=1, timeout_s=100)
    status = service.wait_state("long", "stored")
    assert status["pieces"] == {"made": PIECES, "of": PIECES}
    events = [change["event"] for change in status["history"]]
    assert events[:5] == ["Received", "Claimed", "PiecesCut", "PieceMade", "Claimed"]
    assert pieces_told(service) == list(range(PIECES))
    receipt = check_result(service, lms, lecture)
    assert receipt["encoder"]["pieces"] == PIECES
    assert receipt["cost"]["cpu_s"] > 0


def test_a_killed_worker_costs_one_piece_and_a_restart_goes_on(
    service: Service, lms: ExampleLms, lecture: Path
) -> None:
    """SIGKILL of a worker, then of the whole tree: no piece that was kept is made again."""
    service.start()
    assert service.send(lecture, "long").status_code == 200
    until(lambda: made(service) >= 1, "the first piece")
    os.kill(service.role("transcode"), signal.SIGKILL)
    until(lambda: made(service) >= 3, "the third piece")
    service.kill()
    kept = len(pieces_told(service))
    service.start()
    lms.wait_for(deliveries=1, timeout_s=100)
    service.wait_state("long", "stored")
    again = len(pieces_told(service)) - PIECES
    assert kept >= 3
    assert 0 <= again <= 3, "pieces in hand at the kills may be made twice, others not"
    check_result(service, lms, lecture)
