"""Brings a message to its step and says what becomes of the message afterwards."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from core.errors import (
    Interrupted,
    LeaseHeld,
    LeaseLost,
    NotDue,
    NotFound,
    StaleMessage,
    Unavailable,
    UnreadableRecord,
    WorkerLost,
)
from core.messages import Message
from core.ports import Clock, EventLog

Handler = Callable[[Message], None]

_VOID: Final = (StaleMessage, LeaseHeld, LeaseLost, NotFound, WorkerLost, UnreadableRecord)
"""The record is the truth: after these the message has nothing to say any more. Of a record that
cannot be read the sweep publishes anew once it can."""
_UNAVAILABLE_PAUSE_S: Final = 5.0
"""Pause after the job store did not answer; an outage is rarely shorter."""
_ERROR_PAUSE_S: Final = 30.0
"""Pause after an error that nobody foresaw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Drop the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Hand the message out once more after `delay_s`; `error` if nobody foresaw the reason."""

    delay_s: float
    error: str | None = None


def dispatch(handler: Handler, message: Message, *, clock: Clock, log: EventLog) -> Done | Again:
    """Run `handler` on `message` and return what to do with the message. Never raises.

    Events of the step carry the message's job and trace.
    """
    with log.bind(job_id=message.job_id, traceparent=message.traceparent):
        return _disposal(handler, message, clock, log)


def _disposal(handler: Handler, message: Message, clock: Clock, log: EventLog) -> Done | Again:
    try:
        handler(message)
    except _VOID as reason:
        log.emit("message.void", topic=message.topic, reason=reason.code)
    except NotDue as reason:
        return Again(delay_s=max(reason.due_at - clock.now(), 0.0))
    except Interrupted:
        return Again(delay_s=0.0)
    except Unavailable as reason:
        log.emit("worker.waits", reason=reason.detail)
        return Again(delay_s=_UNAVAILABLE_PAUSE_S)
    except Exception as error:  # noqa: BLE001 - the outermost loop: a defect must not end it
        log.emit("worker.error", trace=traceback.format_exc())
        return Again(delay_s=_ERROR_PAUSE_S, error=type(error).__name__)
    return Done()
