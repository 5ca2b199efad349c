"""The framework's own app around the source file, over fakes that break on command."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import functions_framework
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from core import limits
from core.messages import Message, Topic
from infra import wiring
from infra.settings import load
from tests.fakes import World, a_world, an_upload, put
from tests.functions.events import FORMS, TRACE, TRACEPARENT, binary, dead_letter, finalized, push

SOURCE: Final = Path(__file__).resolve().parents[2] / "functions" / "entry.py"
TRANSCODE: Final = Message(topic=Topic.TRANSCODE, job_id="video-1", run="run-1")
UNFIT: Final[tuple[Any, ...]] = (
    {}, [], "text", None, {"message": 5}, {"bucket": "recordings", "name": 5},
)  # fmt: skip
SECRET: Final = "a-word-that-no-caller-may-see"


class Function:
    """One target, as the framework serves it."""

    def __init__(self, app: Flask, world: World, connected: list[str]) -> None:
        self.app = app
        self.world = world
        self.connected = connected
        self.client: FlaskClient = app.test_client()

    def post(self, headers: dict[str, str], body: bytes = b"") -> TestResponse:
        """Send a request."""
        return self.client.post("/", headers=headers, data=body)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Function]:
    """Give what loads the source file for a target, with a world of fakes behind it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "entry", sys.modules[__name__])
    monkeypatch.setenv("FUNCTION_TARGET", "")
    monkeypatch.setenv("FUNCTION_SIGNATURE_TYPE", "http")
    monkeypatch.setenv("LECTERN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("LECTERN_BUCKET", "recordings")
    monkeypatch.setenv("LOG_FORMAT", "json")

    def load_target(target: str) -> Function:
        app: Flask = functions_framework.create_app(target, str(SOURCE))  # type: ignore[no-untyped-call] # it ships none
        world = a_world()
        world.ledger.receive(an_upload("video-1", run="run-1"))
        connected: list[str] = []

        def connect(_settings: Any) -> wiring.Wiring:
            connected.append(target)
            return replace(wiring.connect(load()), ledger=world.ledger, log=world.log)

        app.extensions["lectern"].connect = connect
        return Function(app, world, connected)

    return load_target


def problem(answer: TestResponse) -> tuple[int, str]:
    """Return the status and code of an answer that is a problem and tells no secret."""
    assert answer.content_type == "application/problem+json"
    assert "Traceback" not in answer.text
    assert SECRET not in answer.text
    body = answer.get_json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["code"]


def test_a_sweep_answers_what_it_did(serve: Callable[[str], Function]) -> None:
    function = serve("sweep")
    function.world.clock.advance(60)
    answer = function.post({})
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.get_json() == {
        "jobs": 1, "uploads": 0, "orphans": 0, "partials": 0, "folders": 0, "more": False,
    }  # fmt: skip


def test_connections_are_made_by_the_first_request_and_kept(
    serve: Callable[[str], Function],
) -> None:
    """The framework forks after it has loaded the file, and gRPC survives no fork."""
    function = serve("sweep")
    assert function.connected == []
    function.post({})
    function.post({})
    assert function.connected == ["sweep"]


def test_orphans_are_looked_for_at_the_first_sweep_and_then_now_and_again(
    serve: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    function = serve("sweep")
    world = function.world

    def orphan(run: str) -> None:
        put(world.objects, f"uploads/{run}/source", b"a receive that died before its record")
        world.clock.advance(4000)

    orphan("run-8")
    assert function.post({}).get_json()["orphans"] == 1
    orphan("run-9")
    assert function.post({}).get_json()["orphans"] == 0
    later = time.monotonic() + limits.ORPHAN_SWEEP_EVERY_S
    monkeypatch.setattr(function.app.extensions["lectern"]._searches, "_now", lambda: later)
    assert function.post({}).get_json()["orphans"] == 1


def test_a_sweep_that_runs_out_of_time_says_that_there_is_more(
    serve: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    function = serve("sweep")
    function.world.clock.advance(60)
    monkeypatch.setattr(sys.modules["entry"], "_SWEEP_S_MAX", 0.0)
    body = function.post({}).get_json()
    assert (body["jobs"], body["more"]) == (0, True)
    monkeypatch.undo()
    assert function.post({}).get_json()["jobs"] == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_only_a_post_sweeps(serve: Callable[[str], Function], method: str) -> None:
    function = serve("sweep")
    answer = function.client.open("/", method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert function.connected == []


@pytest.mark.parametrize("store", ["jobs", "objects"])
def test_a_store_that_does_not_answer_is_503_and_asks_to_come_again(
    serve: Callable[[str], Function], store: str
) -> None:
    function = serve("sweep")
    getattr(function.world, store).broken = True
    answer = function.post({})
    assert problem(answer) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "5"
    getattr(function.world, store).broken = False
    assert function.post({}).status_code == 200


def test_a_defect_is_500_with_an_id_under_which_the_log_has_it(
    serve: Callable[[str], Function],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    function = serve("sweep")

    def due(_now: float, *, limit: int) -> Any:
        raise RuntimeError(f"{SECRET} {limit}")

    monkeypatch.setattr(function.world.jobs, "due", due)
    answer = function.post({})
    assert problem(answer) == (500, "internal_error")
    logged = capsys.readouterr().out
    assert answer.get_json()["error_id"] in logged
    assert SECRET in logged


@pytest.mark.parametrize("form", FORMS)
def test_a_dead_letter_reaches_its_job_in_its_own_trace(
    serve: Callable[[str], Function], form: str
) -> None:
    function = serve("dead_letter")
    event = dead_letter(TRANSCODE.to_bytes(), {"traceparent": TRACEPARENT})
    assert function.post(*FORMS[form](event)).status_code == 200
    assert function.world.ledger.read("video-1").history[-1].event == "Buried"
    (buried,) = [fields for name, fields in function.world.log.events if name == "message.buried"]
    assert buried["traceparent"] == TRACEPARENT


def test_a_dead_letter_may_come_from_a_push_subscription_as_well(
    serve: Callable[[str], Function],
) -> None:
    function = serve("dead_letter")
    assert function.post(*push(dead_letter(TRANSCODE.to_bytes()))).status_code == 200
    assert function.world.ledger.read("video-1").history[-1].event == "Buried"


def test_the_trace_of_the_request_is_in_its_event(
    serve: Callable[[str], Function], capsys: pytest.CaptureFixture[str]
) -> None:
    function = serve("sweep")
    function.post({"traceparent": TRACEPARENT})
    assert TRACE in capsys.readouterr().out


@pytest.mark.parametrize("target", ["dead_letter", "upload_finalized"])
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b""),
        ({"Content-Type": "application/json"}, b""),
        ({"Content-Type": "application/json"}, b"{"),
        ({"Content-Type": "application/json"}, b"null"),
        ({"Content-Type": "application/json"}, b"[1]"),
        ({"Content-Type": "application/json"}, b'{"context": 5, "data": 5}'),
        ({"Content-Type": "application/json"}, b"[" * 100_000),
        ({"Content-Type": "application/cloudevents+json"}, b"\xff"),
        ({"Content-Type": "application/cloudevents+json"}, b'{"specversion": "1.0"}'),
        ({"Content-Type": "application/cloudevents+json"}, b'{"specversion": [1]}'),
        ({"Content-Type": "application/cloudevents-batch+json"}, b"[]"),
        ({"Content-Type": "text/plain", "Authorization": SECRET}, SECRET.encode()),
        ({"ce-specversion": "9", "ce-id": "1", "ce-type": "x", "ce-source": "y"}, b"{}"),
        ({"ce-specversion": "1.0", "ce-id": "1", "ce-source": "y"}, b"{}"),
    ],
)
def test_what_is_no_cloud_event_is_400_and_says_nothing_of_the_request(
    serve: Callable[[str], Function], target: str, headers: dict[str, str], body: bytes
) -> None:
    function = serve(target)
    assert problem(function.post(headers, body)) == (400, "bad_request")
    assert function.connected == []


@pytest.mark.parametrize("form", FORMS)
def test_an_event_of_another_type_or_without_its_fields_is_400(
    serve: Callable[[str], Function], form: str
) -> None:
    letters, uploads = serve("dead_letter"), serve("upload_finalized")
    for function, event in (
        (letters, dead_letter(b"{}")),
        (uploads, finalized("recordings", "uploads/run-1/source")),
    ):
        right = event["type"]
        event["type"] = "google.cloud.storage.object.v1.deleted"
        assert problem(function.post(*FORMS[form](event))) == (400, "bad_request")
        event["type"] = right
        for data in UNFIT:
            event.data = data
            assert problem(function.post(*FORMS[form](event))) == (400, "bad_request")
    assert letters.connected == uploads.connected == []


def test_a_dead_letter_that_cannot_be_read_is_taken(serve: Callable[[str], Function]) -> None:
    """Refused it would come again for ever, and never be any better."""
    function = serve("dead_letter")
    assert function.post(*binary(dead_letter(b"no message"))).status_code == 200
    assert function.world.log.names()[-1] == "dead_letter.malformed"


def test_a_body_over_the_bound_is_413(serve: Callable[[str], Function]) -> None:
    function = serve("dead_letter")
    headers, _ = binary(dead_letter(b""))
    answer = function.post(headers, b" " * (16 * limits.MIB + 1))
    assert problem(answer) == (413, "too_large")


@pytest.mark.parametrize("target", ["sweep", "dead_letter", "upload_finalized"])
def test_probes_are_answered(serve: Callable[[str], Function], target: str) -> None:
    function = serve(target)
    assert function.client.get("/health").get_json() == {"status": "ok"}
    assert function.connected == []
    assert function.client.get("/ready").status_code == 200


@pytest.mark.parametrize(
    "name",
    ["uploads/run-1/source", "outputs/run-1/1.mp4", "uploads/run-1", "elsewhere", "", "\u00e9/x/y"],
)
def test_an_object_of_no_declared_upload_is_passed_over(
    serve: Callable[[str], Function], name: str
) -> None:
    function = serve("upload_finalized")
    before = function.world.jobs.all()
    assert function.post(*binary(finalized("recordings", name))).status_code == 200
    assert function.world.jobs.all() == before


def test_an_object_of_another_bucket_is_passed_over(serve: Callable[[str], Function]) -> None:
    function = serve("upload_finalized")
    answer = function.post(*binary(finalized("another", "uploads/run-1/source")))
    assert answer.status_code == 200
    assert function.connected == []


def test_a_wrong_setting_stops_the_start_with_one_line(
    serve: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEASE_S", "long")
    with pytest.raises(SystemExit, match=r"^functions: LEASE_S: .*number"):
        serve("sweep")
