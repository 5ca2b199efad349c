"""The announcer: tells the LMS's confirmation API where a result was put."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from standardwebhooks import Webhook

from core import trace
from core.delivery import Answered, Outcome, Unanswered
from core.placement import Notice, notice_text
from infra.addresses import dial_any, dial_public
from infra.http_call import CallFailed, HttpCall, TimeLimits, read_target, trusting_context
from infra.http_headers import retry_after_s, user_agent
from infra.signing import signer


class ConfirmApi:
    """Posts notices to one URL, signed with each of `secrets`, the newest first.

    The signature is that of Standard Webhooks over the body as it is sent. Secrets are read as
    `infra.signing.signer` says. The limits in seconds are those of `infra.webhook`. Raises
    ValueError for a URL or secret of a wrong form.
    """

    def __init__(
        self,
        *,
        url: str,
        secrets: Sequence[str],
        connect_timeout_s: float,
        answer_timeout_s: float,
        total_timeout_s: float,
        public_only: bool = False,
    ) -> None:
        self._target = read_target(url)
        self._dial = dial_public if public_only else dial_any
        self._signers = [signer(secret) for secret in secrets]
        if not self._signers:
            raise ValueError("a notice needs at least one secret to be signed with")
        self._times = TimeLimits(
            connect_s=connect_timeout_s, answer_s=answer_timeout_s, total_s=total_timeout_s
        )
        self._context = trusting_context()
        self._agent = user_agent()

    def __repr__(self) -> str:
        """Show where notices go, without secrets, credentials or the URL's query."""
        return f"ConfirmApi({self._target!r})"

    def announce(self, notice: Notice) -> Outcome:
        """POST the notice and return what came of it, whatever the network and the LMS do."""
        body = notice_text(notice)
        headers = {
            **_signature(self._signers, notice, body),
            "Content-Type": "application/json",
            "User-Agent": self._agent,
            **({trace.HEADER: notice.traceparent} if notice.traceparent else {}),
        }
        with contextlib.closing(self._call()) as call:
            try:
                call.connect()
                whole = call.upload(headers, body.encode())
                return _outcome(call, whole=whole)
            except CallFailed as failed:
                return Unanswered(reason=failed.reason)

    def _call(self) -> HttpCall:
        return HttpCall(self._target, self._times, self._context, self._dial)


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
