"""Keys for all tests of SFTP."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.sftp.keys import KINDS, KeyFile, make_key


@pytest.fixture(scope="session")
def host_keys(tmp_path_factory: pytest.TempPathFactory) -> Sequence[KeyFile]:
    """Return a host key of each type."""
    folder = tmp_path_factory.mktemp("host-keys")
    return [make_key(folder, kind, kind) for kind in KINDS]


@pytest.fixture(scope="session")
def user_key(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    """Return the key that servers let in."""
    return make_key(tmp_path_factory.mktemp("user-key"), "user")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    """Return a key that nobody knows."""
    return make_key(tmp_path_factory.mktemp("stranger"), "stranger")
