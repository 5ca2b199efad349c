"""GET /openapi.json, held against the app."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import core.errors
from core.errors import LecternError
from core.events import Claimed
from core.views import saved_percent
from receiver import examples
from receiver.content import read_span
from tests.fakes import an_encoded
from tests.http.door import Door, a_door
from tests.http.forms import Lecture

_AUTOMATIC = {"HEAD", "OPTIONS"}
_OPEN = {"/health", "/ready", "/uploads/{upload_id}/content", "/sets/{capability}/{path}"}


@pytest.fixture
def door() -> Door:
    return a_door()


@pytest.fixture
def document(door: Door) -> Any:
    return door.get("/openapi.json").get_json()


def test_the_description_is_valid(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_it_names_exactly_the_paths_and_methods_of_the_app(door: Door, document: Any) -> None:
    routed = {
        (re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in door.app.url_map.iter_rules()
        for method in (rule.methods or set()) - _AUTOMATIC
    }
    described = {
        (path, method.upper()) for path, item in document["paths"].items() for method in item
    }
    assert described == routed


def test_it_says_which_paths_are_open(document: Any) -> None:
    assert document["security"] == [{"internalServiceKey": []}, {"apiKey": []}]
    headers = {scheme["name"] for scheme in document["components"]["securitySchemes"].values()}
    assert headers == {"X-Internal-Service-Key", "X-API-Key"}
    open_paths = {
        path
        for path, item in document["paths"].items()
        for operation in item.values()
        if operation.get("security") == []
    }
    assert open_paths == _OPEN


def test_every_documented_code_is_in_the_error_tree_with_its_status(document: Any) -> None:
    known = {(error.http_status, error.code) for error in _tree(LecternError)}
    found = set(_codes(document))
    assert found <= known
    assert len(found) > 15


def test_every_error_for_callers_is_documented(document: Any) -> None:
    """What only workers see stays out; a 405 has no operation that it could stand at."""
    inward = (core.errors.ProtocolError, core.errors.MediaError, core.errors.PassingFailure)
    umbrellas = {"conflict", "store_full", "interrupted", "method_not_allowed"}
    expected = {
        error.code
        for error in _tree(LecternError)
        if not issubclass(error, inward) and error.code not in umbrellas
    }
    assert {code for _, code in _codes(document)} == expected


def test_every_operation_behind_the_key_documents_401(document: Any) -> None:
    for path, item in document["paths"].items():
        for operation in item.values():
            assert ("401" in operation["responses"]) == (path not in _OPEN), path


def test_the_answers_have_the_form_that_is_described(door: Door, document: Any) -> None:
    answers = {
        "Queued": door.receive(Lecture().body()),
        "Job": door.get("/status/video-1"),
        "Unknown": door.get("/status/video-2"),
        "Problem": door.get("/uploads/run-9"),
        "Announced": door.announce(video_id="video-3"),
        "Upload": door.get("/uploads/run-2"),
        "Health": door.get("/health"),
        "Readiness": door.get("/ready"),
    }
    fence = door.world.ledger.apply("video-1", Claimed()).fence
    door.world.ledger.apply("video-1", an_encoded(fence=fence))
    _check(document, "Job", door.get("/status/video-1").get_json())
    answers["Completed"] = door.confirm({"video_id": "video-1"})
    for schema, answer in answers.items():
        _check(document, schema, answer.get_json(force=True))


def test_every_example_is_of_the_form_that_it_shows(document: Any) -> None:
    """Parameters, headers, bodies and answers; members that the schema does not know are errors."""
    closed = _closed(document["components"])
    shown = list(_examples(document["paths"]))
    assert len(shown) > 30
    for where, schema, value in shown:
        validator = OAS31Validator({**_closed(schema), "components": closed})
        assert not list(validator.iter_errors(value)), (where, value)
    for name, schema in closed["schemas"].items():
        for value in schema.get("examples", []):
            _check(document, name, value)


def test_every_body_and_every_good_answer_has_an_example(document: Any) -> None:
    """Of those that have a form; a file of bytes and a description of anything have none."""
    bare = {
        f"{method} {path} {kind}"
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for part in (operation.get("requestBody", {}), operation["responses"].get("200", {}))
        for kind, content in part.get("content", {}).items()
        if not content.get("examples")
    }
    assert bare == {
        "put /uploads/{upload_id}/content application/octet-stream",
        "get /sets/{capability}/{path} application/octet-stream",
        "get /openapi.json application/json",
    }


def test_the_examples_of_one_recording_agree_with_each_other(document: Any) -> None:
    """What a reader adds up is right: sizes, shares, and the announced upload."""
    job = examples.ANSWERS["Job"]["delivered"]
    assert isinstance(job, dict)
    before, after = job["source"]["bytes"], job["output"]["bytes"]
    assert job["output"]["saved_percent"] == saved_percent(before, after)
    assert examples.ANNOUNCEMENT["a recording"]["size"] == before  # type: ignore[index] # a dict
    times = [job["created_at"], *(change["at"] for change in job["history"])]
    assert times == sorted(times)
    assert job["history"][-1]["state"] == job["state"]
    assert job["history"][-1]["at"] == job["updated_at"]
    ranges = document["paths"]["/uploads/{upload_id}/content"]["put"]["parameters"][-1]["examples"]
    for each in ranges.values():
        assert read_span(each["value"], None, size=before).end or each["value"].startswith(
            "bytes *"
        )


def _examples(node: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield each example below a node that has a schema beside it."""
    if isinstance(node, list):
        for item in node:
            yield from _examples(item, where)
    if not isinstance(node, dict):
        return
    if "schema" in node:
        for name, each in node.get("examples", {}).items():
            yield f"{where} {name}", node["schema"], each["value"]
        if "example" in node:
            yield where, node["schema"], node["example"]
        return
    for name, item in node.items():
        yield from _examples(item, f"{where} {name}")


def _check(document: Any, schema: str, value: Any) -> None:
    """Check a value against a schema, which then must know every one of its members."""
    root = {"$ref": f"#/components/schemas/{schema}", "components": _closed(document["components"])}
    OAS31Validator(root).validate(value)


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {name: _closed(item) for name, item in node.items()}
    if node.get("type") == "object" and "properties" in node:
        closed.setdefault("additionalProperties", False)
    return closed


def _codes(document: Any) -> list[tuple[int, str]]:
    return [
        (int(status), code)
        for item in document["paths"].values()
        for operation in item.values()
        for status, answer in operation["responses"].items()
        for content in answer.get("content", {}).values()
        for schema in content["schema"].get("allOf", [])
        for code in schema.get("properties", {}).get("code", {}).get("enum", [])
    ]


def _tree(error: type[LecternError]) -> list[type[LecternError]]:
    return [error, *(leaf for child in error.__subclasses__() for leaf in _tree(child))]
