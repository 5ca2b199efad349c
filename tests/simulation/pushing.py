"""Pub/Sub that pushes, and the services that it pushes to: real endpoints and benches.

A push is answered by a status and by nothing else. An answer that comes too late, or not at all,
is no answer: the message comes again while its step may still go on.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, cast

from flask import Flask

from core.errors import Interrupted, LecternError, StepTimedOut, Unavailable
from core.job import UNFINISHED, Job, State
from core.messages import Message, Topic
from core.ports import EventLog
from core.transitions import needs
from tests.simulation.bus import Letter
from tests.simulation.schedule import Process
from tests.simulation.threads import present
from transcoder import push
from transcoder.bench import Bench
from transcoder.bounded import BoundedPress, BoundedTransfers, Budget
from transcoder.dispatch import Handler
from transcoder.press import Press
from transcoder.transcode import Transcode

if TYPE_CHECKING:
    from tests.simulation.world import World

ACK_S: Final = 14.0
"""Seconds after which Pub/Sub waits for an answer no longer; 600 in the world outside."""
_STEP_S: Final = 12.0
_WAIT_S: Final = 3.0
_WAITING_MAX: Final = 1
_INSTANCES_MAX: Final = 2
DELIVERIES_MAX: Final = 3
"""Attempts after which a refused message is buried."""
_DONE: Final = 204


@dataclass(slots=True, eq=False)
class _Instance:
    """A process that takes pushes of one topic: one step at a time, on its bench."""

    process: Process
    bench: Bench


@dataclass(slots=True, eq=False)
class _Request:
    """One push: what is known when it comes, and what its step has claimed."""

    message: Message
    came_at: float
    before: Job | None
    instance: _Instance | None
    claim: tuple[str, str, int] | None = None
    piece: tuple[str, int, int, int] | None = None
    asked_again: bool = False
    begun: bool = False


class Pushing:
    """Sends pushes, and disposes of messages by the answers."""

    def __init__(self, world: World) -> None:
        self.requests: dict[Any, _Request] = {}  # by the task that each is answered in
        self._world = world
        self._instances: dict[Topic, list[_Instance]] = {topic: [] for topic in Topic}

    def push(self, topic: Topic, handler_of: Callable[[Topic, Process], Handler]) -> None:
        """Push a message that is due, now and then while the same one is on its way."""
        world = self._world
        letter = world.bus.take(topic, hide_s=ACK_S)
        if letter is None:
            return
        if world.calm:
            process = Process("push", "worker")
            before, world.calm_process = world.calm_process, process
            try:
                self._answer(letter, letter.receipt, None, handler_of(topic, process))
            finally:
                world.calm_process = before
            return
        receipt = letter.receipt
        for _ in range(1 + self._befalls("doubled", "twice at once")):
            self._send(letter, receipt, handler_of)
        if self._befalls("cut", "cut off"):
            world.bus.refuse(letter, receipt, DELIVERIES_MAX)

    def _send(
        self,
        letter: Letter,
        receipt: str | None,
        handler_of: Callable[[Topic, Process], Handler],
    ) -> None:
        world, topic = self._world, letter.message.topic
        instance = self._instance(topic)

        def step(_message: Message) -> None:
            request = self.requests[world.hub.current]
            handler = handler_of(topic, instance.process)
            try:
                instance.bench.do(lambda: self._step(request, handler))
            except Unavailable:
                self._note_refusal(request)
                raise
            except Interrupted:
                world.coverage["push", "stopped"] += 1
                raise

        answer = partial(self._answer, letter, receipt, instance, step)
        world.hub.spawn(instance.process, answer)

    def _note_refusal(self, request: _Request) -> None:
        """Note a push whose step was not begun: its instance had no place, or no time for it."""
        if request.claim is None and not request.begun:
            waited = self._world.hub.now > request.came_at
            self._world.coverage["push", "waited too long" if waited else "bench is full"] += 1

    def _befalls(self, share: str, what: str) -> bool:
        befalls = self._world.trouble.happens(share)
        if befalls:
            self._world.coverage["push", what] += 1
        return befalls

    def close(self) -> None:
        """Let all instances end once they have done what they have begun."""
        for instances in self._instances.values():
            for instance in instances:
                instance.bench.close()
            instances.clear()

    # --- a request -------------------------------------------------------------------------
    def _answer(
        self, letter: Letter, receipt: str | None, instance: _Instance | None, step: Handler
    ) -> None:
        """Bring a message to the endpoint, and do with it what the status says."""
        world = self._world
        job = world.jobs.held.get(letter.message.job_id)
        request = _Request(letter.message, world.hub.now, job, instance)
        task = world.hub.current
        self.requests[task] = request
        world.trouble.say(f"is pushed {letter.message.topic.value} {letter.message.job_id}")
        try:
            with _handled_by(step):
                status = _posted(letter)
        finally:
            del self.requests[task]
        world.coverage["push", status] += 1
        world.trouble.say(f"    answers {status}")
        if status == _DONE:
            self._expect_done(request)
        with contextlib.suppress(Unavailable):
            world.trouble.enter("push", "answer")
            if world.hub.now > letter.due_at or letter.receipt != receipt:
                world.coverage["push", "answered too late"] += 1
            elif status == _DONE:
                world.bus.drop(letter)
            else:
                world.bus.refuse(letter, receipt, DELIVERIES_MAX)

    def _step(self, request: _Request, handler: Handler) -> None:
        """Do the step in the instance's main thread."""
        process = request.instance.process if request.instance else Process("", "worker")
        request.begun = True
        process.claim = process.piece = None
        process.asked_again = False
        try:
            handler(request.message)
        finally:
            request.claim, request.piece = process.claim, process.piece
            request.asked_again = process.asked_again

    # --- instances -------------------------------------------------------------------------
    def _instance(self, topic: Topic) -> _Instance:
        """Return where the platform sends a push: it knows who is dead, not who hangs."""
        world, known = self._world, self._instances[topic]
        for instance in [each for each in known if each.process.dead or each.process.stopping]:
            instance.bench.close()
            if instance.process.dead or world.roll() < 0.5:
                known.remove(instance)
        if known and (len(known) >= _INSTANCES_MAX or world.roll() < 0.8):
            return known[int(world.roll() * len(known))]
        process = world.actors.process(f"{topic.value} service", "worker")
        bench = Bench(lambda: process.stopping, wait_s=_WAIT_S, waiting_max=_WAITING_MAX)
        instance = _Instance(process, bench)
        world.hub.spawn(process, bench.work)
        known.append(instance)
        return instance

    # --- what an answer promises -----------------------------------------------------------
    def _expect_done(self, request: _Request) -> None:
        """A message is taken when its step is recorded, or when there was none to do."""
        message, promises = request.message, self._world.promises
        job = self._world.jobs.held.get(message.job_id)
        if job is None or job.run != message.run:
            return
        leased = job.lease_until is not None
        mine = request.claim == (job.job_id, job.run, job.fence) and not request.asked_again
        if mine and leased and job.state in UNFINISHED:
            promises.broken(f"a push is answered before its step {request.claim} is recorded")
        if request.piece is not None and job.board and not request.asked_again:
            run, cut, number, claim = request.piece
            held = any(
                (each.number, each.claim) == (number, claim) and each.lease_until is not None
                for each in job.board.begun
            )
            if held and (job.run, job.board.cut) == (run, cut) and job.state is State.PROCESSING:
                promises.broken(f"a push is answered before piece {request.piece} is recorded")
        if job is request.before and needs(job, message) and _is_free(job, message, request):
            promises.broken(f"a push for {message} is answered, and nobody has done its step")


def _is_free(job: Job, message: Message, request: _Request) -> bool:
    """Tell whether the step could have been claimed when the push came."""
    if message.piece is None:
        lease_until, due_at = job.lease_until, job.due_at
    elif job.board is not None:
        piece = job.board.piece(message.piece)
        lease_until, due_at = piece.lease_until, piece.due_at
    return due_at <= request.came_at and (lease_until is None or lease_until <= request.came_at)


# --- the real endpoint --------------------------------------------------------------------------
class _Clock:
    def now(self) -> float:
        return present.world.hub.now


class _Log:
    def emit(self, event: str, /, **fields: object) -> None:
        present.world.log.emit(event, **fields)

    def bind(self, **fields: object) -> Any:
        return present.world.log.bind(**fields)


_handlers: dict[Any, Handler] = {}


@contextlib.contextmanager
def _handled_by(step: Handler) -> Iterator[None]:
    """Have what is pushed inside the block, in this task, handled by `step`."""
    task = present.world.hub.current
    _handlers[task] = step
    try:
        yield
    finally:
        del _handlers[task]


def _handle(message: Message) -> None:
    _handlers[present.world.hub.current](message)


def _pause(s: float) -> None:
    hub = present.world.hub
    if hub.current is None:
        hub.now += s
    else:
        hub.sleep(s)


@cache
def _app() -> Flask:
    app = Flask("pushed")
    app.register_blueprint(
        push.blueprint(
            handlers=dict.fromkeys(Topic, _handle),
            verify=lambda _header: None,
            clock=_Clock(),
            log=cast("EventLog", _Log()),
            deliveries_max=DELIVERIES_MAX,
            pause=_pause,
        )
    )
    app.register_error_handler(LecternError, lambda error: (error.code, error.http_status))
    return app


def _posted(letter: Letter) -> int:
    """Push the message as Pub/Sub does, and return the status."""
    message = letter.message
    envelope = {
        "message": {
            "data": base64.b64encode(message.to_bytes()).decode(),
            "messageId": "1",
            "attributes": {"job_id": message.job_id},
        },
        "deliveryAttempt": letter.deliveries,
    }
    body = json.dumps(envelope).encode()
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": f"/push/{message.topic.value}", "SCRIPT_NAME": "",
        "QUERY_STRING": "", "SERVER_NAME": "lectern", "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_LENGTH": str(len(body)), "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http", "wsgi.input": BytesIO(body),
    }  # fmt: skip
    app = _app()
    with app.request_context(environ):
        return app.full_dispatch_request().status_code


# --- steps that end in time ---------------------------------------------------------------------
def in_time(step: Transcode, world: World, process: Process) -> Handler:
    """Return the step as the pushed service has it: within its time, and broken off by a stop."""

    @contextlib.contextmanager
    def within(seconds: float, why: str, /) -> Iterator[None]:
        end = world.hub.now + seconds
        if seconds <= 0:
            raise StepTimedOut(why)
        if process.stopping:
            raise Interrupted("told to stop")
        yield
        if world.hub.now > end:  # the alarm breaks off the call, whatever has become of it
            world.coverage["push", "out of time"] += 1
            raise StepTimedOut(why)
        if process.stopping and world.roll() < 0.5:
            raise Interrupted("told to stop")

    def handler(message: Message) -> None:
        budget = Budget.starting_now(_STEP_S)
        transfers = BoundedTransfers(store=step.ledger.objects, budget=budget, within=within)
        bounded = BoundedPress(
            press=lambda budget_s: cast("Press", world.press.within(budget_s)),
            budget=budget,
            job_timeout_s=_STEP_S,
        )
        ledger = replace(step.ledger, objects=transfers)
        replace(step, ledger=ledger, press=bounded)(message)

    return handler
