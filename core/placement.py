"""Delivery by file: a result is put into the LMS's own storage, then the LMS is told its path."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from core.delivery import Unanswered


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The file stands, whole, under its final name. `sent` of its bytes were sent this time."""

    sent: int


PlaceOutcome = Placed | Unanswered
"""What came of one attempt; the words of an Unanswered name no host, user, key or password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One attempt at the LMS's confirmation API.

    `delivery_id` is the same over all attempts, `sent_at` (epoch seconds) is the attempt's own.
    `file_path` is where the result stands; `others` are further files of the job, by what they
    are (such as `thumbnail`).
    """

    delivery_id: str
    media_id: str
    file_path: str
    sent_at: int
    others: tuple[tuple[str, str], ...] = ()
    traceparent: str | None = None


_OTHERS: Final = "variants"


def notice_text(notice: Notice) -> str:
    """Return the JSON body, `{"mediaId": …, "filePath": …}` (row B13).

    A member `variants` with the paths of further files follows where there are any.
    """
    body: dict[str, object] = {"mediaId": notice.media_id, "filePath": notice.file_path}
    if notice.others:
        body[_OTHERS] = dict(notice.others)
    return json.dumps(body, separators=(",", ":"), ensure_ascii=True)
