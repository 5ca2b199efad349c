"""What an operator gives a depot to know the server by and to log in with."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import hmac
import socket
from pathlib import Path
from typing import Any, NoReturn

import asyncssh
import pytest

from core.delivery import Unanswered
from infra.sftp import SftpDepot
from infra.sftp_keys import HostKeyRule, read_private_key
from infra.sftp_session import Session, SftpFailed
from tests.sftp.keys import KeyFile, make_key
from tests.sftp.lectures import Lecture

HOST = "sftp.uni.example"


def rule(known_hosts: str, *, port: int = 22) -> HostKeyRule:
    """Return a rule of known hosts."""
    return HostKeyRule(host=HOST, port=port, known_hosts=known_hosts, fingerprint=None)


def hashed(name: str) -> str:
    """Return the name as `HashKnownHosts yes` writes it."""
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("name", "port"),
    [
        (HOST, 22),
        (HOST, 2222),
        (f"[{HOST}]:2222", 2222),
        (hashed(HOST), 22),
        (hashed(f"[{HOST}]:2222"), 2222),
        ("10.1.2.3", 22),
        (f"other.example,{HOST},10.9.9.9", 22),
        ("*.uni.example", 22),
    ],
)
def test_a_host_is_found_in_all_the_forms_of_its_name(
    stranger: KeyFile, name: str, port: int
) -> None:
    found = rule(f"# made by hand\n\n{name} {stranger.line} a comment\n", port=port)
    assert list(found.trusted_at("10.1.2.3").keys) == [stranger.key.convert_to_public()]


@pytest.mark.parametrize(
    "name",
    ["elsewhere.example", f"[{HOST}]:2222", hashed("elsewhere.example"), f"*.example,!{HOST}"],
)
def test_other_hosts_keys_are_not_trusted(stranger: KeyFile, name: str) -> None:
    assert list(rule(f"{name} {stranger.line}\n").trusted_at("10.1.2.3").keys) == []


def test_known_hosts_may_be_a_file_or_have_written_line_ends(
    stranger: KeyFile, user_key: KeyFile, tmp_path: Path
) -> None:
    lines = [f"{HOST} {stranger.line}", f"{HOST} {user_key.line}"]
    path = tmp_path / "known hosts"
    path.write_text("\n".join(lines))
    for given in (str(path), "\\n".join(lines), "\n".join(lines)):
        assert len(rule(given).trusted_at("10.1.2.3").keys) == 2


def test_authorities_and_revoked_keys_are_told_apart(stranger: KeyFile, user_key: KeyFile) -> None:
    text = f"@cert-authority * {stranger.line}\n@revoked * {user_key.line}\n"
    trusted = rule(text).trusted_at("10.1.2.3")
    counts = len(trusted.keys), len(trusted.authorities), len(trusted.revoked)
    assert counts == (0, 1, 1)


def test_a_private_key_may_be_a_text_a_file_or_have_written_line_ends(user_key: KeyFile) -> None:
    for given in (user_key.text, str(user_key.path), user_key.text.replace("\n", "\\n")):
        assert read_private_key(given, None) == user_key.key


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_an_encrypted_key_needs_its_passphrase(tmp_path: Path, kind: str) -> None:
    locked = make_key(tmp_path, "locked", kind, passphrase="hush-words")
    assert read_private_key(locked.text, "hush-words") == locked.key
    for wrong in (None, "hush-other"):
        with pytest.raises(ValueError, match="SFTP_PRIVATE_KEY_PASSPHRASE") as raised:
            read_private_key(str(locked.path), wrong)
        assert not [word for word in ("hush", str(locked.path)) if word in str(raised.value)]


GOOD: dict[str, Any] = {
    "host": HOST,
    "user": "hush-user",
    "password": "hush-password",
    "fingerprint": "SHA256:" + "A" * 43,
    "connect_timeout_s": 1,
    "stall_timeout_s": 1,
    "total_timeout_s": 1,
}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"fingerprint": None}, "SFTP_KNOWN_HOSTS or SFTP_FINGERPRINT is required"),
        ({"fingerprint": ""}, "SFTP_KNOWN_HOSTS or SFTP_FINGERPRINT is required"),
        ({"known_hosts": f"{HOST} ssh-ed25519 AAAA"}, "not both"),
        ({"fingerprint": "MD5:aa:bb"}, "SFTP_FINGERPRINT has the form SHA256:"),
        ({"fingerprint": "SHA256:short"}, "SFTP_FINGERPRINT has the form SHA256:"),
        (
            {"fingerprint": None, "known_hosts": "hush/no/such/file"},
            "SFTP_KNOWN_HOSTS names no file",
        ),
        (
            {"fingerprint": None, "known_hosts": "hush what ever it is"},
            "SFTP_KNOWN_HOSTS holds no key",
        ),
        (
            {"fingerprint": None, "known_hosts": f"{HOST} ssh-ed25519 hush"},
            "SFTP_KNOWN_HOSTS holds no key",
        ),
        ({"password": None}, "SFTP_PASSWORD or SFTP_PRIVATE_KEY is required"),
        ({"password": ""}, "SFTP_PASSWORD or SFTP_PRIVATE_KEY is required"),
        ({"private_key": "hush/no/such/file"}, "SFTP_PRIVATE_KEY names no file"),
        ({"private_key": "-----BEGIN hush-----"}, "SFTP_PRIVATE_KEY cannot be read"),
        (
            {"private_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nhush\n"},
            "SFTP_PRIVATE_KEY cannot be read",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_once_and_not_quoted(
    given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        SftpDepot(**{**GOOD, **given})
    assert "hush" not in str(raised.value)


def test_what_can_work_is_taken() -> None:
    assert repr(SftpDepot(**GOOD)) == "SftpDepot()"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(-2, "unknown"), "name not found"),
        (UnicodeError("label too long"), "name not found"),
        (TimeoutError(), "no connection in 1 s"),
        (ConnectionResetError(), "connection lost while connecting"),
        (OSError(113, "no route"), "host not reachable"),
    ],
)
def test_why_no_connection_came_about_is_told(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def fail(*_args: object, **_options: object) -> NoReturn:
        raise error

    monkeypatch.setattr(socket, "create_connection", fail)
    outcome = SftpDepot(**GOOD).place("/videos/a.mp4", Lecture().opened, size=1)
    assert outcome == Unanswered(reason=reason)


def test_a_server_that_is_gone_at_once_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    unconnected = socket.socket()
    monkeypatch.setattr(socket, "create_connection", lambda *_args, **_options: unconnected)
    outcome = SftpDepot(**GOOD).place("/videos/a.mp4", Lecture().opened, size=1)
    assert outcome == Unanswered(reason="connection lost while connecting")


@pytest.mark.parametrize(
    "error",
    [AssertionError(), asyncssh.ConnectionLost("x"), asyncssh.SFTPConnectionLost("x"), OSError(32)],
)
def test_however_the_library_says_it_a_lost_connection_is_one(error: Exception) -> None:
    depot = SftpDepot(**GOOD)
    step: concurrent.futures.Future[None] = concurrent.futures.Future()
    step.set_exception(error)
    with pytest.raises(SftpFailed, match="connection lost while sending"):
        Session(depot._login, depot._times).wait(step, "sending")
