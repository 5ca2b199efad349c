"""The front door over fakes, as a test drives it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import confirmer.routes
import receiver.routes
from core.keys import KeyRing
from core.ports import Checks, ReadSigner
from infra import health
from infra.http import new_app
from infra.links import SignedLinks
from receiver import content, openapi, sets, uploads
from receiver.admission import Admission
from receiver.intake import Bounds
from receiver.routes import ReceiveLimits
from receiver.uploads import UploadSettings
from tests import planted
from tests.fake_sessions import MemorySessions
from tests.fakes import World, a_world
from tests.http import forms

KEY = planted.SERVICE_KEY
KEYS = {"X-Internal-Service-Key": KEY}
MAX_BYTES = 1_000_000
MAX_IMAGE_BYTES = 100_000
FILES = Bounds(max_video_bytes=MAX_BYTES, max_image_bytes=MAX_IMAGE_BYTES)
ROOMY = ReceiveLimits(files=FILES, max_unfinished_jobs=1000, max_uploads_at_once=8)
UPLOAD_TTL_S = 86_400.0
SETS_AT_ONCE = 2
LINKS = SignedLinks(["the newest secret", "an older secret"], lambda: "https://lectern.example")
_PATHS = (
    (r"/status/[^/]+", "/status/{video_id}"),
    (r"/uploads/[^/]+", "/uploads/{upload_id}"),
    (r"/uploads/[^/]+/(complete|content)", r"/uploads/{upload_id}/\1"),
    (r"/sets/.*", "/sets/{capability}/{path}"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The app with its fakes."""

    world: World
    app: Flask
    sessions: MemorySessions

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

    def announce(self, data: bytes = forms.recording(), **members: Any) -> TestResponse:
        """POST /uploads for `data`; `members` replace what is said, None leaves it out."""
        said = {
            "video_id": "video-1",
            "organization_id": "org-1",
            "size": len(data),
            "content_type": "video/mp4",
            **members,
        }
        body = {name: value for name, value in said.items() if value is not None}
        return self.client.post("/uploads", json=body, headers=KEYS)

    def put(self, url: str, data: bytes = b"", content_range: str | None = None) -> TestResponse:
        """PUT bytes to a session's URL, without a key."""
        headers = {"Content-Range": content_range} if content_range else {}
        return self.client.put(url, data=data, headers=headers)

    def complete(self, upload_id: str) -> TestResponse:
        """POST /uploads/{upload_id}/complete."""
        return self.client.post(f"/uploads/{upload_id}/complete", headers=KEYS)

    def get(self, path: str) -> TestResponse:
        """GET with a key."""
        return self.client.get(path, headers=KEYS)


def a_door(
    *,
    world: World | None = None,
    limits: ReceiveLimits | None = None,
    checks: Checks | None = None,
    public_url: str | None = None,
    signer: ReadSigner | None = None,
) -> Door:
    """Return receiver and confirmer in one app over fakes."""
    world = world or a_world()
    runs = itertools.count(1)
    app = new_app(
        "receiver", keys=KeyRing([KEY]), log=world.log, open_rules={content.RULE, sets.RULE}
    )
    ids: Callable[[], str] = lambda: f"run-{next(runs)}"  # noqa: E731 - two callers
    ledger, bounds = world.ledger, limits or ROOMY
    admission = Admission(jobs=ledger.jobs, clock=world.clock, bounds=bounds)
    sessions = MemorySessions(world.objects)
    app.register_blueprint(
        receiver.routes.blueprint(ledger=ledger, new_id=ids, admission=admission, links=LINKS)
    )
    app.register_blueprint(
        sets.blueprint(ledger=ledger, links=LINKS, signer=signer, at_once=SETS_AT_ONCE)
    )
    app.register_blueprint(
        uploads.blueprint(
            ledger=ledger,
            sessions=sessions,
            new_id=ids,
            admission=admission,
            settings=UploadSettings(ttl_s=UPLOAD_TTL_S, public_url=public_url),
        )
    )
    app.register_blueprint(
        content.blueprint(ledger=ledger, sessions=sessions, inlet=sessions, admission=admission)
    )
    app.register_blueprint(confirmer.routes.blueprint(ledger=world.ledger))
    app.register_blueprint(health.blueprint(checks or {}, clock=world.clock))
    return Door(world=world, app=app, sessions=sessions)


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
    for pattern, rule in _PATHS:
        path = re.sub(f"^{pattern}$", rule, path)
    return documented(path, response.request.method, status)


def _dashed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
