"""Multipart forms that are wrong in every way: cut, reordered, doubled, nested, mislabelled."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from io import BytesIO

import pytest
from werkzeug.test import TestResponse

from tests.http import forms
from tests.http.door import KEYS, Door, a_door, assert_problem
from tests.http.forms import BOUNDARY, Lecture

DATA = forms.recording(200)
LECTURE = Lecture(data=DATA)
WHOLE = LECTURE.body()
EARLY = {"malformed_multipart", "truncated_upload", "missing_field", "unsupported_type"}


@pytest.fixture
def door() -> Door:
    return a_door()


def sent(door: Door, body: bytes, content_type: str = forms.CONTENT_TYPE) -> TestResponse:
    """POST a body under a content type."""
    headers = {**KEYS, "Content-Type": content_type}
    return door.client.post("/video/receive", input_stream=BytesIO(body), headers=headers)


def nothing_is_left(door: Door) -> bool:
    """Tell whether no object, whole or in part, and no job came of all requests."""
    kept = list(door.world.objects.list("")) or door.world.objects._partials
    return not kept and sum(door.world.jobs.counts().values()) == 0


def refused(door: Door, response: TestResponse, codes: set[str]) -> None:
    """Check that an answer is a documented refusal and that nothing is left of its request."""
    assert response.status_code == 400, response.text
    code = response.get_json(force=True)["code"]
    assert_problem(response, 400, code)
    assert code in codes
    assert nothing_is_left(door)


# --- lengths --------------------------------------------------------------------------------------


def test_a_form_cut_at_any_byte_is_refused_and_leaves_nothing(door: Door) -> None:
    """Only what follows the closing boundary may be missing."""
    end = WHOLE.rindex(b"--") + 2
    for at in range(end):
        refused(door, sent(door, WHOLE[:at]), EARLY)
    for at in range(end, len(WHOLE) + 1):
        assert sent(door, WHOLE[:at]).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_form_that_breaks_off_at_any_byte_is_refused(door: Door, *, chunked: bool) -> None:
    """Announced as a whole, or in chunks."""
    announced = None if chunked else len(WHOLE)
    for at in range(0, WHOLE.rindex(b"--") + 2, 3):
        refused(door, door.stream(BytesIO(WHOLE[:at]), announced=announced), EARLY)


def test_a_byte_lost_anywhere_in_the_frame_is_no_500(door: Door) -> None:
    """In boundaries, headers and fields; a byte of the file itself is the file's business."""
    for at in range(len(WHOLE)):
        assert sent(door, WHOLE[:at] + WHOLE[at + 1 :]).status_code in {200, 400, 409}, at


@pytest.mark.parametrize("seed", range(40))
def test_bytes_turned_around_are_no_500(door: Door, seed: int) -> None:
    """A few bytes anywhere, each replaced by any other."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    for _ in range(10):
        body = bytearray(WHOLE)
        for _ in range(chance.randint(1, 6)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        assert sent(door, bytes(body)).status_code in {200, 400, 409}


# --- boundaries -----------------------------------------------------------------------------------

_TYPES = {
    "none": "multipart/form-data",
    "empty": "multipart/form-data; boundary=",
    "empty in quotes": 'multipart/form-data; boundary=""',
    "another": "multipart/form-data; boundary=another",
    "shorter": f"multipart/form-data; boundary={BOUNDARY[:-1]}",
    "longer": f"multipart/form-data; boundary={BOUNDARY}x",
    "another case": f"multipart/form-data; boundary={BOUNDARY.upper()}",
    "with its dashes": f"multipart/form-data; boundary=--{BOUNDARY}",
    "of 1,000 characters": f"multipart/form-data; boundary={'b' * 1000}",
    "of bytes": "multipart/form-data; boundary=\xff\xfe",
    "said twice": f"multipart/form-data; boundary=another; boundary={BOUNDARY}x",
    "another kind of parts": f"multipart/mixed; boundary={BOUNDARY}",
    "no parts": f"application/octet-stream; boundary={BOUNDARY}",
    "no type": "",
    "a type that is none": f"/; boundary={BOUNDARY}",
}


@pytest.mark.parametrize("kind", list(_TYPES))
def test_a_boundary_that_is_not_the_body_s_is_refused(door: Door, kind: str) -> None:
    refused(door, sent(door, WHOLE, _TYPES[kind]), {"malformed_multipart", "truncated_upload"})


@pytest.mark.parametrize(
    "content_type",
    [
        f'multipart/form-data; boundary="{BOUNDARY}"',
        f"multipart/form-data;boundary={BOUNDARY}",
        f"multipart/form-data ; boundary={BOUNDARY} ; charset=utf-8",
        f"Multipart/Form-Data; Boundary={BOUNDARY}",
        f"multipart/form-data; charset=utf-8; boundary={BOUNDARY}",
    ],
)
def test_a_boundary_may_be_written_as_the_rules_allow(door: Door, content_type: str) -> None:
    assert sent(door, WHOLE, content_type).status_code == 200


_FRAMES = {
    "line feeds instead of CRLF": WHOLE.replace(b"\r\n", b"\n"),
    "carriage returns instead of CRLF": WHOLE.replace(b"\r\n", b"\r"),
    "no boundary at the start": WHOLE.removeprefix(f"--{BOUNDARY}\r\n".encode()),
    "a doubled boundary": f"--{BOUNDARY}\r\n".encode() + WHOLE,
    "a closing boundary first": forms.closing() + WHOLE,
    "a closing boundary between": forms.form(
        LECTURE.parts()[0], forms.closing(), *LECTURE.parts()[1:]
    ),
    "no closing boundary": WHOLE.removesuffix(forms.closing()),
    "a closing boundary with one dash": WHOLE[: WHOLE.rindex(b"--") + 1],
    "a boundary with one dash": WHOLE.replace(b"--lectern", b"-lectern"),
    "no empty line after headers": WHOLE.replace(b"\r\n\r\n", b"\r\n"),
    "no headers": forms.form(b"--lectern-boundary\r\n\r\nvideo-1\r\n", *LECTURE.parts()[1:]),
    "a header without a colon": WHOLE.replace(b"Disposition: ", b"Disposition "),
    "a header without a name": WHOLE.replace(b"Content-Disposition:", b":"),
    "a part without a name": WHOLE.replace(b'name="video_id"', b"", 1),
    "a part of another disposition": WHOLE.replace(b"form-data;", b"attachment;", 1),
    "only a closing boundary": forms.closing(),
    "nothing": b"",
    "not a form": b"video_id=video-1&organization_id=org-1",
    "JSON": b'{"video_id": "video-1"}',
}


@pytest.mark.parametrize("kind", list(_FRAMES))
def test_a_frame_that_is_wrong_is_refused(door: Door, kind: str) -> None:
    refused(door, sent(door, _FRAMES[kind]), EARLY | {"invalid_field"})


# --- fields ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_fields_may_come_in_any_order(door: Door, order: Sequence[int]) -> None:
    parts = (*LECTURE.parts(), forms.text("note", "means nothing here"))
    assert sent(door, forms.form(*(parts[at] for at in order))).status_code == 200


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
@pytest.mark.parametrize("doubled", range(3))
def test_a_doubled_field_is_refused_wherever_it_stands(
    door: Door, order: Sequence[int], doubled: int
) -> None:
    """Two readers of one form could each believe another of the two."""
    again = (
        forms.text("video_id", "video-2"),
        forms.text("organization_id", "org-2"),
        forms.file(forms.recording(300)),
    )
    parts = (*LECTURE.parts(), again[doubled])
    refused(door, sent(door, forms.form(*(parts[at] for at in order))), {"invalid_field"})


@pytest.mark.parametrize("missing", range(3))
def test_a_form_without_one_of_its_fields_is_refused(door: Door, missing: int) -> None:
    parts = [part for at, part in enumerate(LECTURE.parts()) if at != missing]
    refused(door, sent(door, forms.form(*parts)), {"missing_field"})


@pytest.mark.parametrize(
    "name",
    ["VIDEO_ID", "video_id ", " video_id", "video_id\x00", "video-id", "video_id[]", "vídeo_id"],
)
def test_a_field_of_almost_the_name_is_not_the_field(door: Door, name: str) -> None:
    body = forms.form(forms.text(name, "video-1"), *LECTURE.parts()[1:])
    refused(door, sent(door, body), {"missing_field"})


@pytest.mark.parametrize(
    "value",
    ["", " ", ".", "..", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "a\x00b", "a\r\nb",
     "%2e%2e", "ä", "a" * 129, "a" * 4000, "<script>", "'; DROP TABLE jobs", "-rf", "\u202eab",
     "\ud83d\ude00"],
)  # fmt: skip
def test_an_id_that_could_mean_something_elsewhere_is_refused(door: Door, value: str) -> None:
    """In paths, headers, shells, pages."""
    text = value.encode("utf-8", "surrogatepass")
    for field in ("video_id", "organization_id"):
        others = [part for part in LECTURE.parts() if f'"{field}"'.encode() not in part]
        body = forms.form(forms.part(f'form-data; name="{field}"', text), *others)
        refused(door, sent(door, body), {"invalid_id", "missing_field"})


@pytest.mark.parametrize(
    "filename",
    [
        "",
        "../../x.mp4",
        "/etc/passwd",
        "a\\..\\b.mp4",
        'a\\"b.mp4',
        "a;b.mp4",
        "x" * 4000,
        "ä.mp4",
        "con",
    ],
)
def test_the_file_s_name_means_nothing(door: Door, filename: str) -> None:
    body = forms.form(*LECTURE.parts()[:2], forms.file(DATA, filename=filename))
    assert sent(door, body).status_code == 200
    assert "etc" not in str(list(door.world.objects.list("")))


def test_a_form_within_the_file_is_a_file(door: Door) -> None:
    """A whole other form, with its own boundary and with ours but for a dash."""
    inner = WHOLE.replace(BOUNDARY.encode(), b"inner").replace(b"video-1", b"video-2")
    almost = WHOLE.replace(b"--" + BOUNDARY.encode(), b"-" + BOUNDARY.encode())
    for data in (inner, almost):
        lecture = Lecture(video_id=f"video-{len(data)}", data=DATA + data)
        assert sent(door, lecture.body()).status_code == 200
        job = door.world.ledger.read(lecture.video_id)
        assert job.source.size == len(lecture.data)


def test_a_form_of_forms_is_no_form(door: Door) -> None:
    """RFC 7578 has done away with multipart/mixed in a part: its content is the file's."""
    nested = b"--in\r\nContent-Disposition: file; filename=a.mp4\r\n\r\n" + DATA + b"\r\n--in--\r\n"
    kind = "Content-Type: multipart/mixed; boundary=in"
    body = forms.form(*LECTURE.parts()[:2], forms.part('form-data; name="file"', nested, kind))
    refused(door, sent(door, body), {"unsupported_type"})


@pytest.mark.parametrize("coding", ["base64", "quoted-printable", "gzip", "nonsense"])
def test_a_coding_of_a_part_is_not_undone(door: Door, coding: str) -> None:
    header = f"Content-Transfer-Encoding: {coding}"
    body = forms.form(*LECTURE.parts()[:2], forms.part('form-data; name="file"', DATA, header))
    assert sent(door, body).status_code == 200
    assert door.world.ledger.read("video-1").source.size == len(DATA)


@pytest.mark.parametrize("count", [17, 500, 5000])
def test_more_parts_than_mean_anything_are_refused_early(door: Door, count: int) -> None:
    body = forms.form(*(forms.text(f"n{at}", "x") for at in range(count)), *LECTURE.parts())
    refused(door, sent(door, body), {"malformed_multipart"})


@pytest.mark.parametrize("size", [5000, 500_000])
def test_a_text_field_of_the_size_of_a_file_is_refused(door: Door, size: int) -> None:
    body = forms.form(forms.text("note", "x" * size), *LECTURE.parts())
    refused(door, sent(door, body), {"malformed_multipart"})


@pytest.mark.parametrize("count", [20, 2000])
def test_more_headers_than_a_part_has_are_refused(door: Door, count: int) -> None:
    headers = [f"X-{at}: y" for at in range(count)]
    body = forms.form(forms.part('form-data; name="note"', b"x", *headers), *LECTURE.parts())
    refused(door, sent(door, body), {"malformed_multipart"})
