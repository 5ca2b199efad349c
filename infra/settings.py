"""Settings out of the environment: one frozen object, checked before anything starts.

A field's name in upper case is its environment variable. Times are in seconds and sizes in
bytes unless the name says otherwise. `repr` hides secrets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    Field,
    HttpUrl,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core import limits
from core.job import Policy
from core.order import Delivery, OrderRules
from core.presets import Speed
from infra.signing import signer

_DAY_S: Final = 24 * 3600
_HTTP_URL: Final = TypeAdapter(HttpUrl)
_ORIGIN: Final = r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$"
"""As browsers tell it: no path, no capitals."""
_FOLDER: Final = r"^(/[A-Za-z0-9._~@+=-]+)+$"
"""An absolute remote folder, in names that need no quoting anywhere."""
EXAMPLE_LMS_PORT: Final = 8090
"""Where `lectern lms` listens, and so where an embedded service without a setting delivers."""


class SettingsError(Exception):
    """A setting is missing or wrong; the message is one line that names the variable."""


def _cores() -> int:
    return min(5, os.cpu_count() or 1)


class Settings(BaseSettings):
    """What an operator may choose. Every field stands in the README's table."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, allow_inf_nan=False
    )

    lectern_backend: Literal["embedded", "gcp"] = Field(
        "embedded", description="Where objects, jobs and messages are kept."
    )
    google_cloud_project: str = Field("", description="Project of the `gcp` backend.")
    lectern_bucket: str = Field("", description="Its bucket in Cloud Storage.")
    firestore_database: str = Field("(default)", description="Its Firestore database.")
    firestore_jobs: str = Field("jobs", description="Its collection of jobs there.")
    pubsub_prefix: str = Field(
        "lectern", description="What the names of its topics and subscriptions begin with."
    )
    push_audience: str = Field(
        "", description="Audience that the tokens of Pub/Sub's pushes must name."
    )
    push_service_account: str = Field(
        "", description="E-mail of the service account that Pub/Sub pushes as."
    )
    push_behind_iam: bool = Field(
        False,
        description="The platform lets only invokers in and takes the signature out of their "
        "tokens, as Cloud Run does; never set it for a service that anybody can call.",
    )
    push_steps: Literal["all", "transcode", "deliver"] = Field(
        "all", description="Which steps Pub/Sub pushes to this process."
    )
    push_deliveries_max: int = Field(
        100, ge=5, le=100, description="Deliveries after which Pub/Sub buries a message."
    )
    lectern_data_dir: Path = Field(Path("var"), description="Folder of the embedded backend.")
    host: str = Field(
        "127.0.0.1", description="Address that the service listens on; `0.0.0.0` for all."
    )
    port: int = Field(8080, ge=0, le=65535, description="Port that the service listens on.")
    internal_service_key: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Keys that callers present, comma-separated; several while rotating."
    )
    lms_store_url: str = Field(
        f"http://127.0.0.1:{EXAMPLE_LMS_PORT}/store",
        description="The LMS's store webhook.",
    )
    delivery: Literal["auto", "webhook", "sftp"] = Field(
        "auto",
        description="How results are handed back. `auto`: what came by `POST /compress/` goes by "
        "SFTP where that is set up, all else to the store webhook.",
    )
    delivery_override: bool = Field(
        False, description="Lets callers choose by the form field `delivery`."
    )
    client_confirm_api: str | None = Field(
        None, description="The LMS's confirmation API, told where SFTP has put a result."
    )
    sftp_host: str | None = Field(None, description="Server that takes results by SFTP.")
    sftp_port: int = Field(22, ge=1, le=65535, description="Its port.")
    sftp_user: str | None = Field(None, description="User to log in as.")
    sftp_password: SecretStr | None = Field(None, description="Its password, if it has one.")
    sftp_private_key: SecretStr | None = Field(
        None, description="Its private key: the text, or the path of its file."
    )
    sftp_private_key_passphrase: SecretStr | None = Field(
        None, description="Passphrase of that key, if it has one."
    )
    sftp_known_hosts: str | None = Field(
        None, description="The server's host keys as `ssh-keyscan` prints them, or their file."
    )
    sftp_fingerprint: str | None = Field(
        None, description="Instead of them the fingerprint of its host key, `SHA256:...`."
    )
    sftp_timeout_s: float = Field(
        1800,
        gt=0,
        le=7200,
        description="Longest time of one attempt by SFTP; the next one goes on where it ended.",
    )
    sftp_videos: str = Field(
        "/public_html/videos", pattern=_FOLDER, description="Remote folder of recordings."
    )
    sftp_images: str = Field(
        "/public_html/images", pattern=_FOLDER, description="Remote folder of images."
    )
    webhook_secret: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Secrets that deliveries are signed with, comma-separated, newest first."
    )
    confirm_ttl_s: float = Field(
        _DAY_S,
        gt=0,
        description="Time from delivery (or failure) until the files are removed; what a failed "
        "delivery leaves stays at least for `STORE_RETRY_FOR_S` from its beginning.",
    )
    store_retry_for_s: float = Field(
        3 * _DAY_S,
        gt=0,
        description="How long the store webhook is tried, and trouble on our side waited out.",
    )
    store_timeout_s: float = Field(
        300,
        gt=0,
        le=3600,
        description="Longest time of one attempt at it. Signatures live for 300 s: a longer one "
        "helps only where the LMS does not verify.",
    )
    max_video_bytes: int = Field(500 * limits.MIB, gt=0, description="Largest video.")
    max_image_bytes: int = Field(
        20 * limits.MIB, gt=0, le=limits.IMAGE_BYTES_MAX, description="Largest image."
    )
    max_concurrent_jobs: int = Field(
        default_factory=_cores, ge=1, le=64, description="Encodes side by side."
    )
    delivery_workers: int = Field(2, ge=1, le=64, description="Store callbacks side by side.")
    max_queued_jobs: int = Field(
        10_000, ge=1, description="Unfinished jobs above which uploads are answered 429."
    )
    min_free_bytes: int = Field(
        limits.GIB, ge=0, description="Disk space that uploads must leave free, else 429."
    )
    max_retries: int = Field(
        3, ge=0, le=20, description="Further tries of a step, after 60, 300, 900 s."
    )
    preset: Literal["lecture", "smart"] = Field(
        "lecture",
        description="What the handshake makes: `lecture` is the same for all, `smart` samples "
        "each recording and is smaller.",
    )
    encoder_speed: Speed | None = Field(
        None,
        description="x264's speed, `ultrafast` to `slow`, in place of the preset's own: the "
        "faster, the larger the result. Sets of renditions keep theirs.",
    )
    job_timeout: float = Field(3600, gt=0, description="Longest time that one encode may take.")
    piece_s: float = Field(
        30,
        ge=0,
        le=600,
        description="Seconds of a long recording that are encoded as one piece, side by side with "
        "the others; 0 encodes every recording in one go.",
    )
    cpu_second_price: float = Field(
        0.000029,
        ge=0,
        description="What a CPU second costs, for receipts: here US$ for a vCPU and 2 GiB on "
        "Cloud Run.",
    )
    lease_s: float = Field(
        30, gt=0, le=600, description="Time after which a silent worker's job goes to another."
    )
    sweep_interval_s: float = Field(5, gt=0, description="Pause between two sweeps.")
    republish_after_s: float = Field(
        60, gt=0, description="Time after which a waiting job's message counts as lost."
    )
    orphan_grace_s: float = Field(
        3600, gt=0, description="Age from which an object that no job knows is removed."
    )
    keep_record_s: float = Field(
        30 * _DAY_S, gt=0, description="How long a finished job's record is kept."
    )
    upload_ttl_s: float = Field(
        _DAY_S, gt=0, le=6 * _DAY_S, description="How long a direct upload may take."
    )
    public_url: str | None = Field(
        None,
        description="Where callers reach the service, for the URLs of direct uploads (without it, "
        "the address that the caller used) and of sets of renditions, which Google Cloud has only "
        "with it.",
    )
    upload_origin: str | None = Field(
        None,
        pattern=_ORIGIN,
        description="Origin of the web pages that send direct uploads, `https://lms.example.org`; "
        "without it none can on Google Cloud. Elsewhere pages must come from the service's own "
        "origin.",
    )
    outbound_public_only: bool = Field(
        False,
        description="Connects to the store webhook and the confirmation API at public addresses "
        "only; leave it off where the LMS is on a private network.",
    )
    forwarded_hops: int = Field(
        0,
        ge=0,
        le=8,
        description="Proxies in front of the service whose `X-Forwarded-For` tells callers apart "
        "when wrong keys are counted.",
    )
    receiver_threads: int = Field(
        32, ge=1, le=1000, description="Requests that are served at the same time."
    )
    max_uploads_at_once: int = Field(
        16, ge=1, description="Uploads that are taken at the same time, the rest answered 429."
    )
    lectern_ffmpeg: Path | None = Field(
        None, description="FFmpeg to use instead of the one that is installed with Lectern."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="`text` for people, `json` for machines; `auto` asks the terminal."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Events below this level are not written."
    )

    @field_validator("internal_service_key", "webhook_secret", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("internal_service_key")
    @classmethod
    def _long_enough(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < limits.KEY_CHARS_MIN for key in keys):
            raise ValueError(f"each key must have {limits.KEY_CHARS_MIN} characters or more")
        return keys

    @field_validator("max_uploads_at_once")
    @classmethod
    def _leaves_threads(cls, uploads: int, info: ValidationInfo) -> int:
        threads = info.data.get("receiver_threads", uploads + 1)
        if uploads >= threads:
            raise ValueError(f"must be below RECEIVER_THREADS ({threads}): /health needs one too")
        return uploads

    @field_validator("lms_store_url", "client_confirm_api", "public_url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None:
            _HTTP_URL.validate_python(url)
        return url

    @field_validator("webhook_secret")
    @classmethod
    def _can_sign(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in secrets:
            signer(secret.get_secret_value())
        return secrets

    @field_validator("lectern_data_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @model_validator(mode="after")
    def _names_what_the_cloud_needs(self) -> Self:
        needed = ("google_cloud_project", "lectern_bucket")
        for name in needed if self.lectern_backend == "gcp" else ():
            if not getattr(self, name):
                raise ValueError(f"{name.upper()} is required with LECTERN_BACKEND=gcp")
        if self.delivery == "sftp" and not self.sftp_host:
            raise ValueError("SFTP_HOST is required with DELIVERY=sftp")
        return self

    @property
    def order_rules(self) -> OrderRules:
        """Return what senders may ask for."""
        return OrderRules(
            delivery=None if self.delivery == "auto" else Delivery(self.delivery),
            override=self.delivery_override,
            has_sftp=self.has_sftp,
            has_links=self.has_links,
        )

    @property
    def has_links(self) -> bool:
        """Return whether the service knows where callers reach it, and so can hand out URLs."""
        return self.public_url is not None or self.lectern_backend == "embedded"

    @property
    def has_sftp(self) -> bool:
        """Return whether results can be delivered by SFTP."""
        return self.sftp_host is not None

    @property
    def cloud_project(self) -> str | None:
        """Return the project whose Cloud Logging reads this process's lines, if one does."""
        return self.google_cloud_project if self.lectern_backend == "gcp" else None

    @property
    def policy(self) -> Policy:
        """Return the part of the settings that the rules need."""
        return Policy(
            lease_s=self.lease_s,
            confirm_ttl_s=self.confirm_ttl_s,
            store_retry_for_s=self.store_retry_for_s,
            max_retries=self.max_retries,
            republish_after_s=self.republish_after_s,
            keep_record_s=self.keep_record_s,
            record_within_s=self.orphan_grace_s / 2,
        )


def load(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings of this process's environment; raises SettingsError.

    `overrides` take precedence; their keys are field names.
    """
    try:
        return Settings(**(overrides or {}))
    except ValidationError as error:
        first = error.errors()[0]
        name = f"{str(first['loc'][0]).upper()}: " if first["loc"] else ""
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise SettingsError(f"{name}{first['msg'].removeprefix('Value error, ')}{more}") from None
