"""The pull loop of a worker process, for buses that are asked for messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from core import limits
from core.errors import Unavailable
from core.messages import Topic
from core.ports import Clock, EventLog, Handout, MessageBus
from transcoder.dispatch import Again, Handler, dispatch


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

    def run(self) -> None:
        """Work until asked to stop."""
        while not self.stop():
            if not self.step():
                self.pause(limits.POLL_S)

    def step(self) -> bool:
        """Handle one message; return whether there was one."""
        try:
            handout = self.bus.receive(self.topic, lease_s=self.lease_s)
            if handout is None:
                return False
            self._handle(handout)
        except Unavailable as error:
            self.log.emit("bus.unavailable", reason=error.detail)
            return False
        return True

    def _handle(self, handout: Handout) -> None:
        disposal = dispatch(self.handler, handout.message, clock=self.clock, log=self.log)
        if not isinstance(disposal, Again):
            self.bus.ack(handout)
        elif disposal.error and handout.deliveries >= limits.MESSAGE_DELIVERIES_MAX:
            self.bus.bury(handout, disposal.error)
            self.log.emit("message.buried", job_id=handout.message.job_id, reason=disposal.error)
        else:
            self.bus.nack(handout, delay_s=disposal.delay_s)
