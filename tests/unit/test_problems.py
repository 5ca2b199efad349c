"""Errors as callers see them."""

from __future__ import annotations

import json

from core import limits, problems
from core.errors import Busy, LecternError, MissingField, StoreFull, Unavailable


def test_a_problem_has_the_members_of_rfc_9457_and_a_code() -> None:
    body = problems.problem(MissingField("video_id is missing"))
    assert body == {
        "type": "urn:lectern:problem:missing_field",
        "title": "Bad Request",
        "status": 400,
        "code": "missing_field",
        "detail": "video_id is missing",
    }
    assert json.loads(json.dumps(body)) == body


def test_an_error_id_is_added_where_there_is_one() -> None:
    assert problems.problem(LecternError("x"), error_id="abc")["error_id"] == "abc"


def test_only_errors_that_pass_say_when_to_come_again() -> None:
    assert problems.retry_after_s(Busy("x", retry_after_s=7)) == 7
    assert problems.retry_after_s(Unavailable("x")) == limits.UNAVAILABLE_RETRY_S
    assert problems.retry_after_s(StoreFull("x")) == limits.UNAVAILABLE_RETRY_S
    assert problems.retry_after_s(MissingField("x")) is None
