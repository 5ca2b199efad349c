"""The transcoder's handlers, put together: for workers that pull, and for messages pushed."""

from __future__ import annotations

import math
import shutil
import sys
from dataclasses import replace
from functools import partial

from core import limits
from core.messages import Message, Topic
from core.presets import BY_NAME, at_speed
from infra import clock, ffmpeg, wiring
from infra.settings import Settings
from infra.wiring import Wiring
from transcoder.bounded import BoundedPress, BoundedTransfers, Budget
from transcoder.compress import Toolbox
from transcoder.deliver import ByFile, Deliver
from transcoder.dispatch import Handler
from transcoder.pressing import MediaPress
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
    """Return what handles the messages of `topic`, each for as long as the settings allow."""
    return _transcode(parts, stop) if topic is Topic.TRANSCODE else _deliver(parts, stop)


def pushed_handler_for(
    parts: Wiring, topic: Topic, stop: StopSignal, *, step_s: float = limits.PUSH_STEP_S
) -> Handler:
    """Return what handles pushed messages of `topic` in the main thread, within `step_s` each.

    The settings bound a step where they say less.
    """
    if topic is Topic.DELIVER:
        return _deliver(parts, stop, longest_s=step_s)
    return partial(_transcode_in_time, parts, _toolbox(parts), stop, step_s)


def clear_scratch(parts: Wiring) -> None:
    """Remove what killed workers left behind; only while no worker runs."""
    shutil.rmtree(parts.scratch, ignore_errors=True)


def _transcode(parts: Wiring, stop: StopSignal) -> Handler:
    return Transcode(
        ledger=parts.ledger,
        press=_press(parts, _toolbox(parts), parts.settings.job_timeout),
        scratch=parts.scratch,
        stop=stop,
        price_per_cpu_s=parts.settings.cpu_second_price,
    )


def _transcode_in_time(
    parts: Wiring, toolbox: Toolbox, stop: StopSignal, step_s: float, message: Message
) -> None:
    budget = Budget.starting_now(step_s)
    transfers = BoundedTransfers(store=parts.ledger.objects, budget=budget, within=stop.within)
    step = Transcode(
        ledger=replace(parts.ledger, objects=transfers),
        press=BoundedPress(
            press=partial(_press, parts, toolbox),
            budget=budget,
            job_timeout_s=parts.settings.job_timeout,
        ),
        scratch=parts.scratch,
        stop=stop,
        price_per_cpu_s=parts.settings.cpu_second_price,
    )
    step(message)


def _press(parts: Wiring, toolbox: Toolbox, budget_s: float) -> MediaPress:
    return MediaPress(
        preset=at_speed(BY_NAME[parts.settings.preset], parts.settings.encoder_speed),
        toolbox=toolbox,
        budget_s=budget_s,
        piece_s=parts.settings.piece_s,
    )


def _toolbox(parts: Wiring) -> Toolbox:
    return Toolbox(ffmpeg=ffmpeg.find(parts.settings.lectern_ffmpeg), python=sys.executable)


def _by_file(parts: Wiring, settings: Settings) -> ByFile | None:
    """Return what delivers by SFTP, where that is set up."""
    if not settings.has_sftp:
        return None
    return ByFile(
        objects=parts.ledger.objects,
        depot=wiring.depot(settings),
        announcer=wiring.announcer(settings),
        videos=settings.sftp_videos,
        images=settings.sftp_images,
    )


def _deliver(parts: Wiring, stop: StopSignal, *, longest_s: float = math.inf) -> Handler:
    bounded = {
        name: min(getattr(parts.settings, name), longest_s)
        for name in ("store_timeout_s", "sftp_timeout_s")
    }
    settings = parts.settings.model_copy(update=bounded)
    return Deliver(
        ledger=parts.ledger,
        courier=wiring.courier(settings),
        by_file=_by_file(parts, settings),
        interrupting=stop.interrupting,
        jitter=clock.jitter,
        links=parts.links,
    )
