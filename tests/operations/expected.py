"""Which of the week's lines each query must find: by event, the jobs that they are about.

`None` is a line about no job. A query that is not here fails the tests, and so does one line more
or less than stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

Found = Mapping[str | None, Sequence[str | None]]

_RECEIVED: Final = (
    "good", "flaky", "refused", "slow", "damaged", "direct", "late", "stuck", "poisoned",
    "given-up", "buried",
)  # fmt: skip
_ENCODED: Final = ("good", "flaky", "refused", "slow", "late")
_DELIVERED: Final = ("good", "flaky", "refused", "late")
_FAILED: Final[Found] = {"job.failed": ["damaged"], "job.poisoned": ["poisoned", "given-up"]}
_STUCK: Final[Found] = {
    "job.woken": ["slow", "slow", "direct", "direct", "stuck", "stuck", "buried"]
}
_BURIED: Final[Found] = {
    "message.buried": ["stuck", "stuck", "given-up", "buried"],
    "dead_letter.malformed": ["nobody"],
}
_EXPIRED: Final[Found] = {"job.woken": ["flaky", "refused"]}
_SWEEP_ERRORS: Final = ("buried", "slow", "direct", "stuck")
_SERVER_ERRORS: Final[Found] = {"http.request": ["stuck"] * 5}
_CHANGES_OF_FLAKY: Final[Found] = {
    "job.received": ["flaky"],
    "job.claimed": ["flaky"] * 4,
    "job.encoded": ["flaky"],
    "job.deliverydeferred": ["flaky"] * 2,
    "job.delivered": ["flaky"],
    "job.woken": ["flaky"],
    "job.cleaned": ["flaky"],
}
_WORK_ON_FLAKY: Final[Found] = {
    **_CHANGES_OF_FLAKY,
    "push.done": ["flaky"] * 5,
    "message.early": ["flaky"],
}

PAGE: Final[Mapping[str, Found]] = {
    "what_happened": {**_WORK_ON_FLAKY, "http.request": ["flaky"] * 6},
    "its_way": _CHANGES_OF_FLAKY,
    # Pub/Sub's requests are in traces of their own, with the job's id.
    "its_trace": {**_WORK_ON_FLAKY, "http.request": ["flaky"]},
    "failing_callbacks": {
        "job.deliverydeferred": ["flaky", "flaky"],
        "job.deliveryrefused": ["refused"],
    },
    "failed_jobs": _FAILED,
    "slowest_encodes": {"job.encoded": _ENCODED},
    "long_encodes": {},
    "stuck_jobs": _STUCK,
    "lost_workers": {"job.claimed": ["poisoned"] * 10 + ["given-up"] * 10},
    "pushes_again": {"push.again": ["stuck"] * 3},
    "cost_per_organization": {
        "job.received": _RECEIVED,
        "job.encoded": _ENCODED,
        "job.delivered": _DELIVERED,
        "job.retried": ["slow"],
        **_FAILED,
    },
    "time_in_each_state": {
        "job.claimed": [
            "good",
            "flaky",
            "refused",
            "slow",
            "slow",
            "damaged",
            "late",
            "poisoned",
            "given-up",
        ],
        "job.encoded": _ENCODED,
        "job.delivered": _DELIVERED,
        "job.confirmed": ["good", "late"],
        "job.deliveryrefused": ["refused"],
        "job.redelivered": ["refused"],
        "job.retried": ["slow"],
        **_FAILED,
        **_EXPIRED,
    },
    "dead_letters": _BURIED,
    "refused_uploads": {"upload.refused": ["direct-text"], "http.request": ["text", "stuck", None]},
    "refused_confirmations": {"http.request": ["stuck", "unknown"]},
    "never_confirmed": _EXPIRED,
    "bad_push_tokens": {"push.refused": [None]},
    "unreadable": {
        "push.malformed": ["stuck", "stuck"],
        "dead_letter.malformed": ["nobody"],
        "event.malformed": [None],
    },
    "error_by_id": {"http.internal_error": [None]},
    "defects": {"http.internal_error": [None], "worker.error": ["stuck", "stuck"]},
    "server_errors": _SERVER_ERRORS,
    "outages": {
        "bus.unavailable": ["late", "stuck"],
        "http.unavailable": [None],
        "worker.waits": ["stuck"],
        "sweep.error": _SWEEP_ERRORS,
    },
    "what_is_wrong": {
        **_FAILED,
        **_BURIED,
        "event.malformed": [None],
        "job.deliveryrefused": ["refused"],
        "push.malformed": ["stuck", "stuck"],
        "http.internal_error": [None],
        "worker.error": ["stuck", "stuck"],
        "sweep.error": _SWEEP_ERRORS,
    },
    "other_lines": {None: [None] * 4},
    "sweeps": {"sweep.done": [None] * 4, "sweep.orphans_removed": [None]},
}
"""The queries of the page for operators."""

METRICS: Final[Mapping[str, Found]] = {
    "jobs_received": {"job.received": _RECEIVED},
    "jobs_completed": {"job.confirmed": ["good", "late"]},
    "jobs_failed": _FAILED,
    "jobs_retried": {"job.retried": ["slow"]},
    "jobs_stuck": _STUCK,
    "jobs_expired": _EXPIRED,
    "callbacks_deferred": {"job.deliverydeferred": ["flaky", "flaky"]},
    "callbacks_refused": {"job.deliveryrefused": ["refused"]},
    "messages_buried": _BURIED,
    "defects": {
        "worker.error": ["stuck", "stuck"],
        "http.internal_error": [None],
        "push.malformed": ["stuck", "stuck"],
        "push.refused": [None],
        "sweep.error": _SWEEP_ERRORS,
    },
    "http_errors": _SERVER_ERRORS,
    "http_requests": {
        "http.request": [None] * 13
        + ["good"] * 5
        + ["flaky"] * 6
        + ["refused"] * 4
        + ["slow"] * 3
        + ["damaged"] * 2
        + ["direct", "direct-text", "text", "unknown", "given-up"]
        + ["buried"]
        + ["poisoned"] * 2
        + ["stuck"] * 10
        + ["late"] * 4,
    },
    "encodes": {"job.encoded": _ENCODED},
    "results": {"job.encoded": _ENCODED},
    "steps": {
        "push.done": ["good"] * 2
        + ["flaky"] * 5
        + ["refused"] * 3
        + ["slow"] * 2
        + ["damaged"]
        + ["poisoned"]
        + ["late"] * 2,
    },
}
"""The filters of Terraform's metrics and alerts."""

NOT_PLAYED: Final = frozenset(
    {
        "job.clean_unrecorded",
        "lease.not_renewed",
        "store.unavailable",
        "sweep.folders_removed",
        "upload.foreign_bucket",
        "upload.left_to_sweep",
    }
)
"""Events that queries name and the week does not show; the code must have them."""
