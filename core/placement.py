"""Delivery by file: a result is put into the LMS's own storage, then the LMS is told its path."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
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
    are (such as `thumbnail`). `manifest_url` opens its set of renditions, and is not for logs.
    """

    delivery_id: str
    media_id: str
    file_path: str
    sent_at: int
    others: tuple[tuple[str, str], ...] = ()
    traceparent: str | None = None
    manifest_url: str | None = field(default=None, repr=False)


_OTHERS: Final = "variants"


def notice_text(notice: Notice) -> str:
    """Return the JSON body, `{"mediaId": …, "filePath": …}` (row B13).

    A member `variants` with the paths of further files follows where there are any, and
    `manifestUrl` where a set of renditions was made.
    """
    body: dict[str, object] = {"mediaId": notice.media_id, "filePath": notice.file_path}
    if notice.others:
        body[_OTHERS] = dict(notice.others)
    if notice.manifest_url is not None:
        body["manifestUrl"] = notice.manifest_url
    return json.dumps(body, separators=(",", ":"), ensure_ascii=True)


_PATH_CHARS_MAX: Final = 1024
"""Characters of a remote path; servers take 4,096 bytes, and 255 for each name."""
_NAME_CHARS_MAX: Final = 200
"""Characters of one name in it: with what a partial file adds, within 255 bytes."""


def check_remote_path(path: str) -> None:
    """Raise ValueError unless `path` is absolute and every name in it plain.

    Plain is what cannot lead elsewhere: not empty, `.` or `..`, of printable ASCII.
    """
    root, *names = path.split("/")
    plain = all(name not in {"", ".", ".."} and len(name) <= _NAME_CHARS_MAX for name in names)
    printable = path.isascii() and path.isprintable()
    if root or not names or not plain or not printable or len(path) > _PATH_CHARS_MAX:
        raise ValueError("a remote path is absolute and has no empty name, no . and no ..")


def partial_path(path: str) -> str:
    """Return where the file of `path` grows until it is whole: beside it, hidden."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.part"
