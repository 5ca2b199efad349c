"""Who may push: tokens over HTTP, and what a service must be told before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient

from core.messages import Topic
from infra import wiring
from infra.gcp.tokens import PushTokens
from infra.required import check_push
from infra.settings import SettingsError, load
from tests.gcp.test_tokens import ACCOUNT, AUDIENCE, BAD, checker, stripped, token, unsigned
from tests.push_service.scene import Scene, envelope
from tests.service.harness import KEY
from transcoder.bench import Bench
from transcoder.push import Verify
from transcoder.service import create_app, verification
from transcoder.stopping import StopSignal

PATHS = [f"/push/{topic}" for topic in Topic]
CLOUD = {
    "lectern_backend": "gcp",
    "google_cloud_project": "p",
    "lectern_bucket": "b",
    "internal_service_key": KEY,
    "webhook_secret": "whsec_bGVjdGVybi1leGFtcGxlLXNlY3JldC0wMDE=",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The service's application, with a bench where a thread works."""

    app: Flask

    def client(self) -> FlaskClient:
        """Return a client."""
        return self.app.test_client()

    def push(self, path: str, header: str | None) -> int:
        """Return the status of a push of a message that no job knows."""
        headers = {} if header is None else {"Authorization": header}
        return self.client().post(path, json={"message": {}}, headers=headers).status_code


def a_door(folder: Path, verify: Verify | None) -> Door:
    """Return the application over embedded parts."""
    parts = wiring.connect(load({"lectern_data_dir": folder, "internal_service_key": KEY}))
    bench = Bench(lambda: False)
    return Door(app=create_app(parts, StopSignal(), bench=bench, verify=verify))


@pytest.fixture
def door(tmp_path: Path) -> Door:
    """Give a service that checks tokens against a key made here."""
    return a_door(tmp_path, checker())


@pytest.mark.parametrize("path", PATHS)
def test_every_kind_of_bad_token_is_refused(door: Door, path: str) -> None:
    """With 401, whatever the service key; a good one gets on to the message."""
    with_line_break = "a line break"  # no HTTP client sends one
    refused = {
        name: door.push(path, make()) for name, (make, _) in BAD.items() if name != with_line_break
    }
    assert len(refused) > 40
    assert {name for name, status in refused.items() if status != 401} == set()
    assert door.push(path, f"Bearer {token()}") == 400
    keyed = door.client().post(path, json={}, headers={"X-API-Key": KEY})
    assert (keyed.status_code, keyed.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_a_removed_signature_is_believed_only_behind_iam(tmp_path: Path, door: Door) -> None:
    behind = a_door(tmp_path / "other", checker(signature_checked_before=True))
    assert door.push(PATHS[0], f"Bearer {stripped()}") == 401
    assert behind.push(PATHS[0], f"Bearer {stripped()}") == 400


def test_other_paths_take_the_service_key_and_no_token(door: Door) -> None:
    good = {"Authorization": f"Bearer {token()}"}
    assert door.client().get("/metrics", headers=good).status_code == 401
    assert door.client().get("/metrics", headers={"X-API-Key": KEY}).status_code == 404


def test_an_embedded_service_offers_no_push_and_answers_probes(tmp_path: Path) -> None:
    parts = wiring.connect(load({"lectern_data_dir": tmp_path}))
    assert verification(parts) is None
    door = a_door(tmp_path, None)
    assert [door.push(path, f"Bearer {token()}") for path in PATHS] == [404, 404]
    assert door.client().get("/health").status_code == 200
    assert door.client().get("/ready").status_code == 200


def test_the_check_is_made_of_the_settings(tmp_path: Path) -> None:
    chosen = load(
        {
            "lectern_data_dir": tmp_path,
            "push_audience": AUDIENCE,
            "push_service_account": ACCOUNT,
            "push_behind_iam": True,
        }
    )
    tokens = verification(wiring.connect(chosen))
    assert isinstance(tokens, PushTokens)
    assert (tokens.audience, tokens.service_account_email) == (AUDIENCE, ACCOUNT)
    assert tokens.signature_checked_before


@pytest.mark.parametrize(
    ("given", "emulator", "missing"),
    [
        ({}, "", "PUSH_AUDIENCE"),
        ({"push_audience": AUDIENCE}, "", "PUSH_SERVICE_ACCOUNT"),
        ({"push_service_account": ACCOUNT}, "", "PUSH_AUDIENCE"),
        ({"push_audience": AUDIENCE}, "localhost:1", "PUSH_SERVICE_ACCOUNT"),
        ({"push_service_account": ACCOUNT}, "localhost:1", "PUSH_AUDIENCE"),
    ],
)
def test_a_service_that_could_not_tell_pushes_apart_does_not_start(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], emulator: str, missing: str
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator)
    with pytest.raises(SettingsError, match=f"^{missing} is required"):
        check_push(load({**CLOUD, **given}))


@pytest.mark.parametrize(
    ("given", "emulator"),
    [({}, "localhost:1"), ({"push_audience": AUDIENCE, "push_service_account": ACCOUNT}, "")],
)
def test_a_service_starts_with_a_check_or_with_the_emulator(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], emulator: str
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator)
    check_push(load({**CLOUD, **given}))


def test_a_missing_setting_is_one_line_and_another_status(scene: Scene) -> None:
    scene.transcoder.start(PUBSUB_EMULATOR_HOST="")
    assert scene.transcoder.wait_dead() == 1
    words = scene.transcoder.log.read_text()
    assert words == (
        "transcoder: PUSH_AUDIENCE is required to check the tokens of Pub/Sub's pushes\n"
    )


def test_a_service_that_cannot_be_built_ends_with_another_status(scene: Scene) -> None:
    """No endless restarts: the platform shall see it. No credentials are here to connect with."""
    scene.transcoder.start(
        STORAGE_EMULATOR_HOST="", GOOGLE_APPLICATION_CREDENTIALS="/nowhere/key.json"
    )
    assert scene.transcoder.wait_dead() == 3


def test_with_an_audience_the_emulators_pushes_are_checked_too(scene: Scene, clip: Path) -> None:
    """In the real process: 401 without a token, with garbage, and with another's."""
    scene.transcoder.start(PUSH_AUDIENCE=AUDIENCE, PUSH_SERVICE_ACCOUNT=ACCOUNT)
    scene.send(clip)
    url = f"{scene.transcoder.url()}/push/transcode"
    body = envelope(scene.message(Topic.TRANSCODE))
    for header in (None, "Bearer a.b.c", f"Bearer {unsigned()}", "Basic eDp5"):
        headers = {} if header is None else {"Authorization": header}
        assert requests.post(url, json=body, headers=headers, timeout=10).status_code == 401
    assert scene.job().state == "queued"
    assert scene.transcoder.events("push.unchecked") == []
    assert len(scene.transcoder.events("push.refused")) == 4
