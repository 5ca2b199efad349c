"""What every request goes through: keys, errors, events."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from core.errors import AlreadyExists, LecternError
from core.keys import KeyRing
from infra.http import new_app
from tests.fakes import RecordingLog
from tests.http.door import KEY, KEYS, Door, a_door, assert_problem
from tests.http.forms import Lecture

SECRET = "it said hunter2"


@pytest.fixture
def door() -> Door:
    return a_door()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/video/receive"),
        ("POST", "/video/confirm"),
        ("GET", "/status/video-1"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
    ],
)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "wrong"},
        {"X-API-Key": KEY + "x"},
        {"X-Internal-Service-Key": KEY[:-1]},
        {"X-Internal-Service-Key": "schlüssel", "X-API-Key": "ключ".encode().decode("latin-1")},
        {"Authorization": f"Bearer {KEY}"},
    ],
)
def test_without_a_good_key_there_is_no_entry(
    door: Door, method: str, path: str, headers: dict[str, str]
) -> None:
    response = door.client.open(path, method=method, headers=headers)
    problem = assert_problem(response, 401, "unauthorized")
    assert "X-Internal-Service-Key" in problem["detail"]
    assert response.headers["WWW-Authenticate"]


@pytest.mark.parametrize("header", ["X-Internal-Service-Key", "X-API-Key", "x-api-key"])
def test_either_header_carries_the_key(door: Door, header: str) -> None:
    assert door.client.get("/openapi.json", headers={header: KEY}).status_code == 200


def test_one_good_key_out_of_two_headers_is_enough(door: Door) -> None:
    """A backend may still send an old key in one header while it changes over to the other."""
    for good, bad in (
        ("X-API-Key", "X-Internal-Service-Key"),
        ("X-Internal-Service-Key", "X-API-Key"),
    ):
        headers = {good: KEY, bad: "an old key"}
        assert door.client.get("/openapi.json", headers=headers).status_code == 200


def test_each_of_several_keys_opens() -> None:
    client = _client("first-key", "zweiter-schlüssel")
    for key in ("first-key", "zweiter-schlüssel"):
        sent = key.encode().decode("latin-1")
        assert client.get("/well", headers={"X-API-Key": sent}).status_code == 200


def test_the_probes_need_no_key(door: Door) -> None:
    assert door.client.get("/health").status_code == 200
    assert door.client.get("/ready").status_code == 200


@pytest.mark.parametrize("path", ["/health/", "//health", "/healthz", "/Health", "/ready/x"])
def test_only_the_very_paths_of_the_probes_are_open(door: Door, path: str) -> None:
    assert door.client.get(path, base_url="http://lectern.test").status_code in {401, 404}
    assert door.client.get("/x" + path).status_code == 401


@pytest.mark.parametrize("path", ["/", "/nothing", "/status/", "/status/a/b", "/video//receive"])
def test_an_unknown_path_is_a_problem_behind_the_key(door: Door, path: str) -> None:
    assert door.client.get(path).status_code == 401
    response = door.get(path)
    assert (response.status_code, response.content_type) == (404, "application/problem+json")
    assert response.get_json(force=True)["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/video/receive", {"POST", "OPTIONS"}),
        ("PUT", "/video/confirm", {"POST", "OPTIONS"}),
        ("DELETE", "/status/video-1", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_another_method_is_told_those_that_are_allowed(
    door: Door, method: str, path: str, allowed: set[str]
) -> None:
    response = door.client.open(path, method=method, headers=KEYS)
    assert response.status_code == 405
    assert response.get_json(force=True)["code"] == "method_not_allowed"
    assert set(response.headers["Allow"].split(", ")) == allowed


def test_options_names_the_methods(door: Door) -> None:
    response = door.client.options("/video/receive", headers=KEYS)
    assert (response.status_code, response.data) == (200, b"")
    assert set(response.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


def test_head_answers_like_get_without_a_body(door: Door) -> None:
    door.receive(Lecture().body())
    response = door.client.head("/status/video-1", headers=KEYS)
    assert (response.status_code, response.data) == (200, b"")
    assert int(response.headers["Content-Length"]) > 100


@pytest.mark.parametrize(
    "error", [RuntimeError(SECRET), OSError(5, SECRET), AlreadyExists(SECRET), LecternError(SECRET)]
)
def test_a_defect_shows_an_error_id_and_no_traceback(error: Exception) -> None:
    log = RecordingLog()
    client = _client("a-key", log=log, error=error)
    response = client.get("/ill", headers={"X-API-Key": "a-key"})
    problem = response.get_json(force=True)
    assert (response.status_code, problem["code"]) == (500, "internal_error")
    assert response.content_type == "application/problem+json"
    assert SECRET not in response.text
    assert "Traceback" not in response.text
    events = dict(log.events)
    logged = events["http.internal_error"]
    assert logged["error_id"] == problem["error_id"]
    assert logged["error"] == type(error).__name__
    assert SECRET in str(logged["trace"])
    assert events["http.request"]["status"] == 500


def test_each_request_is_one_event_without_query_path_or_key(door: Door) -> None:
    door.client.get("/status/video-1?token=tell-nobody", headers=KEYS)
    door.client.get("/some/where?token=tell-nobody")
    assert [name for name, _ in door.world.log.events] == ["http.request"] * 2
    first, second = (fields for _, fields in door.world.log.events)
    assert (first["route"], first["status"]) == ("/status/<video_id>", 404)
    assert (first["code"], first["job_id"]) == ("not_found", "video-1")
    assert (second["route"], second["status"]) == ("unmatched", 401)
    assert isinstance(first["duration_s"], float)
    assert "tell-nobody" not in repr(door.world.log.events)
    assert KEY not in repr(door.world.log.events)
    assert "/some/where" not in repr(door.world.log.events)


def test_answers_are_not_cached_or_guessed_at(door: Door) -> None:
    response = door.get("/openapi.json")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def _client(
    *keys: str, log: RecordingLog | None = None, error: Exception | None = None
) -> FlaskClient:
    def ill() -> str:
        raise error or AssertionError

    app = new_app("receiver", keys=KeyRing(keys), log=log or RecordingLog())
    app.add_url_rule("/well", view_func=lambda: "well", endpoint="well")
    app.add_url_rule("/ill", view_func=ill)
    return app.test_client()
