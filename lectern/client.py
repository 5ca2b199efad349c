"""The client for LMS backends: send a recording, ask how it stands, confirm it.

    with LecternClient("http://127.0.0.1:8080", key) as lectern:
        lectern.receive(Path("lecture.mp4"), video_id="lecture-42", organization_id="uni-1")

All calls may be repeated without harm, so this client does repeat them when the service
is busy or away for a moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self, cast
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from requests_toolbelt import MultipartEncoder, MultipartEncoderMonitor
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from core import limits
from lectern.direct import Sending, SessionRefused, Stuck, without_keys
from lectern.sets import FetchedSet, fetch_set

Progress = Callable[[int, int], object]
"""Called with bytes sent and bytes in all."""

TRIES: Final = 5
"""Times that a call is made before the client gives up."""
PAUSE_MAX_S: Final = 30.0
"""Longest pause between two tries, also where the service asks for more."""
POLL_S: Final = 0.5
"""Pause between two looks at a job that is waited for."""
_AGAIN: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_LOST: Final = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)
_ENDED: Final = frozenset({"completed", "failed", "store_failed", "cancelled", "expired"})
"""States that a job does not leave by itself."""


class LecternRefused(Exception):
    """The service said no: `code` is stable (`too_large`, `not_ready`, …), `detail` for people."""

    def __init__(
        self, code: str, status: int, detail: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.code = code
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s


class LecternUnreachable(Exception):
    """The service did not answer, time after time."""


class JobEnded(Exception):
    """The job will not reach the state that was waited for; `status` tells how it stands."""

    def __init__(self, status: dict[str, Any]) -> None:
        failure = status.get("failure") or {}
        super().__init__(f"the job is {status['state']}: {failure.get('reason', 'no failure')}")
        self.status = status


class LecternClient:
    """Talks to one Lectern service; use it in a `with` statement.

    `timeout_s` bounds connecting and every pause of an answer. Proxies of the environment are
    not used; give a `session` of your own for a proxy or a private certificate authority. All
    calls raise LecternRefused and LecternUnreachable.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout_s: float = 60.0,
        session: requests.Session | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._session = session or _direct_session()
        self._session.headers["X-Internal-Service-Key"] = key
        self._sleep: Callable[[float], None] = time.sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the service."""
        self._session.close()

    def receive(
        self,
        path: Path,
        *,
        video_id: str,
        organization_id: str,
        renditions: str | None = None,
        subtitles: Path | None = None,
        subtitles_language: str | None = None,
        on_progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Send a recording, streamed from disk; return `{"status": "queued", "video_id": …}`.

        `renditions` (`hls` or `full`) asks for a set to stream besides; `subtitles`, a file in SRT
        or WebVTT, goes into it. When this returns the recording is safe with the service. Raises
        OSError when a file cannot be read.
        """
        texts = _texts(renditions, subtitles, subtitles_language)

        def post() -> requests.Response:
            with path.open("rb") as file:
                form = MultipartEncoder(
                    [
                        ("video_id", video_id),
                        ("organization_id", organization_id),
                        *texts,
                        ("file", (path.name, file, "application/octet-stream")),
                    ]
                )
                return self._send(
                    "POST",
                    "/video/receive",
                    data=_monitored(form, on_progress),
                    headers={"Content-Type": form.content_type},
                )

        return self._call(post)

    def upload_direct(
        self,
        path: Path,
        *,
        video_id: str,
        organization_id: str,
        content_type: str = "video/mp4",
        sha256: str | None = None,
        on_progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Send a recording in a resumable session; return the same as `receive`.

        A connection that breaks is taken up again where it broke. With `sha256`, the file's hex
        digest, the service compares. Raises OSError when the file cannot be read.
        """
        said = {
            "video_id": video_id,
            "organization_id": organization_id,
            "size": path.stat().st_size,
            "content_type": content_type,
        } | ({"sha256": sha256} if sha256 else {})
        announced = self._call(lambda: self._send("POST", "/uploads", json=said))
        sending = Sending(
            session=without_keys(self._session),
            url=announced["upload_url"],
            path=path,
            timeout_s=self._timeout_s,
            tries=TRIES,
            pause_max_s=PAUSE_MAX_S,
            sleep=self._sleep,
            on_progress=on_progress,
        )
        try:
            sending.run()
        except SessionRefused as refusal:
            _answer(refusal.response)
        except Stuck as error:
            raise LecternUnreachable(f"the upload stands still: {error}") from error
        complete = f"/uploads/{announced['upload_id']}/complete"
        return self._call(lambda: self._send("POST", complete))

    def status(self, video_id: str) -> dict[str, Any]:
        """Return how the recording stands: `state`, `progress` in percent, times, sizes."""
        path, whole = f"/status/{quote(video_id, safe='')}", {"detail": "1"}
        return self._call(lambda: self._send("GET", path, params=whole))

    def confirm(self, video_id: str, *, sha256: str | None = None) -> dict[str, Any]:
        """Say that the result is safe in the LMS; the service then deletes its copies.

        With `sha256`, the hex digest of what was stored, the service refuses
        (`checksum_mismatch`) and deletes nothing when that is not its result.
        """
        fields = {"video_id": video_id} | ({"sha256": sha256} if sha256 else {})
        return self._call(lambda: self._send("POST", "/video/confirm", data=fields))

    def fetch_set(self, manifest_url: str, folder: Path) -> FetchedSet:
        """Download a set of renditions into `folder`; see `lectern.sets.fetch_set`.

        `manifest_url` comes with the delivery, or is `status(…)["set"]["manifest_url"]`. Fetch it
        before you confirm: the confirmation deletes it. The service key is not sent; a token of
        the session, which a platform in front of the service may want, goes to this service only.
        """
        own = manifest_url.startswith(f"{self._base_url}/")
        session = self._session if own else without_keys(self._session)
        return fetch_set(
            manifest_url,
            folder,
            session=session,
            timeout_s=self._timeout_s,
            sleep=self._sleep,
        )

    def wait(
        self,
        video_id: str,
        *,
        until: Collection[str],
        timeout_s: float,
        on_status: Callable[[dict[str, Any]], object] | None = None,
    ) -> dict[str, Any]:
        """Ask until the job's state is one of `until`, and return its status.

        Raises JobEnded when the job can no longer get there by itself, and TimeoutError after
        `timeout_s` seconds. `on_status` hears every answer. States may pass unseen between two
        looks: who waits for `stored` should name `completed` too.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            status = self.status(video_id)
            if on_status:
                on_status(status)
            if status["state"] in until:
                return status
            if status["state"] in _ENDED:
                raise JobEnded(status)
            if time.monotonic() >= deadline:
                raise TimeoutError(f"still {status['state']} after {timeout_s:g} s")
            self._sleep(POLL_S)

    def _send(self, method: str, path: str, **content: Any) -> requests.Response:
        return self._session.request(
            method,
            self._base_url + path,
            timeout=self._timeout_s,
            allow_redirects=False,
            **content,
        )

    def _call(self, send: Callable[[], requests.Response]) -> dict[str, Any]:
        def once() -> dict[str, Any]:
            return _answer(send())

        retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_attempt(TRIES),
            wait=_pause,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(once)
        except _LOST as error:
            raise LecternUnreachable(f"{self._base_url} did not answer, {TRIES} times") from error


class _WideAdapter(HTTPAdapter):
    """Sends in larger pieces than urllib3's 16 KiB: recordings are large."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, blocksize=limits.CHUNK_BYTES, **options)


def _direct_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, _WideAdapter())
    return session


def _texts(
    renditions: str | None, subtitles: Path | None, language: str | None
) -> list[tuple[str, Any]]:
    """Return the form's fields about a set of renditions."""
    texts: list[tuple[str, Any]] = []
    if renditions is not None:
        texts.append(("renditions", renditions))
    if subtitles is not None:
        texts.append(("subtitles", (subtitles.name, subtitles.read_bytes(), "text/plain")))
    if language is not None:
        texts.append(("subtitles_language", language))
    return texts


def _monitored(form: MultipartEncoder, on_progress: Progress | None) -> MultipartEncoderMonitor:
    def tell(monitor: MultipartEncoderMonitor) -> None:
        if on_progress:
            on_progress(monitor.bytes_read, monitor.len)

    return MultipartEncoderMonitor(form, tell)


def _answer(response: requests.Response) -> dict[str, Any]:
    fields = _json(response)
    if response.status_code in {HTTPStatus.OK, HTTPStatus.CREATED}:
        return fields
    raise LecternRefused(
        str(fields.get("code", f"http_{response.status_code}")),
        response.status_code,
        str(fields.get("detail", response.reason)),
        retry_after_s=_retry_after_s(response),
    )


def _json(response: requests.Response) -> dict[str, Any]:
    """Return the answer's JSON object; an empty one where a proxy answered with a page."""
    try:
        fields = response.json()
    except requests.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", fields) if isinstance(fields, dict) else {}


def _retry_after_s(response: requests.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, LecternRefused):
        return error.status in _AGAIN
    return isinstance(error, _LOST)


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.retry_after_s if isinstance(error, LecternRefused) else None
    own_s = wait_random_exponential(multiplier=0.5, max=PAUSE_MAX_S)(state)
    return min(max(own_s, asked_s or 0.0), PAUSE_MAX_S)
