"""The courier: carries a result to the LMS's store webhook."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from requests_toolbelt import MultipartEncoder
from standardwebhooks import Webhook

from core.delivery import ACCEPTED, Answered, Outcome, Parcel, Unanswered
from core.errors import Unavailable
from core.ports import ObjectReader
from infra.http_call import CallFailed, HttpCall
from infra.http_headers import retry_after_s
from infra.lms_caller import LmsCaller
from infra.signing import delivery_headers, manifest_fields, receipt_fields


class WebhookCourier(LmsCaller):
    """Posts results to one URL, signed with each of the secrets, the newest first."""

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
            **self._headers(parcel.traceparent),
            "Content-Type": form.content_type,
            "Content-Length": str(form.len),
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
