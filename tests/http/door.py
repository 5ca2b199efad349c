"""The front door over fakes, as a test drives it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import confirmer.routes
import receiver.routes
from core.keys import KeyRing
from core.ports import Checks
from infra import health
from infra.http import new_app
from receiver import openapi
from receiver.routes import ReceiveLimits
from tests.fakes import World, a_world
from tests.http import forms

KEY = "a-key-of-the-lms-backend"
KEYS = {"X-Internal-Service-Key": KEY}
MAX_BYTES = 1_000_000
ROOMY = ReceiveLimits(max_video_bytes=MAX_BYTES, max_unfinished_jobs=1000, max_uploads_at_once=8)
_PATHS = {"/status/": "/status/{video_id}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The app with its fakes."""

    world: World
    app: Flask

    @property
    def client(self) -> FlaskClient:
        """Return a client without a key."""
        return self.app.test_client()

    def receive(self, body: bytes, **headers: str) -> TestResponse:
        """POST a form to /video/receive."""
        sent = {**KEYS, "Content-Type": forms.CONTENT_TYPE, **_dashed(headers)}
        return self.client.post("/video/receive", input_stream=BytesIO(body), headers=sent)

    def stream(self, body: BytesIO, *, announced: int | None) -> TestResponse:
        """POST a body that need not have the length it announces; None means chunked."""
        length = {} if announced is None else {"CONTENT_LENGTH": str(announced)}
        coding = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
        return self.client.post(
            "/video/receive",
            input_stream=body,
            headers={**KEYS, "Content-Type": forms.CONTENT_TYPE},
            environ_overrides={"wsgi.input_terminated": True, **(length or coding)},
        )

    def confirm(self, data: Any = None, **options: Any) -> TestResponse:
        """POST to /video/confirm."""
        return self.client.post("/video/confirm", data=data, headers=KEYS, **options)

    def get(self, path: str) -> TestResponse:
        """GET with a key."""
        return self.client.get(path, headers=KEYS)


def a_door(
    *, world: World | None = None, limits: ReceiveLimits | None = None, checks: Checks | None = None
) -> Door:
    """Return receiver and confirmer in one app over fakes."""
    world = world or a_world()
    runs = itertools.count(1)
    app = new_app("receiver", keys=KeyRing([KEY]), log=world.log)
    app.register_blueprint(
        receiver.routes.blueprint(
            ledger=world.ledger,
            new_id=lambda: f"run-{next(runs)}",
            limits=limits or ROOMY,
        )
    )
    app.register_blueprint(confirmer.routes.blueprint(ledger=world.ledger))
    app.register_blueprint(health.blueprint(checks or {}, clock=world.clock))
    return Door(world=world, app=app)


def assert_problem(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a problem of this code, and that the API's description names it."""
    assert response.content_type == "application/problem+json"
    assert response.status_code == status, response.text
    body = response.get_json(force=True)
    assert isinstance(body, dict)
    assert (body["status"], body["code"]) == (status, code), body
    assert body["detail"]
    assert code in _documented(response, status)
    return body


def documented(path: str, method: str, status: int) -> list[str]:
    """Return the codes that the API's description names for a status of an operation."""
    paths: Any = openapi.document()["paths"]
    answer = paths[path][method.lower()]["responses"][str(status)]
    schema = answer["content"]["application/problem+json"]["schema"]
    codes: list[str] = schema["allOf"][1]["properties"]["code"]["enum"]
    return codes


def _documented(response: TestResponse, status: int) -> list[str]:
    path = response.request.path
    for prefix, rule in _PATHS.items():
        path = rule if path.startswith(prefix) else path
    return documented(path, response.request.method, status)


def _dashed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
