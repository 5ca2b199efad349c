"""Addresses that are somebody's own network are not connected to, however they are written."""
# ruff: noqa: RUF001, S104 - digits of other scripts and unusual addresses are the point

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.addresses import is_public
from core.delivery import Answered, Outcome, Unanswered
from infra import addresses
from tests.lms_side.behaviours import BEHAVIOURS
from tests.lms_side.stub import Stub, make_certificate, speaking_tls
from tests.lms_side.test_behaviours import send

_REFUSED = Unanswered(reason="address not public, as OUTBOUND_PUBLIC_ONLY asks for")

NOT_PUBLIC = (
    # IPv4: this host, private, shared, loopback, link-local
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255",
    "127.0.0.1", "127.255.255.254", "169.254.169.254", "169.254.0.1", "169.254.170.2",
    "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255",
    # IPv4: assignments, documentation, relays, benchmarks, multicast, reserved, broadcast
    "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255",
    # IPv6: none, loopback, link-local, site-local, unique local, multicast, discard
    "::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1",
    # IPv6: documentation, benchmarks, ORCHID, Teredo, segment routing, unassigned
    "2001:db8::1", "3fff::1", "2001:2::1", "2001:10::1", "2001:20::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "5f00::1", "4000::1", "0200::1",
    # IPv4 inside IPv6: mapped, compatible, translated, NAT64, 6to4
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8",
    "::ffff:7f00:1", "::127.0.0.1", "::10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::10.0.0.1", "2002:7f00:1::",
    "2002:a9fe:a9fe::", "2002:0a00:0001::1",
    # no address in its usual form
    "fe80::1%eth0", "2606:4700::1111%1", "", "lms.example", "127.1", "0177.0.0.1", "1.2.3.4.",
    " 1.1.1.1", "1.1.1.1/32", "１.1.1.1",
)  # fmt: skip
PUBLIC = (
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255",
    "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
    "223.255.255.255", "2606:4700:4700::1111", "2a00:1450::1", "2001:4860:4860::8888",
    "2001:200::1", "2003::1", "2400::1", "3ffe::1",
)  # fmt: skip


def test_there_are_more_than_sixty_addresses() -> None:
    assert len(set(NOT_PUBLIC)) >= 60


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_of_somebody_s_own_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_neighbours_of_special_networks_are_public(address: str) -> None:
    """So that no network is larger here than it is."""
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        # as the usual parsers of C read numbers
        "http://127.0.0.1/", "http://127.1/", "http://127.0.1/", "http://2130706433/",
        "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0X7F.1/", "http://017700000001/",
        "http://0177.0.0.1/", "http://0177.0.0.01/", "http://0/", "http://0.0.0.0/",
        "http://2852039166/", "http://0xa9fea9fe/", "http://169.254.43518/", "http://127.0.0.1./",
        "http://0000000000000000000000000177.1/", "http://127.0x0.0.1/",
        # brackets
        "http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:0:0:1]/", "http://[fe80::1]/", "http://[64:ff9b::7f00:1]/",
        # names that the resolver knows
        "http://localhost/", "http://LOCALHOST/", "http://localhost./",
        # who is the host here?
        "http://1.1.1.1@127.0.0.1/", "http://1.1.1.1:80@127.0.0.1/", "http://user:1.1.1.1@[::1]/",
        "http://127.0.0.1#@1.1.1.1/", "http://127.0.0.1?@1.1.1.1/",
        # digits and dots of other scripts
        "http://１２７.0.0.1/", "http://127。0。0。1/", "http://①②⑦.0.0.1/", "http://ⓛocalhost/",
        "https://127.0.0.1/", "https://[::1]/", "https://localhost/",
    ],
)  # fmt: skip
def test_no_spelling_of_this_machine_is_connected_to(url: str) -> None:
    """Refused before a connection, or already as a URL."""
    try:
        outcome = send(url, public_only=True)
    except ValueError as error:
        assert "https://host/path" in str(error)  # noqa: PT017 - either is right
        return
    assert outcome in (_REFUSED, Unanswered(reason="name not found"))


# --- names ----------------------------------------------------------------------------------------


class Names:
    """A name server that answers each question with the next of `answers`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Sequence[str]) -> None:
        self.asked: list[str] = []
        self.connected: list[str] = []
        self._answers = list(answers)
        self._real = socket.socket.connect
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: str, port: int, **_more: object) -> list[object]:
        self.asked.append(host)
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if not found:
            raise socket.gaierror(-2, "unknown")
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, 1, 6, "", (address, port))
            for address in found
        ]


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the addresses that connections were asked for; none of them leads anywhere."""
    found: list[object] = []

    def note(
        _family: int, _kind: int, _protocol: int, where: object, _limit: float
    ) -> socket.socket:
        found.append(where)
        raise ConnectionRefusedError

    monkeypatch.setattr(addresses, "_connected", note)
    return found


def test_a_name_is_looked_up_once_and_what_was_looked_at_is_connected_to(
    monkeypatch: pytest.MonkeyPatch, dialled: list[object]
) -> None:
    """A name that is public at the first question and private at the second gains nothing."""
    names = Names(monkeypatch, ["1.1.1.1"], ["127.0.0.1"])
    assert send("http://lms.example/", public_only=True) == Unanswered(reason="connection refused")
    assert (names.asked, dialled) == (["lms.example"], [("1.1.1.1", 80)])


@pytest.mark.parametrize("answer", [["10.0.0.1"], ["::1", "127.0.0.1"], ["fd00::1"]])
def test_a_name_with_no_public_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, dialled: list[object], answer: Sequence[str]
) -> None:
    Names(monkeypatch, answer)
    assert send("http://lms.example/", public_only=True) == _REFUSED
    assert dialled == []


def test_of_several_addresses_only_the_public_ones_are_tried(
    monkeypatch: pytest.MonkeyPatch, dialled: list[object]
) -> None:
    Names(monkeypatch, ["127.0.0.1", "1.1.1.1", "::1", "2606:4700::1111"])
    send("https://lms.example/", public_only=True)
    assert dialled == [("1.1.1.1", 443), ("2606:4700::1111", 443)]


def test_a_name_that_flips_is_judged_anew_by_each_attempt(
    monkeypatch: pytest.MonkeyPatch, dialled: list[object]
) -> None:
    Names(monkeypatch, ["1.1.1.1"], ["169.254.169.254"], [], ["1.1.1.1"])
    outcomes = [send("http://lms.example/", public_only=True) for _ in range(4)]
    refused, unknown = Unanswered(reason="connection refused"), Unanswered(reason="name not found")
    assert outcomes == [refused, _REFUSED, unknown, refused]
    assert dialled == [("1.1.1.1", 80)] * 2


# --- what a guarded call still does ---------------------------------------------------------------


@pytest.fixture
def everything_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine stand for a public host."""
    monkeypatch.setattr(addresses, "is_public", lambda _address: True)


@pytest.mark.usefixtures("everything_is_public")
def test_a_public_lms_gets_its_delivery() -> None:
    with Stub(BEHAVIOURS["200"][0]).listening() as lms:
        assert send(lms.url, public_only=True) == Answered(status=200)


@pytest.mark.usefixtures("everything_is_public")
@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("lms.example", Answered(status=200)),
        ("evil", Unanswered(reason="TLS certificate not accepted")),
    ],
)
def test_the_certificate_is_held_against_the_name_and_not_the_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str, expected: Outcome
) -> None:
    paths = make_certificate(tmp_path, host=host)
    monkeypatch.setenv("SSL_CERT_FILE", str(paths[0]))
    with Stub(BEHAVIOURS["200"][0], speaking_tls(paths)).listening() as lms:
        Names(monkeypatch, ["127.0.0.1"])
        assert send(f"https://lms.example:{lms.port}/store", public_only=True) == expected


@pytest.mark.usefixtures("everything_is_public")
@pytest.mark.parametrize("kind", [name for name in BEHAVIOURS if name.startswith("redirect")])
def test_a_redirect_is_not_followed(kind: str) -> None:
    script, expected = BEHAVIOURS[kind]
    with Stub(script).listening() as lms:
        assert send(lms.url, public_only=True) in expected
        assert lms.connections == 1


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_no_proxy_of_the_environment_gets_around_the_guard(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with Stub(BEHAVIOURS["200"][0]).listening() as proxy:
        monkeypatch.setenv(name, proxy.url)
        assert send("http://127.0.0.1:9/", public_only=True) == _REFUSED
        assert proxy.connections == 0


def test_without_the_setting_an_lms_may_be_anywhere() -> None:
    """It often is on a private network."""
    with Stub(BEHAVIOURS["200"][0]).listening() as lms:
        assert send(lms.url) == Answered(status=200)
