"""The transcoder's entry: a process that works on one topic until it is told to stop."""

from __future__ import annotations

import shutil
import sys
from functools import partial

from core.messages import Topic
from core.presets import DEFAULT
from infra import clock, ffmpeg, wiring
from infra.wiring import Wiring
from transcoder.compress import Toolbox, compress
from transcoder.deliver import Deliver
from transcoder.dispatch import Handler
from transcoder.stopping import StopSignal
from transcoder.transcode import Transcode
from transcoder.worker import Worker


def run(parts: Wiring, topic: Topic, stop: StopSignal) -> None:
    """Work on `topic` until `stop` is set."""
    worker = Worker(
        bus=parts.ledger.bus,
        topic=topic,
        handler=handler_for(parts, topic, stop),
        lease_s=parts.ledger.policy.lease_s,
        clock=parts.ledger.clock,
        log=parts.log,
        stop=stop,
    )
    worker.run()


def handler_for(parts: Wiring, topic: Topic, stop: StopSignal) -> Handler:
    """Return what handles the messages of `topic`."""
    return _transcode(parts, stop) if topic is Topic.TRANSCODE else _deliver(parts, stop)


def _transcode(parts: Wiring, stop: StopSignal) -> Handler:
    toolbox = Toolbox(ffmpeg=ffmpeg.find(parts.settings.lectern_ffmpeg), python=sys.executable)
    return Transcode(
        ledger=parts.ledger,
        compress=partial(
            compress, preset=DEFAULT, toolbox=toolbox, budget_s=parts.settings.job_timeout
        ),
        scratch=parts.scratch,
        stop=stop,
    )


def _deliver(parts: Wiring, stop: StopSignal) -> Handler:
    return Deliver(
        ledger=parts.ledger,
        courier=wiring.courier(parts.settings),
        interrupting=stop.interrupting,
        jitter=clock.jitter,
    )


def clear_scratch(parts: Wiring) -> None:
    """Remove what killed workers left behind; only while no worker runs."""
    shutil.rmtree(parts.scratch, ignore_errors=True)
