"""The receiver's routes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Response, g, jsonify, request

from core import views
from core.job import State, check_id
from core.ledger import Ledger
from receiver import metrics, openapi
from receiver.admission import Admission, ReceiveLimits
from receiver.submit import Body, submit

__all__ = ["ReceiveLimits", "blueprint"]


def blueprint(*, ledger: Ledger, new_id: Callable[[], str], admission: Admission) -> Blueprint:
    """Return the front door: receive, status, metrics and the API's description.

    `new_id` returns a new UUID for each upload.
    """
    views_ = _Views(
        ledger=ledger,
        new_id=new_id,
        max_video_bytes=admission.bounds.max_video_bytes,
        admission=admission,
    )
    routes = Blueprint("receiver", __name__)
    routes.add_url_rule("/video/receive", view_func=views_.receive, methods=["POST"])
    routes.add_url_rule("/status/<video_id>", view_func=views_.status)
    routes.add_url_rule("/metrics", view_func=views_.metrics)
    routes.add_url_rule("/openapi.json", "openapi", view_func=views_.openapi)
    return routes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Views:
    ledger: Ledger
    new_id: Callable[[], str]
    max_video_bytes: int
    admission: Admission

    def receive(self) -> Response:
        body = Body(
            content_type=request.headers.get("Content-Type"),
            announced=request.content_length,
            read=request.stream.read,
            traceparent=g.traceparent,
            heard=_name,
        )
        with self.admission.upload():
            job = submit(
                body, ledger=self.ledger, run=self.new_id(), max_bytes=self.max_video_bytes
            )
        g.job = job
        return jsonify(status=State.QUEUED.value, video_id=job.job_id)

    def status(self, video_id: str) -> Response:
        g.job_id = check_id("video_id", video_id)
        g.job = self.ledger.read(video_id)
        return jsonify(views.status(g.job))

    def metrics(self) -> Response:
        text, content_type = metrics.exposition(self.ledger)
        return Response(text, content_type=content_type)

    def openapi(self) -> Response:
        return jsonify(openapi.document())


def _name(field: str, value: str) -> None:
    """Have the request's event say whose upload it is, whatever becomes of it."""
    match field:
        case "video_id":
            g.job_id = value
        case "organization_id":
            g.organization_id = value
