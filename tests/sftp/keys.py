"""Keys for SFTP servers and for those who log in, made anew for each run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import asyncssh

ROUNDS = 1
"""Of bcrypt, for encrypted keys: tests keep no secrets."""
KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")


@dataclass(frozen=True)
class KeyFile:
    """A private key in a file of its own."""

    path: Path
    key: asyncssh.SSHKey

    @cached_property
    def line(self) -> str:
        """Return the public half as one line: type and base64."""
        return " ".join(self.key.export_public_key().decode().split()[:2])

    @property
    def text(self) -> str:
        """Return the private half."""
        return self.path.read_text()

    @property
    def fingerprint(self) -> str:
        """Return what ssh-keygen would print."""
        return self.key.get_fingerprint("sha256")


def make_key(
    folder: Path, name: str, kind: str = "ssh-ed25519", passphrase: str | None = None
) -> KeyFile:
    """Make a key; with `passphrase` it is encrypted."""
    if kind == "ssh-rsa":
        key = asyncssh.generate_private_key(kind, key_size=2048)
    else:
        key = asyncssh.generate_private_key(kind)
    path = folder / name
    path.touch(mode=0o600)
    path.write_bytes(
        key.export_private_key(passphrase=passphrase, rounds=ROUNDS, ignore_few_rounds=True)
    )
    return KeyFile(path, key)
