"""A bucket with bad hours, which remembers when something was deleted."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus

from tests.gcp.storage_server import Answer, Bucket, Cut, Fault, LoseAnswer


class Weather(Bucket):
    """While it storms, most requests go wrong: refused, cut short, or answered to nobody."""

    def __init__(self) -> None:
        super().__init__(time.time)
        self.deleted: dict[str, float] = {}
        self.faults: Counter[str] = Counter()
        self._until = 0.0
        self._dice = random.Random(7)  # noqa: S311 - a storm that is the same each time

    def storm(self, seconds: float) -> None:
        """Begin bad hours."""
        self._until = time.monotonic() + seconds

    def fault(self, kind: str, size: int) -> Fault | None:
        """Return what was asked for by name, or what the storm brings."""
        named = super().fault(kind, size)
        found = named or (self._bad_luck(size) if time.monotonic() < self._until else None)
        if found:
            self.faults[_name(found)] += 1
        return found

    def delete(self, name: str, query: Mapping[str, str]) -> None:
        """Remove an object, and note when."""
        super().delete(name, query)
        self.deleted[name] = time.time()

    def _bad_luck(self, size: int) -> Fault | None:
        troubles: list[Fault | None] = [
            Answer(status=HTTPStatus.SERVICE_UNAVAILABLE),
            Answer(status=HTTPStatus.TOO_MANY_REQUESTS),
            LoseAnswer(),
            None,
            None,
        ]
        if size:
            troubles.append(Cut(after=size // 2))
        return self._dice.choice(troubles)


def _name(fault: Fault) -> str:
    return str(fault.status) if isinstance(fault, Answer) else type(fault).__name__
