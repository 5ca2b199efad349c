"""Delivery to a server of this process, which can misbehave as no OpenSSH would."""
# ruff: noqa: ARG002 - arguments are those of asyncssh

from __future__ import annotations

import contextlib
import errno
import os
import pwd
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import asyncssh
import pytest

from core.delivery import Unanswered
from core.placement import Placed
from infra import sftp_upload
from infra.sftp_upload import WINDOW_BYTES
from tests.sftp.depot import DepotContract
from tests.sftp.keys import ROUNDS, KeyFile, make_key
from tests.sftp.lectures import (
    LOGIN_REFUSED,
    LONG,
    VIDEO,
    Lecture,
    depot_at,
    names_in,
    partial_at,
    path_at,
    place,
)
from tests.sftp.servers import PASSWORD, Behaviour, Server, in_process

BLOCK_BYTES = sftp_upload._BLOCK_BYTES
Run = Callable[[type[asyncssh.SFTPServer]], Server]


@pytest.fixture
def run(tmp_path: Path, host_keys: Sequence[KeyFile], user_key: KeyFile) -> Iterator[Run]:
    """Yield what runs a server of some behaviour until the test ends."""
    with contextlib.ExitStack() as running:

        def begin(behaviour: type[asyncssh.SFTPServer]) -> Server:
            server = in_process(
                tmp_path, host_keys=host_keys, user_key=user_key, behaviour=behaviour
            )
            return running.enter_context(server)

        yield begin


class TestInProcess(DepotContract):
    """asyncssh's server."""

    @pytest.fixture
    def server(self, run: Run) -> Server:
        """Return a server that behaves."""
        return run(Behaviour)


# --- logging in -------------------------------------------------------------------------------


def test_a_password_lets_in(run: Run) -> None:
    server = run(Behaviour)
    assert place(server, private_key=None, password=PASSWORD) == Placed(sent=len(VIDEO))


def test_a_wrong_password_is_told_and_not_shown(run: Run) -> None:
    outcome = place(run(Behaviour), private_key=None, password="hush-wrong")
    assert outcome == Unanswered(reason=LOGIN_REFUSED)


def test_where_the_key_is_not_known_the_password_is_tried(run: Run, stranger: KeyFile) -> None:
    outcome = place(run(Behaviour), private_key=stranger.text, password=PASSWORD)
    assert outcome == Placed(sent=len(VIDEO))


@pytest.mark.parametrize(
    ("name", "kind"), [("127.0.0.1", Placed), ("elsewhere.example", Unanswered)]
)
def test_a_server_with_a_certificate_for_its_name_is_trusted(
    tmp_path: Path,
    host_keys: Sequence[KeyFile],
    user_key: KeyFile,
    name: str,
    kind: type[Placed | Unanswered],
) -> None:
    authority = make_key(tmp_path, "authority")
    certificate = authority.key.generate_host_certificate(
        host_keys[0].key, "sftp", principals=[name]
    )
    running = in_process(
        tmp_path, host_keys=host_keys[:1], user_key=user_key, certificates=[certificate]
    )
    with running as server:
        outcome = place(server, known_hosts=f"@cert-authority * {authority.line}")
    assert isinstance(outcome, kind)
    if isinstance(outcome, Unanswered):
        assert "its certificate not valid" in outcome.reason


def test_keys_and_settings_of_this_machine_s_user_are_not_used(
    run: Run, user_key: KeyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_ed25519").write_text(user_key.text)
    (home / ".ssh" / "config").write_text("Host *\n  KexAlgorithms diffie-hellman-group1-sha1\n")
    server = run(Behaviour)
    (home / ".ssh" / "known_hosts").write_text(server.known_hosts())
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "no-agent"))
    outcome = place(server, private_key=None, password="hush-wrong")
    assert isinstance(outcome, Unanswered)
    unknown = place(server, known_hosts="elsewhere.example " + server.host_keys[0].line)
    assert isinstance(unknown, Unanswered)
    assert "host key" in unknown.reason
    assert place(server) == Placed(sent=len(VIDEO))


def test_a_user_without_a_name_on_this_machine_can_deliver(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(uid: int) -> NoReturn:
        raise KeyError(uid)

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert place(run(Behaviour)) == Placed(sent=len(VIDEO))


# --- the end of the upload --------------------------------------------------------------------


class VanishesBeforeRename(Behaviour):
    """Hangs up instead of renaming, once."""

    vanished = False

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Hang up, or rename."""
        if VanishesBeforeRename.vanished:
            super().posix_rename(oldpath, newpath)
            return
        VanishesBeforeRename.vanished = True
        self.cut()


def test_a_server_that_vanishes_before_the_rename_leaves_no_file_but_all_bytes(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VanishesBeforeRename, "vanished", False)
    server = run(VanishesBeforeRename)
    assert place(server, Lecture(LONG)) == Unanswered(reason="connection lost while renaming")
    assert not path_at(server).exists()
    assert place(server, Lecture(LONG)) == Placed(sent=WINDOW_BYTES)
    assert path_at(server).read_bytes() == LONG


class VanishesAfterRename(Behaviour):
    """Renames and hangs up before it says so."""

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename and hang up."""
        super().posix_rename(oldpath, newpath)
        self.cut()


def test_where_the_answer_to_the_rename_is_lost_nothing_is_sent_again(run: Run) -> None:
    server = run(VanishesAfterRename)
    assert place(server) == Unanswered(reason="connection lost while renaming")
    assert path_at(server).read_bytes() == VIDEO
    lecture = Lecture()
    assert place(server, lecture) == Placed(sent=0)
    assert lecture.asked == []


class OldRename(Behaviour):
    """Knows only the rename of SFTP 3, which never replaces."""

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Refuse."""
        del oldpath, newpath
        raise asyncssh.SFTPOpUnsupported("what is that?")


def test_without_a_replacing_rename_an_older_file_makes_way(run: Run) -> None:
    server = run(OldRename)
    path_at(server).write_bytes(b"an older thing")
    assert place(server) == Placed(sent=len(VIDEO))
    assert names_in(server.folder) == [path_at(server).name]
    assert path_at(server).read_bytes() == VIDEO


class LateRival(OldRename):
    """Lets another worker finish just before this one would rename."""

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Put the file there first."""
        Path(os.fsdecode(newpath)).write_bytes(VIDEO)
        super().rename(oldpath, newpath)


def test_without_a_replacing_rename_the_file_of_a_faster_worker_stays(run: Run) -> None:
    server = run(LateRival)
    assert place(server) == Placed(sent=len(VIDEO))
    assert names_in(server.folder) == [path_at(server).name]
    assert path_at(server).read_bytes() == VIDEO


class TakesTheFileAway(Behaviour):
    """Has the file renamed by another worker before this one does."""

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename twice."""
        super().posix_rename(oldpath, newpath)
        super().posix_rename(oldpath, newpath)


def test_where_another_worker_has_renamed_the_file_all_is_well(run: Run) -> None:
    server = run(TakesTheFileAway)
    assert place(server) == Placed(sent=0)
    assert path_at(server).read_bytes() == VIDEO


class LosesTheFile(Behaviour):
    """Loses the partial file."""

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Find nothing to rename."""
        Path(os.fsdecode(oldpath)).unlink()
        super().posix_rename(oldpath, newpath)


def test_a_partial_file_that_vanishes_is_told(run: Run) -> None:
    server = run(LosesTheFile)
    assert place(server) == Unanswered(reason="the partial file vanished from the storage")
    assert names_in(server.folder) == []


class DropsTheEnd(Behaviour):
    """Says that it has written what it has not."""

    def write(self, file_obj: Any, offset: int, data: bytes) -> int:
        """Write nothing of the second half."""
        if offset > len(VIDEO) // 2:
            return len(data)
        return super().write(file_obj, offset, data)  # type: ignore[return-value]  # no coroutine


def test_a_file_that_did_not_arrive_whole_never_gets_its_name(run: Run) -> None:
    server = run(DropsTheEnd)
    outcome = place(server)
    assert isinstance(outcome, Unanswered)
    assert outcome.reason.endswith(f"bytes arrived instead of {len(VIDEO)}, and were removed")
    assert names_in(server.folder) == []


class CannotGoOn(Behaviour):
    """Writes files from their beginning only, as object stores do."""

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        """Open a new file, or refuse."""
        if Path(os.fsdecode(path)).exists() and not pflags & asyncssh.FXF_TRUNC:
            raise asyncssh.SFTPFailure("only whole files, please")
        return super().open(path, pflags, attrs)


def test_storage_that_cannot_go_on_gets_the_whole_file_again(run: Run) -> None:
    server = run(CannotGoOn)
    partial_at(server).write_bytes(bytes(1000))
    assert place(server) == Placed(sent=len(VIDEO))
    assert path_at(server).read_bytes() == VIDEO


class Unreadable(Behaviour):
    """Lets files be put there and not fetched."""

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        """Open for writing only."""
        if pflags & asyncssh.FXF_READ:
            raise asyncssh.SFTPPermissionDenied("no")
        return super().open(path, pflags, attrs)


class BreaksWhileRead(Behaviour):
    """Fails in the middle of what is fetched."""

    def read(self, file_obj: Any, offset: int, size: int) -> bytes:
        """Read, or fail."""
        if offset + size > 2 * BLOCK_BYTES:
            raise asyncssh.SFTPFailure("a bad sector")
        return super().read(file_obj, offset, size)  # type: ignore[return-value]  # no coroutine


@pytest.mark.parametrize(
    ("behaviour", "proven"), [(Unreadable, 0), (BreaksWhileRead, 2 * BLOCK_BYTES)]
)
def test_what_cannot_be_read_back_is_sent_again(
    run: Run, behaviour: type[Behaviour], proven: int
) -> None:
    server = run(behaviour)
    partial_at(server).write_bytes(LONG)
    assert place(server, Lecture(LONG)) == Placed(sent=len(LONG) - proven)
    assert path_at(server).read_bytes() == LONG


class Syncing(Behaviour):
    """Notes how long the file is each time it is put on the disk, and what is fetched."""

    synced: ClassVar[list[int]]
    fetched: ClassVar[list[int]]

    def fsync(self, file_obj: Any) -> None:
        """Note."""
        self.synced.append(os.fstat(file_obj.fileno()).st_size)

    def read(self, file_obj: Any, offset: int, size: int) -> bytes:
        """Note and read."""
        self.fetched.append(offset)
        return super().read(file_obj, offset, size)  # type: ignore[return-value]  # no coroutine


class NeverSyncing(Syncing):
    """Knows of no disk."""

    def fsync(self, file_obj: Any) -> None:
        """Refuse."""
        raise asyncssh.SFTPOpUnsupported("what is that?")


@pytest.mark.parametrize(
    ("behaviour", "first"), [(Syncing, len(LONG) - 2 * WINDOW_BYTES), (NeverSyncing, 0)]
)
def test_what_was_put_on_the_disk_on_the_way_is_not_read_back(
    run: Run, monkeypatch: pytest.MonkeyPatch, behaviour: type[Syncing], first: int
) -> None:
    """So each attempt comes forward, however long the file takes as a whole."""
    monkeypatch.setattr(sftp_upload, "_SYNC_BYTES", WINDOW_BYTES)
    monkeypatch.setattr(Syncing, "synced", [], raising=False)
    monkeypatch.setattr(Syncing, "fetched", [], raising=False)
    server = run(behaviour)
    assert place(server, Lecture(LONG)) == Placed(sent=len(LONG))
    steps = [0, *Syncing.synced]
    if behaviour is Syncing:
        assert max(b - a for a, b in pairwise(steps)) < WINDOW_BYTES + BLOCK_BYTES
        assert steps[-1] == len(LONG)
    path_at(server).rename(partial_at(server))
    assert place(server, Lecture(LONG)) == Placed(sent=WINDOW_BYTES)
    assert min(Syncing.fetched) == first
    assert path_at(server).read_bytes() == LONG


# --- refusals ---------------------------------------------------------------------------------


class FullDisk(Behaviour):
    """Has room for half of the file."""

    error: Exception = OSError(errno.ENOSPC, "no space")

    def write(self, file_obj: Any, offset: int, data: bytes) -> int:
        """Write, or fail."""
        if offset > len(VIDEO) // 2:
            raise self.error
        return super().write(file_obj, offset, data)  # type: ignore[return-value]  # no coroutine


class NoRoomLeft(FullDisk):
    """Tells how much room there is: none."""

    def statvfs(self, path: bytes) -> os.statvfs_result:
        """Return what it would be for a full disk."""
        found = list(os.statvfs(path))
        found[4] = 0
        return os.statvfs_result(found)


class Enough(asyncssh.SFTPQuotaExceeded):
    """Is told by its own number, which SFTP 3 does not know."""

    def encode(self, version: int) -> bytes:
        """Return what SFTP 6 would send."""
        return super().encode(6)


class NoQuotaLeft(FullDisk):
    """Speaks of the quota."""

    error = Enough("enough")


class NotAnymore(FullDisk):
    """Takes the right to write away."""

    error = asyncssh.SFTPPermissionDenied("no")


class FullOnClose(Behaviour):
    """Notices at the end that there is no room, as network file systems do."""

    def fsync(self, file_obj: object) -> None:
        """Fail."""
        raise OSError(errno.EDQUOT, "no quota")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (FullDisk, "the storage took not all bytes (disk full, or over quota?)"),
        (NoRoomLeft, "the disk of the storage is full"),
        (NoQuotaLeft, "the quota of the storage is used up"),
        (NotAnymore, "the storage lets this user write no further"),
        (FullOnClose, "the storage took not all bytes (disk full, or over quota?)"),
    ],
)
def test_where_bytes_are_not_taken_it_is_told_and_nothing_is_left(
    run: Run, behaviour: type[Behaviour], words: str
) -> None:
    server = run(behaviour)
    assert place(server) == Unanswered(reason=f"{words}; the partial file was removed")
    assert names_in(server.folder) == []


class FullAndLocked(FullDisk):
    """Lets nothing be removed either."""

    def remove(self, path: bytes) -> None:
        """Refuse."""
        raise asyncssh.SFTPPermissionDenied("no")


def test_a_partial_file_that_cannot_be_removed_is_told_of(run: Run) -> None:
    server = run(FullAndLocked)
    outcome = place(server)
    assert isinstance(outcome, Unanswered)
    assert outcome.reason.endswith("; a partial file is left there")
    assert names_in(server.folder) == [partial_at(server).name]


class Denies(Behaviour):
    """Lets nothing be opened."""

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> NoReturn:
        """Refuse."""
        raise asyncssh.SFTPPermissionDenied("no")


class DeniesFolders(Behaviour):
    """Lets no folder be made."""

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> NoReturn:
        """Refuse."""
        raise asyncssh.SFTPPermissionDenied("no")


class Breaks(Behaviour):
    """Fails for reasons of its own."""

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> NoReturn:
        """Fail."""
        raise asyncssh.SFTPFailure("/secret/path is broken")


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Denies, "the storage does not let this user write in that folder"),
        (DeniesFolders, "the storage does not let this user write in that folder"),
        (Breaks, "the storage refused the file, with SFTP's error 4"),
    ],
)
def test_refusals_are_told_in_words_of_our_own(
    run: Run, behaviour: type[Behaviour], reason: str
) -> None:
    server = run(behaviour)
    folder = server.folder / "new" if behaviour is DeniesFolders else server.folder
    lecture = Lecture()
    outcome = depot_at(server).place(str(folder / "a.mp4"), lecture.opened, size=lecture.size)
    assert outcome == Unanswered(reason=reason)
    assert lecture.asked == []


class RivalMakesFolders(Behaviour):
    """Has each folder made by another worker a moment before."""

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Make it twice."""
        super().mkdir(path, attrs)
        super().mkdir(path, attrs)


def test_folders_that_another_worker_makes_meanwhile_will_do(run: Run) -> None:
    server = run(RivalMakesFolders)
    lecture = Lecture()
    target = server.folder / "public_html" / "videos" / "a.mp4"
    outcome = depot_at(server).place(str(target), lecture.opened, size=lecture.size)
    assert outcome == Placed(sent=len(VIDEO))


class NoSftp(Behaviour):
    """Ends as soon as it is asked for."""

    def __init__(self, chan: Any) -> None:
        super().__init__(chan)
        self.cut()


def test_a_server_without_sftp_is_told(run: Run) -> None:
    outcome = place(run(NoSftp))
    assert isinstance(outcome, Unanswered)
    assert outcome.reason in {
        "the server offers no SFTP to this user",
        "connection lost while logging in",
    }


def test_a_relative_or_crooked_path_is_an_error_of_ours(run: Run) -> None:
    depot = depot_at(run(Behaviour))
    for path in ("a.mp4", "/videos/../a.mp4", "/videos//a.mp4", "/videos/a\nb.mp4", "/"):
        with pytest.raises(ValueError, match="absolute"):
            depot.place(path, Lecture().opened, size=len(VIDEO))


def test_an_encrypted_key_lets_in_with_its_passphrase(
    run: Run, tmp_path: Path, user_key: KeyFile
) -> None:
    locked = tmp_path / "locked"
    locked.write_bytes(
        user_key.key.export_private_key(
            passphrase="hush-words", rounds=ROUNDS, ignore_few_rounds=True
        )
    )
    server = run(Behaviour)
    outcome = place(server, private_key=str(locked), passphrase="hush-words")
    assert outcome == Placed(sent=len(VIDEO))
