"""A job with a set, over fakes."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from core.job import Job, Policy, source_key
from core.messages import Message, Topic
from core.order import Contract, Delivery, Order
from tests.fake_press import SOURCE
from tests.fakes import FakeCourier, World, a_world, an_upload, put
from tests.http.door import LINKS
from transcoder.deliver import ByFile, Deliver
from transcoder.dispatch import Again, Done, dispatch
from transcoder.press import Press
from transcoder.transcode import Transcode

ORDER = Order(ladder="hls")
BY_FILE = Order(contract=Contract.COMPRESS, delivery=Delivery.SFTP, ladder="hls")


def a_world_with(order: Order = ORDER) -> World:
    """Return a world with one job that waits to be transcoded."""
    world = a_world(policy=Policy(max_retries=3))
    put(world.objects, source_key("run-1"), SOURCE)
    world.ledger.receive(replace(an_upload("video-1", run="run-1"), order=order))
    return world


def job(world: World) -> Job:
    """Return the one job."""
    return world.ledger.read("video-1")


def transcode(world: World, folder: Path, press: Press) -> Done | Again:
    """Hand the transcode message to the step."""
    step = Transcode(ledger=world.ledger, press=press, scratch=folder, stop=lambda: False)
    message = Message(topic=Topic.TRANSCODE, job_id="video-1", run="run-1")
    return dispatch(step, message, clock=world.clock, log=world.log)


def deliver(
    world: World, courier: FakeCourier | None = None, by_file: ByFile | None = None
) -> Done | Again:
    """Hand the deliver message to the step."""
    step = Deliver(
        ledger=world.ledger,
        courier=courier or FakeCourier(),
        interrupting=contextlib.nullcontext,
        jitter=lambda: 0.0,
        by_file=by_file,
        links=LINKS,
    )
    message = Message(topic=Topic.DELIVER, job_id="video-1", run="run-1")
    return dispatch(step, message, clock=world.clock, log=world.log)
