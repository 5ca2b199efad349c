"""What all calls to the LMS have in common: where, signed by whom, and within which time."""

from __future__ import annotations

from collections.abc import Sequence

from core import trace
from infra.addresses import dial_any, dial_public
from infra.http_call import HttpCall, TimeLimits, read_target, trusting_context
from infra.http_headers import user_agent
from infra.signing import signer


class LmsCaller:
    """Calls one URL; what it sends is signed with each of `secrets`, the newest first.

    Secrets are read as `infra.signing.signer` says. `connect_timeout_s` bounds connecting,
    `answer_timeout_s` each pause in which the LMS takes no bytes and the wait for its answer,
    `total_timeout_s` the whole attempt. With `public_only` an LMS without a public address is not
    connected to. Raises ValueError for a URL or secret of a wrong form.
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
            raise ValueError("what the LMS is sent needs at least one secret to be signed with")
        self._times = TimeLimits(
            connect_s=connect_timeout_s, answer_s=answer_timeout_s, total_s=total_timeout_s
        )
        self._context = trusting_context()
        self._agent = user_agent()

    def __repr__(self) -> str:
        """Show where calls go, without secrets, credentials or the URL's query."""
        return f"{type(self).__name__}({self._target!r})"

    def _call(self) -> HttpCall:
        return HttpCall(self._target, self._times, self._context, self._dial)

    def _headers(self, traceparent: str | None) -> dict[str, str]:
        """Return the headers of every call; `traceparent` lets the LMS's traces join ours."""
        traced = {trace.HEADER: traceparent} if traceparent else {}
        return {"User-Agent": self._agent, **traced}
