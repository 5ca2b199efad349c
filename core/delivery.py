"""The store callback: what is sent, what is signed, and when it is tried again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final

from core import limits
from core.events import Accepted, Delivered, DeliveryDeferred, DeliveryRefused
from core.job import Failure, Job, Policy, Rendition, Variant
from core.order import Delivery
from core.receipt import receipt_id, receipt_text, receipt_time

VIDEO: Final = "video/mp4"
SOUND: Final = "audio/mp4"
"""The media types of MP4 with and without a picture (RFC 4337)."""
_SUFFIXES: Final = {
    VIDEO: "mp4",
    SOUND: "m4a",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/avif": "avif",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A receipt's text with the id and time (epoch seconds) under which it is signed."""

    id: str
    at: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosure:
    """One more file of a parcel: the form field `name`, and the object that holds it.

    Its digest stands in the receipt, which is signed.
    """

    name: str
    key: str
    file_name: str
    size: int
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One attempt at the store webhook, without the file's bytes.

    `delivery_id` is the same over all attempts, `sent_at` (epoch seconds) is the attempt's own.
    `content_type` is that of the file. `traceparent` lets the LMS's own traces join the
    recording's. `receipt` is signed on its own. `manifest_url` opens the set of renditions, if one
    was made; it is not for logs. `enclosures` are the variants of an image.
    """

    delivery_id: str
    video_id: str
    organization_id: str
    file_name: str
    file_size: int
    file_sha256: str
    sent_at: int
    traceparent: str | None = None
    content_type: str = VIDEO
    receipt: Receipt | None = None
    manifest_url: str | None = field(default=None, repr=False)
    enclosures: tuple[Enclosure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The LMS answered. `retry_after_s` is its `Retry-After`, where it sent a readable one."""

    status: int
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """No answer came: the reason in a few words."""

    reason: str


Outcome = Answered | Unanswered

ACCEPTED: Final = HTTPStatus.OK
"""The only status of the store webhook that counts (row C6)."""
UNTOLD: Final = "db_update_failed"
"""The code of a job whose file is in place while the LMS could not be told (row B14)."""
_FINAL: Final = {
    HTTPStatus.GONE: Failure(
        code="store_gone",
        reason="the LMS answered 410: it no longer wants this recording",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Failure(
        code="store_too_large",
        reason="the LMS answered 413: raise its request size limit, then redeliver",
    ),
}
"""Answers after which no further attempt can help."""


def signed_content(*, video_id: str, organization_id: str, file_sha256: str) -> str:
    """Return the text that stands for a multipart body in its Standard Webhooks signature.

    It is JSON with sorted keys and no spaces. The signature covers `id.timestamp.text`, as
    https://www.standardwebhooks.com has it for a plain body.
    """
    fields = {
        "file_sha256": file_sha256,
        "organization_id": organization_id,
        "video_id": video_id,
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def parcel_of(job: Job, now: float, *, manifest_url: str | None = None) -> Parcel:
    """Return the parcel that carries `job`'s output; the job must have one."""
    if job.output is None:
        raise ValueError(f"job {job.job_id} has no output")
    return Parcel(
        delivery_id=job.delivery_id,
        video_id=job.job_id,
        organization_id=job.organization_id,
        file_name=file_name(job.run, job.output),
        file_size=job.output.size,
        file_sha256=job.output.sha256,
        sent_at=int(now),
        traceparent=job.traceparent,
        content_type=media_type(job.output),
        receipt=Receipt(id=receipt_id(job), at=receipt_time(job), text=receipt_text(job)),
        manifest_url=manifest_url,
        enclosures=tuple(_enclosures(job.run, job.output)),
    )


def _enclosures(run: str, output: Rendition) -> Iterator[Enclosure]:
    types = {suffix: kind for kind, suffix in _SUFFIXES.items()}
    for each in output.variants:
        yield Enclosure(
            name=each.name,
            key=each.key,
            file_name=variant_name(run, each),
            size=each.size,
            content_type=types[each.suffix],
        )


def variant_name(run: str, variant: Variant) -> str:
    """Return the name outside of an image in another size."""
    return f"{run}-{variant.name}.{variant.suffix}"


def media_type(output: Rendition) -> str:
    """Return what the result is sent as."""
    return output.media_type or (VIDEO if output.media.shown else SOUND)


def file_name(run: str, output: Rendition) -> str:
    """Return the result's name outside: a UUID and what the file is, nothing of the sender's."""
    return f"{run}.{_SUFFIXES[media_type(output)]}"


def judge(
    outcome: Outcome, job: Job, now: float, policy: Policy, *, jitter: float
) -> Delivered | Accepted | DeliveryDeferred | DeliveryRefused:
    """Return the event that an attempt's outcome makes; `jitter` is in [0, 1).

    The store webhook takes a result by 200 alone, the confirmation API by any 2xx.
    """
    untold = job.delivery is not None and job.delivery.path is not None
    if isinstance(outcome, Answered):
        if untold and outcome.status // 100 == HTTPStatus.OK // 100:
            return Accepted(fence=job.fence)
        if outcome.status == ACCEPTED and job.order.delivery is Delivery.WEBHOOK:
            return Delivered(fence=job.fence)
        if final := _final(outcome.status):
            refused = replace(final, code=UNTOLD) if untold else final
            return DeliveryRefused(fence=job.fence, failure=refused)
    log = job.delivery
    attempts, since = (log.attempts, log.since) if log else (1, now)
    words = describe(outcome)
    left_s = since + policy.store_retry_for_s - now
    if left_s <= 0:
        reason = f"not taken in {policy.store_retry_for_s:.0f} s and {attempts} attempts: {words}"
        code = UNTOLD if untold else "store_unreachable"
        return DeliveryRefused(fence=job.fence, failure=Failure(code=code, reason=reason))
    delay_s = min(_pause(attempts, outcome, jitter), max(left_s, 1.0))
    return DeliveryDeferred(fence=job.fence, outcome=words, delay_s=delay_s)


def describe(outcome: Outcome) -> str:
    """Return an outcome in words for the history; it holds nothing that the LMS wrote."""
    if isinstance(outcome, Unanswered):
        return outcome.reason
    if HTTPStatus.MULTIPLE_CHOICES <= outcome.status < HTTPStatus.BAD_REQUEST:
        return f"answered {outcome.status}: redirects are not followed"
    return f"answered {outcome.status}"


def backoff(attempts: int, jitter: float) -> float:
    """Return the seconds to wait after the `attempts`-th attempt (1 and up).

    5 s, doubling, at most 4 h, stretched by up to a quarter: `min(5·2^(n-1), 14400)·(1+j/4)`.
    """
    exponent = min(max(attempts, 1) - 1, 32)
    delay_s = limits.DELIVERY_FIRST_DELAY_S * 2.0**exponent
    capped_s: float = min(delay_s, limits.DELIVERY_MAX_DELAY_S)
    return capped_s * (1 + limits.JITTER * jitter)


def _pause(attempts: int, outcome: Outcome, jitter: float) -> float:
    own_s = backoff(attempts, jitter)
    if isinstance(outcome, Answered) and outcome.retry_after_s is not None:
        return max(own_s, min(outcome.retry_after_s, limits.RETRY_AFTER_MAX_S))
    return own_s


def _final(status: int) -> Failure | None:
    return next((failure for code, failure in _FINAL.items() if code == status), None)
