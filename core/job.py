"""What is known of a recording: the Job, its states, and the values it is made of.

Times are seconds since the epoch (UTC), sizes are bytes, digests are lower-case hex SHA-256.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core import limits
from core.board import Board
from core.errors import InvalidId
from core.making import Making
from core.order import DEFAULT, Order

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_PIECE_SCRATCH: Final = re.compile(r"(.+)-piece-(\d{1,9})-(\d{1,9})", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]*")


class State(StrEnum):
    """Where a job stands; `core.transitions.TRANSITIONS` says how it moves on."""

    QUEUED = "queued"  # accepted and durable, waits for a worker
    PROCESSING = "processing"  # a worker holds the lease and encodes, or pieces are made
    STORING = "storing"  # the output is committed; the LMS has not taken it yet
    STORED = "stored"  # the LMS answered 200; waits for its confirmation
    COMPLETED = "completed"  # confirmed; every temporary is deleted
    FAILED = "failed"  # no output will come of it; the source is kept until its TTL
    STORE_FAILED = "store_failed"  # the LMS never took it; the output is kept until its TTL
    CANCELLED = "cancelled"  # called off before it began
    EXPIRED = "expired"  # never confirmed; the temporaries were deleted at their TTL


UNFINISHED: Final = frozenset({State.QUEUED, State.PROCESSING, State.STORING})
"""States in which work is still to be done."""
RESTARTABLE: Final = frozenset({State.FAILED, State.CANCELLED, State.EXPIRED})
"""States in which the same id may be sent again with any bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The settings that decide a job's times and tries. All in seconds but `max_retries`.

    `record_within_s` is how long after its commit a source may still become a job: what is older
    may be taken for an orphan meanwhile. Half of the grace that orphans have leaves the other
    half for the record to be written.
    """

    lease_s: float = 30.0
    confirm_ttl_s: float = 24 * 3600.0
    store_retry_for_s: float = 72 * 3600.0
    max_retries: int = 3
    republish_after_s: float = 60.0
    keep_record_s: float = 30 * 24 * 3600.0
    record_within_s: float = 1800.0

    @property
    def piece_lease_s(self) -> float:
        """Return the lease of a piece: longer, because all pieces renew theirs in one record."""
        return limits.PIECE_LEASES * self.lease_s


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSummary:
    """What a person wants to know of a media file.

    Sound alone has no width, height or video codec.
    """

    width: int
    height: int
    duration_s: float
    video_codec: str
    audio_codec: str | None = None

    @property
    def shown(self) -> bool:
        """Return whether there is a picture."""
        return bool(self.video_codec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The upload as it was committed. `container` is what the content says it is."""

    key: str
    size: int
    sha256: str
    container: str
    media: MediaSummary | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One more file of a result: an image in another size. `suffix` is that of its name."""

    name: str
    key: str
    size: int
    sha256: str
    width: int
    height: int
    suffix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTrack:
    """One rendition of a set: `size` in bytes, rates in bits a second; sound has no width."""

    name: str
    codecs: str
    size: int
    average_rate: int
    peak_rate: int
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RenditionSet:
    """A set of renditions to stream, as it was committed under `fence`: `files` with `size` bytes.

    The object `manifest_key` names every file, and was committed last.
    """

    fence: int
    manifest_key: str
    size: int
    files: int
    tracks: tuple[SetTrack, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """The committed result. `action` is `encoded` or `remuxed`; `work_s` the seconds it took.

    `made_at` is when it was recorded, `making` what its receipt tells besides, `variants` what
    was made beside it, `media_type` what it is delivered as, `ladder` the set that was ordered.
    """

    key: str
    size: int
    sha256: str
    media: MediaSummary
    action: str
    work_s: float
    made_at: float = 0.0
    making: Making | None = None
    media_type: str | None = None
    variants: tuple[Variant, ...] = ()
    ladder: RenditionSet | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job came to nothing: the error's stable code and a sentence."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLog:
    """How far the delivery has come since `since`, the start of its present window.

    `path` is where the result stands in the LMS's storage, once it does.
    """

    since: float
    attempts: int = 0
    last_outcome: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the history: what happened, when, and the state that it led to."""

    at: float
    event: str
    state: State
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One recording on its way.

    `run` is a UUID made for each accepted upload: it names the objects and the delivery.
    `fence` grows with each claim and never shrinks, also over a new run of the same id.
    `due_at` is the earliest time of the next step, `wake_at` when the sweep must look again.
    `traceparent` is the span that brought the upload: see `core.trace`. `board` is there from when
    a long recording was cut into pieces. `order` is what the sender asked for. `former` are the
    runs that the id had before, newest last. `outage_since` is since when an outage of what its
    steps rest on holds the job up.
    """

    job_id: str
    organization_id: str
    run: str
    state: State
    source: Source
    created_at: float
    updated_at: float
    due_at: float
    wake_at: float
    fence: int = 0
    lease_until: float | None = None
    claims: int = 0
    retries: int = 0
    progress: int = 0
    output: Rendition | None = None
    delivery: DeliveryLog | None = None
    failure: Failure | None = None
    warnings: tuple[str, ...] = ()
    cleaned: bool = False
    history: tuple[Change, ...] = ()
    traceparent: str | None = None
    board: Board | None = None
    order: Order = DEFAULT
    former: tuple[str, ...] = ()
    outage_since: float | None = None

    @property
    def delivery_id(self) -> str:
        """Return the `webhook-id` of this run's result: the same over all attempts."""
        return f"msg_{self.run}"


def check_id(field: str, value: str) -> str:
    """Return `value` if it can be an id; raises InvalidId that names `field`.

    An id has 1 to 128 ASCII characters: letters, digits and `._~:@+=-`, the first a letter or
    digit. So it is safe in a URL path, a log line and a header as it stands.
    """
    if len(value) > limits.ID_CHARS_MAX or not _ID.fullmatch(value):
        raise InvalidId(
            f"{field} must have 1 to {limits.ID_CHARS_MAX} characters out of letters, digits "
            "and ._~:@+=- and begin with a letter or digit"
        )
    return value


def is_sha256(value: str) -> bool:
    """Return whether `value` is a digest as it is stored: 64 lower-case hex digits."""
    return _SHA256.fullmatch(value) is not None


# --- where a run's objects lie ----------------------------------------------------------------
PREFIXES: Final = ("uploads", "pieces", "outputs", "declared")


def source_key(run: str) -> str:
    """Return the key of a run's upload."""
    return f"uploads/{run}/source"


def subtitles_key(run: str) -> str:
    """Return the key of the subtitles that came with a run's upload."""
    return f"uploads/{run}/subtitles"


def declaration_key(run: str) -> str:
    """Return the key under which a direct upload is announced."""
    return f"declared/{run}/upload"


def outcome_key(run: str) -> str:
    """Return the key under which stands what became of a direct upload."""
    return f"declared/{run}/outcome"


def cut_key(run: str, fence: int) -> str:
    """Return the key of the plan by which a run was cut under `fence`."""
    return f"pieces/{run}/{fence}/plan"


def piece_key(plan_key: str, number: int) -> str:
    """Return the key of a piece, beside its plan."""
    return f"{plan_key.removesuffix('plan')}{number}"


def output_key(run: str, fence: int, suffix: str = "mp4") -> str:
    """Return the key of the rendition made under `fence`: no two workers share one."""
    return f"outputs/{run}/{fence}.{suffix}"


def variant_key(run: str, fence: int, name: str, suffix: str) -> str:
    """Return the key of an image in another size, beside the result."""
    return f"{variant_prefix(run, fence)}{name}.{suffix}"


def variant_prefix(run: str, fence: int) -> str:
    """Return what the keys of all variants begin with that were made under `fence`."""
    return f"outputs/{run}/{fence}-"


def set_key(run: str, fence: int, path: str) -> str:
    """Return the key of a file of the set made under `fence`; `path` is its name in the set."""
    return f"outputs/{run}/{fence}/set/{path}"


def part_key(run: str, cut: int, sha256: str) -> str:
    """Return the key of a segment that a piece of the cut gave, named for its content."""
    return set_key(run, cut, f"parts/{sha256}")


def part_list_key(plan_key: str, number: int) -> str:
    """Return the key of the list of the segments that a piece gave, beside the piece."""
    return f"{piece_key(plan_key, number)}-set"


def scratch_name(run: str, fence: int) -> str:
    """Return the name of the private folder in which a worker makes a run's rendition."""
    return f"{run}-{fence}"


def scratch_owner(name: str) -> tuple[str, int] | None:
    """Return the run and fence that a private folder was made for; None for another name."""
    run, _, fence = name.rpartition("-")
    return (run, int(fence)) if run and fence.isascii() and fence.isdigit() else None


def piece_scratch_name(run: str, number: int, claim: int) -> str:
    """Return the name of the private folder in which a worker makes a piece."""
    return f"{run}-piece-{number}-{claim}"


def piece_scratch_owner(name: str) -> tuple[str, int, int] | None:
    """Return run, number and claim that a piece's folder was made for; None for another name."""
    match = _PIECE_SCRATCH.fullmatch(name)
    return (match[1], int(match[2]), int(match[3])) if match else None


def run_prefixes(run: str) -> tuple[str, ...]:
    """Return the prefixes under which all objects of a run lie."""
    return tuple(f"{prefix}/{run}/" for prefix in PREFIXES)


def run_of(key: str) -> str | None:
    """Return the run that an object belongs to, or None for a key of another layout."""
    prefix, _, rest = key.partition("/")
    run, slash, _ = rest.partition("/")
    return run if prefix in PREFIXES and slash else None
