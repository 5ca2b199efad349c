"""Sessions of direct uploads in folders: what arrives is kept, whatever happens to its sender.

A session is a folder in `partial/`, named for its run, with one file that is named for the
announced size and holds the bytes so far. The folder's time is the session's end, which is why
the store's `discard_partials` leaves it alone until then: writing to the file does not touch it.

Several PUTs of one session may be open at once, such as one that was cut without anybody's
noticing and the one that resumes it. Neither waits for the other nor has it to be ended: each
piece is appended under the file's lock, and only as far as it goes beyond the file's end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from core import limits
from core.declarations import token_digest
from core.errors import (
    AlreadyExists,
    InvalidField,
    MissingObject,
    StoreFull,
    TooLarge,
    Unavailable,
)
from core.job import run_of
from core.ports import Session
from infra.embedded.objects import FolderObjectStore, disk_errors, sync_folder
from infra.embedded.room import Hold

_TOKEN_BYTES: Final = 32


class FolderSessions:
    """DirectUploads and UploadInlet for a FolderObjectStore on the same `root`."""

    def __init__(
        self,
        root: Path,
        *,
        objects: FolderObjectStore,
        open_max: int = limits.OPEN_UPLOADS_MAX,
    ) -> None:
        self._partial = root / "partial"
        self._objects = objects
        self._room = objects.room
        self._open_max = open_max

    def begin(self, key: str, *, size: int, content_type: str, expires_at: float) -> Session:
        """Open a session; see `core.ports.DirectUploads.begin`."""
        del content_type  # the content decides
        folder = self._folder(key)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        with disk_errors():
            self._check_room(size)
            if self._committed_bytes(key) is not None:
                raise AlreadyExists(f"{key} was committed before")
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError as error:
                raise AlreadyExists(f"{key} has a session") from error
            (folder / str(size)).touch(mode=0o600)
            os.utime(folder, (expires_at, expires_at))
            sync_folder(folder)
            sync_folder(self._partial)
        path = f"/uploads/{folder.name}/content?token={token}"
        return Session(url=path, handle=token_digest(token))

    def persisted(self, key: str, handle: str) -> int | None:
        """Say how much is on the disk; what was written before a crash is committed now."""
        del handle
        try:
            with self._file(key) as file:
                return self._safe(key, file)
        except MissingObject:
            return self._committed_bytes(key)

    def cancel(self, key: str, handle: str) -> None:
        """Remove the session's folder."""
        del handle
        self.release(key)

    def release(self, key: str) -> None:
        """Remove the session's folder."""
        with disk_errors(), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._folder(key))

    def append(self, key: str, *, start: int, read: Callable[[int], bytes]) -> int:
        """Keep what `read` brings; see `core.ports.UploadInlet.append`."""
        with self._file(key) as file:
            size, held = _announced(file), _bytes_in(file)
            if start > held:
                raise InvalidField(f"the first {held} bytes are here; go on with byte {held}")
            with contextlib.ExitStack() as stack:
                with disk_errors():
                    hold = stack.enter_context(self._room.hold(size - held))
                self._take(file, size, start, read, hold)
            return self._safe(key, file)

    def _take(
        self, file: BinaryIO, size: int, at: int, read: Callable[[int], bytes], hold: Hold
    ) -> None:
        """Append piece by piece; the last is taken only when nothing follows it."""
        while piece := read(min(limits.CHUNK_BYTES, size - at + 1)):
            if at + len(piece) > size:
                raise TooLarge(f"{size} bytes were announced and more are sent")
            fresh = min(max(at + len(piece) - _bytes_in(file), 0), len(piece))
            with disk_errors(), hold.spend(fresh):
                _append(file, at, piece)
            at += len(piece)

    def _safe(self, key: str, file: BinaryIO) -> int:
        """Make what is there durable, and an object of it when it is all; return its bytes."""
        held = _bytes_in(file)
        with disk_errors():
            os.fsync(file.fileno())
        if held == _announced(file):
            self._commit(key, Path(file.name))
        return held

    def _commit(self, key: str, path: Path) -> None:
        try:
            self._objects.upload(key, path)
        except AlreadyExists:
            pass  # by another writer, or before a crash
        except Unavailable as error:
            if path.exists():
                raise
            if self._committed_bytes(key) is None:
                raise MissingObject(f"the session of {key} has ended") from error
        self.release(key)

    @contextlib.contextmanager
    def _file(self, key: str) -> Iterator[BinaryIO]:
        folder = self._folder(key)
        with disk_errors(key):
            path = next(folder.iterdir(), None)
            if path is None:
                raise MissingObject(f"the session of {key} has ended")
            file = path.open("r+b", buffering=0)
        with file:
            yield file

    def _folder(self, key: str) -> Path:
        run = run_of(key)
        if run is None:
            raise ValueError(f"not the key of a run: {key!r}")
        return self._partial / run

    def _committed_bytes(self, key: str) -> int | None:
        sizes = [item.size for item in self._objects.list(key) if item.key == key]
        return sizes[0] if sizes else None

    def _check_room(self, size: int) -> None:
        """Count in what the open sessions have announced and not sent yet."""
        missing = [_missing(folder) for folder in self._partial.iterdir() if folder.is_dir()]
        if len(missing) >= self._open_max:
            raise StoreFull(f"{len(missing)} uploads are open")
        self._room.check(size + sum(missing))


def _append(file: BinaryIO, at: int, piece: bytes) -> None:
    """Write what of `piece`, which belongs at `at`, the file does not have yet."""
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        held = _bytes_in(file)
        fresh = memoryview(piece)[max(held - at, 0) :]
        while fresh:
            written = os.pwrite(file.fileno(), fresh, held)
            held, fresh = held + written, fresh[written:]
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _announced(file: BinaryIO) -> int:
    return int(Path(file.name).name)


def _bytes_in(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _missing(folder: Path) -> int:
    """Return how many announced bytes have not come; 0 for a session that ends just now."""
    with contextlib.suppress(FileNotFoundError):
        return sum(int(file.name) - file.stat().st_size for file in folder.iterdir())
    return 0
