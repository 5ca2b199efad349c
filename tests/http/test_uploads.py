"""Direct uploads through the front door, over fakes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.declarations import read_outcome
from core.errors import Busy
from core.events import Claimed, Confirmed, Delivered, Failed
from core.job import State, declaration_key, outcome_key, source_key
from core.messages import Topic
from receiver.admission import Admission
from receiver.content import Span, read_span
from tests.fakes import a_failure, an_encoded, an_upload, put, sha256_of
from tests.http.door import (
    KEYS,
    MAX_BYTES,
    MAX_IMAGE_BYTES,
    ROOMY,
    UPLOAD_TTL_S,
    Door,
    a_door,
    assert_problem,
)
from tests.http.forms import recording

DATA = recording(9_000)
SIZE = len(DATA)


@pytest.fixture
def door() -> Door:
    return a_door()


def begun(door: Door, data: bytes = DATA, **members: Any) -> tuple[str, str]:
    """Announce `data`; return the upload's id and the path of its URL."""
    answer = door.announce(data, **members)
    assert answer.status_code == 201, answer.text
    body = answer.get_json()
    return body["upload_id"], body["upload_url"].removeprefix("http://localhost")


def sent(door: Door, data: bytes = DATA, **members: Any) -> str:
    """Announce and send `data` whole; return the upload's id."""
    upload_id, url = begun(door, data, **members)
    assert door.put(url, data).status_code == 200
    return upload_id


def committed(door: Door, data: bytes = DATA, **members: Any) -> str:
    """Announce `data` and commit it behind the service's back, as Cloud Storage does."""
    upload_id, _ = begun(door, data, **members)
    door.sessions.release(source_key(upload_id))
    put(door.world.objects, source_key(upload_id), data)
    return upload_id


def keys(door: Door) -> set[str]:
    """Return what lies in the store."""
    return door.world.objects.keys()


def test_an_announcement_is_answered_with_a_url(door: Door) -> None:
    body = door.announce(DATA).get_json()
    assert body == {
        "upload_id": "run-1",
        "upload_url": "http://localhost/uploads/run-1/content?token=token-of-run-1",
        "expires_at": "2027-01-16T08:00:00.000Z",
        "max_bytes": SIZE,
        "video_id": "video-1",
    }


def test_the_url_begins_with_the_public_address_where_that_is_set() -> None:
    door = a_door(public_url="https://lectern.example.org/")
    url = door.announce(DATA).get_json()["upload_url"]
    assert url.startswith("https://lectern.example.org/uploads/run-1/content?token=")


def test_the_job_starts_by_itself_with_the_last_byte(door: Door) -> None:
    upload_id, url = begun(door, sha256=sha256_of(DATA).upper())
    answer = door.put(url, DATA)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "received")
    job = door.world.ledger.read("video-1")
    assert (job.run, job.state, job.source.sha256) == (upload_id, State.QUEUED, sha256_of(DATA))
    assert (job.source.size, job.source.container) == (SIZE, "mp4")
    assert door.world.bus.depth(Topic.TRANSCODE) == 1


def test_pieces_are_answered_with_what_is_there(door: Door) -> None:
    _, url = begun(door)
    asked = door.put(url, content_range=f"bytes */{SIZE}")
    assert (asked.status_code, asked.headers.get("Range")) == (308, None)
    first = door.put(url, DATA[:100], f"bytes 0-99/{SIZE}")
    assert (first.status_code, first.headers["Range"]) == (308, "bytes=0-99")
    again = door.put(url, DATA[50:300], f"bytes 50-299/{SIZE}")
    assert (again.status_code, again.headers["Range"]) == (308, "bytes=0-299")
    asked = door.put(url, content_range="bytes */*")
    assert (asked.status_code, asked.headers["Range"]) == (308, "bytes=0-299")
    last = door.put(url, DATA[300:], f"bytes 300-{SIZE - 1}/{SIZE}")
    assert last.status_code == 200
    assert door.put(url, content_range=f"bytes */{SIZE}").status_code == 200
    assert door.put(url, DATA).status_code == 200


def test_one_url_does_not_take_the_places_of_all_others(door: Door) -> None:
    """A third piece of one upload at once is told to come again; another upload's is taken."""
    bounds = replace(ROOMY, max_uploads_at_once=3)
    admission = Admission(jobs=door.world.jobs, clock=door.world.clock, bounds=bounds)
    with admission.piece("run-1"), admission.piece("run-1"):
        with pytest.raises(Busy, match="on their way already"), admission.piece("run-1"):
            pass
        with admission.piece("run-2"):
            pass
    with admission.piece("run-1"):
        pass


def test_the_state_of_an_open_upload_is_told(door: Door) -> None:
    upload_id, url = begun(door)
    door.put(url, DATA[:100], f"bytes 0-99/{SIZE}")
    assert door.get(f"/uploads/{upload_id}").get_json() == {
        "upload_id": upload_id,
        "status": "open",
        "video_id": "video-1",
        "size": SIZE,
        "received_bytes": 100,
        "expires_at": "2027-01-16T08:00:00.000Z",
    }


def test_the_state_of_a_received_upload_is_that_of_its_job(door: Door) -> None:
    upload_id = sent(door)
    door.world.ledger.apply("video-1", Claimed())
    body = door.get(f"/uploads/{upload_id}").get_json()
    assert (body["status"], body["video_id"], body["state"]) == (
        "received",
        "video-1",
        "processing",
    )


def test_completing_answers_like_receive_however_often(door: Door) -> None:
    upload_id = committed(door)
    for _ in range(3):
        answer = door.complete(upload_id)
        assert answer.get_json() == {"status": "queued", "video_id": "video-1"}
    assert len(door.world.jobs.all()) == 1
    assert len(door.world.bus.published) == 1


def test_completing_too_early_is_no_harm(door: Door) -> None:
    upload_id, url = begun(door)
    assert_problem(door.complete(upload_id), 409, "not_ready")
    door.put(url, DATA)
    assert door.complete(upload_id).status_code == 200


@pytest.mark.parametrize("call", ["get", "complete"])
@pytest.mark.parametrize("upload_id", ["run-9", "..", "a b", "x" * 65])
def test_an_unknown_upload_is_not_found(door: Door, call: str, upload_id: str) -> None:
    answer = door.complete(upload_id) if call == "complete" else door.get(f"/uploads/{upload_id}")
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (404, "not_found")


def test_after_the_confirmation_nothing_is_left_and_completing_still_answers(door: Door) -> None:
    upload_id = sent(door)
    ledger = door.world.ledger
    ledger.apply("video-1", Claimed())
    ledger.apply("video-1", an_encoded(upload_id, 1))
    ledger.apply("video-1", Claimed())
    ledger.apply("video-1", Delivered(fence=2))
    assert keys(door) > {declaration_key(upload_id), outcome_key(upload_id)}
    ledger.apply("video-1", Confirmed())
    assert keys(door) == set()
    assert door.complete(upload_id).get_json()["video_id"] == "video-1"
    assert door.get(f"/uploads/{upload_id}").get_json()["state"] == "completed"


def test_a_late_call_does_not_start_a_failed_job_anew(door: Door) -> None:
    """The store's event may come twice, and long after the job has failed."""
    upload_id = sent(door)
    ledger = door.world.ledger
    ledger.apply("video-1", Claimed())
    ledger.apply("video-1", Failed(fence=1, failure=a_failure()))
    door.world.objects.delete(outcome_key(upload_id))
    assert door.complete(upload_id).status_code == 200
    assert ledger.read("video-1").state is State.FAILED
    assert source_key(upload_id) in keys(door)


@pytest.mark.parametrize(
    ("data", "said", "status", "code"),
    [
        (b"GIF89a" + bytes(500), {}, 400, "unsupported_type"),
        (DATA, {"sha256": "0" * 64}, 400, "invalid_field"),
        (DATA, {"size": SIZE + 1}, 400, "invalid_field"),
    ],
)
def test_what_is_wrong_with_the_bytes_is_told_and_kept_in_mind(
    door: Door, data: bytes, said: dict[str, Any], status: int, code: str
) -> None:
    """The object is deleted, the refusal is told by every later call."""
    upload_id = committed(door, data, **said)
    for _ in range(2):
        assert_problem(door.complete(upload_id), status, code)
    body = door.get(f"/uploads/{upload_id}").get_json()
    assert (body["status"], body["code"]) == ("refused", code)
    assert body["reason"]
    assert source_key(upload_id) not in keys(door)
    assert door.world.jobs.all() == []
    assert "upload.refused" in door.world.log.names()


def test_the_url_answers_200_also_for_bytes_that_are_refused_then(door: Door) -> None:
    """As Cloud Storage does: the bytes arrived; what they are worth is told elsewhere."""
    _, url = begun(door, b"GIF89a" + bytes(500))
    answer = door.put(url, b"GIF89a" + bytes(500))
    assert answer.status_code == 200
    assert answer.get_json()["code"] == "unsupported_type"
    assert_problem(door.put(url, content_range="bytes */*"), 410, "expired")


def test_the_same_bytes_under_a_known_id_are_the_known_job(door: Door) -> None:
    first, second = sent(door), sent(door)
    assert door.complete(second).status_code == 200
    assert [job.run for job in door.world.jobs.all()] == [first]
    assert door.get(f"/uploads/{second}").get_json()["video_id"] == "video-1"


def test_other_bytes_under_a_known_id_are_a_conflict_and_deleted(door: Door) -> None:
    sent(door)
    second = committed(door, recording(500, filler=b"other "))
    assert_problem(door.complete(second), 409, "conflicting_upload")
    assert source_key(second) not in keys(door)
    assert source_key("run-1") in keys(door)


@pytest.mark.parametrize("said", [{"organization_id": "org-2"}, {"sha256": "0" * 64}])
def test_a_conflict_that_is_known_is_told_before_a_byte_is_sent(
    door: Door, said: dict[str, str]
) -> None:
    sent(door)
    assert_problem(door.announce(DATA, **said), 409, "conflicting_upload")


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"video_id": None}, 400, "missing_field"),
        ({"organization_id": ""}, 400, "missing_field"),
        ({"size": None}, 400, "missing_field"),
        ({"content_type": None}, 400, "missing_field"),
        ({"subtitles": "WEBVTT"}, 400, "invalid_field"),
        ({"video_id": "../x"}, 400, "invalid_id"),
        ({"video_id": 7}, 400, "invalid_field"),
        ({"size": "9000"}, 400, "invalid_field"),
        ({"size": True}, 400, "invalid_field"),
        ({"size": 0}, 400, "invalid_field"),
        ({"size": -1}, 400, "invalid_field"),
        ({"size": MAX_BYTES + 1}, 413, "too_large"),
        ({"sha256": "abc"}, 400, "invalid_field"),
        ({"sha256": 1}, 400, "invalid_field"),
        ({"content_type": "text/html"}, 400, "unsupported_type"),
        ({"content_type": "image/png", "size": MAX_IMAGE_BYTES + 1}, 413, "too_large"),
        ({"content_type": "image/png", "renditions": "hls"}, 400, "invalid_field"),
        ({"variants": "medium"}, 400, "invalid_field"),
        ({"quality": "best"}, 400, "invalid_field"),
        ({"delivery": "sftp"}, 400, "invalid_field"),
        ({"content_type": "audio"}, 400, "unsupported_type"),
        ({"content_type": "video/mp4\r\nX: y"}, 400, "unsupported_type"),
    ],
)
def test_an_announcement_that_cannot_be_kept_is_refused(
    door: Door, said: dict[str, Any], status: int, code: str
) -> None:
    assert_problem(door.announce(DATA, **said), status, code)
    assert (keys(door), door.sessions.opened) == (set(), {})


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "bad_request"),
        (b"[]", "application/json", 400, "bad_request"),
        (b"{}", "text/plain", 400, "bad_request"),
        (b" " * 20_000, "application/json", 413, "too_large"),
    ],
)
def test_a_body_that_is_no_announcement_is_refused(
    door: Door, body: bytes, content_type: str, status: int, code: str
) -> None:
    headers = {**KEYS, "Content-Type": content_type}
    assert_problem(door.client.post("/uploads", data=body, headers=headers), status, code)


def test_a_full_queue_or_store_is_answered_429(door: Door) -> None:
    full = a_door(limits=replace(ROOMY, max_unfinished_jobs=1))
    full.world.ledger.receive(an_upload("video-9", run="run-99"))
    assert_problem(full.announce(DATA), 429, "busy")
    door.sessions._open_max = 0
    answer = door.announce(DATA)
    assert_problem(answer, 429, "busy")
    assert int(answer.headers["Retry-After"]) > 0


def test_bytes_on_their_way_count_as_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    door = a_door(limits=replace(ROOMY, max_uploads_at_once=1))
    _, url = begun(door)

    def while_they_come(*_args: Any, **_options: Any) -> int:
        assert_problem(door.receive(b""), 429, "busy")
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(door.sessions, "append", while_they_come)
        assert door.put(url, DATA).status_code == 308
    assert door.put(url, DATA).status_code == 200


@pytest.mark.parametrize("path", ["/uploads", "/uploads/run-1", "/uploads/run-1/complete"])
def test_all_but_the_bytes_need_the_key(door: Door, path: str) -> None:
    begun(door)
    answer = door.client.get(path) if path.endswith("run-1") else door.client.post(path)
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("token", ["", "token-of-run-2", "token-of-run-1x", "%ff"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_the_bytes_need_the_token(door: Door, method: str, token: str) -> None:
    begun(door)
    answer = door.client.open(f"/uploads/run-1/content?token={token}", method=method, headers=KEYS)
    assert_problem(answer, 404, "not_found")


def test_no_event_holds_a_token(door: Door) -> None:
    _, url = begun(door)
    door.put(url, DATA)
    door.put(url.replace("token-of", "token-no"), DATA)
    assert "token-" not in repr(door.world.log.events)


def test_a_cancelled_upload_is_over(door: Door) -> None:
    upload_id, url = begun(door)
    door.put(url, DATA[:100], f"bytes 0-99/{SIZE}")
    assert door.client.delete(url).status_code == 204
    assert_problem(door.put(url, DATA), 410, "expired")
    assert_problem(door.complete(upload_id), 410, "expired")
    assert door.get(f"/uploads/{upload_id}").get_json()["status"] == "refused"
    assert door.sessions.opened == {}


def test_a_complete_upload_cannot_be_cancelled(door: Door) -> None:
    upload_id, url = begun(door)
    door.put(url, DATA)
    assert_problem(door.client.delete(url), 410, "expired")
    assert door.complete(upload_id).status_code == 200


def test_an_upload_that_was_committed_and_not_recorded_is_not_cancelled(door: Door) -> None:
    upload_id = committed(door)
    url = f"/uploads/{upload_id}/content?token=token-of-{upload_id}"
    assert_problem(door.client.delete(url), 410, "expired")
    assert read_outcome(door.world.objects, upload_id) is None
    assert door.complete(upload_id).status_code == 200


def test_after_its_time_a_url_takes_nothing_more(door: Door) -> None:
    _, url = begun(door)
    door.world.clock.advance(UPLOAD_TTL_S)
    assert_problem(door.put(url, DATA), 410, "expired")


@pytest.mark.parametrize(
    ("content_range", "length", "status", "code"),
    [
        ("bytes 0-9/10", 10, 400, "invalid_field"),
        (f"bytes 5-4/{SIZE}", 0, 400, "invalid_field"),
        (f"bytes 0-9/{SIZE}", 11, 400, "invalid_field"),
        (f"bytes 10-19/{SIZE}", 10, 400, "invalid_field"),
        (f"bytes */{SIZE}", 5, 400, "invalid_field"),
        ("lines 0-9/10", 10, 400, "invalid_field"),
        (f"bytes 0-{SIZE}/{SIZE}", SIZE + 1, 413, "too_large"),
        (None, SIZE + 1, 413, "too_large"),
    ],
)
def test_a_put_that_does_not_fit_is_refused_and_takes_nothing(
    door: Door, content_range: str | None, length: int, status: int, code: str
) -> None:
    _, url = begun(door)
    assert_problem(door.put(url, bytes(length), content_range), status, code)
    assert door.put(url, content_range="bytes */*").headers.get("Range") is None


def test_a_put_of_unknown_length_takes_what_comes() -> None:
    assert read_span(None, None, size=5) == Span(start=0, end=None)
    assert read_span("bytes 2-4/*", None, size=5) == Span(start=2, end=5)


def test_a_record_that_cannot_be_written_now_is_left_to_the_sweep(door: Door) -> None:
    """The bytes are safe, so their sender is told so."""
    upload_id, url = begun(door)
    door.world.jobs.broken = True
    answer = door.put(url, DATA)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "open")
    assert_problem(door.complete(upload_id), 503, "unavailable")
    door.world.jobs.broken = False
    assert door.complete(upload_id).status_code == 200
