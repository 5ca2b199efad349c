"""Signing the store callback, as https://www.standardwebhooks.com has it."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

from core.delivery import Parcel, Receipt, signed_content

_PREFIX: Final = "whsec_"


def signer(secret: str) -> Webhook:
    """Return what signs and verifies with `secret`; raises ValueError, which does not show it.

    `whsec_` and base64 stands for the bytes that it encodes, as in every Standard Webhooks
    library. Any other text stands for its own UTF-8 bytes.
    """
    return Webhook(secret_bytes(secret))


def secret_bytes(secret: str) -> bytes:
    """Return the bytes that a secret stands for; raises ValueError, as `signer` does."""
    if not secret.startswith(_PREFIX):
        key = secret.encode()
    else:
        text = secret.removeprefix(_PREFIX)
        try:
            key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except ValueError:
            raise ValueError("after whsec_ a webhook secret goes on with base64") from None
    if not key:
        raise ValueError("a webhook secret must not be empty")
    return key


def delivery_headers(signers: Iterable[Webhook], parcel: Parcel) -> dict[str, str]:
    """Return the headers that sign `parcel`: one signature for each signer, in their order."""
    text = signed_content(
        video_id=parcel.video_id,
        organization_id=parcel.organization_id,
        file_sha256=parcel.file_sha256,
    )
    at = datetime.fromtimestamp(parcel.sent_at, tz=UTC)
    signatures = [each.sign(parcel.delivery_id, at, text) for each in signers]
    return {
        "webhook-id": parcel.delivery_id,
        "webhook-timestamp": str(parcel.sent_at),
        "webhook-signature": " ".join(signatures),
        "X-Lectern-Sha256": parcel.file_sha256,
    }


def manifest_fields(signers: Iterable[Webhook], parcel: Parcel) -> dict[str, str]:
    """Return the form fields of a set's URL, signed under the delivery's own id and time.

    Whoever fetches what a delivery points to must know who points. No fields without a set.
    """
    if parcel.manifest_url is None:
        return {}
    at = datetime.fromtimestamp(parcel.sent_at, tz=UTC)
    signatures = [each.sign(parcel.delivery_id, at, parcel.manifest_url) for each in signers]
    return {"manifest_url": parcel.manifest_url, "manifest_url_signature": " ".join(signatures)}


def receipt_fields(signers: Iterable[Webhook], receipt: Receipt | None) -> dict[str, str]:
    """Return the form fields of a signed receipt; none where there is no receipt."""
    if receipt is None:
        return {}
    at = datetime.fromtimestamp(receipt.at, tz=UTC)
    signatures = [each.sign(receipt.id, at, receipt.text) for each in signers]
    return {"receipt": receipt.text, "receipt_signature": " ".join(signatures)}
