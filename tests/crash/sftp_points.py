"""Points within the real adapters of a delivery by file: before, during and after each step.

A step of SFTP is a request to the server. `under way` means that it was handed to asyncssh's
loop, in another thread, and that nobody has waited for its answer yet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from types import ModuleType
from typing import Any, Final

from core import limits
from infra.sftp_session import Session
from tests.crash.points import Watched, pass_point

_SOON_S: Final = 0.2


def install(wiring: ModuleType) -> None:
    """Let `wiring` hand out the real depot and announcer, watched within and without.

    What failed is tried again soon: a server may be told to cut some connections.
    """
    limits.DELIVERY_FIRST_DELAY_S = _SOON_S  # type: ignore[misc] # five seconds else
    for name in ("depot", "announcer"):
        setattr(wiring, name, _watched(getattr(wiring, name), name))
    _watch_sessions()


def _watched(make: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    return lambda settings: Watched(make(settings), name)


def _watch_sessions() -> None:
    """Have every step of a Session be three points, and logging in two."""
    start, wait, connect = Session.start, Session.wait, Session._connect

    def run(self: Session, step: Awaitable[Any], doing: str) -> Any:
        pass_point(f"sftp {doing} before")
        begun = start(self, step)
        pass_point(f"sftp {doing} under way")
        found = wait(self, begun, doing)
        pass_point(f"sftp {doing} after")
        return found

    def start_only(self: Session, step: Awaitable[Any]) -> Future[Any]:
        begun = start(self, step)
        pass_point("sftp one of many under way")
        return begun

    def wait_only(self: Session, begun: Future[Any], doing: str) -> Any:
        found = wait(self, begun, doing)
        pass_point(f"sftp one of many after {doing}")
        return found

    def log_in(self: Session) -> None:
        pass_point("sftp connecting before")
        connect(self)
        pass_point("sftp connecting after")

    for name, function in {
        "run": run, "start": start_only, "wait": wait_only, "_connect": log_in,
    }.items():  # fmt: skip
        setattr(Session, name, function)
