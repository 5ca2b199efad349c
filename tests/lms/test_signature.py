"""What an LMS verifies, and that nothing else passes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.delivery import Parcel
from infra.signing import delivery_headers, manifest_fields, signer
from lectern import signature
from lectern.signature import InvalidSignature, verify_delivery, verify_manifest_url

SECRET = "whsec_bGVjdGVybi1leGFtcGxlLXNlY3JldC0wMDE="
KEY = b"lectern-example-secret-001"
SHA256 = hashlib.sha256(b"lectern").hexdigest()
FIELDS = {"video_id": "lecture-42", "organization_id": "uni-1", "file_sha256": SHA256}


def headers_of(*secrets: str, sent_at: float | None = None) -> dict[str, str]:
    """Return the headers of a delivery that is signed with `secrets`."""
    parcel = Parcel(
        delivery_id="msg_3f6b2f0c-5a44-4a8e-9d4b-0c1a54b1f1a2",
        video_id="lecture-42",
        organization_id="uni-1",
        file_name="x.mp4",
        file_size=7,
        file_sha256=SHA256,
        sent_at=int(time.time() if sent_at is None else sent_at),
    )
    return delivery_headers([signer(secret) for secret in secrets], parcel)


def by_hand(key: bytes, headers: dict[str, str]) -> str:
    """Return the signature as the documentation has it, made with the standard library only."""
    text = f'{{"file_sha256":"{SHA256}","organization_id":"uni-1","video_id":"lecture-42"}}'
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{text}"
    return "v1," + base64.b64encode(hmac.digest(key, signed.encode(), "sha256")).decode()


def test_the_signature_is_the_documented_hmac() -> None:
    headers = headers_of(SECRET, sent_at=1_700_000_000)
    assert headers["webhook-signature"] == by_hand(KEY, headers)


def test_the_vector_of_the_documentation_is_right() -> None:
    headers = headers_of(SECRET, sent_at=1_700_000_000)
    documented = signature.__doc__ or ""
    for word in (*headers.values(), SECRET, *FIELDS.values()):
        assert f" {word}\n" in documented


def test_a_genuine_delivery_passes() -> None:
    verify_delivery(secret=SECRET, headers=headers_of(SECRET), **FIELDS)


def test_header_names_may_be_in_any_case() -> None:
    headers = {name.upper(): value for name, value in headers_of(SECRET).items()}
    verify_delivery(secret=SECRET, headers=headers, **FIELDS)


def test_the_digest_may_be_in_upper_case() -> None:
    fields = {**FIELDS, "file_sha256": SHA256.upper()}
    verify_delivery(secret=SECRET, headers=headers_of(SECRET), **fields)


@pytest.mark.parametrize("secret", ["a plain secret", "pläin", "bGVjdGVybg=="])
def test_a_plain_secret_is_its_own_bytes(secret: str) -> None:
    headers = headers_of(secret)
    assert headers["webhook-signature"] == by_hand(secret.encode(), headers)
    verify_delivery(secret=secret, headers=headers, **FIELDS)


def test_a_secret_may_lack_its_padding() -> None:
    verify_delivery(secret=SECRET.rstrip("="), headers=headers_of(SECRET), **FIELDS)


def test_both_sides_may_rotate_their_secrets() -> None:
    other = "whsec_" + base64.b64encode(b"another secret").decode()
    verify_delivery(secret=[other, SECRET], headers=headers_of(SECRET), **FIELDS)
    verify_delivery(secret=SECRET, headers=headers_of(other, SECRET), **FIELDS)


@pytest.mark.parametrize("field", list(FIELDS))
def test_an_altered_field_is_noticed(field: str) -> None:
    fields = {**FIELDS, field: FIELDS[field][:-1] + "x"}
    with pytest.raises(InvalidSignature):
        verify_delivery(secret=SECRET, headers=headers_of(SECRET), **fields)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "x", "v1,", "v1,é", "v2,AAAA", "1e400", "nan"])
def test_a_missing_or_senseless_header_is_noticed(name: str, value: str | None) -> None:
    headers = {key: text for key, text in headers_of(SECRET).items() if key != name}
    if value is not None:
        headers[name] = value
    with pytest.raises(InvalidSignature):
        verify_delivery(secret=SECRET, headers=headers, **FIELDS)


@pytest.mark.parametrize("age_s", [3600, -3600])
def test_a_delivery_of_another_time_is_noticed(age_s: int) -> None:
    headers = headers_of(SECRET, sent_at=time.time() - age_s)
    with pytest.raises(InvalidSignature):
        verify_delivery(secret=SECRET, headers=headers, **FIELDS)


def test_no_secret_is_no_proof() -> None:
    with pytest.raises(InvalidSignature):
        verify_delivery(secret=[], headers=headers_of(SECRET), **FIELDS)


@given(st.text(max_size=60))
def test_whatever_the_header_holds_the_answer_is_no(text: str) -> None:
    headers = {**headers_of(SECRET), "webhook-signature": text}
    with pytest.raises(InvalidSignature):
        verify_delivery(secret=SECRET, headers=headers, **FIELDS)


URL = "https://lectern.example/sets/run-1.1.1800000000.proof/manifest.json"


def manifest_of(*secrets: str, sent_at: float | None = None) -> tuple[dict[str, str], str]:
    """Return a delivery's headers, and the signature of the set's URL in it."""
    headers = headers_of(*secrets, sent_at=sent_at)
    parcel = Parcel(
        delivery_id=headers["webhook-id"],
        video_id="lecture-42",
        organization_id="uni-1",
        file_name="x.mp4",
        file_size=7,
        file_sha256=SHA256,
        sent_at=int(headers["webhook-timestamp"]),
        manifest_url=URL,
    )
    fields = manifest_fields([signer(secret) for secret in secrets], parcel)
    assert fields["manifest_url"] == URL
    return headers, fields["manifest_url_signature"]


def test_the_url_of_a_set_is_verified_with_either_secret_while_they_are_rotated() -> None:
    headers, signed = manifest_of("a new secret", SECRET)
    for secret in (SECRET, "a new secret"):
        verify_manifest_url(secret=secret, headers=headers, url=URL, signature=signed)


def test_no_other_url_can_be_slipped_into_a_delivery() -> None:
    """Nor one of another delivery, or of another day; nor the delivery's own signature."""
    headers, signed = manifest_of(SECRET)
    other, _ = manifest_of(SECRET)
    old, old_signed = manifest_of(SECRET, sent_at=time.time() - 3600)
    tries = [
        (headers, "https://evil.example/manifest.json", signed),
        (headers, URL, headers["webhook-signature"]),
        (headers, URL, ""),
        ({**other, "webhook-id": "msg_other"}, URL, signed),
        (old, URL, old_signed),
    ]
    for given_headers, url, given_signature in tries:
        with pytest.raises(InvalidSignature):
            verify_manifest_url(
                secret=SECRET, headers=given_headers, url=url, signature=given_signature
            )
