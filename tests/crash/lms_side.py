"""The LMS's side of a delivery by file, in a process that outlives the kills: storage and API.

It is a place of points too. Only the one who serves a request knows when it was heard, and when
it was carried out and not answered yet; so it is the one that kills the caller then.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import asyncssh
from flask import Response
from standardwebhooks import Webhook

from lectern.lms_behaviours import Visit
from tests.crash.watchman import Watchman, caller_from
from tests.sftp.servers import Behaviour as Stored


class Storage(Stored):
    """asyncssh's server, with a point before and after each request that changes something.

    With `cut_after` the first connection that writes a file is cut after so many writes, as by a
    network: then every delivery has points that only one has which is gone on with. `begun` holds
    the files that were begun, over all connections.
    """

    def __init__(
        self, channel: Any, *, watchman: Watchman, begun: set[bytes], cut_after: int | None
    ) -> None:
        super().__init__(channel)
        self._watchman = watchman
        self._begun = begun
        self._cut_after = cut_after
        self._writes_left: int | None = None
        port = channel.get_connection().get_extra_info("peername")[1]
        self._caller = partial(caller_from, port)
        self._caller_died = False

    def _do(self, name: str, *args: Any) -> Any:
        self._pass(f"storage {name} before")
        found = getattr(asyncssh.SFTPServer, name)(self, *args)
        self._pass(f"storage {name} after")
        return found

    def _pass(self, call: str) -> None:
        """Pass a point; what a dead caller had sent before is carried out, and nobody's point."""
        if not self._caller_died:
            self._caller_died = self._watchman.passed(call, self._caller)

    def open(self, path: bytes, *args: Any) -> Any:
        """Open a file."""
        if path not in self._begun:
            self._begun.add(path)
            self._writes_left = self._cut_after
        return self._do("open", path, *args)

    def close(self, *args: Any) -> Any:
        """Close a file."""
        return self._do("close", *args)

    def read(self, *args: Any) -> Any:
        """Read some bytes."""
        return self._do("read", *args)

    def write(self, *args: Any) -> Any:
        """Write some bytes."""
        written = self._do("write", *args)
        if self._writes_left is not None:
            self._writes_left -= 1
            if self._writes_left == 0:
                self.cut()
        return written

    def fsync(self, *args: Any) -> Any:
        """Put a file on the disk."""
        return self._do("fsync", *args)

    def posix_rename(self, *args: Any) -> Any:
        """Give a file its name."""
        return self._do("posix_rename", *args)


@dataclass(slots=True, kw_only=True)
class ConfirmApi:
    """What CLIENT_CONFIRM_API leads to: verifies each notice, keeps it, and answers 204."""

    watchman: Watchman
    secret: str
    told: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, visit: Visit) -> Response:
        """Take a notice."""
        caller = partial(caller_from, int(visit.request.environ["REMOTE_PORT"]))
        self.watchman.passed("notice before", caller)
        data = visit.request.get_data()
        headers = {name.lower(): value for name, value in visit.request.headers.items()}
        Webhook(self.secret).verify(data, headers)
        self.told.append({"id": headers["webhook-id"], **json.loads(data)})
        self.watchman.passed("notice after", caller)
        return Response(status=204)
