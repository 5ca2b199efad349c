"""`python -m transcoder` as a real process: the steps, pushed by hand and by Pub/Sub."""

from __future__ import annotations

from pathlib import Path

import requests

from core.messages import Topic
from tests.push_service.scene import Scene


def test_both_steps_are_done_by_pushes(scene: Scene, clip: Path) -> None:
    scene.transcoder.start()
    scene.send(clip)
    assert scene.push(Topic.TRANSCODE).status_code == 204
    assert scene.job().state == "storing"
    assert scene.push(Topic.DELIVER).status_code == 204
    assert scene.job().state == "stored"
    (delivery,) = scene.lms.deliveries
    assert 0 < delivery.size < clip.stat().st_size
    assert scene.scratch() == []
    assert scene.transcoder.stop() == 0


def test_pubsub_brings_the_messages_by_itself(scene: Scene, clip: Path) -> None:
    """Publish, push, encode, publish, push, deliver: nobody else does anything."""
    scene.transcoder.start()
    url = scene.transcoder.url()
    for topic in Topic:
        scene.deployment.push_to(topic, url)
    scene.send(clip)
    scene.wait_state("stored")
    assert len(scene.lms.deliveries) == 1


def test_probes_are_answered_without_a_key_and_pushes_unchecked_only_loudly(scene: Scene) -> None:
    scene.transcoder.start()
    url = scene.transcoder.url()
    assert requests.get(f"{url}/health", timeout=5).json() == {"status": "ok"}
    ready = requests.get(f"{url}/ready", timeout=20)
    assert (ready.status_code, set(ready.json()["checks"])) == (200, {"store", "jobs", "ffmpeg"})
    assert "anybody may push" in scene.transcoder.wait_event("push.unchecked")["reason"]
