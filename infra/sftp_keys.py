"""The keys of SFTP: which host keys are trusted, and what a login is made with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import asyncssh

_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}(?![A-Za-z0-9+/])")
"""As ssh-keygen prints it: base64 of 32 bytes, without the padding."""
_OF_KEY: Final = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""Signature algorithms of each type of host key, best first; none with SHA-1 (RFC 8332)."""
KEY_TYPES: Final = len(_OF_KEY)
"""A server has one key of each type."""
_KEY_BEGINS: Final = "-----BEGIN "
_LOCKED: Final = "SFTP_PRIVATE_KEY is encrypted: SFTP_PRIVATE_KEY_PASSPHRASE is missing or wrong"
_DEFAULT_PORT: Final = 22


class Trusted(NamedTuple):
    """Host keys, certificate authorities and revoked keys, as asyncssh takes them."""

    keys: Sequence[asyncssh.SSHKey]
    authorities: Sequence[asyncssh.SSHKey]
    revoked: Sequence[asyncssh.SSHKey]


class HostKeyRule:
    """Which host key one server must show: one of its known hosts, or one of a fingerprint.

    `known_hosts` is a path or the lines themselves, as ssh-keyscan prints them: names may be
    hashed, have a port or wildcards, and `@cert-authority` and `@revoked` are heeded.
    `fingerprint` holds one or more of `SHA256:...` as ssh-keygen prints them. Raises ValueError
    unless exactly one of both is given and can be read.
    """

    def __init__(
        self, *, host: str, port: int, known_hosts: str | None, fingerprint: str | None
    ) -> None:
        self._host = host
        self._port = None if port == _DEFAULT_PORT else port
        if not known_hosts and not fingerprint:
            raise ValueError(
                "SFTP_KNOWN_HOSTS or SFTP_FINGERPRINT is required: "
                "without a host key the server could be anybody"
            )
        if known_hosts and fingerprint:
            raise ValueError("give either SFTP_KNOWN_HOSTS or SFTP_FINGERPRINT, not both")
        self._known = _read_known_hosts(known_hosts) if known_hosts else None
        self._prints = _read_fingerprints(fingerprint) if fingerprint else frozenset()

    @property
    def any_type(self) -> bool:
        """Return whether the expected key may be of any type."""
        return self._known is None

    def trusted_at(self, address: str) -> Trusted:
        """Return what is known of the host, by its name and by the address it was found at."""
        if self._known is None:
            return Trusted((), (), ())
        return Trusted(*self._known.match(self._host, address, self._port)[:3])

    def fits(self, key: asyncssh.SSHKey) -> bool:
        """Return whether the fingerprint is that of `key`."""
        return key.get_fingerprint("sha256") in self._prints


def algorithms_for(trusted: Trusted, seen: Sequence[asyncssh.SSHKey]) -> list[str]:
    """Return which host key algorithms to offer: those of known keys first, of `seen` ones last.

    A server shows one key, of the first type that it has. It is offered all types, so that one
    that lacks the expected type shows another key and is told from one that just hangs up.
    """
    known = {key.get_algorithm() for key in trusted.keys}
    shown = {key.get_algorithm() for key in seen}
    kinds = sorted(_OF_KEY, key=lambda kind: (kind in shown, kind not in known))
    plain = [name for kind in kinds for name in _OF_KEY[kind]]
    if not trusted.authorities:
        return plain
    return [*(f"{name}-cert-v01@openssh.com" for name in plain), *plain]


def read_private_key(text_or_path: str, passphrase: str | None) -> asyncssh.SSHKey:
    r"""Return the key; raises ValueError, which shows neither key, path nor passphrase.

    A text may have its line ends written as `\\n`, as environment files do.
    """
    text = _text_or_file(text_or_path, is_text=_KEY_BEGINS in text_or_path, name="SFTP_PRIVATE_KEY")
    try:
        return asyncssh.import_private_key(text.strip() + "\n", passphrase)
    except asyncssh.KeyEncryptionError:
        raise ValueError(_LOCKED) from None
    except asyncssh.KeyImportError as error:
        if "assphrase" in str(error):
            raise ValueError(_LOCKED) from None
        raise ValueError(
            "SFTP_PRIVATE_KEY cannot be read: ssh-keygen -t ed25519 makes one"
        ) from None


def _read_known_hosts(text_or_path: str) -> asyncssh.SSHKnownHosts:
    is_text = len(text_or_path.split()) >= len(("host", "type", "key"))
    text = _text_or_file(text_or_path, is_text=is_text, name="SFTP_KNOWN_HOSTS")
    if not any(_holds_key(line) for line in text.splitlines()):
        raise ValueError("SFTP_KNOWN_HOSTS holds no key: ssh-keyscan prints them")
    try:
        return asyncssh.import_known_hosts(text)
    except ValueError:
        raise ValueError("SFTP_KNOWN_HOSTS cannot be read: ssh-keyscan prints its lines") from None


def _holds_key(line: str) -> bool:
    """Return whether a line of known hosts ends in a key; asyncssh passes over the others."""
    fields = line.removeprefix("@cert-authority").removeprefix("@revoked").split()
    try:
        asyncssh.import_public_key(" ".join(fields[1:3]))
    except (asyncssh.KeyImportError, UnicodeEncodeError):
        return False
    return True


def _read_fingerprints(text: str) -> frozenset[str]:
    found = frozenset(_FINGERPRINT.findall(text))
    if not found:
        raise ValueError("SFTP_FINGERPRINT has the form SHA256:..., as ssh-keygen -lf prints it")
    return found


def _text_or_file(text_or_path: str, *, is_text: bool, name: str) -> str:
    if is_text:
        return text_or_path if "\n" in text_or_path else text_or_path.replace("\\n", "\n")
    try:
        return Path(text_or_path).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ValueError(f"{name} names no file that can be read: {why}") from None
