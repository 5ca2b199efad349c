"""An LMS's file storage and its confirmation API, kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from core.delivery import Answered, Outcome, Unanswered
from core.placement import Notice, Placed, PlaceOutcome
from core.ports import ObjectReader


class FakeDepot:
    """A Depot that keeps files by their path; `refusals` are the reasons of its next failures."""

    def __init__(self, refusals: Iterable[str] = ()) -> None:
        self.files: dict[str, bytes] = {}
        self.placed: list[str] = []
        self.refusals = list(refusals)

    def place(
        self,
        path: str,
        source: Callable[[int], AbstractContextManager[ObjectReader]],
        *,
        size: int,
    ) -> PlaceOutcome:
        """Take the whole file, unless it stands there already."""
        if self.refusals:
            return Unanswered(reason=self.refusals.pop(0))
        self.placed.append(path)
        if len(self.files.get(path, b"")) == size:
            return Placed(sent=0)
        with source(0) as body:
            data = body.read()
        assert len(data) == size
        self.files[path] = data
        return Placed(sent=size)


class FakeAnnouncer:
    """An Announcer that answers with `outcomes` in turn; the last one answers for ever."""

    def __init__(self, outcomes: Iterable[Outcome] = (Answered(status=204),)) -> None:
        self.notices: list[Notice] = []
        self.on_announce: Callable[[Notice], None] | None = None
        self._outcomes = list(outcomes)

    def announce(self, notice: Notice) -> Outcome:
        """Take the notice and return the next outcome."""
        self.notices.append(notice)
        outcome = self._outcomes[0] if len(self._outcomes) == 1 else self._outcomes.pop(0)
        if self.on_announce is not None:
            self.on_announce(notice)
        return outcome
