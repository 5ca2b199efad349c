"""Fixtures of the tests on the functions."""

from __future__ import annotations

import importlib
import os

try:
    importlib.import_module("functions_framework")
    importlib.import_module("google.cloud.firestore")
except ImportError:
    if os.environ.get("LECTERN_REQUIRE_EMULATORS"):
        raise
    collect_ignore_glob = ["test_entry.py", "test_processes.py"]  # without the `gcp` extra
else:
    from tests.gcp.fixtures import firestore_emulator, pubsub, pubsub_emulator

    __all__ = ["firestore_emulator", "pubsub", "pubsub_emulator"]
