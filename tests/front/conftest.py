"""Fixtures of the tests on services as processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.front.process import Served, served
from tests.front.tools import need_haproxy


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run one receiver for all tests that leave it as it is."""
    need_haproxy()
    with served("receiver", tmp_path_factory.mktemp("front") / "data") as receiver:
        yield receiver


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    """Run a receiver for this test alone."""
    need_haproxy()
    with served("receiver", tmp_path / "data") as receiver:
        yield receiver
