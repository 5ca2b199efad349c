"""POST /video/receive, through Flask's own client."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import pytest
from werkzeug.test import TestResponse

from core import limits
from core.errors import Unavailable
from core.events import Claimed, Failed
from core.job import Policy, State
from core.messages import Topic
from tests.fakes import MemoryObjectStore, World, a_failure, a_world, sha256_of
from tests.http import forms
from tests.http.door import KEYS, MAX_BYTES, ROOMY, Door, a_door, assert_problem
from tests.http.forms import Lecture


@pytest.fixture
def door() -> Door:
    return a_door()


def test_an_upload_is_answered_with_its_id_and_is_durable(door: Door) -> None:
    lecture = Lecture()
    response = door.receive(lecture.body())
    assert response.status_code == 200
    assert response.get_json() == {"status": "queued", "video_id": "video-1"}
    job = door.world.ledger.read("video-1")
    assert job.state is State.QUEUED
    assert job.source.sha256 == sha256_of(lecture.data)
    assert (job.source.size, job.source.container) == (len(lecture.data), "mp4")
    with door.world.objects.open(job.source.key) as stored:
        assert stored.read() == lecture.data
    assert door.world.bus.depth(Topic.TRANSCODE) == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_fields_may_come_in_any_order(door: Door, order: tuple[int, ...]) -> None:
    parts = Lecture().parts()
    assert door.receive(forms.form(*(parts[index] for index in order))).status_code == 200
    assert door.world.ledger.read("video-1").organization_id == "org-1"


def test_a_form_of_the_test_client_is_taken_as_well(door: Door) -> None:
    """Another maker of multipart bodies than the tests' own."""
    data = {
        "video_id": "video-1",
        "organization_id": "org-1",
        "file": (BytesIO(forms.recording()), 'a "quoted" name.mp4'),
        "title": "Analysis I",
    }
    assert door.client.post("/video/receive", data=data, headers=KEYS).status_code == 200


def test_a_large_random_file_arrives_as_it_was_sent(door: Door) -> None:
    data = forms.MP4_HEAD + hashlib.shake_128(b"seed").digest(900_000)
    assert door.receive(Lecture(data=data).body()).status_code == 200
    assert door.world.ledger.read("video-1").source.sha256 == sha256_of(data)


@pytest.mark.parametrize("missing", range(3))
def test_a_missing_field_is_named(door: Door, missing: int) -> None:
    parts = [part for index, part in enumerate(Lecture().parts()) if index != missing]
    problem = assert_problem(door.receive(forms.form(*parts)), 400, "missing_field")
    assert ("video_id", "organization_id", "file")[missing] in problem["detail"]
    assert_nothing_stored(door)


def test_an_empty_id_counts_as_missing(door: Door) -> None:
    assert_problem(door.receive(Lecture(video_id="").body()), 400, "missing_field")


def test_a_form_without_parts_lacks_its_fields(door: Door) -> None:
    assert_problem(door.receive(forms.closing()), 400, "missing_field")


@pytest.mark.parametrize("video_id", ["a/b", "../x", "-x", "ü", "a b", "x" * 129, "a\n", "\x00"])
def test_an_id_with_other_characters_is_refused(door: Door, video_id: str) -> None:
    assert_problem(door.receive(Lecture(video_id=video_id).body()), 400, "invalid_id")
    assert_nothing_stored(door)


def test_the_organization_is_checked_like_the_id(door: Door) -> None:
    lecture = Lecture(organization_id="an org")
    problem = assert_problem(door.receive(lecture.body()), 400, "invalid_id")
    assert "organization_id" in problem["detail"]


@pytest.mark.parametrize("twice", range(3))
def test_a_field_given_twice_is_refused(door: Door, twice: int) -> None:
    parts = Lecture().parts()
    assert_problem(door.receive(forms.form(*parts, parts[twice])), 400, "invalid_field")
    assert_nothing_stored(door)


def test_unknown_text_fields_are_ignored(door: Door) -> None:
    extra = [forms.text("title", "x" * limits.FIELD_BYTES_MAX)] * 3
    assert door.receive(forms.form(*extra, *Lecture().parts())).status_code == 200


def test_a_text_field_over_its_bound_is_refused(door: Door) -> None:
    extra = forms.text("title", "x" * (limits.FIELD_BYTES_MAX + 1))
    assert_problem(door.receive(forms.form(extra, *Lecture().parts())), 400, "malformed_multipart")


def test_a_matching_digest_is_accepted_in_any_case(door: Door) -> None:
    digest = forms.text("sha256", sha256_of(forms.recording()).upper())
    assert door.receive(forms.form(digest, *Lecture().parts())).status_code == 200


@pytest.mark.parametrize("digest", ["0" * 64, "abc", "", "g" * 64])
def test_a_digest_that_does_not_fit_is_refused(door: Door, digest: str) -> None:
    body = forms.form(*Lecture().parts(), forms.text("sha256", digest))
    assert_problem(door.receive(body), 400, "invalid_field")
    assert_nothing_stored(door)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"GIF89a" + bytes(100), b"#EXTM3U\n" * 20, b"PK\x03\x04" + bytes(5000)]
)
def test_content_decides_the_type(door: Door, data: bytes) -> None:
    problem = assert_problem(door.receive(Lecture(data=data).body()), 400, "unsupported_type")
    assert "MP4" in problem["detail"]
    assert_nothing_stored(door)


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "wav"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x7f", "mp3"),
        (b"fLaC\x00\x00\x00\x22", "flac"),
    ],
)
def test_a_lecture_without_a_picture_is_taken(door: Door, head: bytes, container: str) -> None:
    response = door.receive(Lecture(data=head + bytes(5000)).body())
    assert response.status_code == 200
    assert door.world.ledger.read("video-1").source.container == container


def test_a_wrong_type_is_refused_before_the_rest_is_read(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DRAIN_BYTES_MAX", 0)
    body = BytesIO(Lecture(data=b"plain text " * 80_000).body())
    response = door.stream(body, announced=len(body.getvalue()))
    assert_problem(response, 400, "unsupported_type")
    assert body.tell() < limits.FIRST_CHUNK_BYTES * 2


def test_a_short_file_of_the_right_type_is_taken(door: Door) -> None:
    """Shorter than what is sniffed: only its end shows that no more comes."""
    assert door.receive(Lecture(data=forms.MP4_HEAD).body()).status_code == 200


def test_an_announced_size_over_the_limit_is_refused_at_once(door: Door) -> None:
    response = door.stream(BytesIO(), announced=MAX_BYTES + limits.FORM_OVERHEAD_BYTES + 1)
    assert_problem(response, 413, "too_large")


@pytest.mark.parametrize(("size", "status"), [(MAX_BYTES, 200), (MAX_BYTES + 1, 413)])
def test_the_limit_holds_to_the_byte(door: Door, size: int, status: int) -> None:
    response = door.receive(Lecture(data=forms.recording(size)).body())
    assert response.status_code == status
    if status == 413:
        assert_problem(response, 413, "too_large")
        assert_nothing_stored(door)


def test_an_endless_epilogue_is_refused(door: Door) -> None:
    body = Lecture().body() + b"x" * (MAX_BYTES + limits.FORM_OVERHEAD_BYTES)
    response = door.stream(BytesIO(body), announced=None)
    assert_problem(response, 413, "too_large")
    assert_nothing_stored(door)


@pytest.mark.parametrize("cut", [1, 5, len(forms.closing()), 400, 2050])
def test_a_cut_upload_is_refused_as_truncated(door: Door, cut: int) -> None:
    whole = Lecture().body()
    response = door.stream(BytesIO(whole[:-cut]), announced=len(whole))
    assert_problem(response, 400, "truncated_upload")
    assert_nothing_stored(door)


@pytest.mark.parametrize("cut", [3, len(forms.closing()), 400])
def test_a_body_without_its_closing_boundary_is_truncated(door: Door, cut: int) -> None:
    assert_problem(door.receive(Lecture().body()[:-cut]), 400, "truncated_upload")
    assert_nothing_stored(door)


def test_only_the_last_line_end_may_be_missing(door: Door) -> None:
    assert door.receive(Lecture().body()[:-2]).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/mixed; boundary=lectern-boundary",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=another",
        f"multipart/form-data; boundary={'b' * 300}",
        "",
    ],
)
def test_a_content_type_that_does_not_fit_is_malformed(door: Door, content_type: str) -> None:
    response = door.receive(Lecture().body(), Content_Type=content_type)
    assert_problem(response, 400, "malformed_multipart")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"x" * 100_000,
        Lecture().body().replace(b"\r\n", b"\n"),
        forms.form(*[forms.text("x", "y")] * (limits.FIELDS_MAX + 1)),
        forms.form(forms.part('form-data; name="x"', b"", "X-Long: " + "x" * 9000)),
        forms.form(forms.part('form-data; name="x"', b"", *["X-A: " + "x" * 3000] * 3)),
        forms.form(forms.part('form-data; name="x"', b"", *["X-A: b"] * 30)),
        forms.form(forms.part("form-data", b"no name")),
        forms.form(forms.part('attachment; name="file"', b"not a form field")),
        forms.form(b"--lectern-boundary\r\n\r\nno headers\r\n"),
        forms.form(b"--lectern-boundary\r\nnot a header line\r\n\r\nx\r\n"),
    ],
)
def test_a_body_that_is_no_form_is_malformed(door: Door, body: bytes) -> None:
    assert_problem(door.receive(body), 400, "malformed_multipart")
    assert_nothing_stored(door)


def test_a_full_disk_at_the_beginning_means_busy() -> None:
    full = a_door(world=_with_room(1000))
    response = full.receive(Lecture().body())
    assert_problem(response, 429, "busy")
    assert int(response.headers["Retry-After"]) == limits.BUSY_RETRY_S


def test_a_disk_that_fills_up_in_the_middle_means_busy() -> None:
    """Without an announced length the store learns only late that it has no room."""
    full = a_door(world=_with_room(400_000))
    response = full.stream(BytesIO(Lecture(data=forms.recording(900_000)).body()), announced=None)
    assert_problem(response, 429, "busy")
    assert_nothing_stored(full)


def test_a_full_queue_means_busy_until_it_is_shorter() -> None:
    door = a_door(limits=replace(ROOMY, max_unfinished_jobs=1))
    assert door.receive(Lecture().body()).status_code == 200
    door.world.clock.advance(limits.GLANCE_S)
    response = door.receive(Lecture(video_id="video-2").body())
    assert_problem(response, 429, "busy")
    assert int(response.headers["Retry-After"]) == limits.BUSY_RETRY_S
    fence = door.world.ledger.apply("video-1", Claimed()).fence
    door.world.ledger.apply("video-1", _failed(fence))
    door.world.clock.advance(limits.GLANCE_S)
    assert door.receive(Lecture(video_id="video-2").body()).status_code == 200


def test_the_queue_is_not_counted_for_each_request() -> None:
    door = a_door(limits=replace(ROOMY, max_unfinished_jobs=1))
    assert door.receive(Lecture().body()).status_code == 200
    assert door.receive(Lecture(video_id="video-2").body()).status_code == 200


def test_too_many_uploads_at_once_mean_busy() -> None:
    door = a_door(limits=replace(ROOMY, max_uploads_at_once=1))
    second = Lecture(video_id="video-2").body()
    body = _Body(Lecture().body(), lambda: meanwhile.append(door.receive(second)))
    meanwhile: list[TestResponse] = []
    assert door.stream(body, announced=len(body.getvalue())).status_code == 200
    assert_problem(meanwhile[0], 429, "busy")
    assert door.receive(second).status_code == 200


def test_the_same_bytes_again_are_answered_alike_and_stored_once(door: Door) -> None:
    first, second = door.receive(Lecture().body()), door.receive(Lecture().body())
    assert (first.status_code, first.get_json()) == (second.status_code, second.get_json())
    assert door.world.objects.keys() == {"uploads/run-1/source"}


def test_other_bytes_under_the_same_id_are_refused_and_dropped(door: Door) -> None:
    door.receive(Lecture().body())
    other = Lecture(data=forms.recording(3000)).body()
    assert_problem(door.receive(other), 409, "conflicting_upload")
    assert door.world.objects.keys() == {"uploads/run-1/source"}


def test_another_organization_does_not_get_the_id(door: Door) -> None:
    door.receive(Lecture().body())
    other = Lecture(organization_id="org-2").body()
    assert_problem(door.receive(other), 409, "conflicting_upload")
    assert door.world.objects.keys() == {"uploads/run-1/source"}


def test_a_failed_id_may_be_sent_again_with_other_bytes(door: Door) -> None:
    door.receive(Lecture().body())
    fence = door.world.ledger.apply("video-1", Claimed()).fence
    door.world.ledger.apply("video-1", _failed(fence))
    assert door.receive(Lecture(data=forms.recording(3000)).body()).status_code == 200
    assert door.world.objects.keys() == {"uploads/run-2/source"}


def test_a_duplicate_is_answered_even_when_its_copy_cannot_be_deleted(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise Unavailable("no answer")

    door.receive(Lecture().body())
    monkeypatch.setattr(MemoryObjectStore, "delete", refuse)
    assert door.receive(Lecture().body()).status_code == 200
    assert "upload.left_to_sweep" in door.world.log.names()


def test_a_store_that_does_not_answer_is_unavailable(door: Door) -> None:
    door.world.objects.broken = True
    response = door.receive(Lecture().body())
    problem = assert_problem(response, 503, "unavailable")
    assert int(response.headers["Retry-After"]) == limits.UNAVAILABLE_RETRY_S
    assert "fake" not in problem["detail"]


def test_an_upload_whose_record_fails_is_left_to_the_sweep(door: Door) -> None:
    """The record may stand although its answer was lost: deleting the source could lose a job."""
    door.receive(Lecture().body())
    door.world.jobs.broken = True
    assert_problem(door.receive(Lecture(video_id="video-2").body()), 503, "unavailable")
    assert door.world.objects.keys() == {"uploads/run-1/source", "uploads/run-2/source"}


def test_an_upload_that_waited_too_long_for_its_record_must_be_sent_again() -> None:
    """Its object may count as an orphan by then, so it must not become a job."""
    door = a_door(world=a_world(policy=Policy(record_within_s=-1)))
    assert_problem(door.receive(Lecture().body()), 503, "unavailable")
    assert door.world.jobs.get("video-1") is None


def test_the_event_of_an_upload_names_its_job_but_nothing_secret(door: Door) -> None:
    door.receive(Lecture().body())
    fields = dict(door.world.log.events)["http.request"]
    assert (fields["method"], fields["route"]) == ("POST", "/video/receive")
    assert (fields["status"], fields["job_id"]) == (200, "video-1")
    assert "Vorlesung" not in repr(door.world.log.events)


def assert_nothing_stored(door: Door) -> None:
    """Check that neither an object nor a part of one nor a record is left."""
    assert door.world.objects.keys() == set()
    assert door.world.objects._partials == []
    assert door.world.jobs.all() == []


def _with_room(capacity_bytes: int) -> World:
    world = a_world()
    world.objects._capacity_bytes = capacity_bytes
    return world


def _failed(fence: int) -> Failed:
    return Failed(fence=fence, failure=a_failure())


class _Body(BytesIO):
    """A body that does something when it is first read."""

    def __init__(self, data: bytes, at_first: Callable[[], None]) -> None:
        super().__init__(data)
        self._at_first: Callable[[], None] | None = at_first

    def read(self, size: int | None = -1, /) -> bytes:
        if self._at_first is not None:
            at_first, self._at_first = self._at_first, None
            at_first()
        return super().read(size)


def test_the_event_of_a_refused_upload_says_whose_it_was(door: Door) -> None:
    """Who asks why a recording never came must find it, also when it never became a job."""
    body = forms.form(*Lecture().parts()[:2], forms.file(b"no recording" * 20))
    assert_problem(door.receive(body), 400, "unsupported_type")
    (fields,) = [fields for name, fields in door.world.log.events if name == "http.request"]
    assert (fields["job_id"], fields["organization_id"]) == ("video-1", "org-1")
    assert fields["code"] == "unsupported_type"
