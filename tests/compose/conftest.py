"""The whole system of compose.yaml, once for a module."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator

import pytest

from tests.compose.stack import Stack, need_what_it_runs

try:
    importlib.import_module("google.cloud.firestore")
except ImportError:
    if os.environ.get("LECTERN_REQUIRE_EMULATORS"):
        raise
    collect_ignore_glob = ["test_*.py"]  # installed without the `gcp` extra


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Give every service of the file, running and healthy."""
    need_what_it_runs()
    with Stack(folder=tmp_path_factory.mktemp("stack")) as running:
        yield running
