"""One upload on its way into the object store: sniffed, measured and hashed as it passes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from core import limits
from core.errors import InvalidField, MissingField, TooLarge, UnreadableMedia, UnsupportedType
from core.images import ImageKind
from core.job import Source, check_id, is_sha256, source_key, subtitles_key
from core.media import Container
from core.order import (
    AS_DOCUMENTED,
    FIELDS,
    Contract,
    OrderRules,
    check_fits,
    read_order,
    with_subtitles,
)
from core.ports import ObjectInfo, ObjectStore, ObjectWriter
from core.sniffing import ACCEPTED, ACCEPTED_IMAGES, sniff, sniff_image
from core.submission import Upload
from core.subtitles import parse
from receiver.multipart import FILE_FIELD


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a contract spells the fields of its form.

    `organization_id` is what stands for a sender that names none; None makes it name one.
    """

    contract: Contract
    id_field: str
    organization_id: str | None

    @property
    def ids(self) -> tuple[str, str]:
        """Return the fields that hold ids."""
        return self.id_field, _ORGANIZATION

    @property
    def known(self) -> tuple[str, ...]:
        """Return every field that means something."""
        return (*self.ids, "sha256", *FIELDS, SUBTITLES, _LANGUAGE)


_ORGANIZATION: Final = "organization_id"
SUBTITLES: Final = "subtitles"
"""The field with subtitles in SRT or WebVTT, as text or as a file."""
_LANGUAGE: Final = "subtitles_language"
LONGER: Final = MappingProxyType({SUBTITLES: limits.SUBTITLES_BYTES_MAX})
"""Bytes of fields that may be longer than others."""
HANDSHAKE: Final = Dialect(contract=Contract.HANDSHAKE, id_field="video_id", organization_id=None)
COMPRESS: Final = Dialect(
    contract=Contract.COMPRESS, id_field="media_id", organization_id="default"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is taken: the largest recording and image in bytes, and the orders allowed."""

    max_video_bytes: int
    max_image_bytes: int
    orders: OrderRules = AS_DOCUMENTED

    @property
    def max_bytes(self) -> int:
        """Return the size of the largest file of any kind."""
        return max(self.max_video_bytes, self.max_image_bytes)


class Intake:
    """The sink of an upload's form. Leaving its context drops what was not committed.

    `heard` is told each field that has passed its check, also of a form that is refused later.
    Raises what is wrong with the upload as soon as it is known: MissingField, InvalidId,
    InvalidField, UnsupportedType, TooLarge, and StoreFull.
    """

    def __init__(
        self,
        *,
        objects: ObjectStore,
        run: str,
        dialect: Dialect,
        bounds: Bounds,
        expected_bytes: int | None,
        heard: Callable[[str, str], None],
    ) -> None:
        self._objects = objects
        self._run = run
        self._dialect = dialect
        self._bounds = bounds
        self._max_bytes = bounds.max_bytes
        self._expected_bytes = expected_bytes
        self._heard = heard
        self._stack = ExitStack()
        self._fields: dict[str, str] = {}
        self._files = 0
        self._head = b""
        self._size = 0
        self._digest = hashlib.sha256()
        self._container: Container | ImageKind | None = None
        self._writer: ObjectWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    @property
    def chunk_bytes(self) -> int:
        """Return how much to read at once: little until the file's type is known."""
        return limits.CHUNK_BYTES if self._writer else limits.FIRST_CHUNK_BYTES

    def take_field(self, name: str, value: str) -> None:
        """Check a field and keep it; one that means nothing here is dropped."""
        if name not in self._dialect.known:
            return
        if name in self._fields:
            raise InvalidField(f"{name} is given twice")
        self._fields[name] = self._checked(name, value)
        if name != SUBTITLES:
            self._heard(name, self._fields[name])

    def begin_file(self) -> None:
        """Refuse a second file."""
        self._files += 1
        if self._files > 1:
            raise InvalidField(f"{FILE_FIELD} is given twice; send one recording a request")

    def write_file(self, data: memoryview) -> None:
        """Pass on some bytes of the file."""
        self._size += len(data)
        self._check_size()
        if self._writer:
            self._pass_on(self._writer, data)
            return
        self._head += data
        if len(self._head) >= limits.SNIFF_BYTES:
            self._open()

    def end_file(self) -> None:
        """Decide on a file that is shorter than what is sniffed."""
        if self._writer is None:
            self._open()

    def commit(self) -> Upload:
        """Make the object durable and return what was uploaded; the form must be whole."""
        fields = self._complete()
        order = read_order(fields, self._dialect.contract, self._bounds.orders)
        if self._writer is None or self._container is None:
            raise _missing(FILE_FIELD)
        check_fits(order, is_image=isinstance(self._container, ImageKind))
        if text := fields.get(SUBTITLES):
            order = with_subtitles(order, fields.get(_LANGUAGE, ""))
        elif fields.get(_LANGUAGE):
            raise InvalidField(f"{_LANGUAGE} comes with {SUBTITLES} only; leave it out")
        sha256 = self._digest.hexdigest()
        if fields.get("sha256", sha256) != sha256:
            raise InvalidField(f"the file that arrived has sha256 {sha256}; send it again")
        subtitles = self._keep_subtitles(text) if text else None
        committed = self._writer.commit()
        # What was there first is taken for an orphan first.
        there_since = min(part.committed_at for part in (subtitles, committed) if part)
        return Upload(
            job_id=fields[self._dialect.id_field],
            organization_id=fields[_ORGANIZATION],
            run=self._run,
            source=Source(
                key=source_key(self._run),
                size=self._size,
                sha256=sha256,
                container=self._container.value,
            ),
            committed_at=there_since,
            order=order,
        )

    def _keep_subtitles(self, text: str) -> ObjectInfo:
        """Commit the subtitles beside the source, as they came and before it."""
        data = _bytes(text)
        key = subtitles_key(self._run)
        with self._objects.create(key, expected_bytes=len(data)) as writer:
            writer.write(data)
            return writer.commit()

    def _check_size(self) -> None:
        if self._size <= self._max_bytes:
            return
        if isinstance(self._container, ImageKind):
            raise image_too_large(self._max_bytes)
        raise too_large(self._max_bytes)

    def _checked(self, name: str, value: str) -> str:
        if name in self._dialect.ids:
            if not value:
                raise _missing(name)
            return check_id(name, value)
        if name in (SUBTITLES, _LANGUAGE):
            return _readable(value) if name == SUBTITLES else value
        if name in FIELDS:
            read_order({name: value}, self._dialect.contract, self._bounds.orders)
            return value
        if not is_sha256(digest := value.lower()):
            raise InvalidField(f"{name} must be the file's SHA-256 in 64 hexadecimal digits")
        return digest

    def _complete(self) -> Mapping[str, str]:
        fields = dict(self._fields)
        if self._dialect.organization_id is not None:
            fields.setdefault(_ORGANIZATION, self._dialect.organization_id)
        for name in self._dialect.ids:
            if name not in fields:
                raise _missing(name)
        return fields

    def _open(self) -> None:
        """Begin the object, now that the first bytes are there."""
        head = self._head[: limits.SNIFF_BYTES]
        self._container = sniff(head) or sniff_image(head)
        if isinstance(self._container, ImageKind):
            self._max_bytes = self._bounds.max_image_bytes
        elif self._container is not None:
            self._max_bytes = self._bounds.max_video_bytes
        self._check_size()
        if self._container is None:
            what = (
                "the file is empty" if not self._head else "the file's content is of another type"
            )
            raise UnsupportedType(f"{what}; send {ACCEPTED}, or {ACCEPTED_IMAGES}")
        writer = self._stack.enter_context(
            self._objects.create(source_key(self._run), expected_bytes=self._expected())
        )
        self._pass_on(writer, memoryview(self._head))
        self._writer, self._head = writer, b""

    def _expected(self) -> int | None:
        """Return what to ask room for: for a small file too, or many would fill the reserve."""
        if self._expected_bytes is None:
            return None
        return max(self._expected_bytes, limits.SMALL_BODY_BYTES + 1)

    def _pass_on(self, writer: ObjectWriter, data: memoryview) -> None:
        self._digest.update(data)
        writer.write(data)


def _readable(subtitles: str) -> str:
    """Return subtitles that can be read; raises InvalidField with the line that cannot."""
    if subtitles:
        try:
            parse(_bytes(subtitles))
        except UnreadableMedia as error:
            raise InvalidField(error.detail) from error
    return subtitles


def _bytes(text: str) -> bytes:
    """Return a field as it came."""
    return text.encode("utf-8", "surrogateescape")


def too_large(max_bytes: int) -> TooLarge:
    """Return the error for a recording over the limit."""
    return TooLarge(f"a recording may have at most {max_bytes} bytes; send a smaller one")


def image_too_large(max_bytes: int) -> TooLarge:
    """Return the error for an image over the limit."""
    return TooLarge(f"an image may have at most {max_bytes} bytes; send a smaller one")


def _missing(name: str) -> MissingField:
    return MissingField(f"the form field {name} is missing or empty")
