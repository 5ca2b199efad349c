"""Google's list of keys: how long it is kept, when it is fetched anew, and its form."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.auth.transport.requests import Request

from core.errors import Unavailable
from infra.gcp.tokens import CERTIFICATES_URL, GoogleCertificates, KeyList, fetching
from tests.fakes import FakeClock

KEY_ID = "key-1"


@dataclass(slots=True)
class Google:
    """Google's list of keys: `known` is what it holds, `broken` has it not answer."""

    known: dict[str, str] = field(default_factory=lambda: {KEY_ID: "pem-1"})
    max_age_s: float = 3600.0
    broken: bool = False
    fetches: int = 0

    def __call__(self) -> KeyList:
        """Return the list."""
        self.fetches += 1
        if self.broken:
            raise Unavailable("no answer")
        return KeyList(certificates=dict(self.known), max_age_s=self.max_age_s)


def test_the_list_of_keys_is_fetched_once_while_it_holds() -> None:
    google, clock = Google(), FakeClock()
    keys = GoogleCertificates(google, clock=clock)
    assert google.fetches == 0
    for _ in range(3):
        assert keys(KEY_ID) == "pem-1"
        clock.advance(1199)
    assert google.fetches == 1
    clock.advance(3)
    assert keys(KEY_ID) == "pem-1"
    assert google.fetches == 2


@pytest.mark.parametrize(("said_s", "held_s"), [(0.0, 300), (1e9, 6 * 3600)])
def test_how_long_a_list_holds_is_bounded(said_s: float, held_s: int) -> None:
    google, clock = Google(max_age_s=said_s), FakeClock()
    keys = GoogleCertificates(google, clock=clock)
    keys(KEY_ID)
    clock.advance(held_s - 1)
    keys(KEY_ID)
    assert google.fetches == 1
    clock.advance(1)
    keys(KEY_ID)
    assert google.fetches == 2


def test_a_new_key_is_found_at_once_and_a_withdrawn_one_is_not_kept() -> None:
    google, clock = Google(), FakeClock()
    keys = GoogleCertificates(google, clock=clock)
    keys(KEY_ID)
    clock.advance(60)
    google.known = {"key-2": "pem-2"}
    assert keys("key-2") == "pem-2"
    clock.advance(60)
    assert keys(KEY_ID) is None


def test_made_up_key_ids_do_not_become_a_flood_of_fetches() -> None:
    google, clock = Google(), FakeClock()
    keys = GoogleCertificates(google, clock=clock)
    for number in range(100):
        assert keys(f"made-up-{number}") is None
        clock.advance(0.099)
    assert google.fetches == 1
    clock.advance(0.2)
    assert keys("made-up") is None
    assert google.fetches == 2


def test_keys_that_cannot_be_fetched_are_unavailable_until_they_can() -> None:
    google, clock = Google(broken=True), FakeClock()
    keys = GoogleCertificates(google, clock=clock)
    for _ in range(5):
        with pytest.raises(Unavailable):
            keys(KEY_ID)
    assert google.fetches == 1
    google.broken = False
    clock.advance(10)
    assert keys(KEY_ID) == "pem-1"


def test_an_outage_leaves_the_known_keys_good_while_the_list_holds() -> None:
    google, clock = Google(), FakeClock()
    keys = GoogleCertificates(google, clock=clock)
    keys(KEY_ID)
    clock.advance(60)
    google.broken = True
    with pytest.raises(Unavailable):
        keys("key-2")
    assert keys(KEY_ID) == "pem-1"
    clock.advance(3600)
    with pytest.raises(Unavailable):
        keys(KEY_ID)


@dataclass(slots=True)
class Answer:
    """What a transport of google-auth's returns."""

    status: int = 200
    data: bytes = b'{"key-1": "pem-1"}'
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Transport:
    """A transport of google-auth's that gives one answer."""

    answer: Answer
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, url: str, **options: Any) -> Answer:
        """Return the answer."""
        self.asked.append((url, options))
        return self.answer


@pytest.mark.parametrize(
    ("headers", "max_age_s"),
    [
        ({"Cache-Control": "public, max-age=22000, must-revalidate", "Age": "2000"}, 20000),
        ({"cache-control": "max-age=60"}, 60),
        ({"Cache-Control": "no-store"}, 0),
        ({}, 0),
    ],
)
def test_the_list_says_how_long_it_holds(headers: dict[str, str], max_age_s: float) -> None:
    transport = Transport(Answer(headers=headers))
    assert fetching(transport)() == KeyList(certificates={"key-1": "pem-1"}, max_age_s=max_age_s)
    ((url, options),) = transport.asked
    assert url == CERTIFICATES_URL
    assert options["timeout"] <= 10


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=503),
        Answer(data=b"<html>"),
        Answer(data=b'{"keys": []}'),
        Answer(data=b"[]"),
        Answer(data=b" " * 70_000 + b"{}"),
    ],
)
def test_an_answer_that_is_no_list_of_keys_is_unavailable(answer: Answer) -> None:
    with pytest.raises(Unavailable):
        fetching(Transport(answer))()


def test_a_network_that_does_not_answer_is_unavailable() -> None:
    """Through the transport that the service really uses."""
    with socket.socket() as bound:  # bound and not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        request = Request()
        with pytest.raises(Unavailable, match="TransportError"):
            fetching(request, f"http://127.0.0.1:{bound.getsockname()[1]}/certs")()
        request.session.close()
