"""What happens to a deployment in a bad week, played on the real code for its log.

    python -m tests.operations.scenes FOLDER

writes every line of every service to FOLDER/lines.jsonl, and to FOLDER/facts.json the traces and
error ids that came about.
"""

from __future__ import annotations

import json
import logging as python_logging
import os
import sys
import threading
import warnings
from io import BytesIO
from pathlib import Path
from typing import Final

from core.errors import Unavailable, WorkerLost
from core.events import Redelivered
from core.job import source_key
from core.transitions import message_of
from infra import settings
from lectern.example_lms import ExampleLms
from lectern.lms_behaviours import answer
from tests.conftest import make_clip
from tests.functions.events import binary, buried_by_pubsub, dead_letter, finalized
from tests.operations.stage import (
    AUDIENCE,
    BUCKET,
    KEY,
    PUSHER,
    MovableClock,
    Stage,
    Stdout,
    connect,
    write_as_on_google_cloud,
)
from transcoder.bench import Bench
from transcoder.stopping import StopSignal

SECRET: Final = "whsec_" + "c2VjcmV0LW9mLXRoZS10ZXN0cw=="
_HOUR_S: Final = 3600.0
_KEYS: Final = {"X-Internal-Service-Key": KEY}


def good(stage: Stage) -> None:
    """A handshake as it should be."""
    stage.receive("good")
    stage.push("good")
    stage.push("good")
    stage.door().get("/status/good", headers=_KEYS)
    stage.confirm("good")


def flaky(stage: Stage, lms: ExampleLms) -> None:
    """The LMS answers 500, then 503, then 200; nobody confirms."""
    lms.behave(answer(500), answer(503))
    stage.receive("flaky", "org-b")
    stage.push("flaky")
    stage.push("flaky")
    stage.clock.advance(10)
    stage.push("flaky")
    stage.push("flaky")  # too early: left to the sweep
    stage.clock.advance(20)
    stage.push("flaky")


def refused(stage: Stage, lms: ExampleLms) -> None:
    """The LMS answers 410; an operator has the result sent again, and it is taken."""
    lms.behave(answer(410))
    stage.receive("refused", "org-b")
    stage.push("refused")
    stage.push("refused")
    with stage.on("courier"):
        stage.parts.ledger.apply("refused", Redelivered())
    stage.push("refused")


def slow(stage: Stage) -> None:
    """An encode takes too long; the next one does not."""
    stage.receive("slow", "org-b")
    stage.push("slow", parts=stage.with_settings(job_timeout=0.05))
    stage.clock.advance(61)
    stage.push("slow")


def damaged(stage: Stage) -> None:
    """A recording was cut before it was sent."""
    stage.receive("damaged", "org-b", data=stage.clip[: len(stage.clip) // 3])
    stage.push("damaged")


def late(stage: Stage) -> None:
    """A message is lost, and the sweep makes it good: no job is stuck for two minutes."""
    stage.receive("late", parts=stage.without_bus())
    stage.clock.advance(120)
    stage.sweep()
    stage.push("late")
    stage.push("late")
    stage.confirm("late")


def stuck(stage: Stage) -> None:
    """A message is lost, and only an hour later the sweep looks: it finds three jobs."""
    stage.receive("stuck", parts=stage.without_bus())
    stage.clock.advance(_HOUR_S + 60)
    stage.sweep()


def poisoned(stage: Stage) -> None:
    """A recording takes its workers with it, one after the other."""
    stage.receive("poisoned")
    _lose_workers(stage, "poisoned")
    stage.push("poisoned")


def given_up(stage: Stage) -> None:
    """The same, and the dead letter comes before the next worker."""
    stage.receive("given-up", "org-b")
    _lose_workers(stage, "given-up")
    _bury(stage, "given-up")


def _lose_workers(stage: Stage, video_id: str) -> None:
    """Have workers claim and vanish until there are no claims left."""
    ledger, log = stage.parts.ledger, stage.parts.log
    with stage.on("transcoder"), log.bind(job_id=video_id):
        for _ in range(12):
            try:
                ledger.claim(message_of(ledger.read(video_id)))
            except WorkerLost:
                return
            stage.clock.advance(ledger.policy.lease_s + 1)


def buried(stage: Stage) -> None:
    """Dead letters: of a job that waits, of one that has gone on, and no message at all."""
    stage.receive("buried")
    _bury(stage, "buried")
    _bury(stage, "good")
    function = stage.function("dead_letter")
    headers, body = binary(dead_letter(b"not ours", {"job_id": "nobody"}))
    function.post("/", headers=headers, data=body)
    function.post("/", data=b"no event", headers={"Content-Type": "text/plain"})


def _bury(stage: Stage, video_id: str) -> None:
    message = message_of(stage.job(video_id))
    attributes = buried_by_pubsub({"job_id": video_id}, deliveries=5)
    headers, body = binary(dead_letter(message.to_bytes(), attributes))
    stage.function("dead_letter").post("/", headers=headers, data=body)


def bad_pushes(stage: Stage) -> None:
    """A token of another audience; a message that cannot be read, also for the last time."""
    stage.push("stuck", audience="https://elsewhere.example")
    stage.push("stuck", data="%%%")
    stage.push("stuck", data="%%%", attempt=100)


def defects(stage: Stage) -> None:
    """Errors that nobody foresaw: behind the front door, and in a step, also for the last time."""
    broken = stage.with_jobs(RuntimeError("a defect"), reads=True, writes=True)
    got = stage.door(broken).get("/status/stuck", headers=_KEYS)
    stage.errors["defect"] = got.get_json()["error_id"]
    stage.push("stuck", parts=broken)
    stage.push("stuck", parts=broken, attempt=100)


def outage(stage: Stage) -> None:
    """The job store does not answer."""
    away = stage.with_jobs(Unavailable("Firestore does not answer"), reads=True, writes=True)
    stage.door(away).get("/status/stuck", headers=_KEYS)
    stage.push("stuck", parts=away)
    stage.clock.advance(2 * _HOUR_S)
    stage.sweep(stage.with_jobs(Unavailable("Firestore does not answer"), writes=True))


def refusals(stage: Stage) -> None:
    """Uploads that are not taken, and one that a caller may not even ask for."""
    stage.receive("text", "org-b", data=b"this is no recording, whatever its name says" * 100)
    stage.receive("stuck", "org-b")
    stage.receive("nobody", key="a-key-that-is-wrong")
    stage.confirm("stuck")
    stage.confirm("unknown")


def direct(stage: Stage) -> None:
    """Two direct uploads: a recording, and something else."""
    _send_directly(stage, "direct", "org-a", stage.clip)
    _send_directly(stage, "direct-text", "org-b", b"no recording " * 1000)


def _send_directly(stage: Stage, video_id: str, organization_id: str, data: bytes) -> None:
    said = {
        "video_id": video_id,
        "organization_id": organization_id,
        "size": len(data),
        "content_type": "video/mp4",
    }
    run = stage.door().post("/uploads", json=said, headers=_KEYS).get_json()["upload_id"]
    inlet = stage.parts.inlet
    if inlet is None:
        raise RuntimeError("the embedded store takes the bytes itself")
    inlet.append(source_key(run), start=0, read=BytesIO(data).read)
    headers, body = binary(finalized(BUCKET, source_key(run)))
    stage.function("upload_finalized").post("/", headers=headers, data=body)


def expiry(stage: Stage) -> None:
    """Nobody confirms for a day."""
    stage.clock.advance(25 * _HOUR_S)
    stage.sweep()


def strangers(stage: Stage) -> None:
    """What libraries and the platform write beside our events."""
    with stage.on("receiver"):
        sys.stdout.write("[notice] HAProxy: new worker forked\n")
        python_logging.getLogger("urllib3").warning("a pool is full")
        warnings.warn("an old function", stacklevel=1)


def play(stage: Stage, lms: ExampleLms) -> None:
    """Play all scenes; the deliveries come first, while the clock is near the real time."""
    good(stage)
    flaky(stage, lms)
    refused(stage, lms)
    slow(stage)
    damaged(stage)
    direct(stage)
    late(stage)
    stuck(stage)
    bad_pushes(stage)
    defects(stage)
    refusals(stage)
    poisoned(stage)
    given_up(stage)
    buried(stage)
    outage(stage)
    expiry(stage)
    strangers(stage)


def main(folder: Path) -> None:
    """Play, with the main thread at the bench where steps are worked on."""
    with (folder / "lines.jsonl").open("w", encoding="utf-8") as sink:
        sys.stdout = stdout = Stdout(sink)  # what prints and logs writes here
        write_as_on_google_cloud()
        clock = MovableClock()
        clip = make_clip(folder / "clip.mp4", seconds=2, size="320x240").read_bytes()
        with ExampleLms(secret=SECRET, folder=folder / "lms") as lms:
            os.environ["LMS_STORE_URL"] = lms.url
            stage = Stage(
                parts=connect(settings.load(), clock),
                clock=clock,
                stdout=stdout,
                bench=Bench(StopSignal()),
                clip=clip,
            )
            _play_beside(stage, lms)
    facts = {"traces": stage.traces, "errors": stage.errors}
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _play_beside(stage: Stage, lms: ExampleLms) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            play(stage, lms)
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            failures.append(error)
        finally:
            stage.bench.close()

    player = threading.Thread(target=run)
    player.start()
    stage.bench.work()
    player.join()
    if failures:
        raise failures[0]


def environment(folder: Path) -> dict[str, str]:
    """Return what the process of the scenes must be started with."""
    return {
        "PATH": os.environ["PATH"],
        "LECTERN_DATA_DIR": str(folder / "data"),
        "LECTERN_BUCKET": BUCKET,
        "GOOGLE_CLOUD_PROJECT": "test",
        "INTERNAL_SERVICE_KEY": KEY,
        "WEBHOOK_SECRET": SECRET,
        "PUSH_AUDIENCE": AUDIENCE,
        "PUSH_SERVICE_ACCOUNT": PUSHER,
        "PUSH_BEHIND_IAM": "true",
        "MIN_FREE_BYTES": "0",
        "LOG_FORMAT": "json",
        "FUNCTION_TARGET": "",
        "FUNCTION_SIGNATURE_TYPE": "http",
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
