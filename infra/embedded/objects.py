"""Objects in a folder: written aside, synced, then linked to their name.

`os.link` fails where the name is taken, so a commit is atomic and never replaces anything.
A reader keeps its file although the name is deleted; that is what POSIX promises.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from core import limits
from core.errors import AlreadyExists, MissingObject, StoreFull, Unavailable
from core.ports import Clock, ObjectInfo, ObjectReader, ObjectWriter
from infra.embedded.room import Hold, Room

_KEY: Final = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LINK_TRIES: Final = 20
"""A folder may be pruned by a delete between its creation and the link into it."""


class FolderObjectStore:
    """Keeps each object as a file below `root`, and `reserve_bytes` of the disk free."""

    def __init__(self, root: Path, *, clock: Clock, reserve_bytes: int = 0) -> None:
        self._committed = root / "objects"
        self._partial = root / "partial"
        self._clock = clock
        self.room = Room(self._partial, reserve_bytes=reserve_bytes)
        for folder in (self._committed, self._partial):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextlib.contextmanager
    def create(self, key: str, *, expected_bytes: int | None = None) -> Iterator[ObjectWriter]:
        """Begin an object; see `core.ports.ObjectStore.create`."""
        target = self._path(key)
        with contextlib.ExitStack() as stack:
            with disk_errors():
                hold = self._hold(expected_bytes or 0, stack)
                part = self._partial / uuid.uuid4().hex
                file = part.open("xb", buffering=0)
            try:
                yield _FolderWriter(self, key, part, file, target, hold)
            finally:
                file.close()
                part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def open(self, key: str, *, start: int = 0) -> Iterator[ObjectReader]:
        """Read an object; see `core.ports.ObjectStore.open`."""
        with disk_errors(key):
            file = self._path(key).open("rb")
        with file:
            file.seek(start)
            yield _FolderReader(file)

    def fetch(self, key: str, to: Path) -> None:
        """Link the object to `to`, or copy it where the file system cannot link."""
        source = self._path(key)
        with disk_errors(key):
            try:
                os.link(source, to)
            except OSError as error:
                if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK}:
                    raise
                shutil.copyfile(source, to)

    def upload(self, key: str, path: Path) -> ObjectInfo:
        """Commit a local file, without a copy where it lies on the same file system."""
        target = self._path(key)
        with disk_errors(), path.open("rb+") as file:
            same_device = os.fstat(file.fileno()).st_dev == self._committed.stat().st_dev
            if same_device:
                return self._commit(key, path, file, target)
        return self._copy_in(key, path)

    def delete(self, *keys: str) -> None:
        """Remove objects and the folders that they leave empty."""
        for key in keys:
            path = self._path(key)
            with disk_errors():
                path.unlink(missing_ok=True)
                self._prune(path.parent)

    def _prune(self, folder: Path) -> None:
        """Remove folders from `folder` upwards while they are empty; a key's first part stays."""
        with contextlib.suppress(OSError):
            while self._committed not in (folder, folder.parent):
                folder.rmdir()
                folder = folder.parent

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects below a prefix; see `core.ports.ObjectStore.list`."""
        folder = self._committed / prefix.rpartition("/")[0]
        for directory, _, names in os.walk(folder, onerror=_raise_disk_error):
            for path in (Path(directory, name) for name in names):
                key = path.relative_to(self._committed).as_posix()
                if not key.startswith(prefix):
                    continue
                with disk_errors(), contextlib.suppress(FileNotFoundError):
                    yield _info(key, path.stat())

    def discard_partials(self, *, before: float) -> int:
        """Drop what crashed writers left behind, and sessions whose time is over."""
        dropped = 0
        with disk_errors():
            for path in self._partial.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < before:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
                        dropped += 1
        return dropped

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"not an object key: {key!r}")
        return self._committed / key

    def _hold(self, expected_bytes: int, stack: contextlib.ExitStack) -> Hold | None:
        """Keep the reserve free of recordings; it is there for the small notes about them."""
        if 0 < expected_bytes <= limits.SMALL_BODY_BYTES:
            return None
        return stack.enter_context(self.room.hold(expected_bytes))

    def _commit(self, key: str, part: Path, file: BinaryIO, target: Path) -> ObjectInfo:
        now = self._clock.now()
        os.utime(file.fileno(), (now, now))
        os.fsync(file.fileno())
        self._link(part, target)
        return _info(key, os.fstat(file.fileno()))

    def _link(self, part: Path, target: Path) -> None:
        """Give the finished part its name, in a folder that a delete may prune meanwhile."""
        for attempt in range(1, _LINK_TRIES + 1):
            try:
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            except FileExistsError:
                continue  # it was there, and a moment later it was not
            try:
                os.link(part, target)
            except FileExistsError as error:
                self._sync_folders(target)  # its committer may have been killed before it did
                raise AlreadyExists(f"{target.name} was committed before") from error
            except FileNotFoundError:
                if attempt == _LINK_TRIES or not part.exists():
                    raise
            else:
                self._sync_folders(target)
                return
        raise Unavailable(f"the folder of {target.name} comes and goes")

    def _sync_folders(self, target: Path) -> None:
        """Make the new name durable, and the names of the folders above it."""
        for folder in target.parents:
            with contextlib.suppress(FileNotFoundError):  # deleted again, and pruned
                sync_folder(folder)
            if folder == self._committed:
                return

    def _copy_in(self, key: str, path: Path) -> ObjectInfo:
        with (
            self.create(key, expected_bytes=path.stat().st_size) as writer,
            path.open("rb") as file,
        ):
            while chunk := file.read(limits.CHUNK_BYTES):
                writer.write(chunk)
            return writer.commit()

    def touch(self, file: BinaryIO) -> None:
        """Note on an unfinished object that its writer is alive."""
        now = self._clock.now()
        os.utime(file.fileno(), (now, now))


class _FolderWriter:
    def __init__(
        self,
        store: FolderObjectStore,
        key: str,
        part: Path,
        file: BinaryIO,
        target: Path,
        hold: Hold | None,
    ) -> None:
        self._store = store
        self._key = key
        self._part = part
        self._file = file
        self._target = target
        self._hold = hold
        store.touch(file)

    def write(self, data: bytes | memoryview) -> None:
        spent = self._hold.spend(len(data)) if self._hold else contextlib.nullcontext()
        with disk_errors(), spent:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
            self._store.touch(self._file)

    def commit(self) -> ObjectInfo:
        with disk_errors():
            return self._store._commit(self._key, self._part, self._file, self._target)  # noqa: SLF001 - the writer is a part of its store


class _FolderReader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def read(self, count: int = -1, /) -> bytes:
        with disk_errors():
            return self._file.read(count)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _info(key: str, stat: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key=key, size=stat.st_size, committed_at=stat.st_mtime)


def _raise_disk_error(error: OSError) -> None:
    """Pass on what hinders a listing; a folder that is pruned meanwhile does not."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        with disk_errors():
            raise error


@contextlib.contextmanager
def disk_errors(key: str | None = None) -> Iterator[None]:
    """Turn the disk's errors into those of the port; a missing `key` into MissingObject."""
    try:
        yield
    except FileNotFoundError as error:
        if key is not None:
            raise MissingObject(f"there is no object {key}") from error
        raise Unavailable("the object folder has vanished") from error
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StoreFull("the disk has no room left") from error
        raise Unavailable(f"the disk answers {errno.errorcode.get(error.errno or 0)}") from error
