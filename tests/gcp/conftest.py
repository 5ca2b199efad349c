"""Fixtures of the tests on Google Cloud's adapters."""

from __future__ import annotations

import importlib
import os

try:
    importlib.import_module("google.cloud.firestore")
except ImportError:
    if os.environ.get("LECTERN_REQUIRE_EMULATORS"):
        raise
    collect_ignore_glob = ["test_*.py"]  # installed without the `gcp` extra
else:
    from tests.gcp.fixtures import (
        bus_rig,
        firestore_client,
        firestore_emulator,
        pubsub,
        pubsub_emulator,
        storage,
    )

    __all__ = [
        "bus_rig",
        "firestore_client",
        "firestore_emulator",
        "pubsub",
        "pubsub_emulator",
        "storage",
    ]
