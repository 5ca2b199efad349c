"""Found by every Python of the tree under test, through PYTHONPATH: wraps the ports.

The product knows nothing of it: it takes hold of `infra.wiring` when that is imported.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Hold(MetaPathFinder):
    """Lets `infra.wiring` be loaded as ever, then hands it to `tests.crash.points`."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the interface of a finder
        target: ModuleType | None = None,  # noqa: ARG002 - the same
    ) -> ModuleSpec | None:
        if fullname != "infra.wiring":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            _wrap(spec.loader)
        return spec


def _wrap(loader: Any) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        from tests.crash.points import install  # noqa: PLC0415 - only now can it be imported

        install(module)

    loader.exec_module = exec_module


if "LECTERN_CRASH_TRACE" in os.environ:
    sys.meta_path.insert(0, _Hold())
