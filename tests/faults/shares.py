"""How much is tried: a share in everyday runs, everything under LECTERN_TORTURE=1."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final, TypeVar

_T = TypeVar("_T")
TORTURE: Final = os.environ.get("LECTERN_TORTURE") == "1"


def share(all_of_them: Iterable[_T], most: int) -> list[_T]:
    """Return everything in the long form, else `most` of it, evenly spread."""
    items = list(all_of_them)
    if TORTURE or len(items) <= most:
        return items
    return [items[at * len(items) // most] for at in range(most)]
