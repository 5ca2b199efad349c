"""Start one of our own programs in the sandbox: `python -I -B child.py MODULE WISH`.

The sandbox lets it read the folders `core` and `transcoder`, but not what lies beside them, nor
the list of that: in a checkout there may be the data folder. So Python is told where they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Final

ROOMS: Final = {name: Path(__file__).resolve().parents[1] / name for name in ("core", "transcoder")}
"""What is ours of a child's code."""


class _Rooms:
    """Finds the packages of `ROOMS`; Python finds what is in them by itself."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Return where a package is, None for others; as `importlib` asks."""
        if name not in ROOMS:
            return None
        return spec_from_file_location(name, ROOMS[name] / "__init__.py")


def command(python: str, module: str, wish: Mapping[str, object]) -> list[str]:
    """Return what to run for the `main` of `module`, a full name, with `wish` as JSON."""
    return [python, "-I", "-B", __file__, module, json.dumps(wish)]


def main(module: str, wish: str) -> int:
    """Return the status of the module's own `main`."""
    sys.meta_path.insert(0, _Rooms)
    status: int = import_module(module).main(wish)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
