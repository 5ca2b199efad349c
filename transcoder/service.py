"""The transcoder as a service that Pub/Sub pushes to: the application and what works behind it.

Steps run in the main thread and requests are answered in others, so probes are answered while a
step runs, and a platform may ask `/health` at any time: 503 from there means a step that hangs.
A second push waits for the first, then is refused and comes again. No platform needs to allow
more than one request at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from flask import Flask, request

from core import limits
from core.errors import Unavailable
from core.messages import Message, Topic
from core.ports import EventLog
from infra import health
from infra.http import OPEN_PATHS, new_app
from infra.push_server import Service
from infra.required import on_pubsub_emulator
from infra.settings import Settings
from infra.wiring import Wiring
from transcoder import push
from transcoder.bench import Bench
from transcoder.dispatch import Handler
from transcoder.main import pushed_handler_for
from transcoder.stopping import StopSignal

RESTS_ON: Final = ("store", "jobs", "ffmpeg")
"""What the transcoder needs to be ready. Messages come to it; it only publishes, and where that
fails the sweep does it."""
THREADS: Final = limits.PUSH_WAITING_MAX + 4
"""Requests at the same time: one push that is worked on, those that wait, and some for probes."""


def create_app(
    parts: Wiring,
    stop: StopSignal,
    *,
    bench: Bench,
    verify: push.Verify | None,
    step_s: float = limits.PUSH_STEP_S,
) -> Flask:
    """Return both push endpoints, `/health` and `/ready` as a WSGI application.

    Steps are done on `bench`, within `step_s` each. Without `verify` there are no push endpoints.
    `/health` is answered 503 when a step hangs past any bound.
    """
    app = new_app("transcoder", keys=parts.keys, log=parts.log, open_paths=OPEN_PATHS | push.PATHS)
    app.before_request(partial(_refuse_health_if, bench.is_stuck))
    app.register_blueprint(health.blueprint(health.some(parts.checks, RESTS_ON)))
    if verify is not None:
        handlers = {
            topic: _on(bench, pushed_handler_for(parts, topic, stop, step_s=step_s))
            for topic in pushed_topics(parts.settings)
        }
        app.register_blueprint(
            push.blueprint(
                handlers=handlers,
                verify=verify,
                clock=parts.ledger.clock,
                log=parts.log,
                deliveries_max=parts.settings.push_deliveries_max,
            )
        )
    return app


def pushed_topics(settings: Settings) -> tuple[Topic, ...]:
    """Return what is pushed to this process."""
    steps = settings.push_steps
    return tuple(Topic) if steps == "all" else (Topic(steps),)


def create_service(parts: Wiring) -> Service:
    """Return the application, and the main thread's work, for `infra.push_server`."""
    stop = StopSignal()
    bench = Bench(stop)
    verify = verification(parts)
    return Service(
        app=create_app(parts, stop, bench=bench, verify=verify),
        work=bench.work,
        close=bench.close,
        on_stop=stop.hear,
    )


def verification(parts: Wiring) -> push.Verify | None:
    """Return the check of a push's token, or None where nobody could push.

    Only the emulator's pushes go unchecked, which the event `push.unchecked` tells.
    """
    settings = parts.settings
    if settings.push_audience:
        from infra.gcp.tokens import google_push_tokens  # noqa: PLC0415 - only where installed

        return google_push_tokens(
            audience=settings.push_audience,
            service_account_email=settings.push_service_account,
            clock=parts.ledger.clock,
            signature_checked_before=settings.push_behind_iam,
        )
    if settings.lectern_backend == "gcp" and on_pubsub_emulator():
        return _unchecked(parts.log)
    return None


def _on(bench: Bench, handler: Handler) -> Handler:
    def step(message: Message) -> None:
        bench.do(partial(handler, message))

    return step


def _unchecked(log: EventLog) -> push.Verify:
    log.emit(
        "push.unchecked",
        reason="PUBSUB_EMULATOR_HOST is set and PUSH_AUDIENCE is not: anybody may push",
    )
    return lambda _header: None


def _refuse_health_if(is_stuck: Callable[[], bool]) -> None:
    if request.path == "/health" and is_stuck():
        raise Unavailable("a step hangs; start this instance anew")
