"""The token that Pub/Sub sends with each push, checked to the last claim.

google-auth reads the token and verifies the signature; the claims are checked here, against the
injected clock. Nothing of a token gets into an error, and google-auth's own texts quote it: so
they are dropped (`from None`).
"""

from __future__ import annotations

import base64
import json
import math
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from google.auth import jwt
from google.auth.crypt import RSAVerifier
from google.auth.transport.requests import Request

from core import limits
from core.errors import Unauthorized, Unavailable
from core.ports import Clock
from infra.gcp.failures import unavailable

CERTIFICATES_URL: Final = "https://www.googleapis.com/oauth2/v1/certs"
"""Google's current certificates, as PEM by key id."""
SIGNATURE_REMOVED: Final = "SIGNATURE_REMOVED_BY_GOOGLE"
"""What Cloud Run puts in place of a signature that it has verified itself."""
_ISSUERS: Final = ("https://accounts.google.com", "accounts.google.com")
_SKEW_S: Final = 10.0
"""Seconds that Google's clock and ours may differ."""
_TOKEN_CHARS_MAX: Final = 4096
"""Characters of a token; Pub/Sub's have about 1,000."""
_JWT: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_KEYS_BYTES_MAX: Final = 64 * limits.KIB
"""Bytes of the list of certificates; it has about 3,000."""
_KEYS_AGE_MIN_S: Final = 300.0
_KEYS_AGE_MAX_S: Final = 6 * 3600.0
"""The list is kept as long as its `Cache-Control` says, within these bounds; Google says about
six hours. A key that is withdrawn is believed for no longer."""
_FETCH_PAUSE_S: Final = 10.0
"""Pause between two fetches, also after a failure: made-up key ids must not become a flood."""

Certificate = Callable[[str], str | None]
"""Returns the certificate or public key (PEM) of a key id, or None; raises Unavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTokens:
    """Admits requests with a token that Google made for our push subscription.

    Cloud Run takes the signature out of the tokens that it has verified itself, that is, where
    callers need the invoker role. `signature_checked_before` is for such a service, and must
    stay False for any that can be called without that role: then a mark in the signature's
    place is believed, and the claims alone are checked.
    """

    audience: str
    service_account_email: str
    certificate: Certificate
    clock: Clock
    signature_checked_before: bool = False

    def __call__(self, authorization_header: str | None) -> None:
        """Return if the token is good; raises Unauthorized, or Unavailable without Google's keys.

        A good one: RS256 by a present key of Google's, issued by Google, not longer ago than it
        holds, for exactly our audience and the verified email of the push service account.
        """
        token = _bearer(authorization_header)
        header, claims = _decode(token)
        self._check_signature(token, header)
        for holds, words in self._conditions(claims):
            if not holds:
                raise Unauthorized(words)

    def _check_signature(self, token: str, header: Mapping[str, Any]) -> None:
        if header.get("alg") != "RS256" or "crit" in header:
            raise Unauthorized("the token is not a plain RS256 one")
        signed, _, signature = token.rpartition(".")
        if self.signature_checked_before and signature == SIGNATURE_REMOVED:
            return
        key_id = header.get("kid")
        certificate = self.certificate(key_id) if isinstance(key_id, str) else None
        if certificate is None:
            raise Unauthorized("the token names no key of Google's")
        if not _is_signed(signed, signature, certificate):
            raise Unauthorized("the token's signature is not that of its key")

    def _conditions(self, claims: Mapping[str, Any]) -> tuple[tuple[bool, str], ...]:
        now = self.clock.now()
        email = claims.get("email")
        return (
            (claims.get("iss") in _ISSUERS, "the token is not issued by Google"),
            (claims.get("aud") == self.audience, "the token is for another audience"),
            (email == self.service_account_email, "the token is not the push account's"),
            (claims.get("email_verified") is True, "the token's email is not verified"),
            (_seconds(claims, "iat") <= now + _SKEW_S, "the token is not valid yet"),
            (now < _seconds(claims, "exp") + _SKEW_S, "the token has expired"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyList:
    """Google's certificates (PEM by key id), and for how long the list says that it holds."""

    certificates: Mapping[str, str]
    max_age_s: float


class GoogleCertificates:
    """A Certificate that remembers what `fetch` returned.

    An unknown key id has the list fetched anew, for Google may have begun a new key. A fetch
    happens inside the request that needs it: between requests Cloud Run gives no CPU.
    """

    def __init__(self, fetch: Callable[[], KeyList], *, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Mapping[str, str] = {}
        self._stale_at = -math.inf
        self._next_fetch_at = -math.inf
        self._failed = False

    def __call__(self, key_id: str) -> str | None:
        """Return the certificate or None; raises Unavailable while the list cannot be had."""
        with self._lock:
            if self._clock.now() >= self._stale_at or key_id not in self._known:
                self._refresh()
            return self._known.get(key_id)

    def _refresh(self) -> None:
        now = self._clock.now()
        if now >= self._next_fetch_at:
            self._next_fetch_at = now + _FETCH_PAUSE_S
            self._failed = True
            self._keep(self._fetch(), now)
        elif self._failed:
            raise Unavailable("Google's certificates could not be fetched; try again")

    def _keep(self, fetched: KeyList, now: float) -> None:
        self._known = fetched.certificates
        self._stale_at = now + min(max(fetched.max_age_s, _KEYS_AGE_MIN_S), _KEYS_AGE_MAX_S)
        self._failed = False


def google_push_tokens(
    *,
    audience: str,
    service_account_email: str,
    clock: Clock,
    signature_checked_before: bool = False,
) -> PushTokens:
    """Return the check with Google's own certificates, fetched when the first token comes."""
    fetch = fetching(Request())
    return PushTokens(
        audience=audience,
        service_account_email=service_account_email,
        certificate=GoogleCertificates(fetch, clock=clock),
        clock=clock,
        signature_checked_before=signature_checked_before,
    )


def fetching(request: Callable[..., Any], url: str = CERTIFICATES_URL) -> Callable[[], KeyList]:
    """Return a fetch of the certificates; raises Unavailable. `request` is one of google-auth's."""

    def fetch() -> KeyList:
        with unavailable("Google's certificates"):
            response = request(url, method="GET", timeout=limits.CONNECT_TIMEOUT_S)
        if response.status != HTTPStatus.OK:
            raise Unavailable(f"Google's certificates answer {response.status}; try again")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return KeyList(certificates=_certificates(response.data), max_age_s=_max_age_s(headers))

    return fetch


def _bearer(header: str | None) -> str:
    """Return the token of an Authorization header if it has the form of one."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("send Pub/Sub's token in the Authorization header, as Bearer")
    if len(token) > _TOKEN_CHARS_MAX or not _JWT.fullmatch(token):
        raise Unauthorized("the token is not a JWT")
    return token


def _decode(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return header and claims, not verified yet."""
    try:
        return jwt.decode_header(token), jwt.decode(token, verify=False)
    except (ValueError, RecursionError):
        raise Unauthorized("the token is not a JWT") from None


def _is_signed(signed: str, signature: str, certificate: str) -> bool:
    try:
        verifier = RSAVerifier.from_string(certificate)
        padded = signature + "=" * (-len(signature) % 4)
        return bool(verifier.verify(signed, base64.urlsafe_b64decode(padded)))
    except (TypeError, ValueError):
        raise Unavailable("a certificate of Google's cannot be read; try again") from None


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    """Return a time of the token; NaN for none, with which every comparison fails."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return value


def _certificates(data: bytes) -> Mapping[str, str]:
    try:
        found = json.loads(data) if len(data) <= _KEYS_BYTES_MAX else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(pem, str) for pem in found.values()):
        raise Unavailable("Google's certificates came in another form; try again")
    return found


def _max_age_s(headers: Mapping[str, str]) -> float:
    """Return for how many seconds the answer still holds (RFC 9111), 0 if it does not say."""
    held = re.search(r"\bmax-age=(\d{1,9})\b", headers.get("cache-control", ""))
    age = re.fullmatch(r"\d{1,9}", headers.get("age", "0"))
    return float(held[1]) - (float(age[0]) if age else 0.0) if held else 0.0
