"""Delivery to OpenSSH's own server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from core import limits
from core.delivery import Unanswered
from core.placement import Placed
from tests.sftp.depot import DepotContract
from tests.sftp.keys import KeyFile
from tests.sftp.lectures import LOGIN_REFUSED, VIDEO, Zeros, partial_at, path_at, place
from tests.sftp.servers import Server, find_sshd, openssh


class TestOpenSsh(DepotContract):
    """OpenSSH as the system has it."""

    @pytest.fixture
    def server(
        self, tmp_path: Path, host_keys: Sequence[KeyFile], user_key: KeyFile
    ) -> Iterator[Server]:
        """Yield OpenSSH with keys of several types."""
        with openssh(tmp_path, host_keys=host_keys, user_key=user_key) as server:
            yield server

    def test_a_large_file_is_never_whole_in_memory(self, server: Server) -> None:
        """Watch the memory of this process, in which this server is not."""
        place(server)  # so that everything is loaded
        path_at(server).unlink()
        lecture = Zeros(32 * limits.MIB)
        before = psutil.Process().memory_info().rss
        assert place(server, lecture) == Placed(sent=lecture.size)
        assert lecture.peak_rss - before < 16 * limits.MIB


def test_where_room_runs_out_nothing_is_left(
    tmp_path: Path, host_keys: Sequence[KeyFile], user_key: KeyFile
) -> None:
    with openssh(
        tmp_path, host_keys=host_keys, user_key=user_key, file_blocks_max=len(VIDEO) // 1024
    ) as server:
        outcome = place(server)
        assert outcome == Unanswered(
            reason="the storage took not all bytes (disk full, or over quota?); "
            "the partial file was removed"
        )
        assert list(server.folder.iterdir()) == []


@pytest.mark.parametrize(
    "requests",
    ["posix-rename", "fsync", "posix-rename,fsync,limits,statvfs,fstatvfs"],
)
def test_a_server_that_knows_less_will_do(
    tmp_path: Path, host_keys: Sequence[KeyFile], user_key: KeyFile, requests: str
) -> None:
    with openssh(
        tmp_path, host_keys=host_keys, user_key=user_key, options=f"-P {requests}"
    ) as server:
        assert place(server) == Placed(sent=len(VIDEO))
        assert place(server) == Placed(sent=0)
        path_at(server).write_bytes(b"an older thing")
        assert place(server) == Placed(sent=len(VIDEO))
        assert path_at(server).read_bytes() == VIDEO
        assert not partial_at(server).exists()


def test_a_storage_that_is_read_only_is_told(
    tmp_path: Path, host_keys: Sequence[KeyFile], user_key: KeyFile
) -> None:
    with openssh(tmp_path, host_keys=host_keys, user_key=user_key, options="-R") as server:
        assert place(server) == Unanswered(
            reason="the storage does not let this user write in that folder"
        )


def test_a_server_that_hangs_up_on_the_first_wrong_key_has_refused_the_login(
    tmp_path: Path, host_keys: Sequence[KeyFile], user_key: KeyFile, stranger: KeyFile
) -> None:
    with openssh(
        tmp_path, host_keys=host_keys, user_key=user_key, config="MaxAuthTries 1\n"
    ) as server:
        outcome = place(server, private_key=stranger.text)
    assert outcome == Unanswered(reason=LOGIN_REFUSED)


def test_an_account_without_sftp_is_told(
    tmp_path: Path, host_keys: Sequence[KeyFile], user_key: KeyFile
) -> None:
    with openssh(
        tmp_path, host_keys=host_keys, user_key=user_key, config="ForceCommand echo no\n"
    ) as server:
        outcome = place(server)
    assert outcome == Unanswered(reason="the server offers no SFTP to this user")


def test_without_the_server_these_tests_are_skipped_unless_it_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    monkeypatch.delenv("LECTERN_REQUIRE_EMULATORS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install openssh-server"):
        find_sshd()
    monkeypatch.setenv("LECTERN_REQUIRE_EMULATORS", "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install openssh-server"):
        find_sshd()
