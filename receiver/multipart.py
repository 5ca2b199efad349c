"""multipart/form-data as it streams in (RFC 7578), on python-multipart's push parser."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from core import limits
from core.errors import MalformedMultipart, TruncatedUpload

FILE_FIELD: Final = "file"
_HEADERS_MAX: Final = 16
_DELIMITERS_MAX: Final = 2 * limits.FIELDS_MAX


class Sink(Protocol):
    """Takes what a form holds, in the order in which it comes."""

    def take_field(self, name: str, value: str) -> None:
        """Take a text field."""
        ...

    def begin_file(self) -> None:
        """Take note that the field `file` begins."""
        ...

    def write_file(self, data: memoryview) -> None:
        """Take some bytes of the file; they are gone after the call."""
        ...

    def end_file(self) -> None:
        """Take note that the file is whole."""
        ...


def boundary_of(content_type: str | None) -> bytes:
    """Return the boundary that a `Content-Type` names; raises MalformedMultipart."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise MalformedMultipart("send the form as multipart/form-data")
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise MalformedMultipart("the Content-Type names no boundary; let your HTTP client set it")
    return boundary


class Form:
    """Cuts a body that is fed in pieces of any size into fields and a file.

    The field named `file` goes to the sink as it comes, whatever else its part says. All other
    fields are text of at most `limits.FIELD_BYTES_MAX` bytes, or as many as `longer` says, by the
    field's name; such a field may come as a file in any encoding, and what is no UTF-8 reaches the
    sink in surrogates. Raises MalformedMultipart, and whatever the sink raises.
    """

    def __init__(
        self, boundary: bytes, sink: Sink, *, longer: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self._sink = sink
        self._longer = longer
        self._delimiter = b"--" + boundary
        self._lead: bytes | None = b""
        self._delimiters = 0
        self._parts = 0
        self._part = _Part()
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
                max_header_count=_HEADERS_MAX,
                max_header_size=limits.PART_HEADER_BYTES_MAX,
            )
        except FormParserError as error:
            raise MalformedMultipart(f"the boundary cannot be used: {error}") from error

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        if self._lead is not None:
            data = self._after_preamble(self._lead + data)
        self._count_delimiters(data)
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise MalformedMultipart(f"the body is not a valid form: {error}") from error

    def finish(self) -> None:
        """Tell that the body is over; raises TruncatedUpload unless it was whole."""
        if self._ended:
            return
        if self._parts == 0:
            raise MalformedMultipart("the body does not begin with the boundary it announced")
        raise TruncatedUpload("the body ended before its closing boundary; send it again")

    def _after_preamble(self, lead: bytes) -> bytes:
        """Return what comes from the first boundary on, or nothing while there is none."""
        at = (b"\r\n" + lead).find(b"\r\n" + self._delimiter)
        if at >= 0:
            self._lead = None
            return lead[at:]
        if len(lead) > limits.PREAMBLE_BYTES_MAX + len(self._delimiter):
            raise MalformedMultipart("the body does not begin with the boundary it announced")
        self._lead = lead
        return b""

    def _count_delimiters(self, data: bytes) -> None:
        """Refuse a file full of what almost is a delimiter: the parser steps through each."""
        self._delimiters += data.count(b"\r\n" + self._delimiter)
        if self._delimiters > _DELIMITERS_MAX:
            raise MalformedMultipart("the boundary occurs in the file; choose a longer one")

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > limits.FIELDS_MAX:
            raise MalformedMultipart(f"the form has more than {limits.FIELDS_MAX} parts")
        self._part = _Part()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._part.header_name += data[start:end]
        self._part.count_header(end - start)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.header_value += data[start:end]
        self._part.count_header(end - start)

    def _end_header(self) -> None:
        self._part.end_header()

    def _end_headers(self) -> None:
        self._part.name = _field_name(self._part.disposition)
        if self._part.name == FILE_FIELD:
            self._sink.begin_file()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part.name == FILE_FIELD:
            self._sink.write_file(memoryview(data)[start:end])
            return
        most = self._longer.get(self._part.name, limits.FIELD_BYTES_MAX)
        self._part.value += data[start:end]
        if len(self._part.value) > most:
            raise MalformedMultipart(
                f"a text field is over {most} bytes; the recording goes into the field "
                f"{FILE_FIELD!r}"
            )

    def _end_part(self) -> None:
        if self._part.name == FILE_FIELD:
            self._sink.end_file()
        else:
            unread = "surrogateescape" if self._part.name in self._longer else "replace"
            self._sink.take_field(self._part.name, self._part.value.decode("utf-8", unread))

    def _end(self) -> None:
        self._ended = True


class _Part:
    """What is known so far of the part that is coming in."""

    def __init__(self) -> None:
        self.name = ""
        self.value = bytearray()
        self.disposition = ""
        self.header_name = bytearray()
        self.header_value = bytearray()
        self._header_bytes = 0

    def count_header(self, count: int) -> None:
        self._header_bytes += count
        if self._header_bytes > limits.PART_HEADER_BYTES_MAX:
            raise MalformedMultipart(
                f"a part's headers are over {limits.PART_HEADER_BYTES_MAX} bytes"
            )

    def end_header(self) -> None:
        if self.header_name.lower() == b"content-disposition":
            self.disposition = self.header_value.decode("latin-1")
        self.header_name.clear()
        self.header_value.clear()


def _field_name(disposition: str) -> str:
    kind, options = parse_options_header(disposition)
    name = options.get(b"name")
    if kind != b"form-data" or not name:
        raise MalformedMultipart("a part has no Content-Disposition of form-data with a name")
    return name.decode("utf-8", "replace")
