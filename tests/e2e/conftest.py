"""One deployment for all tests of the folder's module, with storage and LMS in the test's hands."""

from __future__ import annotations

import importlib
import os

from tests.media.conftest import shared_media, shortened

try:
    importlib.import_module("google.cloud.firestore")
except ImportError:
    if os.environ.get("LECTERN_REQUIRE_EMULATORS"):
        raise
    collect_ignore_glob = ["test_*.py"]  # installed without the `gcp` extra
    __all__ = ["shared_media", "shortened"]
else:
    from tests.e2e.scene import scene

    __all__ = ["scene", "shared_media", "shortened"]
