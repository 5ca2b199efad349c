"""What compose.yaml says works: its commands, as processes, do the handshake."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import requests

from tests.compose.caller import bucket, curl, key, stored, wait_state
from tests.compose.stack import Stack
from tests.fakes import sha256_of
from tests.service.harness import ROOT, until

pytestmark = pytest.mark.timeout(300)  # the first test waits for the whole system to start
SECTION = re.compile(r"## The whole system with compose\n.*?```sh\n(.*?)```", re.DOTALL)

LECTURE = "lectern/demo_lecture/lecture.mp4"


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_a_recording_goes_all_the_way(stack: Stack, clip: Path, version: str) -> None:
    """200, a smaller file at the LMS, its confirmation, and an empty bucket."""
    video = f"lecture{version}"
    form = [f"video_id={video}", "organization_id=uni-1", f"file=@{clip}"]
    words = [word for field in form for word in ("-F", field)]
    answer = curl(stack, version, "/video/receive", *words)
    assert json.loads(answer) == {"status": "queued", "video_id": video}
    done = wait_state(stack, video, "completed")
    result = stored(stack, video).read_bytes()
    assert 0 < len(result) < clip.stat().st_size
    assert done["output"]["sha256"] == sha256_of(result)
    until(lambda: not bucket(stack), "an empty bucket")


def test_a_direct_upload_starts_by_itself(stack: Stack, clip: Path) -> None:
    """The caller only PUTs the bytes into the bucket; the storage server's event does the rest."""
    data = clip.read_bytes()
    said = {"video_id": "direct-1", "organization_id": "uni-1", "size": len(data),
            "content_type": "video/mp4"}  # fmt: skip
    url = f"{stack.url('receiver')}/uploads"
    announced = requests.post(url, json=said, headers=key(stack), timeout=30)
    assert announced.status_code == requests.codes.created, announced.text
    put = requests.put(announced.json()["upload_url"], data=data, timeout=30)
    assert put.status_code == requests.codes.ok, put.text
    wait_state(stack, "direct-1", "completed")
    assert stored(stack, "direct-1").exists()
    until(lambda: not bucket(stack), "an empty bucket")


def test_the_lines_of_the_readme_work(stack: Stack, clip: Path) -> None:
    """All but `docker`, with the ports of this run, and a shorter recording to save time."""
    found = SECTION.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert found, "the section is not in the README"
    text = "\n".join(line for line in found[1].split("\n") if not line.startswith("docker"))
    assert (ROOT / LECTURE).is_file()
    text = text.replace("127.0.0.1:8080", stack.place("receiver")).replace(LECTURE, str(clip))
    lines = subprocess.run(
        ["/bin/sh", "-ec", text], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    )
    answers = [json.loads(line) for line in lines.stdout.splitlines() if line]
    assert answers[0] == {"status": "queued", "video_id": "lecture-1"}
    assert answers[1]["state"] in {"queued", "processing", "storing", "stored", "completed"}
    wait_state(stack, "lecture-1", "completed")
    again = requests.post(
        f"{stack.url('confirmer')}/video/confirm",
        data={"video_id": "lecture-1"},
        headers=key(stack),
        timeout=30,
    )
    assert again.json() == {"status": "completed", "video_id": "lecture-1"}


def test_every_service_is_still_in_its_first_life(stack: Stack) -> None:
    """Nothing has ended and been started again behind the test's back."""
    for name, one in stack.running.items():
        assert (one.starts, one.ends) == (1, []), stack.log(name)[-2000:]
        if not stack.services[name].one_shot:
            stack.wait_healthy(name)
