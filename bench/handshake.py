"""(a) From the first byte sent to the store callback answered, against the bare FFmpeg command."""

from __future__ import annotations

import contextlib
import os
import queue
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from bench import bare, clips, machine, service
from bench.report import BenchFailed, Goal, Report
from lectern.demo_lecture import LECTURE
from lectern.example_lms import ExampleLms

RATIO_MAX: Final = 1.05
LONG_S: Final = 60.0
"""The goal is for recordings from this duration on, in seconds."""
_WARM_UP_S: Final = 2.0
_LONGEST_S: Final = 1800.0
QUIET_SHARE: Final = 0.03
"""Where others take more than this share of the machine, a ratio says more of them."""
_LOOK_EVERY_S: Final = 5.0
_ON_THE_WAY: Final = ("queued", "processing", "storing", "stored")
_STORED: Final = ("stored",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """One handshake: `times` are the parts of `wall_s`, in seconds and in their order."""

    wall_s: float
    cpu: machine.Usage
    sha256: str
    action: str
    work_s: float
    times: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The bare command and then the handshake, right after each other."""

    bare: bare.Bare
    handshake: Handshake

    @property
    def ratio(self) -> float:
        """Return how many times as long the handshake took."""
        return self.handshake.wall_s / self.bare.wall_s

    @property
    def parts(self) -> dict[str, float]:
        """Return where the handshake's seconds went; probe and verdict as measured beside it."""
        times, work_s = self.handshake.times, self.handshake.work_s
        beside_s = self.bare.probe_s + self.bare.verdict_s
        return {
            "receive: first byte to durable record": times["receive"],
            "pick-up by a worker": times["pick_up"],
            "probe of the source (measured beside)": self.bare.probe_s,
            "encode: the rest of work_s": work_s - beside_s,
            "probe and hash of the output (measured beside)": self.bare.verdict_s,
            "fetch, commit, record": times["transcode"] - work_s,
            "pick-up for delivery": times["delivery_pick_up"],
            "delivery until answered": times["delivery"],
        }


def run(recordings: Mapping[str, Path], *, seconds: float, pairs: int) -> Report:
    """Measure each of the named recordings, cut or looped to `seconds`, in `pairs` pairs."""
    measured = {}
    with service.workplace() as folder:
        for number, (name, source) in enumerate(recordings.items()):
            place = folder / f"recording-{number}"
            place.mkdir()
            clip = _clip(source, seconds, place / bare.SOURCE)
            measured[name] = [_pair(place, clip, name, n, pairs) for n in range(pairs)]
    return Report(
        name="handshake",
        options={"seconds": seconds, "pairs": pairs, "recordings": list(recordings)},
        figures={name: _figures(done) for name, done in measured.items()},
        tables=[t for name, done in measured.items() for t in (_pairs(name, done), _parts(done))],
        goals=[_goal(name, done, seconds) for name, done in measured.items()],
    )


def _clip(source: Path, seconds: float, to: Path) -> Path:
    to_mp4 = to.with_suffix(".mp4")
    if source == LECTURE:
        clips.looped_lecture(seconds, to_mp4)
    else:
        clips.cut(source, seconds, to_mp4)
    return to_mp4.rename(to)


def _pair(place: Path, clip: Path, name: str, number: int, pairs: int) -> Pair:
    """Run the bare command on a machine that does nothing else, then the service alone."""
    plain = bare.run(place)
    pair = Pair(bare=plain, handshake=_handshake(place / f"pair-{number}", clip))
    print(
        f"{name}, pair {number + 1} of {pairs}: bare {plain.wall_s:.2f} s, "
        f"handshake {pair.handshake.wall_s:.2f} s, {pair.ratio:.3f} x",
        flush=True,
    )
    if pair.handshake.action != "encoded":
        raise BenchFailed(f"{name} was {pair.handshake.action}: there is nothing to compare")
    return pair


def _handshake(folder: Path, clip: Path) -> Handshake:
    """Time one handshake of a service that has done a short one before."""
    answered: queue.SimpleQueue[float] = queue.SimpleQueue()
    short = clips.looped_lecture(_WARM_UP_S, folder.with_suffix(".mp4"))
    data = folder / "data"
    with (
        service.lms_for(data, lambda _id, _sha256: answered.put(time.time())) as lms,
        service.running(data, store_url=lms.url) as lectern,
    ):
        _store(lectern, short, "warm-up", answered)
        watch, began = machine.Watch(lectern.cpu_s), time.time()
        ended = _store(lectern, clip, "measured", answered)
        cpu = watch.usage()
        status = lectern.wait("measured", _STORED, timeout_s=_LONGEST_S)
        return Handshake(
            wall_s=ended - began,
            cpu=cpu,
            sha256=_delivered(lms),
            action=status["output"]["action"],
            work_s=status["output"]["work_s"],
            times=_times(status, began, ended),
        )


def _store(
    lectern: service.Service, clip: Path, video_id: str, answered: queue.SimpleQueue[float]
) -> float:
    """Send a recording and return when its store callback had been answered (epoch seconds)."""
    deadline = time.monotonic() + _LONGEST_S
    with lectern.client() as client:
        client.receive(clip, video_id=video_id, organization_id=service.ORGANIZATION)
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                return answered.get(timeout=_LOOK_EVERY_S)
            _check(client.status(video_id))
    raise BenchFailed(f"no callback within {_LONGEST_S:.0f} s")


def _check(status: Mapping[str, Any]) -> None:
    """Raise BenchFailed where a job got into trouble: a second try is no measurement."""
    if status["failure"] or status["state"] not in _ON_THE_WAY:
        raise BenchFailed(f"the job is {status['state']}: {status['failure']}")


def _delivered(lms: ExampleLms) -> str:
    return lms.deliveries[-1].sha256


def _times(status: Mapping[str, Any], began: float, ended: float) -> dict[str, float]:
    """Cut the time from `began` to `ended` at the changes of the job's history."""
    marks = {"Received": 0.0, "Encoded": 0.0}
    claims = []
    for change in status["history"]:
        at = datetime.fromisoformat(change["at"]).timestamp()
        if change["event"] == "Claimed":
            claims.append(at)
        marks[change["event"]] = at
    if len(claims) != 2:
        raise BenchFailed(f"the job was claimed {len(claims)} times instead of twice")
    return {
        "receive": marks["Received"] - began,
        "pick_up": claims[0] - marks["Received"],
        "transcode": marks["Encoded"] - claims[0],
        "delivery_pick_up": claims[1] - marks["Encoded"],
        "delivery": ended - claims[1],
    }


def _median_parts(pairs: Sequence[Pair]) -> dict[str, float]:
    return {name: statistics.median(p.parts[name] for p in pairs) for name in pairs[0].parts}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of the bare command and of the handshake over all pairs, in seconds."""

    bare_s: float
    handshake_s: float

    @property
    def ratio(self) -> float:
        """Return the ratio of the two figures."""
        return self.handshake_s / self.bare_s


def _over(figure: Callable[[Iterable[float]], float], pairs: Sequence[Pair]) -> Figure:
    return Figure(
        bare_s=figure(pair.bare.wall_s for pair in pairs),
        handshake_s=figure(pair.handshake.wall_s for pair in pairs),
    )


def _goal(name: str, pairs: Sequence[Pair], seconds: float) -> Goal:
    what = f"handshake against bare FFmpeg, {name}"
    share = _others_share(pairs)
    note = f"not a quiet machine: others took {share:.0%}" if share > QUIET_SHARE else ""
    if seconds < LONG_S:
        return Goal(what=f"{what} (shorter than a minute)", value=None, limit=RATIO_MAX)
    return Goal(what=what, value=_typical(pairs), limit=RATIO_MAX, unit=" x", note=note)


def _typical(pairs: Sequence[Pair]) -> float:
    """Return the median of the pairs' own ratios.

    A machine that grows slower or faster during the run does so for both halves of a pair; a
    ratio of medians may compare a slow half hour with a fast one.
    """
    return statistics.median(pair.ratio for pair in pairs)


def _others_share(pairs: Sequence[Pair]) -> float:
    """Return the share of the machine's CPU time that went to other programs."""
    runs = [run for pair in pairs for run in (pair.bare, pair.handshake)]
    cores = os.cpu_count() or 1
    return sum(run.cpu.others_s for run in runs) / (cores * sum(run.wall_s for run in runs))


def _quiet(pairs: Sequence[Pair]) -> list[Pair]:
    return [pair for pair in pairs if _others_share([pair]) <= QUIET_SHARE]


def _same_bytes(pairs: Sequence[Pair]) -> bool:
    return all(pair.bare.sha256 == pair.handshake.sha256 for pair in pairs)


def _figures(pairs: Sequence[Pair]) -> dict[str, object]:
    median, quiet = _over(statistics.median, pairs), _quiet(pairs)
    return {
        "bare_median_s": median.bare_s,
        "handshake_median_s": median.handshake_s,
        "median_of_ratios": _typical(pairs),
        "ratio_of_medians": median.ratio,
        "ratio_of_fastest": _over(min, pairs).ratio,
        "ratio_of_each_pair": [pair.ratio for pair in pairs],
        "parts_median_s": _median_parts(pairs),
        "ratio_of_quiet_pairs": _over(statistics.median, quiet).ratio if quiet else None,
        "others_share_of_cpu": _others_share(pairs),
        "same_bytes": _same_bytes(pairs),
        "pairs": [asdict(pair) for pair in pairs],
    }


def _pairs(name: str, pairs: Sequence[Pair]) -> Table:
    table = Table(
        "",
        title=f"Handshake against bare FFmpeg: {name}",
        caption=f"Both made the same bytes: {'yes' if _same_bytes(pairs) else 'NO'}",
    )
    for column in ("bare", "handshake", "ratio", "bare CPU", "our CPU", "others"):
        table.add_column(column, justify="right")
    for number, pair in enumerate(pairs, 1):
        plain, shake = pair.bare, pair.handshake
        table.add_row(
            f"pair {number}",
            f"{plain.wall_s:.2f} s",
            f"{shake.wall_s:.2f} s",
            f"{pair.ratio:.3f}",
            f"{plain.cpu.own_s:.2f} s",
            f"{shake.cpu.own_s:.2f} s",
            f"{_others_share([pair]):.1%}",
        )
    overall = {"median": _over(statistics.median, pairs), "fastest": _over(min, pairs)}
    if quiet := _quiet(pairs):
        overall[f"{len(quiet)} quiet"] = _over(statistics.median, quiet)
    for what, over in overall.items():
        times = (f"{over.bare_s:.2f} s", f"{over.handshake_s:.2f} s")
        table.add_row(what, *times, f"{over.ratio:.3f}")
    table.add_row("typical", "", "", f"{_typical(pairs):.3f}")
    return table


def _parts(pairs: Sequence[Pair]) -> Table:
    table = Table("part of the handshake", title="Where the handshake's time goes (medians)")
    table.add_column("seconds", justify="right")
    table.add_column("% of bare", justify="right")
    bare_s = _over(statistics.median, pairs).bare_s
    for name, part_s in _median_parts(pairs).items():
        table.add_row(name, f"{part_s:.3f}", f"{100 * part_s / bare_s:.1f}")
    return table
