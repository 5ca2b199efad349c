"""How much of the disk uploads may fill: what is promised to one is not promised to another."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from core.errors import StoreFull


class Room:
    """The disk below `folder`, of which `reserve_bytes` stay free.

    Uploads on their way at once are admitted together: each holds what it has announced and not
    written yet. It is counted in this process; of all others only what they have written is seen.
    """

    def __init__(self, folder: Path, *, reserve_bytes: int = 0) -> None:
        self._folder = folder
        self._reserve_bytes = reserve_bytes
        self._held = 0
        self._guard = threading.Lock()

    def check(self, wanted: int) -> None:
        """Return if there is room for so many bytes, whoever else may want it; hold nothing."""
        self._check(wanted, held=0)

    @contextlib.contextmanager
    def hold(self, wanted: int) -> Iterator[Hold]:
        """Hold room for so many bytes; raises StoreFull where they are not free."""
        hold = Hold(self)
        with self._guard:
            self._take(hold, wanted)
        try:
            yield hold
        finally:
            with self._guard:
                self._give(hold, hold.left)

    def _take(self, hold: Hold, wanted: int) -> None:
        self._check(wanted, held=self._held)
        self._held += wanted
        hold.left += wanted

    def _give(self, hold: Hold, count: int) -> None:
        self._held -= count
        hold.left -= count

    def _check(self, wanted: int, *, held: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < wanted + held + self._reserve_bytes:
            raise StoreFull(
                f"{free} bytes are free, {wanted} are needed, {held} are promised to others and "
                f"{self._reserve_bytes} must stay free"
            )


class Hold:
    """What one upload may still write."""

    def __init__(self, room: Room) -> None:
        self.left = 0
        self._room = room

    @contextlib.contextmanager
    def spend(self, count: int) -> Iterator[None]:
        """Write `count` bytes inside of this; raises StoreFull where more than is held is not free.

        They count as held until they are written: the disk's own figure has them by then.
        """
        room = self._room
        with room._guard:  # noqa: SLF001 - a hold is a part of its room
            if count > self.left:
                room._take(self, count - self.left)  # noqa: SLF001
        yield
        with room._guard:  # noqa: SLF001
            room._give(self, count)  # noqa: SLF001
