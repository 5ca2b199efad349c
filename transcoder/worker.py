"""The pull loop of a worker process, for buses that are asked for messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from core import limits
from core.errors import Unavailable
from core.messages import Topic
from core.ports import Clock, EventLog, Handout, MessageBus
from transcoder.dispatch import Again, Handler, dispatch


@dataclass(slots=True)
class _Silence:
    """For how long to leave a bus alone that did not answer, and when that was told last."""

    pause_s: float = 0.0
    told_at: float | None = None

    def grow(self) -> None:
        """Leave it alone for twice as long as before."""
        self.pause_s = min(2 * max(self.pause_s, limits.POLL_S), limits.SILENT_BUS_PAUSE_MAX_S)

    def is_news(self, now: float) -> bool:
        """Tell whether to log it, and take it as logged then."""
        if self.told_at is not None and 0 <= now - self.told_at < limits.SILENT_BUS_TOLD_S:
            return False
        self.told_at = now
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Takes one message after the other from `topic` until `stop()`."""

    bus: MessageBus
    topic: Topic
    handler: Handler
    lease_s: float
    clock: Clock
    log: EventLog
    stop: Callable[[], bool]
    pause: Callable[[float], None] = time.sleep
    _silence: _Silence = field(default_factory=_Silence, init=False)

    def run(self) -> None:
        """Work until asked to stop. A bus that does not answer is asked less and less often."""
        while not self.stop():
            if not self.step():
                self._rest(self._silence.pause_s or limits.POLL_S)

    def step(self) -> bool:
        """Handle one message; return whether there was one."""
        try:
            handout = self.bus.receive(self.topic, lease_s=self.lease_s)
            if handout is not None:
                self._handle(handout)
        except Unavailable as error:
            self._silence.grow()
            if self._silence.is_news(self.clock.now()):
                self.log.emit("bus.unavailable", reason=error.detail)
            return False
        self._silence.pause_s = 0.0
        return handout is not None

    def _rest(self, seconds: float) -> None:
        """Wait, but not longer than it takes to hear of a stop."""
        for _ in range(round(seconds / limits.POLL_S)):
            if self.stop():
                return
            self.pause(limits.POLL_S)

    def _handle(self, handout: Handout) -> None:
        disposal = dispatch(self.handler, handout.message, clock=self.clock, log=self.log)
        if not isinstance(disposal, Again):
            self.bus.ack(handout)
        elif disposal.error and handout.deliveries >= limits.MESSAGE_DELIVERIES_MAX:
            self.bus.bury(handout, disposal.error)
            self.log.emit("message.buried", job_id=handout.message.job_id, reason=disposal.error)
        else:
            self.bus.nack(handout, delay_s=disposal.delay_s)
