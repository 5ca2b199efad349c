"""The courier: carries a result to the LMS's store webhook."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from requests_toolbelt import MultipartEncoder
from standardwebhooks import Webhook

from core import trace
from core.delivery import ACCEPTED, Answered, Outcome, Parcel, Unanswered
from core.errors import Unavailable
from core.ports import ObjectReader
from infra.addresses import dial_any, dial_public
from infra.http_call import CallFailed, HttpCall, TimeLimits, read_target, trusting_context
from infra.http_headers import retry_after_s, user_agent
from infra.signing import delivery_headers, manifest_fields, receipt_fields, signer


class WebhookCourier:
    """Posts results to one URL, signed with each of `secrets`, the newest first.

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
            raise ValueError("a delivery needs at least one secret to be signed with")
        self._times = TimeLimits(
            connect_s=connect_timeout_s, answer_s=answer_timeout_s, total_s=total_timeout_s
        )
        self._context = trusting_context()
        self._agent = user_agent()

    def __repr__(self) -> str:
        """Show where parcels go, without secrets, credentials or the URL's query."""
        return f"WebhookCourier({self._target!r})"

    def send(
        self, parcel: Parcel, body: ObjectReader, enclosed: Sequence[ObjectReader] = ()
    ) -> Outcome:
        """POST `parcel` with the bytes of `body` and return what came of it.

        What the network and the LMS do becomes the outcome. What `body` raises is raised, and
        Unavailable when it ends early or has another size than the parcel says.
        """
        form = _form(parcel, (body, *enclosed), self._signers)
        headers = {
            **delivery_headers(self._signers, parcel),
            "Content-Type": form.content_type,
            "Content-Length": str(form.len),
            "User-Agent": self._agent,
            **({trace.HEADER: parcel.traceparent} if parcel.traceparent else {}),
        }
        with contextlib.closing(self._call()) as call:
            try:
                call.connect()
                whole = call.upload(headers, form)
                return _outcome(call, whole=whole)
            except CallFailed as failed:
                return Unanswered(reason=failed.reason)
            except _SourceFailed as failed:
                raise failed.error from None

    def _call(self) -> HttpCall:
        return HttpCall(self._target, self._times, self._context, self._dial)


class _SourceFailed(Exception):
    """Keeps a failure of our own store apart from those of the network."""

    def __init__(self, error: Exception) -> None:
        super().__init__("the object could not be read")
        self.error = error


class _Source:
    """A stored object as requests-toolbelt wants a file: `len` is what is left of it."""

    def __init__(self, body: ObjectReader) -> None:
        self.len = body.size
        self._body = body

    def read(self, count: int = -1) -> bytes:
        """Return at most `count` bytes; raises _SourceFailed."""
        try:
            data = self._body.read(self.len if count < 0 else min(count, self.len))
        except Exception as error:
            raise _SourceFailed(error) from error
        if not data and self.len:
            raise _SourceFailed(Unavailable(f"the stored object lacks its last {self.len} bytes"))
        self.len -= len(data)
        return data


def _form(
    parcel: Parcel, bodies: Sequence[ObjectReader], signers: Sequence[Webhook]
) -> MultipartEncoder:
    sizes = (parcel.file_size, *(each.size for each in parcel.enclosures))
    for body, size in zip(bodies, sizes, strict=True):
        if body.size != size:
            raise Unavailable(f"the stored object has {body.size} bytes instead of {size}")
    file, *enclosed = map(_Source, bodies)
    return MultipartEncoder(
        [
            ("video_id", parcel.video_id),
            ("organization_id", parcel.organization_id),
            *receipt_fields(signers, parcel.receipt).items(),
            *manifest_fields(signers, parcel).items(),
            ("file", (parcel.file_name, file, parcel.content_type)),
            *(
                (each.name, (each.file_name, source, each.content_type))
                for each, source in zip(parcel.enclosures, enclosed, strict=True)
            ),
        ]
    )


def _outcome(call: HttpCall, *, whole: bool) -> Outcome:
    response = call.answer()
    if response.status == ACCEPTED and not whole:
        return Unanswered(reason="answered 200 before the whole file was sent")
    outcome = Answered(status=response.status, retry_after_s=retry_after_s(response))
    call.drain(response)
    return outcome
