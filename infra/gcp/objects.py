"""Objects in Cloud Storage: sent in resumable sessions, committed if the name is free.

An unfinished session is invisible, costs nothing and ends by itself after a week. The bucket
must keep neither old versions nor soft-deleted objects, or `delete` does not delete for good.
"""

from __future__ import annotations

import contextlib
import mimetypes
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import requests
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.api_core.retry import Retry
from google.cloud.storage import Blob, Client
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from core import limits
from core.errors import AlreadyExists, MissingObject, StoreFull, Unavailable
from core.ports import ObjectInfo, ObjectReader, ObjectWriter
from infra.gcp import answers
from infra.gcp.checksum import Crc32c
from infra.gcp.failures import unavailable
from infra.gcp.resumable import CHUNK_MULTIPLE, Refused, Resource, ResumableUpload, SessionEnded

_DELETES_AT_ONCE: Final = 8
"""The client keeps ten connections."""
OBJECT_BYTES_MAX: Final = 5 * 1024 * limits.GIB
"""Largest object that Cloud Storage takes: 5 TiB."""
_CHUNK_BYTES: Final = 4 * limits.MIB
"""One request's bytes: large enough for 40 MB/s at 100 ms a request, and an upload holds two."""
_TIMEOUT_S: Final = (limits.CONNECT_TIMEOUT_S, 60.0)
"""Seconds for the connection to open, and between two bytes of an answer."""
_PATIENCE_S: Final = 60.0
"""Seconds for which one call is tried again while Cloud Storage fails in passing."""
_OWNER: Final = "lectern-upload"
"""Metadata that tells whose upload became the object."""
_TYPE: Final = "application/octet-stream"
_CLIENT_ERRORS: Final = (requests.RequestException, DataCorruption, InvalidResponse)
"""What google-cloud-storage lets through beside Google's own errors."""


class CloudObjectStore:
    """Keeps each object under `prefix` + its key in a bucket.

    `retry` says how patiently passing errors are met, `chunk_bytes` how much is held and sent
    at a time: an upload holds up to two chunks, a reader one.
    """

    def __init__(
        self,
        client: Client,
        bucket: str,
        *,
        prefix: str = "",
        chunk_bytes: int = _CHUNK_BYTES,
        retry: Retry | None = None,
    ) -> None:
        if chunk_bytes % CHUNK_MULTIPLE:
            raise ValueError(f"chunk_bytes must be a multiple of {CHUNK_MULTIPLE}")
        self._client = client
        self._bucket = client.bucket(bucket)
        self._prefix = prefix
        self._chunk_bytes = chunk_bytes
        self._retry = retry or DEFAULT_RETRY.with_timeout(_PATIENCE_S)

    @contextlib.contextmanager
    def create(self, key: str, *, expected_bytes: int | None = None) -> Iterator[ObjectWriter]:
        """Begin an object; see `core.ports.ObjectStore.create`."""
        if (expected_bytes or 0) > OBJECT_BYTES_MAX:
            raise StoreFull(f"Cloud Storage takes at most {OBJECT_BYTES_MAX} bytes an object")
        with requests.Session() as http:
            answers.watch(http)
            writer = _CloudWriter(self, key, http, self._chunk_bytes)
            try:
                yield writer
            finally:
                writer.close()

    @contextlib.contextmanager
    def open(self, key: str, *, start: int = 0) -> Iterator[ObjectReader]:
        """Read one generation of an object; raises MissingObject when it goes meanwhile."""
        yield _CloudReader(self, key, self._blob_of(key), start, self._chunk_bytes)

    def fetch(self, key: str, to: Path) -> None:
        """Copy the object to `to`, its checksum verified."""
        blob = self._blob_of(key)
        try:
            with _errors(key):
                blob.download_to_filename(
                    str(to), raw_download=True, checksum="crc32c", **self._options()
                )
        except BaseException:
            to.unlink(missing_ok=True)
            raise

    def upload(self, key: str, path: Path) -> ObjectInfo:
        """Commit a local file; the file stays the caller's."""
        size = path.stat().st_size
        with self.create(key, expected_bytes=size) as writer, path.open("rb") as file:
            while chunk := file.read(limits.CHUNK_BYTES):
                writer.write(chunk)
            return writer.commit()

    def delete(self, *keys: str) -> None:
        """Remove objects, several at once: an hour of renditions is two thousand of them."""
        if len(keys) == 1:
            self._delete(keys[0])
            return
        with ThreadPoolExecutor(_DELETES_AT_ONCE) as pool:
            for _ in pool.map(self._delete, keys):
                pass

    def _delete(self, key: str) -> None:
        with _errors(), contextlib.suppress(NotFound):
            self._blob(key).delete(**self._options())

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects under a prefix, page by page."""
        return self.list_from(prefix, "")

    def list_from(self, prefix: str, start: str) -> Iterator[ObjectInfo]:
        """Yield them from a key on; Cloud Storage lists in the order of the names."""
        with _errors():
            for blob in self._client.list_blobs(
                self._bucket,
                prefix=self._prefix + prefix,
                start_offset=self._prefix + start if start else None,
                fields="items(name,size,timeCreated),nextPageToken",
                **self._options(),
            ):
                yield _info(blob.name.removeprefix(self._prefix), blob.size, blob.time_created)

    def discard_partials(self, *, before: float) -> int:
        """Return 0: Cloud Storage lists no unfinished sessions and ends them after a week."""
        del before
        return 0

    def signed_url(
        self,
        key: str,
        *,
        expires_s: float,
        media_type: str | None = None,
        service_account_email: str | None = None,
        access_token: str | None = None,
    ) -> str:
        """Return a V4 signed URL that reads the object for `expires_s` (at most 7 days).

        It is sent as `media_type`, or as what it was stored as.
        With `service_account_email` and `access_token` IAM SignBlob signs, as Cloud Run needs,
        where no private key is at hand; the account must be a token creator of itself.
        """
        with _errors():
            url: str = self._blob(key).generate_signed_url(
                version="v4",
                method="GET",
                expiration=timedelta(seconds=expires_s),
                response_type=media_type,
                service_account_email=service_account_email,
                access_token=access_token,
            )
        return url

    def begin(self, key: str, token: str, http: requests.Session) -> ResumableUpload:
        """Open a session that makes the object if its key is free; raises Refused if not."""
        content_type = mimetypes.guess_type(key)[0] or _TYPE
        url = self.session_url(key, content_type=content_type, metadata={_OWNER: token})
        return ResumableUpload(url, http=http, retry=self._retry, timeout=_TIMEOUT_S)

    def session_url(
        self,
        key: str,
        *,
        content_type: str,
        size: int | None = None,
        metadata: Mapping[str, str] | None = None,
        origin: str | None = None,
    ) -> str:
        """Open a session for the key and return its URL, which needs no further credentials.

        With `size` Cloud Storage takes exactly as many bytes, with `origin` from its web pages
        too. Raises Refused for a taken key.
        """
        blob = self._blob(key)
        if metadata is not None:
            blob.metadata = metadata
        try:
            with _errors():
                url: str = blob.create_resumable_upload_session(
                    content_type=content_type,
                    size=size,
                    origin=origin,
                    if_generation_match=0,
                    checksum=None,
                    **self._options(),
                )
        except Unavailable as error:
            if isinstance(error.__cause__, PreconditionFailed):
                raise Refused from error
            raise
        return url

    def committed_by(self, key: str, token: str) -> Resource | None:
        """Return the object if it was committed with `token`, None if it is not there.

        Raises AlreadyExists when it is another's.
        """
        with _errors():
            blob = self._bucket.get_blob(self._prefix + key, **self._options())
        if blob is None:
            return None
        if (blob.metadata or {}).get(_OWNER) != token:
            raise AlreadyExists(f"{key} was committed before")
        resource: Resource = blob._properties  # noqa: SLF001 - the object as the API tells it
        return resource

    def drop(self, key: str, generation: int) -> None:
        """Remove this generation of an object and no other."""
        with _errors(), contextlib.suppress(NotFound, PreconditionFailed):
            self._blob(key).delete(if_generation_match=generation, **self._options())

    def piece(self, key: str, blob: Blob, start: int, end: int) -> bytes:
        """Return the bytes from `start` up to `end` of the generation that `blob` names."""
        with _errors(key):
            data: bytes = blob.download_as_bytes(
                start=start, end=end - 1, raw_download=True, checksum=None, **self._options()
            )
        if len(data) != end - start:
            raise Unavailable(f"Cloud Storage gave {len(data)} of {end - start} bytes")
        return data

    def _blob(self, key: str) -> Blob:
        return self._bucket.blob(self._prefix + key)

    def _blob_of(self, key: str) -> Blob:
        """Return the object's present generation, with its size and checksum."""
        with _errors():
            blob = self._bucket.get_blob(self._prefix + key, **self._options())
        if blob is None:
            raise MissingObject(f"there is no object {key}")
        return blob

    def _options(self) -> Mapping[str, Any]:
        return {"timeout": _TIMEOUT_S, "retry": self._retry}


class _CloudWriter:
    """Holds back the last chunk: the request that ends a session must carry a byte."""

    def __init__(
        self, store: CloudObjectStore, key: str, http: requests.Session, chunk_bytes: int
    ) -> None:
        self._store = store
        self._key = key
        self._http = http
        self._chunk_bytes = chunk_bytes
        self._token = uuid.uuid4().hex
        self._buffer = bytearray()
        self._checksum = Crc32c()
        self._size = 0
        self._upload: ResumableUpload | None = None
        self._refused = False

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            if len(self._buffer) == self._chunk_bytes:
                self._send()
            room = self._chunk_bytes - len(self._buffer)
            self._buffer += view[:room]
            view = view[room:]

    def commit(self) -> ObjectInfo:
        resource = self._finish()
        self._upload = None
        self._check(resource)
        created = datetime.fromisoformat(resource["timeCreated"])
        return _info(self._key, self._size, created)

    def close(self) -> None:
        """Drop the session, if it did not end in an object."""
        if self._upload is not None:
            self._upload.cancel()

    def _send(self) -> None:
        """Send a full chunk; a writer that came too late only hears of it in `commit`."""
        chunk = self._take()
        try:
            if not self._refused:
                self._session().send(chunk)
        except Refused:
            return
        except SessionEnded as error:
            raise _ended(self._key) from error

    def _finish(self) -> Resource:
        chunk = self._take()
        try:
            return self._session().finish(chunk, crc32c=str(self._checksum))
        except (Refused, SessionEnded) as error:
            resource = self._store.committed_by(self._key, self._token)
            if resource is not None:
                return resource  # ours: only the answer was lost
            if isinstance(error, Refused):
                raise AlreadyExists(f"{self._key} was committed before") from error
            raise _ended(self._key) from error

    def _session(self) -> ResumableUpload:
        if self._refused:
            raise Refused
        if self._upload is None:
            try:
                self._upload = self._store.begin(self._key, self._token, self._http)
            except Refused:
                self._refused = True
                raise
        return self._upload

    def _take(self) -> bytes:
        chunk = bytes(self._buffer)
        self._buffer.clear()
        self._checksum.update(chunk)
        self._size += len(chunk)
        return chunk

    def _check(self, resource: Resource) -> None:
        if resource["crc32c"] == str(self._checksum) and int(resource["size"]) == self._size:
            return
        self._store.drop(self._key, int(resource["generation"]))
        raise Unavailable(f"{self._key} arrived changed and was removed; send it again")


class _CloudReader:
    """Reads one generation chunk by chunk; read from its start, its checksum is verified."""

    def __init__(
        self, store: CloudObjectStore, key: str, blob: Blob, start: int, chunk_bytes: int
    ) -> None:
        self.size = int(blob.size)
        self._store = store
        self._key = key
        self._blob = blob
        self._expected = blob.crc32c  # each download overwrites the blob's own
        self._chunk_bytes = chunk_bytes
        self._at = start
        self._held = memoryview(b"")
        self._checksum = Crc32c() if start == 0 else None

    def read(self, count: int = -1, /) -> bytes:
        if count < 0:
            return b"".join(iter(lambda: self.read(self._chunk_bytes), b""))
        if not self._held and count:
            self._held = memoryview(self._next())
        piece, self._held = self._held[:count], self._held[count:]
        return bytes(piece)

    def _next(self) -> bytes:
        end = min(self._at + self._chunk_bytes, self.size)
        if self._at >= end:
            return b""
        chunk = self._store.piece(self._key, self._blob, self._at, end)
        self._at = end
        if self._checksum is not None:
            self._checksum.update(chunk)
            self._verify()
        return chunk

    def _verify(self) -> None:
        if self._checksum is None or self._at < self.size:
            return
        if str(self._checksum) != self._expected:
            raise Unavailable(f"{self._key} was read with another checksum than it has; try again")


def _ended(key: str) -> Unavailable:
    return Unavailable(f"the upload session of {key} ended; send it again")


def _info(key: str, size: int, created: datetime) -> ObjectInfo:
    return ObjectInfo(key=key, size=size, committed_at=created.timestamp())


@contextlib.contextmanager
def _errors(key: str | None = None) -> Iterator[None]:
    """Turn the client's errors into those of the port; a missing `key` into MissingObject."""
    try:
        with unavailable("Cloud Storage", *_CLIENT_ERRORS):
            yield
    except Unavailable as error:
        if key is not None and isinstance(error.__cause__, NotFound):
            raise MissingObject(f"there is no object {key}") from error
        raise
