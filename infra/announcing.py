"""The announcer: tells the LMS's confirmation API where a result was put."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from standardwebhooks import Webhook

from core.delivery import Answered, Outcome, Unanswered
from core.placement import Notice, notice_text
from infra.http_call import CallFailed, HttpCall
from infra.http_headers import retry_after_s
from infra.lms_caller import LmsCaller


class ConfirmApi(LmsCaller):
    """Posts notices to one URL, signed with each of the secrets, the newest first.

    The signature is that of Standard Webhooks over the body as it is sent.
    """

    def announce(self, notice: Notice) -> Outcome:
        """POST the notice and return what came of it, whatever the network and the LMS do."""
        body = notice_text(notice)
        headers = {
            **_signature(self._signers, notice, body),
            **self._headers(notice.traceparent),
            "Content-Type": "application/json",
        }
        with contextlib.closing(self._call()) as call:
            try:
                call.connect()
                whole = call.upload(headers, body.encode())
                return _outcome(call, whole=whole)
            except CallFailed as failed:
                return Unanswered(reason=failed.reason)


def _outcome(call: HttpCall, *, whole: bool) -> Outcome:
    response = call.answer()
    if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES and not whole:
        return Unanswered(reason=f"answered {response.status} before the notice was sent")
    outcome = Answered(status=response.status, retry_after_s=retry_after_s(response))
    call.drain(response)
    return outcome


def _signature(signers: Sequence[Webhook], notice: Notice, body: str) -> dict[str, str]:
    at = datetime.fromtimestamp(notice.sent_at, tz=UTC)
    return {
        "webhook-id": notice.delivery_id,
        "webhook-timestamp": str(notice.sent_at),
        "webhook-signature": " ".join(each.sign(notice.delivery_id, at, body) for each in signers),
    }
