"""What a service cannot work without, asked for as it starts: each names only its own needs."""

from __future__ import annotations

import os
from typing import Literal

from infra.settings import Settings, SettingsError


def on_pubsub_emulator() -> bool:
    """Return whether Pub/Sub is Google's emulator, whose pushes carry no token."""
    return bool(os.environ.get("PUBSUB_EMULATOR_HOST"))


def check_push(settings: Settings) -> None:
    """Raise SettingsError when a service could not tell Pub/Sub's pushes from anybody's.

    Only the emulator's may come without a token, and only if no audience is set.
    """
    unchecked = settings.lectern_backend == "embedded" or on_pubsub_emulator()
    if unchecked and not settings.push_audience and not settings.push_service_account:
        return
    for name in ("push_audience", "push_service_account"):
        if not getattr(settings, name):
            raise SettingsError(
                f"{name.upper()} is required to check the tokens of Pub/Sub's pushes"
            )


def check_secret(
    settings: Settings, name: Literal["internal_service_key", "webhook_secret"]
) -> None:
    """Raise SettingsError where a secret is missing that this process cannot work without.

    Each entry names its own, so that no service has to hold those of others. On one machine the
    first start makes up what is missing; several cannot.
    """
    if settings.lectern_backend == "gcp" and not getattr(settings, name):
        raise SettingsError(f"{name.upper()} is required with LECTERN_BACKEND=gcp")


def check_sftp(settings: Settings) -> None:
    """Raise SettingsError when results that go by SFTP could not be delivered.

    The services that deliver call it as they start; the front door needs only to know of
    SFTP_HOST, and has no business with a key.
    """
    if not settings.has_sftp:
        return
    for name in ("sftp_user", "client_confirm_api"):
        if not getattr(settings, name):
            raise SettingsError(f"{name.upper()} is required with SFTP_HOST")
    for one, other in (
        ("sftp_password", "sftp_private_key"),
        ("sftp_known_hosts", "sftp_fingerprint"),
    ):
        if not getattr(settings, one) and not getattr(settings, other):
            raise SettingsError(f"{one.upper()} or {other.upper()} is required with SFTP_HOST")
