"""The token of a push: which ones are taken, which are refused, and why.

Keys and certificates are made here; nothing asks Google.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from core.errors import Unauthorized, Unavailable
from core.keys import KeyRing
from core.messages import Topic
from infra.gcp.tokens import (
    SIGNATURE_REMOVED,
    PushTokens,
    google_push_tokens,
)
from infra.http import OPEN_PATHS, new_app
from tests.fakes import START, FakeClock, a_world
from transcoder import push

AUDIENCE = "https://transcoder.example.run.app"
ACCOUNT = "push@lectern.iam.gserviceaccount.com"
KEY_ID = "key-1"
CLAIMS: Mapping[str, Any] = {
    "iss": "https://accounts.google.com",
    "aud": AUDIENCE,
    "azp": "123",
    "sub": "123",
    "email": ACCOUNT,
    "email_verified": True,
    "iat": int(START),
    "exp": int(START) + 3600,
}
HEADER: Mapping[str, Any] = {"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}


@cache
def key(name: str) -> rsa.RSAPrivateKey:
    """Return the RSA key of that name, made once."""
    assert name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def certificate(name: str) -> str:
    """Return a certificate for the key of that name, as Google lists them."""
    own = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "federated-signon")])
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(own)
        .public_key(key(name).public_key())
        .serial_number(1)
        .not_valid_before(day)
        .not_valid_after(day + dt.timedelta(days=16))
        .sign(key(name), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def public_pem(public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as PEM."""
    return public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def b64(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(fields: object) -> str:
    """Return a part of a JWT."""
    return b64(json.dumps(fields).encode())


def token(
    *, header: Mapping[str, Any] | None = None, signer: str = KEY_ID, **claims: object
) -> str:
    """Return a token; a claim given as `...` is left out."""
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    signed = f"{part({**HEADER, **(header or {})})}.{part(said)}"
    return f"{signed}.{b64(sign(signer, signed))}"


def sign(signer: str, text: str) -> bytes:
    """Sign as RS256 does."""
    return key(signer).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())


def unsigned() -> str:
    """Return a token that says it needs no signature."""
    return f"{part({**HEADER, 'alg': 'none'})}.{part(CLAIMS)}.{b64(b'none')}"


def signed_with_the_public_key(public: bytes) -> str:
    """Return a token whose signature anybody can make who reads Google's list."""
    text = f"{part({**HEADER, 'alg': 'HS256'})}.{part(CLAIMS)}"
    return f"{text}.{b64(hmac.digest(public, text.encode(), hashlib.sha256))}"


def tampered() -> str:
    """Return a good token with another payload under the old signature."""
    header, _, signature = token().split(".")
    return f"{header}.{part({**CLAIMS, 'sub': '124'})}.{signature}"


def stripped() -> str:
    """Return a token as Cloud Run hands it on after its own check."""
    return f"{token().rpartition('.')[0]}.{SIGNATURE_REMOVED}"


def checker(**changes: Any) -> PushTokens:
    """Return a check that knows one key."""
    known = {KEY_ID: certificate(KEY_ID), "other-key": certificate("other-key")}
    tokens = PushTokens(
        audience=AUDIENCE, service_account_email=ACCOUNT, certificate=known.get, clock=FakeClock()
    )
    return replace(tokens, **changes)


@pytest.mark.parametrize("issuer", ["https://accounts.google.com", "accounts.google.com"])
def test_a_good_token_is_admitted(issuer: str) -> None:
    checker()(f"Bearer {token(iss=issuer)}")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
def test_the_scheme_is_read_in_any_case(scheme: str) -> None:
    """RFC 9110 leaves the case of a scheme open."""
    checker()(f"{scheme} {token()}")


def test_clocks_may_differ_by_ten_seconds() -> None:
    checker()(f"Bearer {token(iat=START + 10)}")
    checker()(f"Bearer {token(exp=START - 9.9)}")


SCHEME = "send Pub/Sub's token in the Authorization header, as Bearer"
NO_JWT = "the token is not a JWT"
PLAIN = "the token is not a plain RS256 one"
SIGNATURE = "the token's signature is not that of its key"
NO_KEY = "the token names no key of Google's"
ISSUER = "the token is not issued by Google"
OTHER = "the token is for another audience"
EMAIL = "the token is not the push account's"
UNVERIFIED = "the token's email is not verified"
EARLY = "the token is not valid yet"
EXPIRED = "the token has expired"

BAD: Mapping[str, tuple[Callable[[], str | None], str]] = {
    "no header": (lambda: None, SCHEME),
    "an empty header": (lambda: "", SCHEME),
    "another scheme": (lambda: f"Basic {token()}", SCHEME),
    "no scheme": (token, SCHEME),
    "nothing after the scheme": (lambda: "Bearer ", NO_JWT),
    "garbage": (lambda: "Bearer secret-garbage", NO_JWT),
    "three parts of garbage": (lambda: "Bearer secret.garbage.here", NO_JWT),
    "three parts of JSON that is no object": (
        lambda: f"Bearer {part([1])}.{part([2])}.{b64(b'3')}",
        NO_JWT,
    ),
    "JSON as deep as it goes": (
        lambda: f"Bearer {b64(b'[' * 1400)}.{b64(b'[' * 1400)}.{b64(b'1')}",
        NO_JWT,
    ),
    "four parts": (lambda: f"Bearer {token()}.{b64(b'more')}", NO_JWT),
    "two tokens": (lambda: f"Bearer {token()}, Bearer {token()}", NO_JWT),
    "a line break": (lambda: f"Bearer {token()}\n", NO_JWT),
    "oversized": (lambda: f"Bearer {token(more='x' * 3000)}", NO_JWT),
    "no signature": (lambda: f"Bearer {token().rpartition('.')[0]}.", NO_JWT),
    "alg none": (lambda: f"Bearer {unsigned()}", PLAIN),
    "HS256 with the certificate as its secret": (
        lambda: f"Bearer {signed_with_the_public_key(certificate(KEY_ID).encode())}",
        PLAIN,
    ),
    "HS256 with the public key as its secret": (
        lambda: f"Bearer {signed_with_the_public_key(public_pem(key(KEY_ID).public_key()))}",
        PLAIN,
    ),
    "RS512": (lambda: f"Bearer {token(header={'alg': 'RS512'})}", PLAIN),
    "a list of algorithms": (lambda: f"Bearer {token(header={'alg': ['RS256']})}", PLAIN),
    "extensions that must be understood": (
        lambda: f"Bearer {token(header={'crit': ['b64'], 'b64': False})}",
        PLAIN,
    ),
    "the signature of another key": (lambda: f"Bearer {token(signer='stranger')}", SIGNATURE),
    "the id of another known key": (
        lambda: f"Bearer {token(header={'kid': 'other-key'})}",
        SIGNATURE,
    ),
    "a tampered payload": (lambda: f"Bearer {tampered()}", SIGNATURE),
    "a signature that the platform removed": (lambda: f"Bearer {stripped()}", SIGNATURE),
    "an unknown key id": (lambda: f"Bearer {token(header={'kid': 'key-9'})}", NO_KEY),
    "no key id": (lambda: f"Bearer {token(header={'kid': None})}", NO_KEY),
    "a key id that is no text": (lambda: f"Bearer {token(header={'kid': [KEY_ID]})}", NO_KEY),
    "another issuer": (lambda: f"Bearer {token(iss='https://accounts.example.com')}", ISSUER),
    "no issuer": (lambda: f"Bearer {token(iss=...)}", ISSUER),
    "a list of issuers": (lambda: f"Bearer {token(iss=[CLAIMS['iss']])}", ISSUER),
    "another audience": (lambda: f"Bearer {token(aud='https://receiver.example')}", OTHER),
    "a longer audience": (lambda: f"Bearer {token(aud=AUDIENCE + '/')}", OTHER),
    "ours and another audience": (lambda: f"Bearer {token(aud=[AUDIENCE, 'x'])}", OTHER),
    "no audience": (lambda: f"Bearer {token(aud=...)}", OTHER),
    "another email": (lambda: f"Bearer {token(email='me@example.com')}", EMAIL),
    "no email": (lambda: f"Bearer {token(email=...)}", EMAIL),
    "an email that is not verified": (lambda: f"Bearer {token(email_verified=False)}", UNVERIFIED),
    "an email of unknown standing": (lambda: f"Bearer {token(email_verified=...)}", UNVERIFIED),
    "an email verified by a word": (lambda: f"Bearer {token(email_verified='true')}", UNVERIFIED),
    "an email verified by a number": (lambda: f"Bearer {token(email_verified=1)}", UNVERIFIED),
    "not yet valid": (lambda: f"Bearer {token(iat=START + 10.1)}", EARLY),
    "no time of issue": (lambda: f"Bearer {token(iat=...)}", EARLY),
    "expired": (lambda: f"Bearer {token(exp=START - 10)}", EXPIRED),
    "no expiry": (lambda: f"Bearer {token(exp=...)}", EXPIRED),
    "an expiry in words": (lambda: f"Bearer {token(exp='never')}", EXPIRED),
    "an expiry that is no number": (lambda: f"Bearer {token(exp=float('nan'))}", EXPIRED),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_token_is_refused_for_its_own_reason_and_not_quoted(name: str) -> None:
    make, reason = BAD[name]
    header = make()
    with pytest.raises(Unauthorized) as caught:
        checker()(header)
    assert caught.value.detail == reason
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_mark_for_a_signature_counts_only_where_the_platform_put_it() -> None:
    """And then all the claims are still checked, and so is any other signature."""
    private = checker(signature_checked_before=True)
    private(f"Bearer {stripped()}")
    private(f"Bearer {token()}")
    with pytest.raises(Unauthorized, match=SIGNATURE):
        private(f"Bearer {token(signer='stranger')}")
    with pytest.raises(Unauthorized, match=OTHER):
        replace(private, audience="another")(f"Bearer {stripped()}")


@pytest.mark.parametrize("other", ["not PEM at all", "elliptic"])
def test_a_certificate_that_cannot_be_read_is_our_trouble_not_the_callers(other: str) -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public_pem(curve).decode() if other == "elliptic" else other
    with pytest.raises(Unavailable):
        checker(certificate=lambda _: pem)(f"Bearer {token()}")


def test_the_check_of_the_service_asks_nobody_before_the_first_token() -> None:
    tokens = google_push_tokens(audience=AUDIENCE, service_account_email=ACCOUNT, clock=FakeClock())
    with pytest.raises(Unauthorized):
        tokens(None)


def test_the_endpoint_takes_a_token_from_the_header_only() -> None:
    """Not from the query, where proxies would log it; and neither log nor answer quotes it."""
    world, good = a_world(), token()
    app = new_app("transcoder", keys=KeyRing([]), log=world.log, open_paths=OPEN_PATHS | push.PATHS)
    app.register_blueprint(
        push.blueprint(
            handlers=dict.fromkeys(Topic, lambda _: None),
            verify=checker(),
            clock=world.clock,
            log=world.log,
            deliveries_max=100,
        )
    )
    client = app.test_client()
    query = {"access_token": good, "token": good, "Authorization": f"Bearer {good}"}
    refused = client.post("/push/transcode", query_string=query)
    forged = client.post("/push/transcode", headers={"Authorization": f"Bearer {tampered()}"})
    admitted = client.post("/push/transcode", headers={"Authorization": f"Bearer {good}"})
    assert [answer.status_code for answer in (refused, forged, admitted)] == [401, 401, 400]
    said = refused.text + forged.text + repr(world.log.events)
    assert not any(piece in said for piece in (*good.split("."), *tampered().split(".")))
