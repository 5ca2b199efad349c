"""POST /video/confirm."""

from __future__ import annotations

from io import BytesIO

import pytest

from core import limits
from core.errors import Unavailable
from core.events import Claimed, Delivered, Woken
from core.job import State, output_key
from tests.fakes import MemoryObjectStore, an_encoded, put, sha256_of
from tests.http.door import KEYS, Door, a_door, assert_problem
from tests.http.forms import Lecture

RESULT = b"a result"


@pytest.fixture
def door() -> Door:
    """Return a door with one job whose result is on its way to the LMS."""
    door = a_door()
    assert door.receive(Lecture().body()).status_code == 200
    fence = door.world.ledger.apply("video-1", Claimed()).fence
    put(door.world.objects, output_key("run-1", fence), RESULT)
    door.world.ledger.apply("video-1", an_encoded(fence=fence, data=RESULT))
    return door


def test_confirming_deletes_everything_and_then_answers(door: Door) -> None:
    response = door.confirm({"video_id": "video-1"})
    assert response.status_code == 200
    assert response.get_json() == {"status": "completed", "video_id": "video-1"}
    assert door.world.objects.keys() == set()
    assert door.world.ledger.read("video-1").state is State.COMPLETED


def test_confirming_twice_answers_the_same(door: Door) -> None:
    first = door.confirm({"video_id": "video-1"})
    second = door.confirm({"video_id": "video-1"})
    assert (first.status_code, first.get_json()) == (second.status_code, second.get_json())


def test_json_is_taken_as_well(door: Door) -> None:
    body = {"video_id": "video-1", "sha256": sha256_of(RESULT), "by": ["an", "LMS"]}
    assert door.confirm(json=body).status_code == 200


def test_a_multipart_form_is_taken_as_well(door: Door) -> None:
    response = door.confirm({"video_id": "video-1"}, content_type="multipart/form-data")
    assert response.status_code == 200


def test_a_matching_digest_is_accepted_in_any_case(door: Door) -> None:
    fields = {"video_id": "video-1", "sha256": sha256_of(RESULT).upper()}
    assert door.confirm(fields).status_code == 200


def test_another_digest_deletes_nothing(door: Door) -> None:
    before = door.world.objects.keys()
    response = door.confirm({"video_id": "video-1", "sha256": "0" * 64})
    assert_problem(response, 409, "checksum_mismatch")
    assert door.world.objects.keys() == before


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64])
def test_a_digest_of_the_wrong_form_deletes_nothing(door: Door, digest: str) -> None:
    """A variable that was empty in the caller's code must not switch the check off."""
    response = door.confirm({"video_id": "video-1", "sha256": digest})
    assert_problem(response, 400, "invalid_field")
    assert door.world.ledger.read("video-1").state is State.STORING


def test_a_job_without_a_result_is_not_ready() -> None:
    door = a_door()
    door.receive(Lecture().body())
    assert_problem(door.confirm({"video_id": "video-1"}), 409, "not_ready")
    assert door.world.objects.keys() == {"uploads/run-1/source"}


def test_an_unknown_id_is_not_found(door: Door) -> None:
    assert_problem(door.confirm({"video_id": "video-2"}), 404, "not_found")


def test_an_expired_job_is_gone(door: Door) -> None:
    world = door.world
    fence = world.ledger.apply("video-1", Claimed()).fence
    world.ledger.apply("video-1", Delivered(fence=fence))
    world.clock.advance(world.ledger.policy.confirm_ttl_s)
    world.ledger.apply("video-1", Woken())
    assert_problem(door.confirm({"video_id": "video-1"}), 410, "expired")


def test_the_id_may_be_called_as_the_second_contract_calls_it(door: Door) -> None:
    response = door.confirm({"media_id": "video-1"})
    assert response.get_json() == {"status": "completed", "video_id": "video-1"}


def test_two_names_for_two_ids_confirm_neither(door: Door) -> None:
    response = door.confirm({"media_id": "video-1", "video_id": "video-2"})
    assert_problem(response, 400, "invalid_field")
    assert door.world.ledger.read("video-1").state is State.STORING


@pytest.mark.parametrize("data", [{}, {"video_id": ""}, {"id": "video-1"}])
def test_a_missing_id_is_named(door: Door, data: dict[str, str]) -> None:
    assert_problem(door.confirm(data), 400, "missing_field")


def test_an_id_that_cannot_be_one_is_refused(door: Door) -> None:
    assert_problem(door.confirm({"video_id": "../video-1"}), 400, "invalid_id")


def test_an_id_given_twice_is_refused(door: Door) -> None:
    response = door.confirm({"video_id": ["video-1", "video-2"]})
    assert_problem(response, 400, "invalid_field")


@pytest.mark.parametrize("value", [7, ["video-1"], {"a": 1}, True])
def test_an_id_in_json_must_be_a_string(door: Door, value: object) -> None:
    assert_problem(door.confirm(json={"video_id": value}), 400, "invalid_field")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"video-1"', b"\xff", b"[" * 16_000])
def test_what_is_not_a_json_object_is_refused(door: Door, body: bytes) -> None:
    response = door.confirm(body, content_type="application/json")
    assert_problem(response, 400, "bad_request")


def test_another_content_type_is_refused(door: Door) -> None:
    response = door.confirm(b"video_id=video-1", content_type="text/plain")
    assert_problem(response, 400, "bad_request")


def test_a_cut_body_does_not_confirm_another_job(door: Door) -> None:
    """`video_id=video-12`, cut by a byte, names another job than was meant."""
    response = door.client.post(
        "/video/confirm",
        input_stream=BytesIO(b"video_id=video-1"),
        headers=KEYS,
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"CONTENT_LENGTH": "17"},
    )
    assert_problem(response, 400, "truncated_upload")
    assert door.world.ledger.read("video-1").state is State.STORING


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_its_bound_is_too_large(door: Door, *, chunked: bool) -> None:
    body = b"video_id=video-1&x=" + b"x" * limits.CONFIRM_BYTES_MAX
    coding = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""} if chunked else {}
    response = door.client.post(
        "/video/confirm",
        input_stream=BytesIO(body),
        headers=KEYS,
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"wsgi.input_terminated": True, **coding},
    )
    assert_problem(response, 413, "too_large")
    assert door.world.ledger.read("video-1").state is State.STORING


def test_a_deletion_that_fails_is_finished_by_the_same_call(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise Unavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryObjectStore, "delete", refuse)
        assert_problem(door.confirm({"video_id": "video-1"}), 503, "unavailable")
    assert door.confirm({"video_id": "video-1"}).status_code == 200
    assert door.world.objects.keys() == set()
