"""One upload on its way into the object store: sniffed, measured and hashed as it passes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Final, Self

from core import limits
from core.errors import InvalidField, MissingField, TooLarge, UnsupportedType
from core.job import Source, check_id, is_sha256, source_key
from core.media import Container
from core.ports import ObjectStore, ObjectWriter
from core.sniffing import ACCEPTED, sniff
from core.submission import Upload
from receiver.multipart import FILE_FIELD

_IDS: Final = ("video_id", "organization_id")
_KNOWN: Final = (*_IDS, "sha256")


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
        max_bytes: int,
        expected_bytes: int | None,
        heard: Callable[[str, str], None],
    ) -> None:
        self._objects = objects
        self._run = run
        self._max_bytes = max_bytes
        self._expected_bytes = expected_bytes
        self._heard = heard
        self._stack = ExitStack()
        self._fields: dict[str, str] = {}
        self._files = 0
        self._head = b""
        self._size = 0
        self._digest = hashlib.sha256()
        self._container: Container | None = None
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
        if name not in _KNOWN:
            return
        if name in self._fields:
            raise InvalidField(f"{name} is given twice")
        self._fields[name] = _checked(name, value)
        self._heard(name, self._fields[name])

    def begin_file(self) -> None:
        """Refuse a second file."""
        self._files += 1
        if self._files > 1:
            raise InvalidField(f"{FILE_FIELD} is given twice; send one recording a request")

    def write_file(self, data: memoryview) -> None:
        """Pass on some bytes of the file."""
        self._size += len(data)
        if self._size > self._max_bytes:
            raise too_large(self._max_bytes)
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
        fields = _complete(self._fields)
        if self._writer is None or self._container is None:
            raise _missing(FILE_FIELD)
        sha256 = self._digest.hexdigest()
        if fields.get("sha256", sha256) != sha256:
            raise InvalidField(f"the file that arrived has sha256 {sha256}; send it again")
        committed = self._writer.commit()
        return Upload(
            job_id=fields["video_id"],
            organization_id=fields["organization_id"],
            run=self._run,
            source=Source(
                key=source_key(self._run),
                size=self._size,
                sha256=sha256,
                container=self._container.value,
            ),
            committed_at=committed.committed_at,
        )

    def _open(self) -> None:
        """Begin the object, now that the first bytes are there."""
        self._container = sniff(self._head[: limits.SNIFF_BYTES])
        if self._container is None:
            what = (
                "the file is empty" if not self._head else "the file's content is of another type"
            )
            raise UnsupportedType(f"{what}; send {ACCEPTED}")
        writer = self._stack.enter_context(
            self._objects.create(source_key(self._run), expected_bytes=self._expected_bytes)
        )
        self._pass_on(writer, memoryview(self._head))
        self._writer, self._head = writer, b""

    def _pass_on(self, writer: ObjectWriter, data: memoryview) -> None:
        self._digest.update(data)
        writer.write(data)


def too_large(max_bytes: int) -> TooLarge:
    """Return the error for a recording over the limit."""
    return TooLarge(f"a recording may have at most {max_bytes} bytes; send a smaller one")


def _checked(name: str, value: str) -> str:
    if name in _IDS:
        if not value:
            raise _missing(name)
        return check_id(name, value)
    if not is_sha256(digest := value.lower()):
        raise InvalidField(f"{name} must be the file's SHA-256 in 64 hexadecimal digits")
    return digest


def _complete(fields: Mapping[str, str]) -> Mapping[str, str]:
    for name in _IDS:
        if name not in fields:
            raise _missing(name)
    return fields


def _missing(name: str) -> MissingField:
    return MissingField(f"the form field {name} is missing or empty")
