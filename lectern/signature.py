"""Verify a delivery in an LMS backend that is written in Python.

Deliveries carry the headers of Standard Webhooks (https://www.standardwebhooks.com), whose
libraries exist for most languages. They sign `webhook-id.webhook-timestamp.body`. A recording
is no body to be held in memory, so in its place stands a short text, made of the two form
fields and of the SHA-256 of the file, in this order, without spaces:

    {"file_sha256":"<64 hex digits>","organization_id":"<…>","video_id":"<…>"}

So, in any language:

1. Hash the file while you store it. The digest must be yours: a header proves nothing.
2. Write the text above, with your digest and the form fields.
3. Give the text, the request's headers and your secret to the library's `verify`. A secret
   that begins with `whsec_` is in the form that libraries expect; of any other, libraries want
   the bytes, or their base64.

Signatures are five minutes valid. Several secrets may be in use while they are rotated:
Lectern signs with each, and libraries accept one that fits.

Beside the file comes a receipt: the form field `receipt`, a JSON text that says what was made of
which recording, and `receipt_signature`, the signatures of that text under its own `id` and
`created_at`. `verify_receipt` checks it, also years later.

A vector to try an implementation on (its time is long past, so compare, do not `verify`):

    secret              whsec_bGVjdGVybi1leGFtcGxlLXNlY3JldC0wMDE=
    webhook-id          msg_3f6b2f0c-5a44-4a8e-9d4b-0c1a54b1f1a2
    webhook-timestamp   1700000000
    video_id            lecture-42
    organization_id     uni-1
    file                the 7 bytes: lectern
    file_sha256         e8a5972b80b2e0072a9989499fc61604674a2626de0d85ab4c2b643188840a9f
    webhook-signature   v1,W97kzLaN0q7Xa2qLK0klYWMyC6hN73+T3aHhsMUYyuM=
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from standardwebhooks.webhooks import WebhookVerificationError

from core.delivery import signed_content
from infra.signing import signer


class InvalidSignature(Exception):
    """It is not signed with this secret, was altered, or is too old: answer 401."""


def verify_delivery(
    *,
    secret: str | Sequence[str],
    headers: Mapping[str, str],
    video_id: str,
    organization_id: str,
    file_sha256: str,
) -> None:
    """Return if the delivery comes from the holder of `secret`; raise InvalidSignature if not.

    `file_sha256` (hex) is the digest of what you received, not that of a header. Several
    secrets may be given while they are rotated. Header names may be in any case. Raises
    ValueError for a secret of a wrong form.
    """
    text = signed_content(
        video_id=video_id, organization_id=organization_id, file_sha256=file_sha256.lower()
    )
    given = dict(headers)
    secrets = [secret] if isinstance(secret, str) else secret
    if not any(_fits(each, text, given) for each in secrets):
        raise InvalidSignature("no signature fits this delivery and secret, or it is too old")


def verify_manifest_url(
    *, secret: str | Sequence[str], headers: Mapping[str, str], url: str, signature: str
) -> None:
    """Return if a delivery's `manifest_url` is its own; raise InvalidSignature if not.

    `url` and `signature` are the form fields `manifest_url` and `manifest_url_signature`,
    `headers` those of the delivery. Fetch no URL that was not verified.
    """
    given = {name.lower(): value for name, value in headers.items()}
    given["webhook-signature"] = signature
    secrets = [secret] if isinstance(secret, str) else secret
    if not any(_fits(each, url, given) for each in secrets):
        raise InvalidSignature("no signature fits this manifest_url and secret, or it is too old")


def verify_receipt(*, secret: str | Sequence[str], text: str, signature: str) -> dict[str, Any]:
    """Return what a receipt says if it was signed with `secret`; raise InvalidSignature if not.

    `text` and `signature` are the form fields `receipt` and `receipt_signature`, unchanged. A
    receipt stays valid: its time is not held against the clock. The output's digest in it must
    be compared with that of the file.
    """
    try:
        said: dict[str, Any] = json.loads(text)
        number, at = str(said["id"]), datetime.fromtimestamp(int(said["created_at"]), tz=UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError) as error:
        raise InvalidSignature("this is no receipt") from error
    given = signature.split()
    for each in [secret] if isinstance(secret, str) else secret:
        right = signer(each).sign(number, at, text)
        if any(hmac.compare_digest(right.encode(), one.encode()) for one in given):
            return said
    raise InvalidSignature("no signature fits this receipt and secret")


def _fits(secret: str, text: str, headers: dict[str, str]) -> bool:
    verifier = signer(secret)
    try:
        verifier.verify(text, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: the header is no signature list
        return False
    return True
