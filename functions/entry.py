"""The source file of functions-framework: one process serves one of these targets.

    functions-framework --source functions/entry.py --target sweep

or the same by FUNCTION_SOURCE and FUNCTION_TARGET. HOST and PORT are the framework's own
variables, all others those of `infra.settings`. Each target names its own signature type.

| target | called by | answers |
|---|---|---|
| `sweep` | Cloud Scheduler, POST, every minute | 200 with what was done; 503 for a store that does not answer |
| `dead_letter` | Eventarc or a push subscription: a message on the dead-letter topic | 200, 503 |
| `upload_finalized` | Eventarc: an object was committed | 200, 503 |

A request that is no CloudEvent of the right type is answered 400, a defect 500. The platform lets
only invokers in, so no key is asked for. All three may run twice, and at the same time, without
harm: what they change is decided by the job's record.

The framework runs this file inside the application context of the Flask app that it has made, and
forks afterwards. So the settings are read here, where a wrong one stops the start, and
connections are made with the first request, in the process that serves it. Nothing goes on after
an answer: the platform takes the CPU away then.
"""  # noqa: E501 - a table

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Final

import functions_framework
from cloudevents.http import CloudEvent
from flask import Flask, Request, Response, current_app, has_app_context, jsonify
from werkzeug.exceptions import MethodNotAllowed

from core import limits
from core.errors import BadRequest
from core.job import PREFIXES
from core.trace import Traceparent
from core.uploads import finish_object
from functions import dead_letter as dead_letters
from functions import main
from functions.answers import Answers, running
from functions.search import Searches
from functions.sweep import Swept
from infra import health, logging, settings, wiring
from infra.clock import new_id, new_span_id, new_trace_id
from infra.hidden import hide
from infra.settings import Settings, SettingsError
from infra.wiring import Wiring

_NAME: Final = "lectern"
"""Under which the app keeps its service."""
_RESTS_ON: Final = ("jobs",)
"""What `/ready` asks for; the object store's own check would write."""
_FINALIZED: Final = "google.cloud.storage.object.v1.finalized"
_SWEEP_S_MAX: Final = 45.0
"""Seconds after which a sweep begins nothing new: less than Scheduler's minute.

What it has begun may take the adapters' patience with a silent store on top, a minute at most;
the request's time limit should be 180 s."""


@dataclass(slots=True, kw_only=True)
class Service:
    """What the targets of one process share; `connect` is called by the first request."""

    settings: Settings
    log: logging.StructuredLog
    connect: Callable[[Settings], Wiring] = wiring.connect
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _parts: Wiring | None = None
    _searches: Searches = field(init=False)

    def __post_init__(self) -> None:
        pause_s = min(limits.ORPHAN_SWEEP_EVERY_S, self.settings.orphan_grace_s)
        self._searches = Searches(origin=_somewhere, pause_s=pause_s)

    def parts(self) -> Wiring:
        """Return the process's connections; gRPC's do not survive a fork, so make them late."""
        with self._lock:
            if self._parts is None:
                self._parts = self.connect(self.settings)
            return self._parts

    def sweep(self) -> Swept:
        """Do one sweep, bounded in time.

        Orphans are looked for from a process's first sweep on: that lists the whole bucket and
        reads the record of each run in it, in as many sweeps as it takes, and then pauses. How far
        it has come is kept in this process only. Called every minute it hardly ever ends; where it
        does, the price of a search too many is a listing, while a time taken from the clock
        (every tenth minute) would miss them all if Scheduler's own period did not fit.
        """
        parts = self.parts()
        began = time.monotonic()
        with self._searches.turn() as search:
            swept = main.sweep(
                parts,
                orphans=search is not None,
                search=search,
                enough=lambda: time.monotonic() - began >= _SWEEP_S_MAX,
            )
        duration_s = round(time.monotonic() - began, 3)
        parts.log.emit("sweep.done", **asdict(swept), duration_s=duration_s)
        return swept

    def check(self, name: str) -> None:
        """Run one of the wired readiness checks."""
        self.parts().checks[name]()


@functions_framework.http
def sweep(request: Request) -> Response:
    """Sweep once and answer what was done."""
    if request.method != "POST":
        raise MethodNotAllowed(valid_methods=["POST"])
    with running():
        return jsonify(asdict(_service().sweep()))


@functions_framework.cloud_event
def dead_letter(event: CloudEvent) -> None:
    """Record what a dead letter means for its job."""
    letter = dead_letters.read(_data(event, dead_letters.EVENT_TYPE))
    with running():
        dead_letters.take(letter, _service().parts().ledger)


@functions_framework.cloud_event
def upload_finalized(event: CloudEvent) -> None:
    """Start the job of a direct upload whose object is whole; pass over every other object.

    A refusal (a wrong type, a taken id) is recorded with the upload, and the event is done.
    """
    bucket, name = _object(_data(event, _FINALIZED))
    service = _service()
    if bucket != service.settings.lectern_bucket:
        service.log.emit("upload.foreign_bucket", reason="the trigger watches another bucket")
        return
    with running():
        parts = service.parts()
        finish_object(name, ledger=parts.ledger, sessions=parts.sessions)


def _object(data: object) -> tuple[str, str]:
    """Return bucket and name of an object event's data; raises BadRequest."""
    fields = data if isinstance(data, dict) else {}
    bucket, name = fields.get("bucket"), fields.get("name")
    if not isinstance(bucket, str) or not isinstance(name, str):
        raise BadRequest("the event's data must name an object and its bucket")
    return bucket, name


def _data(event: CloudEvent, expected: str) -> object:
    if event["type"] != expected:
        raise BadRequest(f"this function takes events of the type {expected}")
    data: object = event.get_data()
    return data


def _somewhere() -> str:
    """Return a key, whether or not there is such an object: each part of the bucket may come."""
    run = new_id()
    return f"{PREFIXES[int(run[:8], 16) % len(PREFIXES)]}/{run}"


def _service() -> Service:
    service: Service = current_app.extensions[_NAME]
    return service


def _span(header: str | None) -> str:
    parent = Traceparent.read(header)
    if parent is None:
        return str(Traceparent(trace_id=new_trace_id(), span_id=new_span_id()))
    return str(parent.child(new_span_id()))


def _prepare(app: Flask) -> None:
    """Make the framework's app ours; ends the process with one line for a wrong setting."""
    hide()
    try:
        chosen = settings.load()
    except SettingsError as error:
        raise SystemExit(f"functions: {error}") from None
    logging.configure(
        style=chosen.log_format,
        level=chosen.log_level,
        cloud_project=chosen.cloud_project,
    )
    log = logging.StructuredLog()
    service = Service(settings=chosen, log=log)
    app.extensions[_NAME] = service
    Answers(log=log, span=_span).install(app)
    checks = {name: partial(service.check, name) for name in _RESTS_ON}
    app.register_blueprint(health.blueprint(checks))


if has_app_context():  # the framework runs this file; an import for anything else changes nothing
    _prepare(current_app)
