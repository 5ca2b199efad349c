"""What every suite looks for in logs would be found there."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.sets import SetGrant
from infra.embedded.secrets import webhook_secret
from infra.links import SignedLinks
from tests import planted

RUN = "6f1c2a34-9b7e-4d15-8a60-0c3e5f7b9d21"
WORDS = (
    planted.SERVICE_KEY,
    planted.FILE_NAME,
    "https://lectern.example/uploads/0123/content?token=Zm9vYmFy",
    "https://storage.googleapis.com/upload/b/o?uploadType=resumable&upload_id=ABPtcPo7",
    "https://storage.googleapis.com/b/o?X-Goog-Algorithm=GOOG4&X-Goog-Signature=0a1b2c",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
)


@pytest.fixture
def secret(tmp_path: Path) -> str:
    return webhook_secret(tmp_path)


@pytest.mark.parametrize("word", WORDS)
def test_what_must_not_show_is_found_in_a_line(word: str) -> None:
    assert planted.found_in(f'{{"event": "x", "note": "{word}"}}') is not None


@pytest.mark.parametrize("run", [RUN, RUN.replace("-", ""), "run-1"])
def test_a_set_s_url_is_found_and_so_is_its_authority_alone(secret: str, run: str) -> None:
    """As the service makes it."""
    links = SignedLinks([secret], lambda: "https://lectern.example")
    url = links.url(SetGrant(run=run, fence=7, expires_at=1_800_000_000), "hls/master.m3u8")
    capability = url.split("/")[4]
    assert links.grant(capability) is not None
    for shown in (url, capability, f"GET /sets/{capability}/manifest.json HTTP/1.1"):
        assert planted.found_in(f"request {shown} done") is not None


def test_a_secret_is_found_by_its_form(secret: str) -> None:
    assert planted.found_in(f"signed with {secret}") is not None


def test_what_a_log_may_say_is_not_found() -> None:
    """Ids, runs, digests, addresses, times."""
    text = f"{RUN} {'0a' * 32} 127.0.0.1:8080 2027-01-15T08:00:00.000Z outputs/r/3.mp4"
    assert planted.found_in(text) is None
