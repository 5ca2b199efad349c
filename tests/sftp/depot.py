"""The suite of SFTP delivery: what any server, and any network, can do."""
# ruff: noqa: D102 - a test's name is its sentence

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import psutil
import pytest

from core import limits
from core.delivery import Unanswered
from core.errors import Unavailable
from core.placement import Placed
from infra.sftp_upload import WINDOW_BYTES
from tests.sftp.keys import KINDS, KeyFile
from tests.sftp.lectures import (
    LOGIN_REFUSED,
    LONG,
    LONG_S,
    NAME,
    SHORT_S,
    VIDEO,
    Lecture,
    Zeros,
    depot_at,
    names_in,
    partial_at,
    path_at,
    place,
)
from tests.sftp.proxy import wire_to
from tests.sftp.servers import Server


class DepotContract:
    """What an SFTP delivery keeps; a subclass provides `server`."""

    @pytest.fixture
    def server(self) -> Server:
        """Return a server that behaves."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _nothing_is_left(self, server: Server) -> Iterator[None]:
        yield
        assert not [each for each in threading.enumerate() if each.name == "sftp"]
        assert not _connected_to(server.port)

    # --- the delivery itself ------------------------------------------------------------------

    def test_a_file_stands_whole_under_its_name(self, server: Server) -> None:
        assert place(server) == Placed(sent=len(VIDEO))
        assert path_at(server).read_bytes() == VIDEO
        assert names_in(server.folder) == [NAME]

    @pytest.mark.parametrize("size", [0, 1, 261_120, 262_144, 1_000_000])
    def test_files_of_any_size_arrive(self, server: Server, size: int) -> None:
        assert place(server, Lecture(LONG[:size])) == Placed(sent=size)
        assert path_at(server).read_bytes() == LONG[:size]

    def test_folders_that_are_missing_are_made(self, server: Server) -> None:
        target = server.folder / "public_html" / "videos" / "2026" / NAME
        lecture = Lecture()
        outcome = depot_at(server).place(str(target), lecture.opened, size=lecture.size)
        assert outcome == Placed(sent=len(VIDEO))
        assert target.read_bytes() == VIDEO

    def test_a_file_that_stands_already_is_not_sent_again(self, server: Server) -> None:
        place(server)
        lecture = Lecture()
        assert place(server, lecture) == Placed(sent=0)
        assert lecture.asked == []

    def test_a_file_of_another_size_under_the_name_is_replaced(self, server: Server) -> None:
        path_at(server).write_bytes(b"an older thing")
        assert place(server) == Placed(sent=len(VIDEO))
        assert path_at(server).read_bytes() == VIDEO

    # --- going on -----------------------------------------------------------------------------

    def test_after_a_cut_the_upload_goes_on_where_it_was(self, server: Server) -> None:
        with wire_to(server.port, cut_after=len(LONG) * 2 // 3) as port:
            outcome = place(server, Lecture(LONG), port=port)
        assert outcome == Unanswered(reason="connection lost while sending")
        assert not path_at(server).exists()
        there = partial_at(server).stat().st_size
        assert there > WINDOW_BYTES
        lecture = Lecture(LONG)
        assert place(server, lecture) == Placed(sent=len(LONG) - (there - WINDOW_BYTES))
        assert lecture.asked == [0, there - WINDOW_BYTES], "read back, then sent"
        assert path_at(server).read_bytes() == LONG

    def test_gaps_that_a_cut_may_have_left_near_the_end_are_filled(self, server: Server) -> None:
        whole = LONG[: 2 * WINDOW_BYTES]
        partial_at(server).write_bytes(whole + bytes(WINDOW_BYTES))
        assert place(server, Lecture(LONG)) == Placed(sent=len(LONG) - len(whole))
        assert path_at(server).read_bytes() == LONG

    @pytest.mark.parametrize("at", [0, 3 * 256 * limits.KIB + 77, 2 * WINDOW_BYTES - 1])
    def test_a_hole_that_a_loss_of_power_left_is_filled(self, server: Server, at: int) -> None:
        """The file has its length again, and zeros for what was not yet on the disk."""
        holed = bytearray(LONG)
        holed[at : at + 1000] = bytes(len(holed[at : at + 1000]))
        partial_at(server).write_bytes(holed)
        block = at // (256 * limits.KIB) * (256 * limits.KIB)
        assert place(server, Lecture(LONG)) == Placed(sent=len(LONG) - block)
        assert path_at(server).read_bytes() == LONG

    def test_a_whole_file_that_was_not_renamed_is_renamed(self, server: Server) -> None:
        partial_at(server).write_bytes(LONG)
        assert place(server, Lecture(LONG)) == Placed(sent=WINDOW_BYTES)
        assert path_at(server).read_bytes() == LONG
        assert not partial_at(server).exists()

    def test_a_partial_file_that_is_too_long_is_begun_anew(self, server: Server) -> None:
        partial_at(server).write_bytes(bytes(len(VIDEO) + 1))
        assert place(server) == Placed(sent=len(VIDEO))
        assert path_at(server).read_bytes() == VIDEO

    @pytest.mark.parametrize("at", [0, len(LONG) // 2])
    def test_of_two_workers_at_one_file_neither_spoils_it(self, server: Server, at: int) -> None:
        others: list[object] = []

        def let_another_pass(now: int) -> None:
            if now >= at and not others:
                others.append(place(server, Lecture(LONG)))

        mine = place(server, Lecture(LONG, before=let_another_pass))
        assert isinstance(others[0], Placed)
        assert isinstance(mine, Placed)
        assert path_at(server).read_bytes() == LONG
        assert names_in(server.folder) == [NAME]

    def test_many_workers_at_once_leave_one_whole_file(self, server: Server) -> None:
        outcomes: list[object] = []
        start = threading.Barrier(4)

        def work() -> None:
            start.wait()
            outcomes.append(place(server))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert any(isinstance(each, Placed) for each in outcomes)
        assert path_at(server).read_bytes() == VIDEO

    # --- who is there -------------------------------------------------------------------------

    def test_another_host_key_is_refused_before_anything_is_sent(
        self, server: Server, stranger: KeyFile
    ) -> None:
        known = f"[127.0.0.1]:{server.port} {stranger.line}\n"
        lecture = Lecture()
        outcome = place(server, lecture, known_hosts=known)
        assert isinstance(outcome, Unanswered)
        assert "host key is not the expected one but SHA256:" in outcome.reason
        assert outcome.reason.endswith("nothing was sent")
        assert lecture.asked == []
        assert names_in(server.folder) == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_server_shows_the_key_that_is_known(self, server: Server, kind: str) -> None:
        assert place(server, known_hosts=server.known_hosts(kind)) == Placed(sent=len(VIDEO))

    @pytest.mark.parametrize("number", range(len(KINDS)))
    def test_the_fingerprint_may_be_of_any_of_its_keys(self, server: Server, number: int) -> None:
        fingerprint = server.host_keys[number].fingerprint
        outcome = place(server, known_hosts=None, fingerprint=f"256 {fingerprint} x (ED25519)")
        assert outcome == Placed(sent=len(VIDEO))

    def test_another_fingerprint_is_refused_before_anything_is_sent(
        self, server: Server, stranger: KeyFile
    ) -> None:
        lecture = Lecture()
        outcome = place(server, lecture, known_hosts=None, fingerprint=stranger.fingerprint)
        assert isinstance(outcome, Unanswered)
        assert server.host_keys[0].fingerprint in outcome.reason
        assert outcome.reason.endswith("nothing was sent")
        assert names_in(server.folder) == []

    def test_one_of_several_fingerprints_is_enough(self, server: Server, stranger: KeyFile) -> None:
        both = f"{stranger.fingerprint},{server.host_keys[0].fingerprint}"
        assert place(server, known_hosts=None, fingerprint=both) == Placed(sent=len(VIDEO))

    def test_a_revoked_host_key_is_refused(self, server: Server) -> None:
        known = server.known_hosts()
        revoked = "".join(f"@revoked {line}\n" for line in known.splitlines())
        outcome = place(server, known_hosts=known + revoked)
        assert isinstance(outcome, Unanswered)
        assert "revoked" in outcome.reason
        assert names_in(server.folder) == []

    def test_a_key_that_the_server_does_not_know_is_refused(
        self, server: Server, stranger: KeyFile
    ) -> None:
        outcome = place(server, private_key=stranger.text)
        assert outcome == Unanswered(reason=LOGIN_REFUSED)

    # --- the network --------------------------------------------------------------------------

    def test_nobody_listening_is_a_refused_connection(self, server: Server) -> None:
        outcome = place(server, port=_closed_port())
        assert outcome == Unanswered(reason="connection refused")

    def test_a_server_that_says_nothing_is_left(self, server: Server) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            outcome = place(server, port=port, connect_timeout_s=SHORT_S)
        assert outcome == Unanswered(reason="no connection in 0.4 s")

    def test_a_server_that_hangs_up_at_once_is_lost(self, server: Server) -> None:
        with wire_to(server.port, cut_after=0) as port:
            outcome = place(server, port=port)
        assert outcome == Unanswered(reason="connection lost while logging in")

    def test_a_server_that_stops_taking_bytes_is_left(self, server: Server) -> None:
        with wire_to(server.port, block_after=len(LONG) // 2) as port:
            outcome = place(server, Lecture(LONG), port=port, stall_timeout_s=SHORT_S)
        assert outcome == Unanswered(reason="no answer in 0.4 s while sending")
        assert not path_at(server).exists()
        assert isinstance(place(server, Lecture(LONG)), Placed)

    def test_all_of_it_ends_in_time(self, server: Server) -> None:
        begun = time.monotonic()
        with wire_to(server.port, block_after=len(LONG) // 2) as port:
            outcome = place(server, Lecture(LONG), port=port, total_timeout_s=1.0)
        assert time.monotonic() - begun < LONG_S / 2
        assert outcome == Unanswered(reason="not finished in 1 s")

    # --- our own side -------------------------------------------------------------------------

    def test_a_store_of_our_own_that_is_slow_does_not_stretch_the_attempt(
        self, server: Server
    ) -> None:
        lecture = Zeros(32 * limits.MIB, pause_s=0.05)
        assert place(server, lecture, total_timeout_s=1.0) == Unanswered(
            reason="not finished in 1 s"
        )
        assert lecture.given < lecture.size

    @pytest.mark.parametrize("error", [OSError(5, "disk"), ConnectionResetError(), TimeoutError()])
    def test_a_failure_of_our_own_store_is_not_laid_at_the_server_s_door(
        self, server: Server, error: OSError
    ) -> None:
        def fail(_at: int) -> NoReturn:
            raise error

        with pytest.raises(OSError) as raised:  # noqa: PT011 - it is compared by identity
            place(server, Lecture(before=fail))
        assert raised.value is error

    @pytest.mark.parametrize("size", [len(VIDEO) + 1, len(VIDEO) - 1])
    def test_a_stored_object_of_the_wrong_size_is_never_put_in_place(
        self, server: Server, size: int
    ) -> None:
        lecture = Lecture()
        with pytest.raises(Unavailable, match="the stored object"):
            depot_at(server).place(str(path_at(server)), lecture.opened, size=size)
        assert not path_at(server).exists()

    def test_a_stored_object_that_ends_early_is_never_put_in_place(self, server: Server) -> None:
        lecture = Lecture(VIDEO[:-1], size=len(VIDEO))
        with pytest.raises(Unavailable, match="shorter than it says"):
            place(server, lecture)
        assert not path_at(server).exists()

    def test_an_interruption_passes_through_and_leaves_no_connection(self, server: Server) -> None:
        def stop(_number: int, _frame: FrameType | None) -> NoReturn:
            raise KeyboardInterrupt

        def interrupt() -> None:
            os.kill(os.getpid(), signal.SIGUSR1)

        before = signal.signal(signal.SIGUSR1, stop)
        try:
            with (
                wire_to(server.port, block_after=len(LONG) // 2, then=interrupt) as port,
                pytest.raises(KeyboardInterrupt),
            ):
                place(server, Lecture(LONG), port=port)
        finally:
            signal.signal(signal.SIGUSR1, before)

    # --- refusals of the storage --------------------------------------------------------------

    def test_a_folder_in_whose_way_a_file_stands_is_told(self, server: Server) -> None:
        (server.folder / "videos").write_bytes(b"no folder")
        lecture = Lecture()
        target = server.folder / "videos" / NAME
        outcome = depot_at(server).place(str(target), lecture.opened, size=lecture.size)
        assert isinstance(outcome, Unanswered)
        assert lecture.asked == []

    # --- secrets ------------------------------------------------------------------------------

    def test_neither_secrets_nor_who_and_where_show(
        self, server: Server, stranger: KeyFile, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        depot = depot_at(server, password="hush-password", user="hush-user")
        shown = [repr(depot), str(depot), repr(vars(depot))]
        with contextlib.suppress(Unavailable):
            shown.append(repr(place(server, user="hush-user")))
        shown.append(repr(place(server, private_key=str(stranger.path))))
        shown.append(repr(place(server)))
        shown.append(caplog.text)
        hidden = ("hush", "127.0.0.1", str(server.user_key.path), str(stranger.path))
        assert not [text for text in shown if any(word in text for word in hidden)]


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def _connected_to(port: int) -> bool:
    """Tell whether this process, as a client, holds a connection to `port`."""
    connections = psutil.Process().net_connections(kind="tcp")
    return any(each.raddr and each.raddr[1] == port and each.fd != -1 for each in connections)
