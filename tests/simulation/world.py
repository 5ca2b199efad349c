"""One seed's world: the real ledger over the simulation's ports, and the histories of it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from core.job import UNFINISHED, Job, Policy, State
from core.ledger import Ledger
from tests.simulation.actors import GRACE_S, SWEEP, UPLOAD_TTL_S, Actors
from tests.simulation.bus import SimBus
from tests.simulation.disk import SimDisk
from tests.simulation.endings import check_ends, check_nothing_is_left, check_orphans
from tests.simulation.lms import SimLms
from tests.simulation.log import SimClock, SimLog
from tests.simulation.press import SimPress
from tests.simulation.promises import END, Promises
from tests.simulation.recordings import CUT, order_of, recording
from tests.simulation.schedule import Hub, Process
from tests.simulation.stores import SimJobs, SimObjects, SimSessions
from tests.simulation.threads import present
from tests.simulation.trouble import Coverage, Trouble
from tests.simulation.weather import Weather, draw

POLICY: Final = Policy(
    lease_s=3.0,
    confirm_ttl_s=600.0,
    store_retry_for_s=900.0,
    max_retries=2,
    republish_after_s=60.0,
    keep_record_s=1800.0,
    record_within_s=GRACE_S / 2,
)
ROUNDS_MAX: Final = 150
"""Rounds of work and sweep in which every job must have come to its end."""
_PAUSES_S: Final = (0.0, 0.0, 0.4, 1.0, 2.0, 3.5, 6.5, 13.0, 61.0, 125.0, 310.0, 610.0)
_CALLS_MAX: Final = 100
"""Port calls after which the storm ends."""


class World:
    """All that a history happens in."""

    def __init__(self, seed: int, coverage: Coverage, *, tracing: bool = False) -> None:
        random = Random(seed)  # noqa: S311 - a history must be had again
        self.roll = random.random
        self.coverage = coverage
        self.found: str | None = None
        self.calm = False
        self.calm_process: Process | None = None
        self.policy = POLICY
        self.hub = Hub(random)
        self.trouble = Trouble(self.hub, random, draw(random), coverage, tracing=tracing)
        self.promises = Promises()
        self.promises.world = self
        self.objects = SimObjects(self.trouble, self.promises)
        self.sessions = SimSessions(self.objects)
        self.jobs = SimJobs(self.trouble, self.promises, self.roll)
        self.bus = SimBus(self.trouble, self.promises, self.roll)
        self.disk = SimDisk(self.trouble)
        self.log = SimLog(self)
        self.press = SimPress(self)
        self.lms = SimLms(self)
        self.ledger = Ledger(
            jobs=self.jobs,
            bus=self.bus,
            objects=self.objects,
            clock=SimClock(self.hub),
            log=self.log,
            policy=POLICY,
        )
        self.actors = Actors(self)
        self._confirms = self.roll() < 0.7
        self._ids = ("a", "b")[: 1 + int(self.roll() * 1.6)]
        self._freezes = self.roll() < 0.6
        self._kind = ("set", "image", "plain")[min(int(self.roll() * 8), 2)]
        self._order = order_of(self._kind, int(self.roll() * 6), by_file=self.roll() < 0.2)
        self._cut = int(self.roll() * len(CUT)) if self.roll() < 0.3 else None
        self.bus.pushes = self.roll() < 0.25
        present.world = self

    # --- the storm -------------------------------------------------------------------------
    def storm(self) -> None:
        """Let anything happen, in any order, under the weather of this history."""
        self._begin()
        self._send()
        for _ in range(3 + int(self.roll() * 9)):
            self._act()
            pause_s = _PAUSES_S[int(self.roll() * len(_PAUSES_S))]
            self.hub.run(self.hub.now + pause_s)
            if self.trouble.calls > _CALLS_MAX:
                break

    def _begin(self) -> None:
        """Bring some job some way first, without trouble, so that the storm finds it there."""
        steps = int(self.roll() * 8) - 3
        if steps <= 0:
            return
        weather = self.trouble.weather
        self.trouble.change(Weather())
        self.calm = True
        self._send()
        for _ in range(steps):
            due = [letter for letter in self.bus.letters if letter.due_at <= self.hub.now]
            if due:
                self.actors.work(due[0].message.topic)
        self.calm = False
        self.trouble.change(weather)

    def later(self, s: float, act: Callable[[], None]) -> None:
        """Do something in `s` seconds; in the calm at once."""
        if self.calm:
            act()
            return
        self.hub.spawn(Process("later", "later"), act).at = self.hub.now + s

    def _act(self) -> None:
        roll = self.roll()
        if roll < 0.5:
            self._work()
        elif roll < 0.56 and self._kind == "set":
            self._play()
        else:
            _ACTS[int(self.roll() * len(_ACTS))](self)

    def _work(self) -> None:
        """Have a message handled, one that is due if any is; else time may pass until then."""
        letters = self.bus.letters
        due = [letter for letter in letters if letter.due_at <= self.hub.now]
        if not due and letters and self.roll() < 0.5:
            self.hub.run(min(letter.due_at for letter in letters))
            due = [letter for letter in letters if letter.due_at <= self.hub.now]
        if due:
            several = self.bus.pushes and self.roll() < 0.25
            for _ in due[:4] if several else due[:1]:
                self.actors.work(due[int(self.roll() * len(due))].message.topic)
        elif not letters:
            self._sweep()

    def _send(self) -> None:
        job_id, data = self._a_recording()
        organization = "other" if self.roll() < 0.05 else "org"
        order = self._order
        if self.roll() < 0.3:
            self.actors.announce(job_id, organization, data, order, honest=self.roll() < 0.9)
        else:
            self.actors.send(job_id, organization, data, order)
        if self.roll() < 0.15:
            self.actors.sweep(SWEEP[3:])

    def _a_recording(self) -> tuple[str, bytes]:
        """Return an id and bytes for it: mostly the same, sometimes others."""
        number = int(self.roll() * len(self._ids))
        nature = "bad" if self.roll() < 0.1 else "good"
        if self._kind == "image":
            nature = "spoiled" if nature == "bad" else "picture"
        elif self._cut is not None:
            nature = CUT[(self._cut + number) % len(CUT)]
        return self._ids[number], recording(nature, int(self.roll() * 1.3))

    def _an_id(self) -> str:
        """Return the id of a job, or now and then one that there is no job of."""
        ids = tuple(self.jobs.held) if self.jobs.held and self.roll() < 0.9 else self._ids
        return ids[int(self.roll() * len(ids))]

    def _play(self) -> None:
        """Read a set, by a URL that was handed out or by the status."""
        urls = self.promises.beside.urls
        if urls and self.roll() < 0.5:
            self.actors.play(urls[int(self.roll() * len(urls))])
        elif self._kind == "set":
            self.actors.ask_and_play(self._an_id())
        else:
            self._redeliver()

    def _redeliver(self) -> None:
        self.actors.redeliver(self._an_id())

    def _cancel(self) -> None:
        self.actors.cancel(self._an_id())

    def _unbury(self) -> None:
        self.actors.take_dead_letter()

    def _confirm(self) -> None:
        job_id = self._an_id()
        job = self.jobs.held.get(job_id)
        digest = job.output.sha256 if job is not None and job.output is not None else None
        self.actors.confirm(job_id, (digest, None, "0" * 64)[int(self.roll() * 3)])

    def _sweep(self) -> None:
        """Sweep, or do a part of it: the parts come one after the other anyway."""
        parts = [part for part in SWEEP if self.roll() < 0.4]
        self.actors.sweep(parts or SWEEP[:1])

    def _outage(self) -> None:
        port = ("jobs", "objects", "bus", "sessions")[int(self.roll() * 4)]
        s = (1.0, 8.0, 70.0)[int(self.roll() * 3)]
        self.trouble.say(f"{port} is down for {s:.0f} s")
        self.trouble.down[port] = self.hub.now + s

    def _jump(self) -> None:
        self.hub.now += _PAUSES_S[int(self.roll() * len(_PAUSES_S))]
        self.coverage["clock", "jumps"] += 1

    def _stay_away(self) -> None:
        """Let the grace pass, and look for orphans."""
        self.hub.run(self.hub.now + GRACE_S + 5)
        self.actors.sweep(SWEEP[3:])

    def _strike(self) -> None:
        """Kill a process, freeze it, or tell it to stop."""
        alive = [task.process for task in self.hub.tasks if not task.process.dead]
        if not alive:
            return
        process = alive[int(self.roll() * len(alive))]
        what = ("dies", "freezes", "freezes", "must stop")[int(self.roll() * 4)]
        self.coverage["struck", process.role, what] += 1
        self.trouble.say(f"{process.name} {what}")
        if what == "dies":
            self.hub.kill(process)
        elif what == "freezes":
            self.trouble.freeze(process)
        else:
            process.stopping = True

    def _meddle(self) -> None:
        """Lose a message that waits, or have the bus give it up."""
        if not self.bus.letters:
            return
        number = int(self.roll() * len(self.bus.letters))
        if self.roll() < 0.3:
            self.coverage["message", "lost while it waits"] += 1
            self.bus.lose(number)
        else:
            self.coverage["message", "given up"] += 1
            self.bus.give_up(number)

    # --- the calm --------------------------------------------------------------------------
    def settle(self) -> None:
        """Let all faults end and time run on, and check what must have become of everything."""
        self.trouble.say("--- the storm is over ---")
        self.trouble.change(Weather())
        self.trouble.down.clear()
        late = self._thaw()
        self._work_off()
        if late:
            self._run_out(late)
            self._work_off()
        self.calm = True
        check_ends(self)
        self._confirm_all()
        self.hub.now += GRACE_S + UPLOAD_TTL_S + 1
        self.actors.sweep(SWEEP)
        check_orphans(self)
        self._run_down()
        self.hub.now += GRACE_S + UPLOAD_TTL_S + 1
        self.actors.sweep(SWEEP)
        if self.objects.held:  # what tells of an upload goes after its declaration
            self.actors.sweep(SWEEP)
        check_nothing_is_left(self)

    def _thaw(self) -> list[Process]:
        """Let all run on but some that sleep, wherever they are; return those."""
        self.actors.pushing.close()
        late = []
        for task in self.hub.tasks:
            process = task.process
            if process.dead or process in late:
                continue
            if self._freezes and self.roll() < 0.5:
                process.frozen_until = self.hub.now + 1e6
                late.append(process)
            else:
                process.frozen_until = self.hub.now
        self._run_all(late)
        return late

    def _run_out(self, late: list[Process]) -> None:
        if self.roll() < 0.7:  # the grace passes without them
            self.hub.now += GRACE_S + 1
            self.actors.sweep(SWEEP[2:])
        self.calm = False
        for process in late:
            process.frozen_until = self.hub.now
            self.coverage["late", process.role] += 1
        self._run_all([])

    def _run_all(self, late: list[Process]) -> None:
        """Run all processes to their end, but those that are late."""
        for _ in range(ROUNDS_MAX):
            if all(task.process in late for task in self.hub.tasks):
                return
            self.hub.run(self.hub.now + 10.0)
        self.promises.broken("a process never ends")

    def _work_off(self) -> None:
        """Do all that there is to do, until every job has ended or waits for its confirmation."""
        self.calm = True
        for _ in range(ROUNDS_MAX):
            self._empty_the_bus()
            unfinished = [job for job in self.jobs.held.values() if job.state in UNFINISHED]
            if not unfinished and not self._waits_for_upload():
                return
            times = [job.wake_at for job in unfinished]
            times += [letter.due_at for letter in self.bus.letters]
            self.hub.now = max(self.hub.now + 0.5, min(times, default=self.hub.now + 61))
            self.actors.sweep([part for part in SWEEP[:3] if self._has_work(part)])
        self.promises.broken(f"never ends: {[_short(job) for job in self.jobs.held.values()]}")

    def _has_work(self, part: str) -> bool:
        """Tell whether a part of the sweep may find anything, to save time."""
        return part == "jobs" or bool(
            self.disk.folders if part == "folders" else self.actors.declared
        )

    def _waits_for_upload(self) -> bool:
        """Tell whether a direct upload has all its bytes and no outcome."""
        promises = self.promises
        return any(
            run in promises.sources and run not in promises.outcomes and run not in promises.runs
            for run in self.actors.declared
        )

    def _empty_the_bus(self) -> None:
        for _ in range(100):
            while self.bus.dead:
                self.actors.take_dead_letter()
            due = [letter for letter in self.bus.letters if letter.due_at <= self.hub.now]
            if not due:
                return
            self.actors.work(due[0].message.topic)
        self.promises.broken("the bus never runs dry")

    def _confirm_all(self) -> None:
        """Let the LMS confirm what it has taken, if it ever does."""
        promises = self.promises
        if self._confirms:
            for job in list(self.jobs.held.values()):
                if job.state is State.STORED and job.output is not None:
                    self.actors.confirm(job.job_id, job.output.sha256)
                    if self.jobs.held[job.job_id].state is not State.COMPLETED:
                        promises.broken(f"{job.job_id}: a right confirmation was not honoured")

    def _run_down(self) -> None:
        """Let the TTLs pass until every record is forgotten."""
        for _ in range(ROUNDS_MAX):
            if not self.jobs.held:
                return
            wake_at = min(job.wake_at for job in self.jobs.held.values())
            self.hub.now = max(self.hub.now + 0.5, wake_at)
            self._sweep_jobs()
        self.promises.broken("a record is never forgotten")

    def _sweep_jobs(self) -> None:
        self.actors.sweep(SWEEP[:1])
        for job in self.jobs.held.values():
            if job.state not in END and job.state not in (State.STORED, State.STORE_FAILED):
                self.promises.broken(f"{job.job_id}: {job.state} again after its end")


_ACTS: Final[tuple[Callable[[World], None], ...]] = (
    *[World._send] * 4,
    *[World._confirm] * 3,
    *[World._sweep] * 3,
    *[World._strike] * 4,
    World._outage,
    World._jump,
    World._stay_away,
    World._meddle,
    World._play,
    World._redeliver,
    World._cancel,
    World._unbury,
)


def _short(job: Job) -> str:
    return f"{job.job_id}/{job.run} {job.state.value} wake {job.wake_at - 1_800_000_000:.0f}"
