"""The suite of Courier: what the network and an LMS can do, and what must come of it."""
# ruff: noqa: D102 - a test's name is its sentence

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil
import pytest
from flask import Response

from core import limits
from core.delivery import Answered, Unanswered
from core.errors import Unavailable
from core.ports import Courier, ObjectReader
from lectern.example_lms import ExampleLms
from lectern.lms_behaviours import (
    Moment,
    Visit,
    answer,
    answer_at_length,
    confirm_inside,
    drip_headers,
    drop,
    hang_before_answering,
    hang_before_reading,
    lose_answer,
    redirect,
    reject_early,
    talk_garbage,
)
from tests.contracts.parcels import (
    LARGE,
    OTHER_SECRET,
    RECEIPT,
    SECRET,
    VIDEO,
    Broken,
    Stored,
    Zeros,
    parcel_of,
)

SHORT_S = 0.4
LONG_S = 30.0


class CourierContract:
    """What every Courier keeps; a subclass says how to make one in `make`."""

    def make(
        self,
        url: str,
        *,
        secrets: tuple[str, ...] = (SECRET,),
        answer_s: float = LONG_S,
        total_s: float = LONG_S,
    ) -> Courier:
        """Return a courier to `url`."""
        raise NotImplementedError

    @pytest.fixture
    def lms(self, tmp_path: Path) -> Iterator[ExampleLms]:
        with ExampleLms(secret=SECRET, folder=tmp_path / "lms") as lms:
            yield lms

    def send(self, lms: ExampleLms, **options: float) -> Answered | Unanswered:
        """Send the small lecture."""
        return self.make(lms.url, **options).send(parcel_of(), Stored(VIDEO))  # type: ignore[arg-type]  # of time limits only

    # --- the delivery itself ------------------------------------------------------------------

    def test_a_parcel_arrives_whole_and_verified(self, lms: ExampleLms) -> None:
        assert self.send(lms) == Answered(status=200)
        (delivery,) = lms.deliveries
        assert lms.path_of("lecture-42").read_bytes() == VIDEO
        assert (delivery.id, delivery.video_id, delivery.organization_id) == (
            "msg_7c1e",
            "lecture-42",
            "uni-1",
        )

    def test_the_request_announces_its_length_and_names_its_sender(self, lms: ExampleLms) -> None:
        seen: dict[str, str] = {}

        def look(visit: Visit) -> Response:
            file = visit.request.files["file"]
            seen.update(visit.request.headers.items())
            seen.update(name=file.filename or "", type=file.content_type or "")
            return Response()

        lms.behave(look)
        assert self.send(lms) == Answered(status=200)
        assert (seen["name"], seen["type"]) == ("7c1e.mp4", "video/mp4")
        assert int(seen["Content-Length"]) > len(VIDEO)
        assert "Transfer-Encoding" not in seen
        assert seen["X-Lectern-Sha256"] == hashlib.sha256(VIDEO).hexdigest()
        assert seen["User-Agent"].startswith("Lectern/")

    def test_a_lecture_without_a_picture_is_called_sound(self, lms: ExampleLms) -> None:
        seen: dict[str, str] = {}

        def look(visit: Visit) -> Response:
            file = visit.request.files["file"]
            seen.update(name=file.filename or "", type=file.content_type or "")
            return Response()

        lms.behave(look)
        parcel = replace(parcel_of(), file_name="7c1e.m4a", content_type="audio/mp4")
        assert self.make(lms.url).send(parcel, Stored(VIDEO)) == Answered(status=200)
        assert seen == {"name": "7c1e.m4a", "type": "audio/mp4"}

    def test_the_receipt_comes_along_and_is_signed_on_its_own(self, lms: ExampleLms) -> None:
        assert self.send(lms) == Answered(status=200)
        (delivery,) = lms.deliveries
        assert delivery.receipt == json.loads(RECEIPT.text)

    def test_the_url_of_a_set_comes_along(self, lms: ExampleLms) -> None:
        url = "https://lectern.example/sets/run-1.1.1800000000.proof/manifest.json"
        with_set = replace(parcel_of(), manifest_url=url)
        assert self.make(lms.url).send(with_set, Stored(VIDEO)) == Answered(status=200)
        assert self.send(lms) == Answered(status=200)
        assert [delivery.manifest_url for delivery in lms.deliveries] == [url, None]

    def test_an_empty_file_is_sent_too(self, lms: ExampleLms) -> None:
        outcome = self.make(lms.url).send(parcel_of(b""), Stored(b""))
        assert outcome == Answered(status=200)
        assert lms.path_of("lecture-42").read_bytes() == b""

    def test_a_large_file_is_never_whole_in_memory(self, lms: ExampleLms) -> None:
        lms.behave(answer(200))
        body = Zeros(200 * limits.MIB)
        before = psutil.Process().memory_info().rss
        assert self.make(lms.url).send(parcel_of(size=body.size), body) == Answered(status=200)
        assert body.given == body.size
        assert body.peak_rss - before < 24 * limits.MIB

    # --- signatures ---------------------------------------------------------------------------

    def test_a_file_other_than_the_signed_one_is_noticed(self, lms: ExampleLms) -> None:
        altered = VIDEO[:-1] + b"!"
        assert self.make(lms.url).send(parcel_of(), Stored(altered)) == Answered(status=401)
        assert lms.deliveries == []

    def test_a_stranger_s_delivery_is_noticed(self, lms: ExampleLms) -> None:
        courier = self.make(lms.url, secrets=(OTHER_SECRET,))
        assert courier.send(parcel_of(), Stored(VIDEO)) == Answered(status=401)

    def test_an_old_delivery_is_noticed(self, lms: ExampleLms) -> None:
        old = parcel_of(sent_at=time.time() - 3600)
        assert self.make(lms.url).send(old, Stored(VIDEO)) == Answered(status=401)

    @pytest.mark.parametrize("secrets", [(OTHER_SECRET, SECRET), (SECRET, OTHER_SECRET)])
    def test_while_secrets_are_rotated_either_fits(
        self, lms: ExampleLms, secrets: tuple[str, ...]
    ) -> None:
        courier = self.make(lms.url, secrets=secrets)
        assert courier.send(parcel_of(), Stored(VIDEO)) == Answered(status=200)
        assert lms.deliveries[0].headers["Webhook-Signature"].count("v1,") == 2

    def test_a_second_attempt_has_the_same_id_and_changes_nothing(self, lms: ExampleLms) -> None:
        lms.behave(lose_answer)
        assert self.send(lms) == Unanswered(reason="connection lost before the answer")
        assert self.send(lms) == Answered(status=200)
        assert [delivery.id for delivery in lms.deliveries] == ["msg_7c1e"] * 2
        assert lms.path_of("lecture-42").read_bytes() == VIDEO

    # --- answers ------------------------------------------------------------------------------

    @pytest.mark.parametrize("status", [201, 204, 400, 404, 410, 413, 429, 500, 503])
    def test_every_status_is_reported_as_it_is(self, lms: ExampleLms, status: int) -> None:
        lms.behave(answer(status))
        assert self.send(lms) == Answered(status=status)

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({"Retry_After": "120"}, 120),
            ({"Retry_After": " 0 "}, 0),
            ({"Retry_After": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0),
            ({"Retry_After": "soon"}, None),
            ({"Retry_After": "-5"}, None),
            ({"Retry_After": "1e9"}, None),
            ({"Retry_After": "Fri, 99 Nov 2042 10:01:30 GMT"}, None),
            ({"Retry_After": "9" * 400}, None),
            ({}, None),
        ],
    )
    def test_retry_after_is_read_in_both_forms_and_garbage_is_ignored(
        self, lms: ExampleLms, headers: dict[str, str], expected: float | None
    ) -> None:
        lms.behave(answer(503, **headers))
        assert self.send(lms) == Answered(status=503, retry_after_s=expected)

    def test_a_date_to_retry_after_is_held_against_the_lms_s_own_clock(
        self, lms: ExampleLms
    ) -> None:
        def in_its_own_time(visit: Visit) -> Response:
            visit.read()
            visit.write(
                b"HTTP/1.1 503 Busy\r\nDate: Mon, 07 Nov 2044 10:00:00 GMT\r\n"
                b"Retry-After: Mon, 07 Nov 2044 10:01:30 GMT\r\n\r\n"
            )
            return visit.cut()

        lms.behave(in_its_own_time)
        assert self.send(lms) == Answered(status=503, retry_after_s=90)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, lms: ExampleLms, status: int, tmp_path: Path) -> None:
        with ExampleLms(secret=SECRET, folder=tmp_path / "elsewhere") as elsewhere:
            lms.behave(redirect(elsewhere.url, status))
            assert self.send(lms) == Answered(status=status)
            assert elsewhere.requests == 0

    def test_a_confirmation_from_inside_the_handler_does_not_disturb(self, lms: ExampleLms) -> None:
        lms.behave(confirm_inside)
        assert self.send(lms) == Answered(status=200)

    def test_an_endless_answer_is_cut_off(self, lms: ExampleLms) -> None:
        lms.behave(answer_at_length(500, 100 * limits.GIB))
        begun = time.monotonic()
        assert self.send(lms) == Answered(status=500)
        assert time.monotonic() - begun < limits.ANSWER_BODY_S_MAX

    def test_a_dripping_answer_is_cut_off(
        self, lms: ExampleLms, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def drip(visit: Visit) -> Response:
            visit.read()
            visit.write(b"HTTP/1.1 500 Oh\r\n\r\n")
            with contextlib.suppress(OSError):
                while not visit.released.wait(0.02):
                    visit.write(b".")
            return visit.cut()

        monkeypatch.setattr(limits, "ANSWER_BODY_S_MAX", SHORT_S)
        lms.behave(drip)
        begun = time.monotonic()
        assert self.send(lms) == Answered(status=500)
        assert time.monotonic() - begun < 25 * SHORT_S

    def test_an_interim_answer_is_passed_over(self, lms: ExampleLms) -> None:
        def go_on(visit: Visit) -> Response:
            visit.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return visit.store(True)

        lms.behave(go_on)
        body = Zeros(LARGE)
        parcel = parcel_of(size=LARGE)
        assert self.make(lms.url).send(parcel, body) == Answered(status=401)
        assert body.given == LARGE

    def test_a_refusal_before_the_body_was_read_is_seen(self, lms: ExampleLms) -> None:
        lms.behave(reject_early(413))
        body = Zeros(LARGE)
        outcome = self.make(lms.url).send(parcel_of(size=LARGE), body)
        assert outcome == Answered(status=413)
        assert body.given < LARGE

    def test_a_refusal_by_an_lms_that_has_stopped_reading_is_seen(self, lms: ExampleLms) -> None:
        body = Zeros(LARGE)

        def refuse_late(visit: Visit) -> Response:
            before = -1
            while body.given != before:
                before = body.given
                visit.released.wait(0.1)
            visit.write(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
            visit.released.wait()
            return visit.cut()

        lms.behave(refuse_late)
        outcome = self.make(lms.url).send(parcel_of(size=LARGE), body)
        assert outcome == Answered(status=413)

    def test_a_200_before_the_whole_file_was_sent_does_not_count(self, lms: ExampleLms) -> None:
        lms.behave(reject_early(200))
        outcome = self.make(lms.url).send(parcel_of(size=LARGE), Zeros(LARGE))
        assert outcome == Unanswered(reason="answered 200 before the whole file was sent")

    # --- no answer ----------------------------------------------------------------------------

    @pytest.mark.parametrize("moment", list(Moment))
    def test_a_dropped_connection_is_no_answer(self, lms: ExampleLms, moment: Moment) -> None:
        lms.behave(drop(moment))
        outcome = self.make(lms.url).send(parcel_of(size=LARGE), Zeros(LARGE))
        assert isinstance(outcome, Unanswered)
        assert outcome.reason.startswith("connection lost")

    @pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n"])
    def test_an_answer_that_breaks_off_in_its_headers_is_none(
        self, lms: ExampleLms, start: bytes
    ) -> None:
        def break_off(visit: Visit) -> Response:
            visit.read()
            visit.write(start)
            return visit.cut()

        lms.behave(break_off)
        assert self.send(lms) == Unanswered(reason="connection lost before the answer")

    def test_an_answer_that_is_no_http_is_none(self, lms: ExampleLms) -> None:
        lms.behave(talk_garbage)
        assert self.send(lms) == Unanswered(reason="the answer is not HTTP")

    def test_nobody_listening_is_a_refused_connection(self) -> None:
        courier = self.make(f"http://127.0.0.1:{_closed_port()}/store")
        assert courier.send(parcel_of(), Stored(VIDEO)) == Unanswered(reason="connection refused")

    # --- time ---------------------------------------------------------------------------------

    def test_an_lms_that_never_answers_is_left(self, lms: ExampleLms) -> None:
        lms.behave(hang_before_answering)
        outcome = self.send(lms, answer_s=SHORT_S)
        assert outcome == Unanswered(reason="no answer in 0.4 s")

    @pytest.mark.parametrize(
        ("bound", "reason"),
        [("total_s", "not finished in 0.4 s"), ("answer_s", "no answer in 0.4 s")],
    )
    def test_an_lms_that_drips_its_headers_is_left(
        self, lms: ExampleLms, bound: str, reason: str
    ) -> None:
        lms.behave(drip_headers(0.02))
        begun = time.monotonic()
        assert self.send(lms, **{bound: SHORT_S}) == Unanswered(reason=reason)
        assert time.monotonic() - begun < 25 * SHORT_S

    def test_an_lms_that_reads_nothing_is_left(self, lms: ExampleLms) -> None:
        lms.behave(hang_before_reading)
        courier = self.make(lms.url, answer_s=SHORT_S)
        outcome = courier.send(parcel_of(size=LARGE), Zeros(LARGE))
        assert outcome == Unanswered(reason="nothing read in 0.4 s")

    def test_an_lms_that_reads_ever_so_slowly_is_left(self, lms: ExampleLms) -> None:
        def sip(visit: Visit) -> Response:
            while visit.request.stream.read(64 * limits.KIB):
                if visit.released.wait(0.02):
                    break
            return visit.cut()

        lms.behave(sip)
        begun = time.monotonic()
        courier = self.make(lms.url, total_s=SHORT_S)
        outcome = courier.send(parcel_of(size=LARGE), Zeros(LARGE))
        assert outcome == Unanswered(reason="not finished in 0.4 s")
        assert time.monotonic() - begun < 25 * SHORT_S

    def test_a_store_of_our_own_that_is_slow_does_not_stretch_the_attempt(
        self, lms: ExampleLms
    ) -> None:
        body = Zeros(LARGE, pause_s=0.02)
        outcome = self.make(lms.url, total_s=SHORT_S).send(parcel_of(size=LARGE), body)
        assert outcome == Unanswered(reason="not finished in 0.4 s")
        assert body.given < LARGE

    # --- our own side -------------------------------------------------------------------------

    @pytest.mark.parametrize("error", [OSError(5, "disk"), ConnectionResetError(), TimeoutError()])
    def test_a_failure_of_our_own_store_is_not_laid_at_the_lms_s_door(
        self, lms: ExampleLms, error: OSError
    ) -> None:
        with pytest.raises(OSError) as raised:  # noqa: PT011 - it is compared by identity
            self.make(lms.url).send(parcel_of(size=LARGE), Broken(error))
        assert raised.value is error

    @pytest.mark.parametrize(
        "body", [Stored(VIDEO[:-1], size=len(VIDEO)), Stored(VIDEO[:-1]), Stored(VIDEO + b"!")]
    )
    def test_a_stored_object_of_the_wrong_size_is_never_delivered(
        self, lms: ExampleLms, body: ObjectReader
    ) -> None:
        with pytest.raises(Unavailable, match="the stored object"):
            self.make(lms.url).send(parcel_of(), body)
        assert lms.deliveries == []

    def test_an_interruption_passes_through_and_leaves_no_connection(self, lms: ExampleLms) -> None:
        def interrupt(visit: Visit) -> Response:
            visit.read()
            os.kill(os.getpid(), signal.SIGUSR1)
            visit.request.stream.read(1)
            return hang_before_answering(visit)

        def stop(_number: int, _frame: FrameType | None) -> NoReturn:
            raise KeyboardInterrupt

        lms.behave(interrupt)
        before = signal.signal(signal.SIGUSR1, stop)
        try:
            with pytest.raises(KeyboardInterrupt):
                self.send(lms)
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert not _connected_to(lms.port)

    def test_proxies_and_credentials_of_the_environment_are_ignored(
        self, lms: ExampleLms, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        nowhere = f"http://127.0.0.1:{_closed_port()}"
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, nowhere)
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password hush\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        assert self.send(lms) == Answered(status=200)
        assert "Authorization" not in lms.deliveries[0].headers

    def test_neither_secrets_nor_the_query_show(self, lms: ExampleLms) -> None:
        url = lms.url.replace("://", "://hush-user:hush-word@") + "?token=hush-token"
        courier = self.make(url)
        lms.behave(answer(500), drop(Moment.BEFORE_BODY))
        shown = [repr(courier), str(courier)]
        shown += [repr(courier.send(parcel_of(), Stored(VIDEO))) for _ in range(2)]
        lms.close()
        shown.append(repr(courier.send(parcel_of(), Stored(VIDEO))))
        assert not [text for text in shown if "hush" in text or SECRET in text]


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def _connected_to(port: int) -> bool:
    """Tell whether this process, as a client, holds a connection to `port`."""
    connections = psutil.Process().net_connections(kind="tcp")
    return any(each.raddr and each.raddr[1] == port and each.fd != -1 for each in connections)
