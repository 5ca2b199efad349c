"""The receiver's routes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from flask import Blueprint, Response, g, jsonify, request

from core import limits as bounds
from core import views
from core.errors import LecternError
from core.job import State, check_id
from core.ledger import Ledger
from core.ports import Checks, ReadinessCheck
from receiver import metrics, openapi
from receiver.admission import Admission, ReceiveLimits, Remembered
from receiver.submit import Body, submit

__all__ = ["ReceiveLimits", "blueprint"]

CheckResults = dict[str, dict[str, object]]


def blueprint(
    *, ledger: Ledger, new_id: Callable[[], str], limits: ReceiveLimits, checks: Checks
) -> Blueprint:
    """Return the front door: receive, status, probes, metrics and the API's description.

    `new_id` returns a new UUID for each upload.
    """
    views_ = _Views(
        ledger=ledger,
        new_id=new_id,
        max_video_bytes=limits.max_video_bytes,
        admission=Admission(jobs=ledger.jobs, clock=ledger.clock, bounds=limits),
        results=Remembered(lambda: _run(checks), ledger.clock),
    )
    routes = Blueprint("receiver", __name__)
    routes.add_url_rule("/video/receive", view_func=views_.receive, methods=["POST"])
    routes.add_url_rule("/status/<video_id>", view_func=views_.status)
    routes.add_url_rule("/health", view_func=views_.health)
    routes.add_url_rule("/ready", view_func=views_.ready)
    routes.add_url_rule("/metrics", view_func=views_.metrics)
    routes.add_url_rule("/openapi.json", "openapi", view_func=views_.openapi)
    return routes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Views:
    ledger: Ledger
    new_id: Callable[[], str]
    max_video_bytes: int
    admission: Admission
    results: Remembered[CheckResults]

    def receive(self) -> Response:
        body = Body(
            content_type=request.headers.get("Content-Type"),
            announced=request.content_length,
            read=request.stream.read,
        )
        with self.admission.upload():
            job = submit(
                body, ledger=self.ledger, run=self.new_id(), max_bytes=self.max_video_bytes
            )
        g.job_id = job.job_id
        return jsonify(status=State.QUEUED.value, video_id=job.job_id)

    def status(self, video_id: str) -> Response:
        g.job_id = check_id("video_id", video_id)
        return jsonify(views.status(self.ledger.read(video_id)))

    def health(self) -> Response:
        return jsonify(status="ok")

    def ready(self) -> Response:
        results = self.results()
        well = all(result["ok"] for result in results.values())
        response = jsonify(status="ready" if well else "not_ready", checks=results)
        response.status_code = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
        return response

    def metrics(self) -> Response:
        text, content_type = metrics.exposition(self.ledger)
        return Response(text, content_type=content_type)

    def openapi(self) -> Response:
        return jsonify(openapi.document())


def _run(checks: Checks) -> CheckResults:
    return {name: _result(check) for name, check in checks.items()}


def _result(check: ReadinessCheck) -> dict[str, object]:
    """Run a check; only an error of the tree has words that are fit for an open path."""
    try:
        check()
    except LecternError as error:
        return {"ok": False, "reason": error.detail[: bounds.REASON_CHARS_MAX]}
    except Exception as error:  # noqa: BLE001 - a check may raise anything, and says so by it
        return {"ok": False, "reason": f"failed with {type(error).__name__}"}
    return {"ok": True}
