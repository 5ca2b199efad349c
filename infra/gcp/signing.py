"""URLs of Cloud Storage that read one object for a while, signed by the service's own account."""

from __future__ import annotations

import threading
from typing import Any, Final

import google.auth
from google.auth.credentials import AnonymousCredentials, Signing
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.cloud.storage import Client

from core.errors import Unavailable
from infra.gcp.objects import CloudObjectStore

_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
"""What IAM asks for to sign; the store's own client may only read and write."""


def read_signer(client: Client, store: CloudObjectStore) -> CloudReadSigner | None:
    """Return what signs with the credentials of the environment; None for an emulator's client."""
    known = client._credentials  # noqa: SLF001 - a client does not tell in another way
    return None if isinstance(known, AnonymousCredentials) else CloudReadSigner(store)


class CloudReadSigner:
    """Signs with a private key where the credentials have one, and else lets IAM sign.

    For that the account must be a token creator of itself, as it is by Terraform. The credentials
    are looked for at the first URL.
    """

    def __init__(self, store: CloudObjectStore, credentials: Any = None) -> None:
        self._store = store
        self._credentials = credentials
        self._lock = threading.Lock()

    def read_url(self, key: str, *, media_type: str, expires_s: float) -> str:
        """Return a signed URL; see `core.ports.ReadSigner`."""
        account, token = self._authority()
        return self._store.signed_url(
            key,
            expires_s=expires_s,
            media_type=media_type,
            service_account_email=account,
            access_token=token,
        )

    def _authority(self) -> tuple[str | None, str | None]:
        """Return account and token to sign with, or neither where there is a private key."""
        with self._lock:
            try:
                return self._asked()
            except GoogleAuthError as error:
                raise Unavailable(f"no URL can be signed: {type(error).__name__}") from error

    def _asked(self) -> tuple[str | None, str | None]:
        if self._credentials is None:
            self._credentials, _ = google.auth.default(scopes=_SCOPES)
        if isinstance(self._credentials, Signing):
            return None, None
        if not self._credentials.valid:
            self._credentials.refresh(Request())
        account = getattr(self._credentials, "service_account_email", None)
        if account is None:
            raise Unavailable("no URL can be signed: these are no service account's credentials")
        return account, self._credentials.token
