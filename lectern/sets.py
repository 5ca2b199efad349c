"""Download a set of renditions: every file verified, several at once, a cut taken up again.

    fetch_set(manifest_url, Path("lecture-42"))

The URL comes with the delivery (the form field `manifest_url`) and with the status. It carries its
own authority; no key is sent. Then `lecture-42/master.m3u8` can be served by any web server.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urljoin

import requests

from core import limits

MANIFEST: Final = "manifest.json"
"""In the folder, the manifest without its URLs; it is written last, so it tells that all is there.
"""
AT_ONCE: Final = 4
"""Files that are fetched at the same time."""
TRIES: Final = 8
"""Attempts in a row that bring a file no byte forward before it is given up."""
FORMAT: Final = 1
_PAUSE_MAX_S: Final = 10.0
_FIRST_PAUSE_S: Final = 0.2
_CHUNK_BYTES: Final = 16 * limits.KIB
"""One read: a cut loses what has come of it."""
_PART: Final = ".part"
_NAME: Final = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,127}")
_DEPTH_MAX: Final = 4
_NO_KEYS: Final = {"X-Internal-Service-Key": None, "X-API-Key": None}
"""What a session has of these is left out of a request."""
_LOST: Final = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)
_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class SetRefused(Exception):
    """The service says no, such as 410 once the result is confirmed; `status` is its answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the set is answered with {status}")
        self.status = status


class SetDamaged(Exception):
    """What arrived is not what the manifest says, or the manifest cannot be followed."""


class SetUnreachable(Exception):
    """The service did not answer, time after time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file of a set: where it is, where it goes, and what it must be."""

    url: str = field(repr=False)
    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedSet:
    """A set that is complete in `folder`; `manifest` as the service has told it."""

    folder: Path
    files: int
    size: int
    manifest: Mapping[str, Any] = field(repr=False)


def fetch_set(
    manifest_url: str,
    folder: Path,
    *,
    session: requests.Session | None = None,
    timeout_s: float = 60.0,
    at_once: int = AT_ONCE,
    sleep: Callable[[float], None] = time.sleep,
) -> FetchedSet:
    """Download the set into `folder`, and return it once every file is there and verified.

    Files that are there already are kept, those begun are gone on with, so it may be called again
    after any failure. `session` goes to the service; where that sends on to its object store,
    nothing of it goes along. Raises SetRefused, SetDamaged, SetUnreachable, and OSError.
    """
    fetch = _Fetch(session=session or _plain_session(), timeout_s=timeout_s, sleep=sleep)
    said = fetch.json(manifest_url)
    wanted = _wanted(said, folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    with ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="set") as pool:
        running = [pool.submit(fetch.file, each) for each in wanted]
        done, _ = wait(running, return_when=FIRST_EXCEPTION)
        failed = [each for each in done if each.exception()]
        if failed:
            fetch.ended.set()
            pool.shutdown(cancel_futures=True)
            failed[0].result()
    _keep(folder / MANIFEST, said)
    size = sum(each.size for each in wanted)
    return FetchedSet(folder=folder, files=len(wanted), size=size, manifest=said)


def _plain_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetch:
    """Once `ended` is set nothing more is asked for."""

    session: requests.Session
    timeout_s: float
    sleep: Callable[[float], None]
    elsewhere: requests.Session = field(default_factory=_plain_session)
    ended: threading.Event = field(default_factory=threading.Event)

    def json(self, url: str) -> Mapping[str, Any]:
        """Return the JSON object under `url`."""
        with tempfile.TemporaryFile() as file:
            self._insist(url, file, None)
            file.seek(0)
            try:
                said = json.load(file)
            except (ValueError, RecursionError) as error:
                raise SetDamaged("the manifest is no JSON") from error
        if not isinstance(said, dict) or said.get("format") != FORMAT:
            raise SetDamaged(f"the manifest is not of format {FORMAT}")
        return said

    def file(self, wanted: Wanted) -> None:
        """Have the file at its place, with its digest."""
        if _is(wanted.path, wanted):
            return
        wanted.path.parent.mkdir(parents=True, exist_ok=True)
        part = wanted.path.with_name(wanted.path.name + _PART)
        begun = part.exists()
        with part.open("ab") as file:
            if not self._insist(wanted.url, file, wanted.size):
                return
        if _is(part, wanted):
            part.replace(wanted.path)
            return
        part.unlink()
        if not begun:
            raise SetDamaged(f"{wanted.path.name} is not what the manifest says; fetch it again")
        self.file(wanted)  # what an earlier call had left may be of another set

    def _insist(self, url: str, file: IO[bytes], size: int | None) -> bool:
        """Bring all of `size` bytes into `file`, or as many as there are for None.

        Returns False where the whole download has failed meanwhile.
        """
        in_vain = 0
        while True:
            held = file.seek(0, os.SEEK_END)
            if size is not None and held > size:
                held = file.truncate(0)
            if held == size or self.ended.is_set():
                return held == size
            try:
                if self._go_on(url, file, held, size):
                    return True
                reason: Exception | None = None
            except _LOST as error:
                reason = error
            in_vain = 0 if file.seek(0, os.SEEK_END) > held else in_vain + 1
            if in_vain >= TRIES:
                raise SetUnreachable("the service does not hand the set out") from reason
            if in_vain:
                most_s = min(_FIRST_PAUSE_S * 2**in_vain, _PAUSE_MAX_S)
                self.sleep(most_s * random.uniform(0.5, 1.0))  # noqa: S311 - it keeps no secret

    def _go_on(self, url: str, file: IO[bytes], held: int, size: int | None) -> bool:
        """Ask for the bytes from `held` on; return whether the answer was read to its end."""
        most = limits.SET_MANIFEST_BYTES_MAX if size is None else size
        with self._asked(url, {"Range": f"bytes={held}-"} if held else {}) as answer:
            status = answer.status_code
            if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                return False
            if status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
                raise SetRefused(status)
            if status == HTTPStatus.OK:
                held = file.seek(0)
                file.truncate(0)
            for data in answer.iter_content(_CHUNK_BYTES):
                held += len(data)
                if held > most:
                    file.truncate(0)
                    raise SetDamaged(f"more than {most} bytes came for one file")
                file.write(data)
            return size is None or held == size

    def _asked(self, url: str, wish: Mapping[str, str]) -> requests.Response:
        """Return the answer to GET; of a redirect, the answer of where it leads."""
        plain = {**wish, "Accept-Encoding": "identity"}
        options: Any = {"timeout": self.timeout_s, "stream": True, "allow_redirects": False}
        answer = self.session.get(url, headers={**plain, **_NO_KEYS}, **options)
        if not answer.is_redirect:
            return answer
        with answer:
            target = urljoin(url, answer.headers["Location"])
        return self.elsewhere.get(target, headers=plain, **options)


def _wanted(said: Mapping[str, Any], folder: Path) -> list[Wanted]:
    """Return the files that the manifest names; raises SetDamaged for one that leads elsewhere."""
    try:
        files = [
            Wanted(
                url=str(entry["url"]),
                path=folder.joinpath(*_names(str(entry["path"]))),
                size=int(entry["bytes"]),
                sha256=str(entry["sha256"]),
            )
            for entry in said["files"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise SetDamaged("the manifest names files without path, url, bytes or sha256") from error
    if len(files) > limits.SET_FILES_MAX:
        raise SetDamaged(f"the manifest names {len(files)} files")
    return files


def _names(path: str) -> list[str]:
    names = path.split("/")
    if len(names) > _DEPTH_MAX or not all(_NAME.fullmatch(name) for name in names):
        raise SetDamaged("the manifest names a path that leads elsewhere")
    return names


def _is(path: Path, wanted: Wanted) -> bool:
    if not path.is_file() or path.stat().st_size != wanted.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == wanted.sha256


def _keep(path: Path, said: Mapping[str, Any]) -> None:
    """Write what stays true of the manifest: its URLs end."""
    gone = {"expires_at", "entry_points", "files"}
    kept = {name: value for name, value in said.items() if name not in gone}
    files = [
        {name: value for name, value in entry.items() if name != "url"} for entry in said["files"]
    ]
    draft = path.with_name(path.name + _PART)
    draft.write_text(json.dumps({**kept, "files": files}, indent=1) + "\n")
    draft.replace(path)
