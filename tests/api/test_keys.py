"""Who gets in: every route of every service with every kind of wrong key, and guessing them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import confirmer.main
import receiver.main
from core import limits
from core.errors import Unauthorized
from core.guessing import Guesses, source_of
from core.keys import KeyRing
from core.messages import Topic
from infra import health
from infra.http import OPEN_PATHS, new_app
from infra.settings import load
from infra.wiring import Wiring
from receiver import content, sets
from tests.fake_sessions import MemorySessions
from tests.fakes import RecordingLog, a_world
from transcoder import push

KEY = "a-key-of-the-lms-backend"
OPEN = {"/health", "/ready", content.RULE, sets.RULE}
_KEYS: dict[str, dict[str, str]] = {
    "none": {},
    "empty": {"X-API-Key": ""},
    "empty in both": {"X-API-Key": "", "X-Internal-Service-Key": ""},
    "blank": {"X-Internal-Service-Key": "   "},
    "wrong": {"X-API-Key": "a-key-of-somebody-else"},
    "wrong in the other header": {"X-Internal-Service-Key": "a-key-of-somebody-else"},
    "a prefix": {"X-API-Key": KEY[:-1]},
    "longer": {"X-API-Key": f"{KEY} "[:-1] + "x"},
    "two in one": {"X-API-Key": f"{KEY},{KEY}"},
    "another case": {"X-API-Key": KEY.upper()},
    "a bearer token": {"Authorization": f"Bearer {KEY}"},
    "a cookie": {"Cookie": f"X-API-Key={KEY}"},
    "another header": {"Api-Key": KEY, "X-Service-Key": KEY},
}


def _wiring() -> Wiring:
    world = a_world()
    sessions = MemorySessions(world.objects)
    return Wiring(
        settings=load(),
        ledger=world.ledger,
        sessions=sessions,
        inlet=sessions,
        keys=KeyRing([KEY]),
        checks=dict.fromkeys(("store", "jobs", "bus", "ffmpeg"), lambda: None),
        log=world.log,
        scratch=None,  # type: ignore[arg-type] # nothing here makes a file
        **_more(),
    )


def _more() -> dict[str, Any]:
    """Return nothing for whatever else the wiring holds."""
    known = {"settings", "ledger", "sessions", "inlet", "keys", "checks", "log", "scratch"}
    return {
        field.name: None
        for field in dataclasses.fields(Wiring)
        if field.name not in known and field.default is dataclasses.MISSING
    }


def _transcoder(parts: Wiring) -> Flask:
    def refuse(_token: str | None) -> None:
        raise Unauthorized("no token")

    app = new_app("transcoder", keys=parts.keys, log=parts.log, open_paths=OPEN_PATHS | push.PATHS)
    routes = push.blueprint(
        handlers={topic: lambda _message: None for topic in Topic},
        verify=refuse,
        clock=parts.ledger.clock,
        log=parts.log,
        deliveries_max=100,
    )
    app.register_blueprint(routes)
    app.register_blueprint(health.blueprint({}))
    return app


def _apps() -> Iterator[tuple[str, Flask]]:
    yield "receiver", receiver.main.create_app(_wiring())
    yield "confirmer", confirmer.main.create_app(_wiring())
    yield "transcoder", _transcoder(_wiring())


def _routes() -> list[tuple[str, str, str, str]]:
    return [
        (name, method, rule.rule, re.sub(r"<[^>]+>", "transcode", rule.rule))
        for name, app in _apps()
        for rule in app.url_map.iter_rules()
        for method in sorted(rule.methods or ())
    ]


ROUTES = _routes()
SERVICES = ("receiver", "confirmer", "transcoder")


def test_the_routes_are_enumerated() -> None:
    """The list below is that of the apps, and not empty by mistake."""
    assert len(ROUTES) > 35
    assert {name for name, *_ in ROUTES} == {"receiver", "confirmer", "transcoder"}


@pytest.mark.parametrize(("service", "method", "rule", "path"), ROUTES)
def test_every_route_is_behind_the_key_or_meant_to_be_open(
    service: str, method: str, rule: str, path: str
) -> None:
    """401 exactly where it must be, for each kind of wrong key and each header of a good one."""
    client = _client(service)
    closed = rule not in OPEN and (rule, method) != ("/push/<topic>", "OPTIONS")
    for kind, headers in _KEYS.items():
        response = client.open(path, method=method, headers=headers)
        assert (response.status_code == 401) == closed, (kind, response.status_code)
    for header in ("X-Internal-Service-Key", "X-API-Key", "x-api-key"):
        response = client.open(path, method=method, headers={header: KEY})
        by_token = rule.startswith("/push/")  # which no key stands in for
        assert (response.status_code == 401) == (by_token and closed), header


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("path", ["/", "/nothing", "/health/", "//health", "/Health", "/ready?x"])
def test_what_is_no_route_is_behind_the_key_too(service: str, path: str) -> None:
    """An open path opens nothing that looks like it."""
    expected = 200 if path == "/ready?x" else 401
    assert _client(service).get(path, base_url="http://x").status_code == expected


def _client(service: str) -> FlaskClient:
    return dict(_apps())[service].test_client()


# --- guessing -------------------------------------------------------------------------------------


class Visitors:
    """Callers of one app, each by an address; the clock stands still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, proxies: int = 0) -> None:
        self.now = 1000.0
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("infra.doorkeeper.time", clock)
        app = new_app("receiver", keys=KeyRing([KEY]), log=RecordingLog(), proxies=proxies)
        app.add_url_rule("/well", view_func=lambda: "well")
        self._client = app.test_client()

    def try_key(self, key: str, peer: str = "198.51.100.1", forwarded: str = "") -> Any:
        """Return the answer to one request."""
        headers = {"X-API-Key": key} if key else {}
        if forwarded:
            headers["X-Forwarded-For"] = forwarded
        return self._client.get("/well", headers=headers, environ_overrides={"REMOTE_ADDR": peer})

    def guess(self, times: int, **where: str) -> list[int]:
        """Return the statuses of wrong keys, each another."""
        return [self.try_key(f"wrong-{number}", **where).status_code for number in range(times)]


@pytest.fixture
def visitors(monkeypatch: pytest.MonkeyPatch) -> Visitors:
    """Return callers who reach the service directly."""
    return Visitors(monkeypatch)


def test_after_so_many_wrong_keys_none_is_looked_at_for_a_while(visitors: Visitors) -> None:
    """Neither is the right one: else guessing would be as fast as ever."""
    assert visitors.guess(limits.KEY_GUESSES_MAX) == [401] * limits.KEY_GUESSES_MAX
    visitors.now += 15
    answer = visitors.try_key(KEY)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "45")
    assert answer.get_json(force=True)["code"] == "too_many_wrong_keys"
    visitors.now += 45
    assert visitors.try_key(KEY).status_code == 200


def test_guessing_on_does_not_lengthen_the_wait(visitors: Visitors) -> None:
    """A backend with an old key gets in within a minute of having the new one."""
    visitors.guess(limits.KEY_GUESSES_MAX)
    for _ in range(100):
        visitors.now += limits.KEY_GUESSES_S / 101
        assert visitors.try_key("wrong").status_code == 429
    visitors.now += 1
    assert visitors.try_key(KEY).status_code == 200


def test_the_right_key_is_never_locked_out_from_another_address(visitors: Visitors) -> None:
    visitors.guess(500)
    assert visitors.try_key(KEY, peer="198.51.100.2").status_code == 200


def test_who_has_shown_the_right_key_is_heard_whoever_guesses_beside(visitors: Visitors) -> None:
    """Behind one address there may be the LMS and a stranger."""
    visitors.try_key(KEY)
    statuses = visitors.guess(limits.KEY_GUESSES_MAX + 5)
    assert statuses[-5:] == [429] * 5
    assert visitors.try_key(KEY).status_code == 200


def test_two_keys_in_one_request_are_two_guesses(visitors: Visitors) -> None:
    client, statuses = visitors._client, []
    for number in range(limits.KEY_GUESSES_MAX // 2 + 1):
        headers = {"X-API-Key": f"wrong-{number}", "X-Internal-Service-Key": f"bad-{number}"}
        statuses.append(client.get("/well", headers=headers).status_code)
    assert statuses[-2:] == [401, 429]


def test_a_request_without_a_key_is_no_guess(visitors: Visitors) -> None:
    assert {visitors.try_key("").status_code for _ in range(200)} == {401}
    assert visitors.try_key(KEY).status_code == 200


def test_what_callers_say_of_themselves_is_not_believed(visitors: Visitors) -> None:
    """Else each guess would come from an address of its own."""
    statuses = [
        visitors.try_key("wrong", forwarded=f"203.0.113.{number}").status_code
        for number in range(limits.KEY_GUESSES_MAX + 1)
    ]
    assert statuses[-1] == 429


def test_behind_a_proxy_callers_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the proxy appended counts, not what the caller wrote before it."""
    visitors = Visitors(monkeypatch, proxies=1)
    for number in range(limits.KEY_GUESSES_MAX):
        visitors.try_key("wrong", forwarded=f"10.0.0.{number}, 203.0.113.9")
    assert visitors.try_key(KEY, forwarded="10.9.9.9, 203.0.113.9").status_code == 429
    assert visitors.try_key(KEY, forwarded="203.0.113.9, 203.0.113.8").status_code == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "source"),
    [
        ("198.51.100.1", "", 0, "198.51.100.1"),
        ("198.51.100.1", "1.2.3.4", 0, "198.51.100.1"),
        ("198.51.100.1", "1.2.3.4", 1, "1.2.3.4"),
        ("198.51.100.1", "9.9.9.9, 1.2.3.4", 1, "1.2.3.4"),
        ("198.51.100.1", "9.9.9.9, 1.2.3.4", 2, "9.9.9.9"),
        ("198.51.100.1", "1.2.3.4", 2, "198.51.100.1"),
        ("198.51.100.1", " , ,", 1, "198.51.100.1"),
        ("198.51.100.1", "1.2.3.4:5678", 1, "1.2.3.4"),
        ("198.51.100.1", "[2001:db8:1:2:3::4]:443", 1, "2001:db8:1:2::/64"),
        ("2001:db8::1", "", 0, "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1", "", 0, "2001:db8::/64"),
        ("::ffff:198.51.100.1", "", 0, "198.51.100.1"),
        ("", "", 0, ""),
        ("", "x" * 1000, 1, "x" * 64),
    ],
)
def test_who_counts_as_one(peer: str, forwarded: str, proxies: int, source: str) -> None:
    """An IPv6 customer has a network of addresses and is still one."""
    assert source_of(peer, forwarded, proxies=proxies) == source


def test_what_is_remembered_is_bounded_and_strangers_drive_out_no_friend() -> None:
    guesses = Guesses(sources_max=100)
    guesses.admitted("friend")
    for number in range(10_000):
        guesses.failed(f"stranger-{number}", 0.0, keys=limits.KEY_GUESSES_MAX)
    assert (len(guesses._failures), len(guesses._known)) == (100, 1)
    assert guesses.may_try("friend", 0.0)
    assert not guesses.may_try("stranger-9999", 0.0)
