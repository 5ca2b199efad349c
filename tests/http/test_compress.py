"""The second contract at the front door: rows B1 to B6, B8, B10, B11, B15 of its documents."""

from __future__ import annotations

from io import BytesIO

import pytest
from werkzeug.test import TestResponse

from core.delivery import UNTOLD
from core.events import Cancelled, Claimed, Delivered, DeliveryRefused, Failed, Woken
from core.job import Failure
from core.order import Contract, Delivery, OrderRules
from receiver.admission import ReceiveLimits
from receiver.intake import Bounds
from tests.fakes import an_encoded
from tests.http import forms
from tests.http.door import (
    KEY,
    MAX_BYTES,
    MAX_IMAGE_BYTES,
    Door,
    a_door,
    assert_problem,
)

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"pixels" * 200
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + b"pixels" * 200
WEBP = b"RIFF\x00\x10\x00\x00WEBPVP8 " + b"pixels" * 200
ACCEPTED = {"status": "accepted", "mediaId": "abc123", "message": "Compression started"}


@pytest.fixture
def door() -> Door:
    return a_door()


def compress(
    door: Door,
    data: bytes | None = None,
    *more: bytes,
    media_id: str | None = "abc123",
    path: str = "/compress/",
    headers: dict[str, str] | None = None,
) -> TestResponse:
    """POST a file to the contract's path, with its key."""
    named = () if media_id is None else (forms.text("media_id", media_id),)
    data = forms.recording() if data is None else data
    body = forms.form(*named, *more, forms.file(data))
    sent = {"X-API-Key": KEY, "Content-Type": forms.CONTENT_TYPE} if headers is None else headers
    return door.client.post(path, input_stream=BytesIO(body), headers=sent)


def status(door: Door, media_id: str = "abc123") -> TestResponse:
    """GET the status of a job."""
    return door.get(f"/status/{media_id}")


@pytest.mark.parametrize("path", ["/compress/", "/compress"])
def test_b2_a_file_is_accepted_at_once_in_the_documents_words(door: Door, path: str) -> None:
    answer = compress(door, path=path)
    assert (answer.status_code, answer.get_json()) == (200, ACCEPTED)
    assert compress(door, path=path).get_json() == ACCEPTED, "the same again is answered alike"


@pytest.mark.parametrize("missing", ["media_id", "file"])
def test_b1_both_fields_are_required(door: Door, missing: str) -> None:
    if missing == "media_id":
        answer = compress(door, media_id=None)
    else:
        sent = {"X-API-Key": KEY, "Content-Type": forms.CONTENT_TYPE}
        body = forms.form(forms.text("media_id", "abc123"))
        answer = door.client.post("/compress/", input_stream=BytesIO(body), headers=sent)
    assert missing in assert_problem(answer, 400, "missing_field")["detail"]


@pytest.mark.parametrize("data", [b"", b"a text", b"%PDF-1.7 " * 20, b"GIF89a" + b"\0" * 100])
def test_b3_another_type_is_a_400_and_b15_nothing_is_queued(door: Door, data: bytes) -> None:
    assert_problem(compress(door, data), 400, "unsupported_type")
    assert status(door).get_json()["status"] == "not_found"
    assert list(door.world.objects.list("")) == []


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (forms.recording(MAX_BYTES + 1), MAX_BYTES),
        (JPEG + bytes(MAX_IMAGE_BYTES), MAX_IMAGE_BYTES),
    ],
    ids=["recording", "image"],
)
def test_b3_b8_b10_a_file_over_its_limit_is_a_400(door: Door, data: bytes, limit: int) -> None:
    assert str(limit) in assert_problem(compress(door, data), 400, "too_large")["detail"]
    assert list(door.world.objects.list("")) == []


def test_the_handshake_answers_the_same_with_413(door: Door) -> None:
    """Its own document knows that status."""
    data = forms.recording(MAX_BYTES + 1)
    assert_problem(door.receive(forms.Lecture(data=data).body()), 413, "too_large")


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"X-API-Key": ""}])
def test_b3_b6_without_a_valid_key_everything_is_401(door: Door, headers: dict[str, str]) -> None:
    sent = {**headers, "Content-Type": forms.CONTENT_TYPE}
    assert compress(door, headers=sent).status_code == 401
    assert door.client.get("/status/abc123", headers=headers).status_code == 401


@pytest.mark.parametrize("header", ["X-API-Key", "X-Internal-Service-Key"])
def test_b6_the_key_is_taken_in_either_header(door: Door, header: str) -> None:
    sent = {header: KEY, "Content-Type": forms.CONTENT_TYPE}
    assert compress(door, headers=sent).status_code == 200


@pytest.mark.parametrize("data", [JPEG, PNG, WEBP, forms.recording()])
def test_b8_b10_recordings_and_images_are_known_by_their_content(door: Door, data: bytes) -> None:
    """The name of the file says something else."""
    assert compress(door, data).status_code == 200


def test_b11_nothing_keeps_the_name_of_the_file(door: Door) -> None:
    body = forms.form(
        forms.text("media_id", "abc123"),
        forms.file(forms.recording(), filename="../../Geheim.mp4"),
    )
    sent = {"X-API-Key": KEY, "Content-Type": forms.CONTENT_TYPE}
    door.client.post("/compress/", input_stream=BytesIO(body), headers=sent)
    kept = f"{door.world.ledger.read('abc123')} {[o.key for o in door.world.objects.list('')]}"
    assert "Geheim" not in kept
    assert "Geheim" not in str(door.world.log.events)


def test_b4_b5_the_status_is_two_members_in_the_documents_words(door: Door) -> None:
    ledger = door.world.ledger

    def said() -> str:
        answer = status(door).get_json()
        assert set(answer) == {"mediaId", "status"}
        assert answer["mediaId"] == "abc123"
        return str(answer["status"])

    compress(door)
    assert said() == "queued"
    fence = ledger.apply("abc123", Claimed()).fence
    assert said() == "processing"
    ledger.apply("abc123", an_encoded(fence=fence))
    assert said() == "processing", "it is made and on its way"
    fence = ledger.apply("abc123", Claimed()).fence
    ledger.apply("abc123", Delivered(fence=fence))
    assert said() == "processing", "the LMS has not confirmed it"
    door.confirm({"video_id": "abc123"})
    assert said() == "completed"


def test_b5_an_unknown_id_is_not_found(door: Door) -> None:
    answer = status(door, "nobody")
    assert (answer.status_code, answer.get_json()["status"]) == (404, "not_found")
    assert answer.get_json()["mediaId"] == "nobody"


@pytest.mark.parametrize(
    ("code", "word"),
    [(UNTOLD, "db_update_failed"), ("store_unreachable", "failed: no answer")],
)
def test_b5_a_delivery_that_failed_says_what_failed(door: Door, code: str, word: str) -> None:
    compress(door)
    ledger = door.world.ledger
    fence = ledger.apply("abc123", Claimed()).fence
    ledger.apply("abc123", an_encoded(fence=fence))
    fence = ledger.apply("abc123", Claimed()).fence
    failure = Failure(code=code, reason="no answer")
    ledger.apply("abc123", DeliveryRefused(fence=fence, failure=failure))
    assert status(door).get_json()["status"] == word


def test_b5_a_failure_tells_its_reason(door: Door) -> None:
    compress(door)
    fence = door.world.ledger.apply("abc123", Claimed()).fence
    failure = Failure(code="no_video_stream", reason="the file has neither picture nor sound")
    door.world.ledger.apply("abc123", Failed(fence=fence, failure=failure))
    word = status(door).get_json()["status"]
    assert word == "failed: the file has neither picture nor sound"


def test_b5_what_was_called_off_or_never_confirmed_has_failed(door: Door) -> None:
    ledger, clock = door.world.ledger, door.world.clock
    compress(door)
    ledger.apply("abc123", Cancelled())
    assert status(door).get_json()["status"] == "failed: it was called off"
    compress(door, media_id="other")
    fence = ledger.apply("other", Claimed()).fence
    ledger.apply("other", an_encoded(fence=fence))
    fence = ledger.apply("other", Claimed()).fence
    ledger.apply("other", Delivered(fence=fence))
    clock.advance(ledger.policy.confirm_ttl_s + 1)
    ledger.apply("other", Woken())
    assert status(door, "other").get_json()["status"].startswith("failed: it was not confirmed")


def test_the_whole_job_is_shown_to_who_asks_for_it(door: Door) -> None:
    compress(door)
    shown = door.get("/status/abc123?detail").get_json()
    assert (shown["video_id"], shown["state"]) == ("abc123", "queued")
    assert shown["organization_id"] == "default"


def test_one_namespace_serves_both_contracts(door: Door) -> None:
    compress(door, media_id="video-1")
    assert_problem(door.receive(forms.Lecture().body()), 409, "conflicting_upload")
    door.receive(forms.Lecture(video_id="video-2").body())
    assert door.get("/status/video-2").get_json()["video_id"] == "video-2"


def test_another_organization_may_be_named(door: Door) -> None:
    compress(door, None, forms.text("organization_id", "org-7"))
    assert door.world.ledger.read("abc123").organization_id == "org-7"


@pytest.mark.parametrize(
    ("field", "value"),
    [("quality", "best"), ("variants", "huge"), ("format", "gif"), ("delivery", "sftp")],
)
def test_a_wish_that_cannot_be_met_is_refused_by_name(door: Door, field: str, value: str) -> None:
    answer = compress(door, JPEG, forms.text(field, value))
    assert field in assert_problem(answer, 400, "invalid_field")["detail"]
    assert list(door.world.objects.list("")) == []


def test_wishes_are_kept_with_the_job_wherever_they_stand_in_the_form(door: Door) -> None:
    body = forms.form(
        forms.text("quality", "high"),
        forms.file(JPEG),
        forms.text("media_id", "abc123"),
        forms.text("variants", "thumbnail,medium"),
        forms.text("format", "webp"),
    )
    sent = {"X-API-Key": KEY, "Content-Type": forms.CONTENT_TYPE}
    assert (
        door.client.post("/compress", input_stream=BytesIO(body), headers=sent).status_code == 200
    )
    order = door.world.ledger.read("abc123").order
    assert (order.quality, order.variants, order.image_format) == (
        "high",
        ("thumbnail", "medium"),
        "webp",
    )
    assert order.contract is Contract.COMPRESS


def test_where_sftp_is_set_up_each_contract_is_delivered_its_own_way() -> None:
    files = Bounds(
        max_video_bytes=MAX_BYTES, max_image_bytes=MAX_IMAGE_BYTES, orders=OrderRules(has_sftp=True)
    )
    limits = ReceiveLimits(files=files, max_unfinished_jobs=9, max_uploads_at_once=2)
    door = a_door(limits=limits)
    compress(door)
    door.receive(forms.Lecture().body())
    ways = [door.world.ledger.read(name).order.delivery for name in ("abc123", "video-1")]
    assert ways == [Delivery.SFTP, Delivery.WEBHOOK]


@pytest.mark.parametrize(
    ("field", "value"), [("quality", "high"), ("variants", "thumbnail"), ("format", "webp")]
)
def test_the_same_bytes_with_other_wishes_are_no_retry(door: Door, field: str, value: str) -> None:
    """To answer as if the wish were met would be a lie."""
    compress(door, JPEG)
    assert_problem(compress(door, JPEG, forms.text(field, value)), 409, "conflicting_upload")
    assert compress(door, JPEG).get_json() == ACCEPTED
    assert len(list(door.world.objects.list("uploads/"))) == 1


def test_the_same_bytes_through_the_other_door_are_the_same_job_where_it_delivers_alike() -> None:
    door = a_door()
    compress(door, media_id="video-1", headers=None)
    again = forms.Lecture(video_id="video-1", organization_id="default").body()
    assert door.receive(again).status_code == 200
    files = Bounds(
        max_video_bytes=MAX_BYTES, max_image_bytes=MAX_IMAGE_BYTES, orders=OrderRules(has_sftp=True)
    )
    apart = a_door(limits=ReceiveLimits(files=files, max_unfinished_jobs=9, max_uploads_at_once=2))
    compress(apart, media_id="video-1")
    assert_problem(apart.receive(again), 409, "conflicting_upload")
