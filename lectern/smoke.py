"""`python -m lectern.smoke RECEIVER CONFIRMER`: one real handshake with a deployed service.

Sends the demo's lecture twice, as one request and as a direct upload, waits until the LMS has
both, confirms, and waits for `completed`. What it leaves is two lectures `smoke-…` of the
organization `lectern-smoke` in the LMS, and the jobs' records. The service key is read from
INTERNAL_SERVICE_KEY; of several the first is used.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Final

import click
import requests

from lectern.client import JobEnded, LecternClient, LecternRefused, LecternUnreachable
from lectern.demo_lecture import LECTURE

_ORGANIZATION: Final = "lectern-smoke"
_READY_S: Final = 300.0
"""Longest wait for `/ready`: new invoker bindings take minutes to be known everywhere."""
_CONFIRM_S: Final = 120.0
"""Longest way from the confirmation to `completed`."""
_ANSWER_S: Final = 60.0
_PAUSE_S: Final = 2.0

Sessions = Callable[[str], requests.Session]
"""Returns a session for calls to a base URL."""


class SmokeFailed(Exception):
    """The deployment does not do what it should; the message says where it stopped."""


@click.command()
@click.argument("receiver")
@click.argument("confirmer")
@click.option("--invoker", is_flag=True, help="Send ID tokens of this machine's service account.")
@click.option("--timeout-s", type=click.FloatRange(min=1), default=900.0, show_default=True,
              help="Longest time until the LMS has the result.")  # fmt: skip
@click.option("--lecture", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              default=LECTURE, help="What is sent (default: the demo's lecture).")  # fmt: skip
def main(receiver: str, confirmer: str, *, invoker: bool, timeout_s: float, lecture: Path) -> None:
    """Send one lecture through the service behind the base URLs RECEIVER and CONFIRMER."""
    key = os.environ.get("INTERNAL_SERVICE_KEY", "").split(",")[0].strip()
    if not key:
        sys.exit("smoke: INTERNAL_SERVICE_KEY is not set")
    try:
        handshake(
            receiver,
            confirmer,
            key,
            sessions=_as_invoker if invoker else _open,
            timeout_s=timeout_s,
            lecture=lecture,
        )
    except (SmokeFailed, JobEnded, LecternRefused, LecternUnreachable, TimeoutError) as error:
        sys.exit(f"smoke: {error}")


def handshake(
    receiver: str,
    confirmer: str,
    key: str,
    *,
    sessions: Sessions,
    timeout_s: float,
    lecture: Path = LECTURE,
) -> None:
    """Do the whole handshake both ways; raises SmokeFailed and what the client raises."""
    began = time.monotonic()

    def tell(what: str) -> None:
        click.echo(f"{time.monotonic() - began:7.1f} s  {what}")

    for base_url in dict.fromkeys((receiver, confirmer)):
        _await_ready(base_url, sessions)
        tell(f"ready: {base_url}")
    one, other = f"smoke-{uuid.uuid4()}", f"smoke-{uuid.uuid4()}"
    with (
        LecternClient(receiver, key, session=sessions(receiver)) as front,
        LecternClient(confirmer, key, session=sessions(confirmer)) as end,
    ):
        front.receive(lecture, video_id=one, organization_id=_ORGANIZATION)
        tell(f"received: {one}")
        front.upload_direct(lecture, video_id=other, organization_id=_ORGANIZATION)
        tell(f"uploaded: {other}")
        for video_id in (one, other):
            status = front.wait(video_id, until={"stored", "completed"}, timeout_s=timeout_s)
            output = status["output"]
            tell(f"stored: {output['bytes']} bytes, {output['saved_percent']} % saved")
            end.confirm(video_id, sha256=output["sha256"])
            front.wait(video_id, until={"completed"}, timeout_s=_CONFIRM_S)
            tell("completed")


def _await_ready(base_url: str, sessions: Sessions) -> None:
    deadline = time.monotonic() + _READY_S
    url = f"{base_url.rstrip('/')}/ready"
    with sessions(base_url) as session:
        while (seen := _look(session, url)) != str(HTTPStatus.OK.value):
            if time.monotonic() >= deadline:
                raise SmokeFailed(f"{url} is not ready after {_READY_S:.0f} s: {seen}")
            time.sleep(_PAUSE_S)


def _look(session: requests.Session, url: str) -> str:
    """Return the status of an answer, or the kind of error."""
    try:
        return str(session.get(url, timeout=_ANSWER_S, allow_redirects=False).status_code)
    except requests.RequestException as error:
        return type(error).__name__


def _open(_base_url: str) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def _as_invoker(base_url: str) -> requests.Session:
    """Return a session whose ID token names the service; it is renewed when it runs out."""
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - only where installed
    from google.auth.transport.requests import AuthorizedSession, Request  # noqa: PLC0415
    from google.oauth2.id_token import fetch_id_token_credentials  # noqa: PLC0415

    try:
        credentials = fetch_id_token_credentials(base_url, request=Request())
        credentials.refresh(Request())
    except GoogleAuthError as error:
        raise SmokeFailed(f"no ID token for {base_url}: {error}") from error
    session: requests.Session = AuthorizedSession(credentials)
    return session


if __name__ == "__main__":
    main()
