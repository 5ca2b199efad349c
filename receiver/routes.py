"""The receiver's routes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from flask import Blueprint, Response, g, jsonify, request

from core import compress, views
from core.errors import NotFound, OverLimit, TooLarge
from core.job import Job, State, check_id
from core.ledger import Ledger
from core.order import Contract
from core.ports import Links
from core.sets import MANIFEST, grant_of
from receiver import metrics, openapi
from receiver.admission import Admission, ReceiveLimits
from receiver.intake import COMPRESS, HANDSHAKE, Dialect
from receiver.submit import Body, submit

__all__ = ["ReceiveLimits", "blueprint"]


def blueprint(
    *,
    ledger: Ledger,
    new_id: Callable[[], str],
    admission: Admission,
    links: Links | None = None,
) -> Blueprint:
    """Return the front door: both contracts, status, metrics and the API's description.

    `new_id` returns a new UUID for each upload, `links` makes the URLs of sets of renditions.
    """
    views_ = _Views(ledger=ledger, new_id=new_id, admission=admission, links=links)
    routes = Blueprint("receiver", __name__)
    routes.add_url_rule("/video/receive", view_func=views_.receive, methods=["POST"])
    for rule in ("/compress/", "/compress"):
        routes.add_url_rule(rule, view_func=views_.compress, methods=["POST"])
    routes.add_url_rule("/status/<video_id>", view_func=views_.status)
    routes.add_url_rule("/metrics", view_func=views_.metrics)
    routes.add_url_rule("/openapi.json", "openapi", view_func=views_.openapi)
    return routes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Views:
    ledger: Ledger
    new_id: Callable[[], str]
    admission: Admission
    links: Links | None

    def receive(self) -> Response:
        job = self._submit(HANDSHAKE)
        return jsonify(status=State.QUEUED.value, video_id=job.job_id)

    def compress(self) -> Response:
        try:
            job = self._submit(COMPRESS)
        except TooLarge as error:
            raise OverLimit(error.detail) from error
        return jsonify(compress.accepted(job))

    def _submit(self, dialect: Dialect) -> Job:
        body = Body(
            content_type=request.headers.get("Content-Type"),
            announced=request.content_length,
            read=request.stream.read,
            traceparent=g.traceparent,
            heard=_name,
        )
        with self.admission.upload(g.inlet):
            g.job = job = submit(
                body,
                ledger=self.ledger,
                run=self.new_id(),
                dialect=dialect,
                bounds=self.admission.bounds.files,
            )
        return job

    def status(self, video_id: str) -> Response | tuple[Response, int]:
        g.job_id = check_id("video_id", video_id)
        job = self.ledger.jobs.get(video_id)
        if job is None:
            g.code = NotFound.code
            return jsonify(compress.not_found(video_id)), HTTPStatus.NOT_FOUND
        g.job = job
        if job.order.contract is Contract.COMPRESS and "detail" not in request.args:
            return jsonify(compress.status(job))
        return jsonify(views.status(job, manifest_url=self._manifest_url(job)))

    def _manifest_url(self, job: Job) -> str | None:
        grant = grant_of(job, self.ledger.clock.now(), self.ledger.policy)
        return self.links.url(grant, MANIFEST) if self.links and grant else None

    def metrics(self) -> Response:
        text, content_type = metrics.exposition(self.ledger)
        return Response(text, content_type=content_type)

    def openapi(self) -> Response:
        return jsonify(openapi.document())


def _name(field: str, value: str) -> None:
    """Have the request's event say whose upload it is, whatever becomes of it."""
    match field:
        case "video_id" | "media_id":
            g.job_id = value
        case "organization_id":
            g.organization_id = value
