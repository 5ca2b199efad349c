"""The one place where settings become objects that work together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core import limits
from core.keys import KeyRing
from core.ledger import Ledger
from core.messages import Topic
from core.ports import (
    Announcer,
    Checks,
    Clock,
    Courier,
    Depot,
    DirectUploads,
    EventLog,
    JobStore,
    Links,
    MessageBus,
    ObjectStore,
    ReadSigner,
    UploadInlet,
)
from infra import ffmpeg
from infra.clock import SystemClock
from infra.embedded import secrets
from infra.embedded.bus import SqliteBus
from infra.embedded.jobs import SqliteJobStore
from infra.embedded.objects import FolderObjectStore
from infra.embedded.sessions import FolderSessions
from infra.links import SignedLinks, base_url
from infra.logging import StructuredLog
from infra.required import check_secret, check_sftp
from infra.settings import Settings, SettingsError

if TYPE_CHECKING:
    from pydantic import SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the services are given. `scratch` is the folder for the private folders of jobs.

    `inlet` is there where the service itself takes the bytes of direct uploads, `links` where it
    knows its own address, `read_signer` where the object store can hand out objects by itself.
    """

    settings: Settings
    ledger: Ledger
    sessions: DirectUploads
    inlet: UploadInlet | None
    keys: KeyRing
    checks: Checks
    log: EventLog
    scratch: Path
    links: Links | None = None
    read_signer: ReadSigner | None = None


def connect(settings: Settings) -> Wiring:
    """Return everything that the chosen backend needs, ready for use."""
    log = StructuredLog()
    clock = SystemClock()
    backend = _BACKENDS[settings.lectern_backend](settings, clock)
    ledger = Ledger(
        jobs=backend.jobs,
        bus=backend.bus,
        objects=backend.objects,
        clock=clock,
        log=log,
        policy=settings.policy,
    )
    return Wiring(
        settings=settings,
        ledger=ledger,
        sessions=backend.sessions,
        inlet=backend.inlet,
        keys=KeyRing(service_keys(settings)),
        checks=_checks(settings, ledger),
        log=log,
        scratch=settings.lectern_data_dir / "scratch",
        links=links(settings),
        read_signer=backend.read_signer,
    )


def service_keys(settings: Settings) -> tuple[str, ...]:
    """Return the keys that callers may present.

    Without a setting it is the generated one, and none in a deployment, where that is no door.
    """
    return _given_or_made(settings, settings.internal_service_key, secrets.service_key)


def webhook_secrets(settings: Settings) -> tuple[str, ...]:
    """Return the secrets that deliveries are signed with; as with the keys, there may be none."""
    return _given_or_made(settings, settings.webhook_secret, secrets.webhook_secret)


def links(settings: Settings) -> Links | None:
    """Return what makes the URLs of sets.

    None where the service does not know its own address, or holds no secret to sign them with.
    """
    if not settings.has_links or not (known := webhook_secrets(settings)):
        return None
    return SignedLinks(known, partial(base_url, settings))


def courier(settings: Settings) -> Courier:
    """Return what carries results to the LMS; raises SettingsError."""
    check_secret(settings, "webhook_secret")
    from infra.webhook import WebhookCourier  # noqa: PLC0415 - the receiver must stay small

    return WebhookCourier(
        url=settings.lms_store_url,
        secrets=webhook_secrets(settings),
        connect_timeout_s=min(limits.CONNECT_TIMEOUT_S, settings.store_timeout_s),
        answer_timeout_s=settings.store_timeout_s,
        total_timeout_s=settings.store_timeout_s,
        public_only=settings.outbound_public_only,
    )


def depot(settings: Settings) -> Depot:
    """Return what puts results into the LMS's storage; raises SettingsError."""
    check_sftp(settings)
    from infra.sftp import SftpDepot  # noqa: PLC0415 - the receiver must stay small

    try:
        return SftpDepot(
            host=settings.sftp_host or "",
            port=settings.sftp_port,
            user=settings.sftp_user or "",
            password=_secret(settings.sftp_password),
            private_key=_secret(settings.sftp_private_key),
            passphrase=_secret(settings.sftp_private_key_passphrase),
            known_hosts=settings.sftp_known_hosts,
            fingerprint=settings.sftp_fingerprint,
            connect_timeout_s=min(limits.SFTP_CONNECT_S, settings.sftp_timeout_s),
            stall_timeout_s=min(limits.SFTP_STALL_S, settings.sftp_timeout_s),
            total_timeout_s=settings.sftp_timeout_s,
        )
    except ValueError as error:  # names the variable, quotes nothing
        raise SettingsError(str(error)) from None


def announcer(settings: Settings) -> Announcer:
    """Return what tells the LMS where a result was put; raises SettingsError."""
    check_sftp(settings)
    check_secret(settings, "webhook_secret")
    from infra.announcing import ConfirmApi  # noqa: PLC0415 - the receiver must stay small

    return ConfirmApi(
        url=settings.client_confirm_api or "",
        secrets=webhook_secrets(settings),
        connect_timeout_s=min(limits.CONNECT_TIMEOUT_S, settings.store_timeout_s),
        answer_timeout_s=settings.store_timeout_s,
        total_timeout_s=settings.store_timeout_s,
        public_only=settings.outbound_public_only,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Backend:
    jobs: JobStore
    bus: MessageBus
    objects: ObjectStore
    sessions: DirectUploads
    inlet: UploadInlet | None = None
    read_signer: ReadSigner | None = None


def _embedded(settings: Settings, clock: Clock) -> _Backend:
    folder, reserve = settings.lectern_data_dir, settings.min_free_bytes
    objects = FolderObjectStore(folder, clock=clock, reserve_bytes=reserve)
    sessions = FolderSessions(folder, objects=objects)
    return _Backend(
        jobs=SqliteJobStore(folder / "jobs.db"),
        bus=SqliteBus(folder / "messages.db", clock=clock),
        objects=objects,
        sessions=sessions,
        inlet=sessions,
    )


def _gcp(settings: Settings, clock: Clock) -> _Backend:
    """Connect to Google Cloud; to be called after any fork, which gRPC does not survive."""
    from infra.gcp import (  # noqa: PLC0415 - only where installed
        bus,
        clients,
        jobs,
        objects,
        sessions,
        signing,
    )

    project = settings.google_cloud_project
    records = jobs.FirestoreJobStore(
        clients.firestore_client(project, settings.firestore_database), settings.firestore_jobs
    )
    client = clients.storage_client(project)
    store = objects.CloudObjectStore(client, settings.lectern_bucket)
    return _Backend(
        jobs=records,
        bus=bus.PubSubBus(
            clients.publisher_client(),
            clients.subscriber_client(),
            bus.Names(project=project, prefix=settings.pubsub_prefix),
            clock=clock,
            backlog=bus.waiting_jobs(records),
        ),
        objects=store,
        sessions=sessions.CloudSessions(store, origin=settings.upload_origin),
        read_signer=signing.read_signer(client, store),
    )


_BACKENDS: Final[Mapping[str, Callable[[Settings, Clock], _Backend]]] = {
    "embedded": _embedded,
    "gcp": _gcp,
}


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None


def _given_or_made(
    settings: Settings, given: Iterable[SecretStr], make: Callable[[Path], str]
) -> tuple[str, ...]:
    if settings.lectern_backend == "embedded" and not given:
        return (make(settings.lectern_data_dir),)
    return _plain(given)


def _plain(values: Iterable[SecretStr]) -> tuple[str, ...]:
    return tuple(value.get_secret_value() for value in values)


def _checks(settings: Settings, ledger: Ledger) -> Checks:
    return {
        "store": partial(_check_store, ledger),
        "jobs": partial(_check_jobs, ledger),
        "bus": partial(_check_bus, ledger),
        "ffmpeg": partial(_check_ffmpeg, settings),
    }


def _check_store(ledger: Ledger) -> None:
    """Ask for a listing, then write a few bytes and drop them.

    A wrong bucket or a missing grant shows in the first, a full or read-only disk in the second:
    Cloud Storage hears nothing of so few bytes.
    """
    next(iter(ledger.objects.list("ready/")), None)
    with ledger.objects.create("ready/check", expected_bytes=limits.CHUNK_BYTES) as writer:
        writer.write(b"ready")


def _check_jobs(ledger: Ledger) -> None:
    ledger.jobs.counts()


def _check_bus(ledger: Ledger) -> None:
    ledger.bus.depth(Topic.TRANSCODE)


def _check_ffmpeg(settings: Settings) -> None:
    ffmpeg.find(settings.lectern_ffmpeg)
