"""What can happen to a job (events), and what must be done then (effects)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.job import Failure, MediaSummary, Rendition
from core.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A worker takes the job's next step under a new fence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poisoned:
    """One worker too many vanished over this step."""

    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Buried:
    """The bus gave `message` up: it will not be delivered again.

    That says something about the bus and its receivers, little about the job: a job that may
    still be claimed waits for the sweep; one whose claims are used up is given up as Poisoned.
    """

    message: Message
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """The worker with `fence` is alive; `progress` is 0 to 100, or None for no news."""

    fence: int
    progress: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The worker hands the step back undone, because it must stop. Costs no try."""

    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PiecesCut:
    """The recording was cut into `pieces` pieces, each to be made by whoever is free.

    The plan of them all is committed under `plan_key`.
    """

    fence: int
    plan_key: str
    pieces: int
    source_media: MediaSummary
    cpu_s: float = 0.0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceClaimed:
    """A worker takes a piece of the recording as it was cut under the fence `cut`."""

    cut: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceRenewed:
    """The worker that took the piece as its `claim`-th is alive."""

    cut: int
    number: int
    claim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceReleased:
    """The worker hands the piece back undone, because it must stop. Costs no try."""

    cut: int
    number: int
    claim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceMade:
    """The piece's object is committed; making it took `work_s` seconds, `cpu_s` of CPU time."""

    cut: int
    number: int
    work_s: float = 0.0
    cpu_s: float = 0.0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceRetried:
    """The piece failed for a passing reason and is due again after `delay_s`; see `Retried`."""

    cut: int
    number: int
    claim: int
    failure: Failure
    delay_s: float
    is_outage: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceFailed:
    """The piece cannot be made, so no output will come of the job.

    `claim` is that of the worker that says so; None for a piece that took too many workers.
    """

    cut: int
    number: int
    failure: Failure
    claim: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PiecesRefused:
    """The recording cannot be made in pieces after all: it must be made as a whole.

    With `anew` only these pieces cannot be made, by those who are there: it must be cut anew.
    """

    cut: int
    reason: str
    anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """The output is committed and has passed its verdict."""

    fence: int
    source_media: MediaSummary
    output: Rendition
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """The step failed for a passing reason and is due again after `delay_s`.

    Where `is_outage` it costs no try.
    """

    fence: int
    failure: Failure
    delay_s: float
    is_outage: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """No output will come of this job."""

    fence: int
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The LMS answered 200."""

    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The result stands in the LMS's storage, at `path`; the LMS is still to be told."""

    fence: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The LMS was told where its file is, and has answered 2xx."""

    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryDeferred:
    """The LMS did not take the result; the next attempt is due after `delay_s`."""

    fence: int
    outcome: str
    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRefused:
    """The LMS will not take the result, or its window is over."""

    fence: int
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Redelivered:
    """An operator asks for the result to be sent again, now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """The LMS has the result safe. `sha256`, where given, must be that of the output."""

    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """The caller calls the job off before it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """The sweep found that the job's `wake_at` has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """All objects of the run are deleted."""

    run: str


Fenced = (
    Renewed
    | Released
    | PiecesCut
    | Encoded
    | Retried
    | Failed
    | Delivered
    | Placed
    | Accepted
    | DeliveryDeferred
    | DeliveryRefused
)
"""Events of a worker that holds the lease: void under any fence but the job's present one."""
OfPiece = (
    PieceClaimed
    | PieceRenewed
    | PieceReleased
    | PieceMade
    | PieceRetried
    | PieceFailed
    | PiecesRefused
)
"""Events of a worker that makes a piece."""
Event = (
    Fenced
    | OfPiece
    | Claimed
    | Poisoned
    | Buried
    | Redelivered
    | Confirmed
    | Cancelled
    | Woken
    | Cleaned
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Put `message` on the bus, to be handed out after `delay_s`."""

    message: Message
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """Delete every object of `run`; a `Cleaned` event follows when it is done."""

    job_id: str
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Delete the record itself, unless the id has begun another run."""

    job_id: str
    run: str


Effect = Publish | Discard | Forget
Step = tuple[Mapping[str, Any], tuple[Effect, ...]]
"""Fields that change, and what must be done."""
