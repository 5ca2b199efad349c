"""URLs of sets that carry their own authority: what they open, until when, and a proof of that.

`PUBLIC_URL/sets/<run>.<fence>.<expiry>.<proof>/<path>`: the proof is an HMAC over the three before
it, under a key that is made of a webhook secret and of nothing else, so neither proves anything
for the other. Paths stay below it, so the relative addresses inside playlists lead on.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from typing import Final

from core.sets import SetGrant
from infra.settings import Settings
from infra.signing import secret_bytes

_LABEL: Final = b"lectern/urls of sets/1"
_FORM: Final = re.compile(
    r"([A-Za-z0-9-]{1,64})\.(\d{1,9})\.(\d{1,11})\.[A-Za-z0-9_-]{43}", re.ASCII
)
ADDRESS_FILE: Final = "address"
"""In the data folder of a running embedded service: its URL."""


class SignedLinks:
    """Makes and reads URLs with each of `secrets`; the newest, which comes first, signs.

    `public_url()` is where callers reach the service, asked for each URL. Secrets are read as
    `infra.signing.signer` says; raises ValueError for one of a wrong form.
    """

    def __init__(self, secrets: Sequence[str], public_url: Callable[[], str]) -> None:
        self._keys = [hmac.digest(secret_bytes(each), _LABEL, "sha256") for each in secrets]
        if not self._keys:
            raise ValueError("URLs need at least one secret to be signed with")
        self._public_url = public_url

    def url(self, grant: SetGrant, path: str) -> str:
        """Return the URL of a file; see `core.ports.Links.url`."""
        said = f"{grant.run}.{grant.fence}.{grant.expires_at}"
        base = self._public_url().rstrip("/")
        return f"{base}/sets/{said}.{_proof(self._keys[0], said)}/{path}"

    def grant(self, capability: str) -> SetGrant | None:
        """Return what a URL opens; see `core.ports.Links.grant`."""
        match = _FORM.fullmatch(capability)
        if match is None:
            return None
        said, _, proof = capability.rpartition(".")
        fits = [hmac.compare_digest(_proof(key, said), proof) for key in self._keys]
        if not any(fits):
            return None
        return SetGrant(run=match[1], fence=int(match[2]), expires_at=int(match[3]))


def base_url(settings: Settings) -> str:
    """Return where callers reach the embedded service if nobody says.

    With PORT=0 a port is chosen as it starts; the service tells it in a file.
    """
    if settings.public_url is not None:
        return settings.public_url
    try:
        return (settings.lectern_data_dir / ADDRESS_FILE).read_text("ascii").strip()
    except FileNotFoundError:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return f"http://{host}:{settings.port}"


def _proof(key: bytes, said: str) -> str:
    digest = hmac.new(key, said.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
