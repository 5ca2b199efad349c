"""A lecture without a picture on its way through the whole service."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from infra import ffmpeg
from tests.media.conftest import Media
from tests.media.listening import heard
from tests.media.looking import tracks
from tests.service.harness import lms_for, service_on


def test_a_wave_file_comes_back_as_a_small_m4a(tmp_path: Path) -> None:
    """Received, delivered, confirmed like any recording; the job says that it has no picture."""
    media = Media(tmp_path, ffmpeg.find())
    source = media.make("talk.wav", *media.tone(440, 3))
    with lms_for(tmp_path / "data") as lms, service_on(tmp_path / "data", lms) as service:
        service.start()
        assert service.send(source, "talk-1").status_code == requests.codes.ok
        lms.wait_for(deliveries=1)
        (delivery,) = lms.deliveries
        status = service.wait_state("talk-1", "stored")
        stored = lms.path_of("talk-1")
        check(status, stored, source)
        answer = service.call(
            "POST", "/video/confirm", data={"video_id": "talk-1", "sha256": delivery.sha256}
        )
        assert answer.json() == {"status": "completed", "video_id": "talk-1"}
        assert service.files() == []


def check(status: dict[str, object], stored: Path, source: Path) -> None:
    output = status["output"]
    assert isinstance(output, dict)
    assert (output["width"], output["audio_codec"]) == (0, "aac")
    assert tracks(stored) == ["audio"]
    assert heard(stored).seconds == pytest.approx(heard(source).seconds, abs=0.03)
    assert stored.stat().st_size < 0.3 * source.stat().st_size
