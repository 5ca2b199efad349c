"""Who gets in: keys out of a request's headers, and a bound on guessing them."""

from __future__ import annotations

import math
import threading
import time
from typing import Final

from flask import request

from core.errors import TooManyGuesses, Unauthorized
from core.guessing import Guesses, source_of
from core.keys import KeyRing

KEY_HEADERS: Final = ("X-Internal-Service-Key", "X-API-Key")


class Doorkeeper:
    """Checks the key of the present request; see `core.guessing` for how often it does.

    What it remembers lives in this process: a service of several instances grants each source its
    guesses at every one of them, and anew after a restart. `proxies` in front are believed about
    whom they speak for.
    """

    def __init__(self, keys: KeyRing, *, proxies: int = 0) -> None:
        self._keys = keys
        self._proxies = proxies
        self._guesses = Guesses()
        self._lock = threading.Lock()

    def check(self) -> None:
        """Return if the request has a good key; raises Unauthorized and TooManyGuesses."""
        presented = {key for header in KEY_HEADERS if (key := _key(header))}
        if not presented:
            raise _unauthorized()
        source, now = self._source(), time.monotonic()
        with self._lock:
            if not self._guesses.may_try(source, now):
                raise _too_many(self._guesses.wait_s(source, now))
        admitted = [self._keys.admits(key) for key in presented]
        with self._lock:
            if any(admitted):
                self._guesses.admitted(source)
                return
            wait_s = self._guesses.wait_s(source, now)
            self._guesses.failed(source, now, keys=len(presented))
        raise _too_many(wait_s) if wait_s > 0 else _unauthorized()

    def _source(self) -> str:
        forwarded = request.headers.get("X-Forwarded-For", "")
        return source_of(request.remote_addr or "", forwarded, proxies=self._proxies)


def _key(header: str) -> str | None:
    """Return a header's value; WSGI hands bytes over as Latin-1, and keys are UTF-8."""
    value = request.headers.get(header)
    return value and value.encode("latin-1", "replace").decode("utf-8", "surrogateescape")


def _unauthorized() -> Unauthorized:
    return Unauthorized(f"send a valid service key in the header {' or '.join(KEY_HEADERS)}")


def _too_many(wait_s: float) -> TooManyGuesses:
    return TooManyGuesses(
        "too many wrong keys came from this address; correct the key, then send this again later",
        retry_after_s=math.ceil(wait_s),
    )
