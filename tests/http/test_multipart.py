"""The form parser, fed in pieces of every size."""

from __future__ import annotations

import pytest

from core import limits
from core.errors import InvalidField, MalformedMultipart, TruncatedUpload
from receiver.multipart import Form, boundary_of
from tests.http import forms

BOUNDARY = forms.BOUNDARY.encode()


class Sheet:
    """A sink that notes down everything."""

    def __init__(self) -> None:
        self.fields: list[tuple[str, str]] = []
        self.file = bytearray()
        self.files: list[bytes] = []

    def take_field(self, name: str, value: str) -> None:
        """Note a field."""
        self.fields.append((name, value))

    def begin_file(self) -> None:
        """Begin a file."""
        self.file = bytearray()

    def write_file(self, data: memoryview) -> None:
        """Note some bytes."""
        self.file += data

    def end_file(self) -> None:
        """Note the file."""
        self.files.append(bytes(self.file))


def parse(*pieces: bytes, boundary: bytes = BOUNDARY) -> Sheet:
    sheet = Sheet()
    form = Form(boundary, sheet)
    for piece in pieces:
        form.feed(piece)
    form.finish()
    return sheet


def test_a_body_may_be_split_at_every_byte() -> None:
    data = b"\r\n--lectern-\r\n--lectern-boundar\r\n-- \r\r\n"
    body = forms.form(forms.text("a", "ä\r\n"), forms.file(data), forms.text("b", ""))
    for at in range(len(body) + 1):
        sheet = parse(body[:at], body[at:])
        assert (sheet.fields, sheet.files) == ([("a", "ä\r\n"), ("b", "")], [data]), at


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_a_body_may_come_in_pieces_of_any_size(size: int) -> None:
    data = bytes(range(256)) * 8 + b"\r\n" * 200
    body = forms.form(forms.text("a", "1"), forms.file(data))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    assert parse(*pieces).files == [data]


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" * 1000,
        b"\r" * 1000,
        b"\n--lectern-boundary\n",
        b"--lectern-boundary",
        b"--lectern-boundary--\r\n",
        b"\r\n--lectern-boundar",
        b"\r\n--lectern-boundaryX\r\n",
        b"\r\n--lectern-boundaryX--\r\n",
        b"\r\n--lectern-boundary-x\r\n",
        b"\r\n--lectern-boundary\rx",
        b"\r\n--",
        b"\r\n\r\n--lectern",
    ],
)
def test_what_looks_like_a_boundary_stays_in_the_file(data: bytes) -> None:
    body = forms.form(forms.file(data), forms.text("a", "1"))
    for at in range(len(body) + 1):
        sheet = parse(body[:at], body[at:])
        assert (sheet.files, sheet.fields) == ([data], [("a", "1")]), at


def test_a_file_full_of_false_boundaries_is_refused() -> None:
    """Each costs the parser many steps: a whole file of them would hold up everybody."""
    data = b"\r\n--lectern-boundaryX" * 1000
    with pytest.raises(MalformedMultipart):
        parse(forms.form(forms.file(data)))


def test_preamble_and_epilogue_are_dropped() -> None:
    body = b"To whom it may concern:\r\n" + forms.form(forms.file(b"x")) + b"\r\nYours\r\n--lectern"
    for at in range(len(body) + 1):
        assert parse(body[:at], body[at:]).files == [b"x"], at


def test_a_long_preamble_is_refused() -> None:
    with pytest.raises(MalformedMultipart):
        parse(b"x" * 2 * limits.PREAMBLE_BYTES_MAX, forms.form(forms.file(b"x")))


def test_spaces_after_a_boundary_are_dropped() -> None:
    body = forms.form(forms.text("a", "1"), forms.text("b", "2"))
    padded = body.replace(
        b'boundary\r\nContent-Disposition: form-data; name="b"',
        b'boundary \t\r\nContent-Disposition: form-data; name="b"',
    )
    assert padded != body
    assert parse(padded).fields == [("a", "1"), ("b", "2")]


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="file"; filename="a \\"quoted\\" name.mp4"',
        'form-data; name="file"; filename="Übung; Teil 2.mp4"',
        "form-data; name=\"file\"; filename*=UTF-8''%C3%9Cbung.mp4",
        'form-data; filename="; name=x"; name="file"',
        "form-data; name=file",
        'FORM-DATA; NAME="file"',
    ],
)
def test_file_names_of_any_kind_are_passed_over(disposition: str) -> None:
    body = forms.form(forms.part(disposition, b"data", "Content-Type: video/mp4"))
    assert parse(body).files == [b"data"]


def test_header_names_are_taken_in_any_case() -> None:
    body = forms.form(forms.file(b"x")).replace(b"Content-Disposition", b"cONTENT-disposition")
    assert parse(body).files == [b"x"]


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert parse(forms.form(forms.part('form-data; name="a"', b"\xff"))).fields == [("a", "�")]


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_form_that_breaks_off_is_truncated(cut: int) -> None:
    body = forms.form(forms.text("video_id", "v"), forms.file(b"0123456789"))
    if cut <= len(b"\r\n"):
        return
    with pytest.raises(TruncatedUpload):
        parse(body[:-cut])


def test_what_the_sink_raises_comes_through() -> None:
    class Stubborn(Sheet):
        def begin_file(self) -> None:
            raise InvalidField("not now")

    with pytest.raises(InvalidField):
        Form(BOUNDARY, Stubborn()).feed(forms.form(forms.file(b"x")))


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b:c"', b"a b:c"),
        ("multipart/form-data;BOUNDARY=abc", b"abc"),
    ],
)
def test_the_boundary_is_read_from_the_content_type(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize("content_type", [None, "", ";", "text/plain", "multipart/form-data"])
def test_without_a_boundary_there_is_no_form(content_type: str | None) -> None:
    with pytest.raises(MalformedMultipart):
        boundary_of(content_type)
