"""Fixtures: the emulators."""

from __future__ import annotations

import importlib
import os

try:
    importlib.import_module("google.cloud.firestore")
except ImportError:
    if os.environ.get("LECTERN_REQUIRE_EMULATORS"):
        raise
    collect_ignore_glob = ["test_kill_over_*.py"]  # installed without the `gcp` extra
else:
    from tests.gcp.fixtures import firestore_emulator, pubsub, pubsub_emulator

    __all__ = ["firestore_emulator", "pubsub", "pubsub_emulator"]
