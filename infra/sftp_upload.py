"""Putting one file in place over an open SFTP session: whole under its name, or not at all."""

from __future__ import annotations

import contextlib
import itertools
import posixpath
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, TypeVar

import asyncssh
from asyncssh import constants

from core import limits
from core.errors import Unavailable
from core.placement import Placed, partial_path
from core.ports import ObjectReader
from infra.sftp_session import Session, SftpFailed

_T = TypeVar("_T")

Source = Callable[[int], AbstractContextManager[ObjectReader]]

WINDOW_BYTES: Final = 2 * limits.MIB
"""Bytes that may be under way without an answer; OpenSSH's own window is as large.

An upload that was cut goes on this far before its end: a server may write what is under way in
any order, so nearer to the end there may be gaps.
"""
_FOLDERS_MAX: Final = 32
"""Folders that are made for one file."""
_BLOCK_BYTES: Final = 256 * limits.KIB
"""One read of the source; OpenSSH takes nearly as much in one request, 255 KiB."""
_READS_MAX: Final = WINDOW_BYTES // _BLOCK_BYTES
"""Blocks that are read back at the same time."""
_SYNC_BYTES: Final = 32 * limits.MIB
"""Bytes after which the server is to put all on its disk, before more is sent.

An upload that is gone on with needs to be read back only so far, and so comes forward with each
attempt, however long it takes as a whole.
"""
_NOT_TAKEN: Final = (
    (asyncssh.SFTPNoSpaceOnFilesystem, "the disk of the storage is full"),
    (asyncssh.SFTPQuotaExceeded, "the quota of the storage is used up"),
    (asyncssh.SFTPPermissionDenied, "the storage lets this user write no further"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file of `size` bytes on its way to the absolute `path`.

    `path` stands for the same bytes in all attempts: so a file of the right size under it is the
    one that an earlier attempt put there, and a partial one is gone on with, also while another
    worker does the same.
    """

    session: Session
    path: str
    source: Source
    size: int

    def run(self) -> Placed:
        """Do all that is left to do; raises SftpFailed and what `source` raises."""
        if self._stands():
            return Placed(sent=0)
        try:
            sent = self._send()
            self._check_size()
            self._rename()
        except _Gone:
            if not self._stands():  # else another worker was faster
                raise SftpFailed("the partial file vanished from the storage") from None
            return Placed(sent=0)
        except asyncssh.SFTPError as error:
            raise SftpFailed(_refusal(error)) from error
        return Placed(sent=sent)

    # --- the bytes ----------------------------------------------------------------------------

    def _send(self) -> int:
        file = self._open()
        try:
            start = self._start_in(file)
            if start is None:  # it was made by something else
                self._do(file.close(), "closing the file")
                self._do(self._sftp.remove(self._partial), "removing a partial file")
                file, start = self._open(), 0
            start = self._proven(file, start)
            self._fill(file, start)
            self._settle(file)
        except asyncssh.SFTPError as error:
            raise SftpFailed(self._not_taken(error)) from error
        return self.size - start

    def _open(self) -> asyncssh.SFTPClientFile:
        """Open the partial file as it is, or make it and the folders that it lies in.

        Storage that cannot go on with a file, such as an object store, gets a new one.
        """
        try:
            return self._open_with(asyncssh.FXF_CREAT)
        except asyncssh.SFTPNoSuchFile:
            self._make_folders(posixpath.dirname(self.path))
        except asyncssh.SFTPPermissionDenied:
            raise
        except asyncssh.SFTPError:
            # Not truncated: another worker that is writing to it would leave a gap.
            self._drop_partial()
            return self._open_with(asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC)
        return self._open_with(asyncssh.FXF_CREAT)

    def _open_with(self, flags: int) -> asyncssh.SFTPClientFile:
        step = self._sftp.open(self._partial, asyncssh.FXF_WRITE | flags, encoding=None)
        return self._do(step, "opening the file")

    def _start_in(self, file: asyncssh.SFTPClientFile) -> int | None:
        """Return from which byte to go on; None for a file that is longer than ours can be.

        The open file is asked and not its name, under which another worker may have put, or
        from which it may have taken, a file meanwhile.
        """
        there = self._do(file.stat(), "looking at a partial file").size or 0
        return None if there > self.size else max(0, there - WINDOW_BYTES)

    def _proven(self, writable: asyncssh.SFTPClientFile, start: int) -> int:
        """Return from which byte on to send, if those before `start` are to be trusted.

        After a loss of power a file may have its length and zeros for what the server had not put
        on its disk. So those bytes are read back: the last `_SYNC_BYTES`, or all where the server
        cannot be told to put them there. The first block that differs is where to go on; where
        the server lets nobody read, it is 0.
        """
        if start == 0:
            return 0
        try:
            step = self._sftp.open(self._partial, asyncssh.FXF_READ, encoding=None)
            file = self._do(step, "opening the file")
        except asyncssh.SFTPError:
            return 0
        begin = max(0, start - _SYNC_BYTES) if self._sync(writable) else 0
        proven = self._compare(file, begin, start)
        with contextlib.suppress(asyncssh.SFTPError):  # nothing of ours hangs on it
            self._do(file.close(), "closing the file")
        return proven

    def _compare(self, file: asyncssh.SFTPClientFile, begin: int, end: int) -> int:
        """Return where the first block begins of which `file` has other bytes, or `end`."""
        under_way: deque[Future[bytes]] = deque()
        ahead = iter(range(begin, end, _BLOCK_BYTES))
        with self.source(begin) as reader:
            for at in range(begin, end, _BLOCK_BYTES):
                for start in itertools.islice(ahead, _READS_MAX - len(under_way)):
                    count = min(_BLOCK_BYTES, end - start)
                    under_way.append(self.session.start(file.read(count, start)))
                ours = _read(reader, min(_BLOCK_BYTES, end - at))
                try:
                    theirs = self.session.wait(under_way.popleft(), "reading a partial file")
                except asyncssh.SFTPError:
                    theirs = None
                if theirs != ours:
                    _end(under_way)
                    return at
        return end

    def _fill(self, file: asyncssh.SFTPClientFile, start: int) -> None:
        block, synced = _block_of(file.write_len), start
        under_way: deque[Future[int]] = deque()
        with self.source(start) as reader:
            if reader.size != self.size:
                raise Unavailable(f"the stored object has {reader.size} bytes, not {self.size}")
            for at in range(start, self.size, block):
                self.session.check()
                data = _read(reader, min(block, self.size - at))
                if (len(under_way) + 1) * block > WINDOW_BYTES:
                    self.session.wait(under_way.popleft(), "sending")
                under_way.append(self.session.start(file.write(data, at)))
                if at + len(data) - synced >= _SYNC_BYTES:
                    self._await_all(under_way)
                    self._sync(file)
                    synced = at + len(data)
        self._await_all(under_way)

    def _await_all(self, under_way: deque[Future[int]]) -> None:
        while under_way:
            self.session.wait(under_way.popleft(), "sending")

    def _settle(self, file: asyncssh.SFTPClientFile) -> None:
        """Have the bytes put on the disk, where the server can, and close."""
        self._sync(file)
        self._do(file.close(), "closing the file")

    def _sync(self, file: asyncssh.SFTPClientFile) -> bool:
        """Have the bytes put on the disk; tell whether the server can."""
        try:
            self._do(file.fsync(), "the file is put on the disk")
        except asyncssh.SFTPOpUnsupported:
            return False
        return True

    # --- names --------------------------------------------------------------------------------

    def _rename(self) -> None:
        """Give the file its name, in one step where the server can."""
        try:
            self._do(self._sftp.posix_rename(self._partial, self.path), "renaming")
        except asyncssh.SFTPNoSuchFile:
            raise _Gone from None
        except asyncssh.SFTPPermissionDenied:
            raise
        except asyncssh.SFTPError:
            self._rename_in_steps()

    def _rename_in_steps(self) -> None:
        """Do it as SFTP 3 has it, where a rename never replaces."""
        try:
            self._do(self._sftp.rename(self._partial, self.path), "renaming")
        except asyncssh.SFTPNoSuchFile:
            raise _Gone from None
        except asyncssh.SFTPError:
            if self._stands():
                self._drop_partial()
                return
            with contextlib.suppress(asyncssh.SFTPNoSuchFile):
                self._do(self._sftp.remove(self.path), "removing the file of that name")
            self._do(self._sftp.rename(self._partial, self.path), "renaming")

    def _check_size(self) -> None:
        there = self._size_of(self._partial)
        if there == self.size:
            return
        if there is None or self._stands():
            raise _Gone
        self._drop_partial()
        raise SftpFailed(f"{there} bytes arrived instead of {self.size}, and were removed")

    def _stands(self) -> bool:
        """Return whether the file stands, whole, under its name."""
        return self._size_of(self.path) == self.size

    def _size_of(self, path: str) -> int | None:
        """Return the size of a file; None where there is none, or something else."""
        try:
            found = self._do(self._sftp.stat(path), "looking for the file")
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return None
        except asyncssh.SFTPError as error:
            raise SftpFailed(_refusal(error)) from error
        return None if found.type == constants.FILEXFER_TYPE_DIRECTORY else found.size

    def _make_folders(self, folder: str, left: int = _FOLDERS_MAX) -> None:
        try:
            self._do(self._sftp.mkdir(folder), "making a folder")
        except asyncssh.SFTPNoSuchFile:
            if left == 0 or folder == "/":
                raise
            self._make_folders(posixpath.dirname(folder), left - 1)
            self._make_folders(folder, 0)
        except asyncssh.SFTPFailure:  # it is there: another worker was faster
            if not self._do(self._sftp.isdir(folder), "making a folder"):
                raise

    # --- refusals -----------------------------------------------------------------------------

    def _not_taken(self, error: asyncssh.SFTPError) -> str:
        """Return why bytes were not taken, and remove those that were: room is short there."""
        words = next((text for kind, text in _NOT_TAKEN if isinstance(error, kind)), None)
        if words is None:
            words = "the storage took not all bytes (disk full, or over quota?)"
            if self._is_full():
                words = "the disk of the storage is full"
        return f"{words}; {self._drop_partial()}"

    def _is_full(self) -> bool:
        """Ask OpenSSH, which calls every failure the same, how much room is left."""
        try:
            room = self._do(self._sftp.statvfs(posixpath.dirname(self.path)), "asking for room")
        except (asyncssh.SFTPError, SftpFailed):
            return False
        return bool(room.bavail * room.frsize < min(self.size, WINDOW_BYTES))

    def _drop_partial(self) -> str:
        """Remove the partial file, and say what came of it."""
        try:
            self._do(self._sftp.remove(self._partial), "removing a partial file")
        except asyncssh.SFTPNoSuchFile:
            return "nothing is left of it there"
        except (asyncssh.SFTPError, SftpFailed):
            return "a partial file is left there"
        return "the partial file was removed"

    # --- the session --------------------------------------------------------------------------

    @property
    def _partial(self) -> str:
        return partial_path(self.path)

    @property
    def _sftp(self) -> asyncssh.SFTPClient:
        return self.session.sftp

    def _do(self, step: Awaitable[_T], doing: str) -> _T:
        return self.session.run(step, doing)


def _end(under_way: deque[Future[bytes]]) -> None:
    """Give up reads whose answers nobody needs any more."""
    for each in under_way:
        each.cancel()


class _Gone(Exception):
    """The partial file is no longer under its name."""


def _block_of(write_len: int) -> int:
    """Return how many bytes to send as one step: whole requests of `write_len`, if they fit."""
    if not 0 < write_len < _BLOCK_BYTES:
        return _BLOCK_BYTES
    return _BLOCK_BYTES // write_len * write_len


def _read(reader: ObjectReader, count: int) -> bytes:
    """Read exactly `count` bytes; raises Unavailable when there are fewer."""
    data = reader.read(count)
    if len(data) == count:  # as a rule, and then without a copy
        return data
    parts = [data]
    left = count - len(data)
    while left:
        if not (data := reader.read(left)):
            raise Unavailable("the stored object is shorter than it says")
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def _refusal(error: asyncssh.SFTPError) -> str:
    if isinstance(error, asyncssh.SFTPPermissionDenied | asyncssh.SFTPWriteProtect):
        return "the storage does not let this user write in that folder"
    if isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath):
        return "the remote folder is not there and cannot be made"
    return f"the storage refused the file, with SFTP's error {error.code}"
