"""The search for orphans: once through the whole object store, in as many sweeps as it takes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from core import limits
from core.job import PREFIXES
from core.ports import ObjectInfo, ObjectStore, OrderedListing


@dataclass(slots=True)
class _Stretch:
    """The keys of a prefix from `start` on, before `end`; None is its end."""

    prefix: str
    start: str = ""
    end: str | None = None

    def listed(self, objects: ObjectStore) -> Iterator[ObjectInfo]:
        """Yield its objects; where they come in order, remember which was looked at last."""
        if not isinstance(objects, OrderedListing):
            start = self.start
            yield from (item for item in objects.list(self.prefix) if self._has(item, start))
            return
        for item in objects.list_from(self.prefix, self.start):
            if self.end is not None and item.key >= self.end:
                return
            self.start = item.key
            yield item

    def _has(self, item: ObjectInfo, start: str) -> bool:
        return start <= item.key and (self.end is None or item.key < self.end)


class OrphanSearch:
    """Goes once around all keys, from `origin` to `origin`.

    A sweep that runs out of time goes on with it in the next one, at the object where it ended.
    Where a store lists in no order it begins the prefix anew. `live` are the runs that were found
    to need their objects: what is not asked again until the next search.
    """

    def __init__(self, origin: str = "") -> None:
        self.live: set[str] = set()
        self._left = deque(_around(origin))

    @property
    def is_over(self) -> bool:
        """Return whether all objects were looked at."""
        return not self._left

    def note_live(self, run: str) -> None:
        """Remember a run that needs its objects, within a bound."""
        if len(self.live) < limits.ORPHAN_RUNS_MAX:
            self.live.add(run)

    def objects(self, objects: ObjectStore) -> Iterator[ObjectInfo]:
        """Yield what is left to be looked at; the last one again that came before a break."""
        while self._left:
            yield from self._left[0].listed(objects)
            self._left.popleft()


class Searches:
    """One search after the other, for a process whose sweeps are called from outside.

    A process may be ended before a search is over; so each begins at another `origin()`, and every
    part of the store has its turn. Between two searches lies a pause of `pause_s`, or as long as
    the search took: at most half of the time is spent with it, however large the store.
    """

    def __init__(
        self,
        *,
        origin: Callable[[], str],
        pause_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origin = origin
        self._pause_s = pause_s
        self._now = now
        self._lock = threading.Lock()
        self._search: OrphanSearch | None = None
        self._began = 0.0
        self._due_at = 0.0

    @contextlib.contextmanager
    def turn(self) -> Iterator[OrphanSearch | None]:
        """Give the search that is to be gone on with, if any; only to one sweep at a time."""
        if not self._lock.acquire(blocking=False):
            yield None
            return
        try:
            search = self._due()
            yield search
            if search is not None and search.is_over:
                now = self._now()
                self._search = None
                self._due_at = now + max(self._pause_s, now - self._began)
        finally:
            self._lock.release()

    def _due(self) -> OrphanSearch | None:
        now = self._now()
        if self._search is None and now >= self._due_at:
            self._search, self._began = OrphanSearch(self._origin()), now
        return self._search


def _around(origin: str) -> Iterator[_Stretch]:
    """Yield all prefixes, from `origin` around to it."""
    ring = [f"{prefix}/" for prefix in sorted(PREFIXES)]
    first = next((prefix for prefix in ring if origin.startswith(prefix)), None)
    if first is None:
        yield from map(_Stretch, ring)
        return
    at = ring.index(first)
    yield _Stretch(first, start=origin)
    yield from map(_Stretch, ring[at + 1 :] + ring[:at])
    yield _Stretch(first, end=origin)
