"""Every behaviour of an LMS against the real courier."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest

from core.delivery import Answered, Outcome, Unanswered
from infra.webhook import WebhookCourier
from tests.contracts.parcels import SECRET, VIDEO, Stored, Zeros, parcel_of
from tests.lms_side.behaviours import BEHAVIOURS, SHORT_S, TOTAL_S, says
from tests.lms_side.stub import Stub, make_certificate, speaking_tls

_LARGE = 8 * 1024 * 1024
"""More than the sockets of both ends hold back."""
_NEEDS_LARGE = {
    "reset within the body",
    "200 before the upload ends",
    "413 before the upload ends",
    "nothing read",
    "read in drips",
    "half closed before reading",
}


def send(url: str, *, large: bool = False, public_only: bool = False) -> Outcome:
    """Make one attempt."""
    courier = WebhookCourier(
        url=url,
        secrets=(SECRET,),
        connect_timeout_s=5,
        answer_timeout_s=SHORT_S,
        total_timeout_s=TOTAL_S,
        public_only=public_only,
    )
    if large:
        return courier.send(parcel_of(size=_LARGE), Zeros(_LARGE))
    return courier.send(parcel_of(), Stored(VIDEO))


def test_there_are_more_than_fifty_behaviours() -> None:
    assert len(BEHAVIOURS) > 50


@pytest.mark.parametrize("kind", list(BEHAVIOURS))
def test_an_attempt_ends_in_time_with_the_outcome_that_it_had(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One connection, one outcome, and nothing that the LMS wrote in it."""
    monkeypatch.setattr("core.limits.ANSWER_BODY_S_MAX", SHORT_S)
    script, expected = BEHAVIOURS[kind]
    with Stub(script).listening() as lms:
        began = time.monotonic()
        outcome = send(lms.url, large=kind in _NEEDS_LARGE)
        assert time.monotonic() - began < 20 * TOTAL_S
        assert outcome in expected
        assert lms.connections == 1


# --- TLS ------------------------------------------------------------------------------------------

_TRUSTLESS = Unanswered(reason="TLS certificate not accepted")
_NO_HANDSHAKE = Unanswered(reason="TLS handshake failed")


@pytest.mark.parametrize(
    ("certificate", "trusted", "expected"),
    [
        ({}, True, Answered(status=200)),
        ({}, False, _TRUSTLESS),
        ({"begins_days": -9, "ends_days": -1}, True, _TRUSTLESS),
        ({"begins_days": 1, "ends_days": 9}, True, _TRUSTLESS),
        ({"host": "lms.example"}, True, _TRUSTLESS),
        ({"host": "127.0.0.2"}, True, _TRUSTLESS),
        ({"host": "*"}, True, _TRUSTLESS),
    ],
    ids=["good", "self-signed", "expired", "not yet", "another name", "another address", "star"],
)
def test_a_certificate_must_be_known_valid_and_of_this_host(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    certificate: dict[str, object],
    trusted: bool,  # noqa: FBT001 - a column of the table
    expected: Outcome,
) -> None:
    paths = make_certificate(tmp_path, **certificate)  # type: ignore[arg-type] # of the table
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(paths[0]))
    script, _ = BEHAVIOURS["200"]
    with Stub(script, speaking_tls(paths)).listening() as lms:
        assert send(lms.url) == expected


def test_an_old_version_of_tls_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(paths[0]))
    context = speaking_tls(paths)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.deprecated_call():
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with Stub(BEHAVIOURS["200"][0], context).listening() as lms:
        assert send(lms.url) in (
            _NO_HANDSHAKE,
            Unanswered(reason="connection lost while connecting"),
        )


def test_a_client_certificate_that_nobody_has_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(paths[0]))
    context = speaking_tls(paths)
    context.verify_mode = ssl.CERT_REQUIRED
    with Stub(BEHAVIOURS["200"][0], context).listening() as lms:
        assert isinstance(send(lms.url), Unanswered)


@pytest.mark.parametrize(
    "text", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x28"]
)
def test_what_speaks_no_tls_is_no_answer(text: bytes) -> None:
    def play(connection: object, _over: object) -> None:
        connection.recv(1000)  # type: ignore[attr-defined] # a socket
        connection.sendall(text)  # type: ignore[attr-defined] # a socket

    with Stub(play).listening() as lms:
        outcome = send(lms.url.replace("http:", "https:"))
        assert outcome in (_NO_HANDSHAKE, Unanswered(reason="connection lost while connecting"))


def test_one_answer_is_of_one_connection() -> None:
    """A connection is never used again: what lies in it belongs to an answer that is over."""
    with Stub(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).listening() as lms:
        assert [send(lms.url) for _ in range(3)] == [Answered(status=200)] * 3
        assert lms.connections == 3


def test_an_address_in_brackets_needs_no_port() -> None:
    """Else the last group of ::1 is taken for one."""
    outcome = send("http://[::1]/store")
    assert outcome in (
        Unanswered(reason="connection refused"),
        Unanswered(reason="host not reachable"),
    )
